"""Books and dataset that do not agree: a lost database, a deleted dataset, another app on the same one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.feedback.delivery import Delivery
from backends.feedback.hub import HubDatasetRepo
from backends.feedback.parquet import shard
from backends.feedback.store import SqliteFeedbackStore
from core.dataset import ImagePreferenceRow
from core.errors import AppError, DatasetRejected, HubUnreachable
from tests.contract.outbox_rows import (
    comparison,
    dump,
    full_preference,
    ids,
    open_store,
    preference,
    provenance,
    rating,
)
from tests.fakes import png
from tests.hub_server import CloseConnection, DropAfterCommit, HubServer, Status
from tests.hub_server.client import COMMIT

REPO = "alice/votes"


def opened(folder: Path, hub: HubServer, repo_id: str = REPO) -> tuple[SqliteFeedbackStore, Delivery]:
    return open_store(folder, HubDatasetRepo(repo_id, token="hf_alice", endpoint=hub.url), name=f"hub {repo_id}")


def pushed(hub: HubServer, config: str = "preferences", repo_id: str = REPO) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return ids(dump(hub.files(repo_id, "dataset"), Path(folder)), config)


def current(store: SqliteFeedbackStore) -> dict[str, dict[str, object]]:
    return {row.id: row.columns for row in store.newest(1000)}


def rows_of_every_kind() -> list:
    return [
        full_preference(), rating(id="r"), comparison(id="c"),
        ImagePreferenceRow(provenance(id="i"), "a cat", png(1), png(2)),
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_a_lost_database_comes_back_from_the_dataset(tmp_path: Path, hub: HubServer, place: str) -> None:
    open_ = (lambda folder: opened(folder, hub)) if place == "hub" else open_store
    store, delivery = open_(tmp_path)
    store.save(rows_of_every_kind())
    store.save([preference(id="old"), preference(id="gone")])
    delivery.send()
    store.save([preference(id="new", supersedes="old")])
    store.withdraw("gone")
    delivery.send()
    before = current(store)
    assert len(before) == 5
    store.close()
    for file in tmp_path.glob("feedback.sqlite*"):
        file.unlink()
    shutil.rmtree(tmp_path / "outbox")

    again, delivery = open_(tmp_path)
    assert current(again) == {}
    assert delivery.send() == "nothing"
    assert current(again) == before
    assert again.status().pushed == 5 and again.status().waiting == 0
    again.save([preference(id="later")])
    again.withdraw("new")
    assert delivery.send() == "sent"
    found = pushed(hub) if place == "hub" else ids(tmp_path / "dataset")
    assert sorted(found) == sorted(["later", *(row for row in before if row not in ("new", "r", "c", "i"))])


def test_rows_saved_before_the_dataset_was_read_are_sent_once(tmp_path: Path, hub: HubServer) -> None:
    first, delivery = opened(tmp_path / "a", hub)
    first.save([preference(id="a")])
    delivery.send()
    second, delivery = opened(tmp_path / "b", hub)
    second.save([preference(id="b"), preference(id="b2", supersedes="a")])
    delivery.send()
    assert pushed(hub) == ["b", "b2"] and set(current(second)) == {"b", "b2"}


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_deleted_dataset_is_made_private_again_and_everything_sent(
    tmp_path: Path, hub: HubServer, made_anew: bool
) -> None:
    store, delivery = opened(tmp_path, hub)
    store.save([preference(id="a"), comparison(id="c")])
    store.save([preference(id="gone")])
    delivery.send()
    store.withdraw("gone")
    delivery.send()
    hub.delete(REPO, "dataset")
    if made_anew:
        hub.add_dataset(REPO, {"README.md": b"# mine\n"}, private=True)
    store.save([preference(id="b")])
    store.withdraw("a")
    assert delivery.send() == "sent"
    assert (pushed(hub), pushed(hub, "comparisons")) == (["b"], ["c"])
    assert store.status().pushed == 2 and store.status().waiting == 0
    if not made_anew:
        assert hub.sent("POST /api/repos/create")[-1].json()["visibility"] == "private"
    else:
        assert b"# mine" in hub.files(REPO, "dataset")["README.md"]


def test_a_deleted_dataset_is_noticed_at_the_next_start_without_a_vote(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = opened(tmp_path, hub)
    store.save([preference(id="a")])
    delivery.send()
    store.close()
    hub.delete(REPO, "dataset")
    store, delivery = opened(tmp_path, hub)
    assert delivery.send() == "sent" and pushed(hub) == ["a"]


def test_a_deleted_dataset_that_may_not_be_made_again_keeps_the_rows_waiting(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = opened(tmp_path, hub)
    store.save([preference(id="a")])
    delivery.send()
    hub.delete(REPO, "dataset")
    hub.fail_next("POST /api/repos/create", Status(403), times=None)
    store.save([preference(id="b")])
    with pytest.raises(DatasetRejected, match="rows wait"):
        delivery.send()
    assert store.status().waiting == 2
    hub.clear_faults()
    delivery.send()
    assert pushed(hub) == ["a", "b"]


def test_a_folder_that_lost_shards_gets_their_rows_again(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    store.save([preference(id="a")])
    delivery.send()
    store.save([preference(id="b")])
    delivery.send()
    [first, *_] = sorted((tmp_path / "dataset").glob("data/preferences/*.parquet"))
    lost = ids_of(first)
    first.unlink()
    store.save([preference(id="c")])
    delivery.send()
    assert ids(tmp_path / "dataset") == ["a", "b", "c"] and lost in (["a"], ["b"])
    shutil.rmtree(tmp_path / "dataset")
    store.withdraw("b")
    delivery.send()
    assert ids(tmp_path / "dataset") == ["a", "c"]


def ids_of(file: Path) -> list[str]:
    return pq.read_table(file, columns=["id"])["id"].to_pylist()


def test_a_shard_its_owner_took_out_stays_out(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = opened(tmp_path, hub)
    store.save([preference(id="a")])
    delivery.send()
    store.save([preference(id="b")])
    delivery.send()
    taken = next(
        p for p, content in hub.files(REPO, "dataset").items() if p.endswith("parquet") and b"Question a" in content
    )
    [path] = [row.shard for row in store.newest() if row.id == "a"]
    assert path is not None and taken
    hub.commit(REPO, "dataset", {}, deletes=[path])
    store.save([preference(id="c")])
    delivery.send()
    assert pushed(hub) == ["b", "c"] and set(current(store)) == {"b", "c"}


def test_a_shard_of_a_newer_version_is_left_as_it_is(tmp_path: Path, hub: HubServer) -> None:
    content = shard("preferences", [preference(id="x").columns()])
    table = pq.read_table(pa.BufferReader(content))
    out = pa.BufferOutputStream()
    pq.write_table(table.append_column("from_the_future", pa.array(["y"])), out)
    newer = out.getvalue().to_pybytes()
    hub.add_dataset(REPO, {"data/preferences/newer.parquet": newer}, private=True)
    store, delivery = opened(tmp_path, hub)
    store.save([preference(id="a")])
    delivery.send()
    assert set(current(store)) == {"a"}
    assert hub.files(REPO, "dataset")["data/preferences/newer.parquet"] == newer


def test_two_apps_that_take_rows_out_of_the_same_shard(tmp_path: Path, hub: HubServer) -> None:
    one, one_sends = opened(tmp_path / "one", hub)
    one.save([preference(id=name) for name in "abcd"])
    one_sends.send()
    two, two_sends = opened(tmp_path / "two", hub)
    two_sends.send()
    assert set(current(two)) == set("abcd")
    one.withdraw("a")
    two.withdraw("b")
    one_sends.send()
    two_sends.send()
    assert pushed(hub) == ["c", "d"]
    one.withdraw("c")
    one_sends.send()
    assert pushed(hub) == ["d"] and set(current(one)) == {"d"}
    two.save([preference(id="e")])
    two_sends.send()
    assert pushed(hub) == ["d", "e"] and set(current(two)) == {"d", "e"}


def test_reading_a_dataset_that_was_interrupted_goes_on(tmp_path: Path, hub: HubServer) -> None:
    one, one_sends = opened(tmp_path / "one", hub)
    for name in "abc":
        one.save([preference(id=name)])
        one_sends.send()
    two, two_sends = opened(tmp_path / "two", hub)
    hub.fail_next("HEAD /datasets/*/resolve/*", CloseConnection(), times=None)
    two.save([preference(id="d")])
    with pytest.raises(HubUnreachable):
        two_sends.send()
    assert two.status().waiting == 1
    hub.clear_faults()
    two_sends.send()
    assert pushed(hub) == list("abcd") and set(current(two)) == set("abcd")


FAULTS = [DropAfterCommit(), CloseConnection(), Status(500), Status(412), Status(409), Status(429)]
WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), WHO),
        st.tuples(st.just("send"), WHO),
        st.tuples(st.just("restart"), WHO),
        st.tuples(st.just("withdraw"), WHO, st.integers(0, 9)),
        st.tuples(st.just("change"), WHO, st.integers(0, 9)),
        st.tuples(st.just("fault"), st.integers(0, len(FAULTS) - 1), st.sampled_from([COMMIT, "GET /api/datasets/*"])),
    ),
    max_size=16,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_two_apps_any_order_of_votes_changes_withdrawals_and_faults(hub: HubServer, steps) -> None:
    """In the end the dataset holds what was said and neither taken back nor replaced, each row once."""
    repo_id = f"alice/votes-{os.urandom(6).hex()}"
    said: set[str] = set()
    gone: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        apps = [opened(Path(name) / str(number), hub, repo_id) for number in range(2)]
        for number, step in enumerate(steps):
            store, delivery = apps[step[1] % 2]
            mine = sorted(current(store))
            if step[0] == "save":
                store.save([preference(id=f"row-{number}")])
                said.add(f"row-{number}")
            elif step[0] == "send":
                attempt(delivery)
            elif step[0] == "restart":
                store.close()
                apps[step[1]] = opened(Path(name) / str(step[1]), hub, repo_id)
            elif step[0] == "fault":
                hub.fail_next(step[2], FAULTS[step[1]])
            elif mine and step[0] == "withdraw":
                store.withdraw(mine[step[2] % len(mine)])
                gone.add(mine[step[2] % len(mine)])
            elif mine:
                old = mine[step[2] % len(mine)]
                store.save([preference(id=f"row-{number}", supersedes=old)])
                said.add(f"row-{number}")
                gone.add(old)
        hub.clear_faults()
        for _ in range(3):
            for _, delivery in apps:
                delivery._looked = False
                delivery.send()
        expected = sorted(said - gone)
        if said:
            assert (
                pushed(hub, repo_id=repo_id) if hub.sent(f"POST /api/datasets/{repo_id}/commit/*") else []
            ) == expected
        for store, _ in apps:
            assert store.status().waiting == 0
            store.close()


def attempt(delivery: Delivery) -> None:
    try:
        delivery.send()
    except AppError as error:
        assert "rows wait" in str(error) or "They wait" in str(error)
