"""An export on the Hub: a private dataset of its own, a tag that never moves, and what `load_dataset` finds at it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backends.evidence.__main__ import main
from backends.evidence.publish import HubExports
from backends.evidence.service import EvidenceOf
from core.errors import DatasetRejected, HubError, UserInputError
from core.export import ExportOrder, ExportStep, Published, checked_tag
from tests.contract.outbox_rows import open_store, pictured, preference, rating
from tests.fakes import png
from tests.hub_server import CloseConnection, DropAfterCommit, HubServer, Status

REPO = "alice/votes-dpo"
ORDER = ExportOrder("dpo", "parquet", 0.0)


@pytest.fixture
def store(tmp_path: Path):
    store, _ = open_store(tmp_path / "data")
    store.save([preference(str(number)) for number in range(3)])
    store.save([rating(True), rating(False)])
    yield store
    store.close()


@pytest.fixture
def evidence(store, hub: HubServer) -> EvidenceOf:
    return EvidenceOf(
        store,
        lambda: ("alice/votes", "c" * 40),
        hub=HubExports(token="hf_alice", endpoint=hub.url),
        destination=lambda view: f"alice/votes-{view}",
    )


def publish(evidence: EvidenceOf, tag: str = "v1", order: ExportOrder = ORDER) -> tuple[ExportStep, Published]:
    *_, last = evidence.publish(order, tag)
    assert last.published is not None
    return last, last.published


def test_the_snippet_loads_exactly_the_rows(evidence: EvidenceOf, hub: HubServer, tmp_path: Path) -> None:
    last, made = publish(evidence)
    assert (last.rows, made.repo_id, made.fresh) == (3, REPO, True)
    assert made.snippet in hub.files(REPO, "dataset", "v1")["README.md"].decode()
    # As somebody runs it who has the token and nothing of this process.
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", f"{made.snippet}\nprint(len(dataset), sorted(dataset['chosen'][0][0]))"],
        env=os.environ | hub.environment(tmp_path / "home", "hf_alice"),
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.stdout.split("\n")[0] == "3 ['content', 'role']", done.stderr
    lock = json.loads(hub.files(REPO, "dataset", "v1")["models.lock.json"])
    assert (lock["dataset"], lock["dataset_commit"]) == ("alice/votes", "c" * 40)


def test_it_is_private_and_the_same_again_changes_nothing(evidence: EvidenceOf, hub: HubServer, api) -> None:
    _, first = publish(evidence)
    assert api.dataset_info(REPO).private
    before = hub.history(REPO, "dataset")
    _, again = publish(evidence)
    assert again == replace(first, fresh=False)
    assert hub.history(REPO, "dataset") == before


def test_a_tag_is_never_moved(evidence: EvidenceOf, store, hub: HubServer) -> None:
    _, first = publish(evidence)
    rows = hub.files(REPO, "dataset", "v1")["train.parquet"]
    store.save([preference("new")])
    with pytest.raises(UserInputError, match="Choose another tag"):
        publish(evidence)
    _, second = publish(evidence, "v2")
    assert second.commit != first.commit
    assert hub.files(REPO, "dataset", "v1")["train.parquet"] == rows
    assert hub.files(REPO, "dataset", "v2")["train.parquet"] != rows


def test_another_format_leaves_no_file_of_the_one_before(evidence: EvidenceOf, hub: HubServer) -> None:
    publish(evidence, "v1", ExportOrder("dpo", "parquet", 0.5))
    publish(evidence, "v2", ExportOrder("dpo", "jsonl", 0.0))
    assert {path for path in hub.files(REPO, "dataset", "v2") if path.startswith("t")} == {"train.jsonl"}


def test_rows_with_pictures_go_along_and_leave_when_the_format_cannot_hold_them(
    evidence: EvidenceOf, store, hub: HubServer
) -> None:
    store.save(list(pictured(png(1))))
    last, made = publish(evidence)
    assert (last.rows, last.pictured) == (4, 1)
    told = hub.files(REPO, "dataset", "v1")
    assert "vision-train.parquet" in told
    assert f'load_dataset("{REPO}", "vision_dpo", revision="v1", split="train")' in told["README.md"].decode()
    assert publish(evidence)[1] == replace(made, fresh=False)
    last, _ = publish(evidence, "v2", ExportOrder("dpo", "jsonl", 0.0))
    assert last.left_out == 1 and "vision-train.parquet" not in hub.files(REPO, "dataset", "v2")


@pytest.mark.parametrize(
    ("request_line", "fault"),
    [
        ("POST /api/repos/create", DropAfterCommit()),
        ("POST /api/repos/create", Status(500)),
        ("POST /api/datasets/*/commit/*", DropAfterCommit()),
        ("POST /api/datasets/*/commit/*", Status(503)),
        ("POST /api/datasets/*/tag/*", DropAfterCommit()),
        ("POST /api/datasets/*/tag/*", CloseConnection()),
        ("POST /api/datasets/*/tag/*", Status(429)),
    ],
)
def test_after_any_failure_the_next_try_ends_it_with_nothing_twice(
    evidence: EvidenceOf, hub: HubServer, request_line: str, fault
) -> None:
    hub.fail_next(request_line, fault)
    with pytest.raises(HubError, match=r"Push again.*The rows are untouched\."):
        publish(evidence)
    _, made = publish(evidence)
    assert hub.files(REPO, "dataset", "v1")["train.parquet"]
    # The first commit is the Hub's own.
    assert hub.history(REPO, "dataset")[0] == made.commit and len(hub.history(REPO, "dataset")) == 2


def test_somebody_else_s_commit_in_between_is_taken_into_account(evidence: EvidenceOf, hub: HubServer) -> None:
    publish(evidence)
    hub.fail_next("POST /api/datasets/*/commit/*", Status(412))
    _, made = publish(evidence, "v2", ExportOrder("dpo", "jsonl", 0.0))
    assert hub.head(REPO, "dataset") == made.commit


def test_a_public_or_a_foreign_dataset_is_left_alone(evidence: EvidenceOf, hub: HubServer) -> None:
    hub.add_dataset(REPO, {"README.md": b"mine"})
    with pytest.raises(DatasetRejected, match="public dataset"):
        publish(evidence)
    hub.delete(REPO, "dataset")
    hub.add_dataset(REPO, {"data/mine.csv": b"a,b"}, private=True)
    with pytest.raises(DatasetRejected, match="something else"):
        publish(evidence)
    assert hub.sent("POST /api/datasets/*/commit/*") == []


def test_without_a_hub_it_says_what_to_set(store) -> None:
    evidence = EvidenceOf(store, lambda: ("folder", None))
    assert evidence.destination("dpo") is None
    with pytest.raises(UserInputError, match="PROVING_DATASET"):
        list(evidence.publish(ORDER, "v1"))


@pytest.mark.parametrize("tag", ["", "main", "a b", "-v", "v..1", "v1.", "x.lock", "abc1234", "a" * 65, "v/1", "é"])
def test_a_tag_that_git_or_a_person_would_mistake_is_refused(tag: str) -> None:
    with pytest.raises(UserInputError, match="The tag has to"):
        checked_tag(tag)


def test_from_the_command_line(
    evidence: EvidenceOf, hub: HubServer, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    assert main([str(tmp_path / "out"), "--export", "dpo", "--push", "alice/x", "--tag", "main"]) == 1
    assert "The tag has to" in capsys.readouterr().err
