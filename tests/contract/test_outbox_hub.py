"""The outbox against the test Hub: one commit per delivery, whatever goes wrong, each row exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.feedback.card import shard_path
from backends.feedback.hub import HubDatasetRepo
from core.errors import AppError, DatasetRejected, HubUnreachable, RateLimited
from core.feedback_protocols import DatasetRepo
from tests.contract.outbox_rows import comparison, dump, ids, open_store, preference, rating
from tests.hub_server import CloseConnection, DropAfterCommit, HubServer, Status
from tests.hub_server import RateLimited as TooMany
from tests.hub_server.client import COMMIT

REPO = "alice/votes"


def hub_repo(hub: HubServer, repo_id: str = REPO, token: str = "hf_alice") -> HubDatasetRepo:
    return HubDatasetRepo(repo_id, token=token, endpoint=hub.url)


def pushed_ids(hub: HubServer, config: str = "preferences", repo_id: str = REPO) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return ids(dump(hub.files(repo_id, "dataset"), Path(folder)), config)


def test_is_a_dataset_repo() -> None:
    repo: DatasetRepo = HubDatasetRepo(REPO, token="secret-token", endpoint="http://127.0.0.1:9")
    assert repo.name == REPO and "secret-token" not in repr(repo)


def test_missing_dataset_is_made_private_and_filled_in_one_commit(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p"), comparison(id="c")])
    store.save([rating(id="r")])
    assert delivery.send() == "sent"
    [created] = hub.sent("POST /api/repos/create")
    assert created.json()["visibility"] == "private"
    files = hub.files(REPO, "dataset")
    assert sorted(path.rpartition("/")[0] for path in files) == [
        "", "", "data/comparisons", "data/preferences", "data/ratings",
    ]  # fmt: skip
    assert len(hub.history(REPO, "dataset")) == 2
    assert store.status().last_commit == hub.head(REPO, "dataset")
    assert (pushed_ids(hub), pushed_ids(hub, "comparisons"), pushed_ids(hub, "ratings")) == (["p"], ["c"], ["r"])
    assert delivery.send() == "nothing"


def test_changed_vote_is_one_commit(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="old")])
    store.save([preference(id="other")])
    delivery.send()
    store.save([preference(id="new", supersedes="old")])
    delivery.send()
    assert pushed_ids(hub) == ["new", "other"]
    assert len(hub.history(REPO, "dataset")) == 3


def test_config_whose_last_row_is_withdrawn_leaves_the_card(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p"), comparison(id="c")])
    delivery.send()
    store.withdraw("c")
    delivery.send()
    files = hub.files(REPO, "dataset")
    assert not any(path.startswith("data/comparisons") for path in files)
    assert b"config_name: comparisons" not in files["README.md"]
    assert pushed_ids(hub) == ["p"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (DropAfterCommit(), HubUnreachable),
        (CloseConnection(), HubUnreachable),
        (Status(500), HubUnreachable),
        (Status(503), HubUnreachable),
        (TooMany(7), RateLimited),
        (TooMany(7, header="RateLimit"), RateLimited),
    ],
)
def test_fault_of_the_commit_is_tried_again_without_a_double(tmp_path: Path, hub: HubServer, fault, error) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p"), comparison(id="c")])
    hub.fail_next(COMMIT, fault)
    with pytest.raises(error) as raised:
        delivery.send()
    if isinstance(raised.value, RateLimited):
        assert raised.value.retry_after == 7
    assert store.status().waiting == 2
    first = [request.json() for request in hub.sent("POST *objects/batch")]
    assert delivery.send() == "sent"
    again = [request.json() for request in hub.sent("POST *objects/batch")][len(first) :]
    assert all(one["objects"] in [whole["objects"] for whole in first] for one in again)
    assert (pushed_ids(hub), pushed_ids(hub, "comparisons")) == (["p"], ["c"])
    assert len(hub.history(REPO, "dataset")) == 2
    assert store.status().waiting == 0


@pytest.mark.parametrize("status", [409, 412])
def test_somebody_elses_commit_in_between_is_built_upon(tmp_path: Path, hub: HubServer, status: int) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p")])
    hub.fail_next(COMMIT, Status(status), times=2)
    assert delivery.send() == "sent"
    assert pushed_ids(hub) == ["p"]
    hub.fail_next(COMMIT, Status(status), times=None)
    store.save([preference(id="q")])
    with pytest.raises(AppError, match="same time"):
        delivery.send()
    hub.clear_faults()
    delivery.send()
    assert pushed_ids(hub) == ["p", "q"]


def test_stale_parent_is_real(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer commits between our look at the head and our commit: both changes are there afterwards."""
    repo = hub_repo(hub)
    store, delivery = open_store(tmp_path, repo)
    store.save([preference(id="p")])
    delivery.send()
    look, raced = repo._missing, []

    def look_then_lose_the_race(api, head, adds):
        if not raced:
            raced.append(hub.commit(REPO, "dataset", {"notes.txt": b"mine"}))
        return look(api, head, adds)

    monkeypatch.setattr(repo, "_missing", look_then_lose_the_race)
    store.save([preference(id="q")])
    delivery.send()
    assert pushed_ids(hub) == ["p", "q"]
    assert hub.files(REPO, "dataset")["notes.txt"] == b"mine"
    assert [request.status for request in hub.sent(COMMIT)][-2:] == [412, 200]


def test_two_replicas_write_to_one_dataset(tmp_path: Path, hub: HubServer) -> None:
    stores = [open_store(tmp_path / name, hub_repo(hub)) for name in ("one", "two")]
    for number, (store, delivery) in enumerate(stores):
        store.save([preference(id=f"p{number}")])
        delivery.send()
    stores[1][0].save([rating(id="r")])
    stores[1][1].send()
    stores[0][0].withdraw("p0")
    stores[0][1].send()
    assert (pushed_ids(hub), pushed_ids(hub, "ratings")) == (["p1"], ["r"])


def test_shard_with_other_bytes_is_refused_told_and_kept_aside(tmp_path: Path, hub: HubServer) -> None:
    hub.add_dataset(REPO, private=True)
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p")])
    [batch] = delivery.batches.claim()
    hub.commit(REPO, "dataset", {str(batch.path): b"PAR1 something else"})
    store.save([rating(id="r")])
    assert delivery.send() == "sent"
    status = store.status()
    assert (status.refused, status.pushed, status.waiting, status.saved) == (1, 1, 0, 2)
    assert status.last_error is not None and str(batch.path) in status.last_error
    assert (tmp_path / "outbox" / f"{batch.id}.parquet").is_file()
    assert hub.files(REPO, "dataset")[shard_path("preferences", batch.id)] == b"PAR1 something else"
    assert [row.state for row in store.newest()] == ["pushed", "refused"]
    assert delivery.send() == "nothing"


def test_lost_outbox_file_is_made_again(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p")])
    hub.fail_next(COMMIT, DropAfterCommit())
    with pytest.raises(HubUnreachable):
        delivery.send()
    for file in (tmp_path / "outbox").glob("*.parquet"):
        file.unlink()
    # As if another version of pyarrow wrote it: other bytes than those that are already on the Hub.
    make = delivery._make_shard

    def other_version(config, rows):
        table = pq.read_table(pa.BufferReader(make(config, rows)))
        pq.write_table(table, tmp_path / "other.parquet", compression="gzip")
        return (tmp_path / "other.parquet").read_bytes()

    delivery._make_shard = other_version
    assert delivery.send() == "sent"
    assert pushed_ids(hub) == ["p"]


class TestRejected:
    def rejected(self, tmp_path: Path, repo: HubDatasetRepo) -> str:
        store, delivery = open_store(tmp_path, repo)
        store.save([preference(id="p")])
        with pytest.raises(DatasetRejected) as error:
            delivery.send()
        assert store.status().waiting == 1
        assert "hf_" not in str(error.value)
        return str(error.value)

    def test_id_of_a_model(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_model("alice/votes")
        assert "is a model" in self.rejected(tmp_path, hub_repo(hub))
        assert hub.sent("POST /api/repos/create") == []

    def test_public_dataset(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_dataset(REPO)
        assert "public" in self.rejected(tmp_path, hub_repo(hub))

    def test_read_only_token(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_dataset("carol/votes", private=True)
        assert "may not write" in self.rejected(tmp_path, hub_repo(hub, "carol/votes", "hf_carol"))

    def test_read_only_token_and_no_dataset(self, tmp_path: Path, hub: HubServer) -> None:
        assert "carol/other" in self.rejected(tmp_path, hub_repo(hub, "carol/other", "hf_carol"))

    def test_dataset_of_somebody_else(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_dataset("bob/votes", private=True)
        assert "bob/votes" in self.rejected(tmp_path, hub_repo(hub, "bob/votes"))

    def test_expired_token(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_user("alice", "hf_old", expired=True)
        assert "expired" in self.rejected(tmp_path, hub_repo(hub, token="hf_old"))

    def test_unknown_token(self, tmp_path: Path, hub: HubServer) -> None:
        assert "wrong" in self.rejected(tmp_path, hub_repo(hub, token="hf_nobody"))

    def test_token_with_a_line_break(self, tmp_path: Path, hub: HubServer) -> None:
        assert "HF_TOKEN" in self.rejected(tmp_path, hub_repo(hub, token="hf_al\nice"))

    def test_revoked_token_then_a_good_one(self, tmp_path: Path, hub: HubServer) -> None:
        store, delivery = open_store(tmp_path, hub_repo(hub))
        hub.add_user("alice", "hf_alice", expired=True)
        store.save([preference(id="p")])
        with pytest.raises(DatasetRejected):
            delivery.send()
        hub.add_user("alice", "hf_alice")
        delivery.send()
        assert pushed_ids(hub) == ["p"]

    def test_no_hub_at_all(self, tmp_path: Path) -> None:
        repo = HubDatasetRepo(REPO, token="hf_alice", endpoint="http://127.0.0.1:9")
        store, delivery = open_store(tmp_path, repo)
        store.save([preference()])
        with pytest.raises(HubUnreachable, match="rows wait"):
            delivery.send()


class TestAccount:
    def test_token_that_can_write_everywhere_is_a_warning(self, hub: HubServer) -> None:
        account = hub_repo(hub).account()
        assert "alice" in account.label and "everything" in account.label
        assert "fine-grained" in account.warnings[0] and REPO in account.warnings[0]

    def test_read_only_token(self, hub: HubServer) -> None:
        account = hub_repo(hub, token="hf_carol").account()
        assert "only read" in account.label and "only read" in account.warnings[0]

    @pytest.mark.parametrize(
        ("scopes", "warned"),
        [
            ({"dataset:alice/votes": ["repo.content.read", "repo.write"]}, False),
            ({"alice": ["repo.content.read", "repo.write"]}, False),
            ({"dataset:alice/other": ["repo.write"]}, True),
            ({"dataset:alice/votes": ["repo.content.read"]}, True),
            ({}, True),
        ],
    )
    def test_fine_grained_token(self, tmp_path: Path, hub: HubServer, scopes, warned: bool) -> None:
        """What the warning calls enough really is: the narrowest token writes to a dataset that exists."""
        hub.add_dataset(REPO, private=True)
        hub.add_user("alice", "hf_fine", role="fineGrained", scopes=scopes)
        account = hub_repo(hub, token="hf_fine").account()
        assert bool(account.warnings) == warned
        store, delivery = open_store(tmp_path, hub_repo(hub, token="hf_fine"))
        store.save([preference(id="p")])
        if warned:
            with pytest.raises(DatasetRejected):
                delivery.send()
        else:
            assert delivery.send() == "sent"

    def test_expired_token_is_a_sentence(self, hub: HubServer) -> None:
        hub.add_user("alice", "hf_old", expired=True)
        with pytest.raises(DatasetRejected, match="expired"):
            hub_repo(hub, token="hf_old").account()


FAULTS = [DropAfterCommit(), CloseConnection(), Status(500), Status(409), Status(412), TooMany(0)]
STEPS = st.lists(
    st.one_of(
        st.just("save"),
        st.just("send"),
        st.just("restart"),
        st.tuples(st.just("withdraw"), st.integers(0, 9)),
        st.tuples(st.just("fault"), st.integers(0, len(FAULTS) - 1), st.sampled_from([COMMIT, "GET /api/datasets/*"])),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_order_of_votes_withdrawals_faults_and_restarts(hub: HubServer, steps) -> None:
    repo_id = f"alice/votes-{os.urandom(6).hex()}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, delivery = open_store(folder, hub_repo(hub, repo_id))
        current: list[str] = []
        for number, step in enumerate(steps):
            if step == "save":
                store.save([preference(id=f"row-{number}")])
                current.append(f"row-{number}")
            elif step == "restart":
                store.close()
                store, delivery = open_store(folder, hub_repo(hub, repo_id))
            elif step == "send":
                try:
                    delivery.send()
                except AppError as error:
                    assert "rows wait" in str(error)
            elif step[0] == "withdraw" and current:
                store.withdraw(current.pop(step[1] % len(current)))
            elif step[0] == "fault":
                hub.fail_next(step[2], FAULTS[step[1]])
        hub.clear_faults()
        delivery.send()
        assert {row.id for row in store.newest()} == set(current)
        if hub.sent(f"POST /api/datasets/{repo_id}/commit/*"):
            assert pushed_ids(hub, repo_id=repo_id) == sorted(current)
        store.close()


READ = """
import datasets
rows = datasets.load_dataset("alice/votes", "preferences", split="train")
print(rows["id"][:], rows[0]["prompt"])
"""


def test_load_dataset_reads_what_was_pushed(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, hub_repo(hub))
    store.save([preference(id="p"), comparison()])
    delivery.send()
    environment = os.environ | hub.environment(tmp_path / "home", "hf_alice")
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.strip() == "['p'] [{'role': 'user', 'content': 'Question a'}]", done.stderr
