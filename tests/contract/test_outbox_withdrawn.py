"""Rows taken back at awkward moments: before, while and after their batch is sent, on a folder and on a Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backends.feedback.folder import FolderDatasetRepo
from backends.feedback.hub import HubDatasetRepo
from core.errors import HubUnreachable
from core.feedback_protocols import DatasetRepo
from tests.contract.outbox_rows import dump, ids, load, open_store, preference
from tests.hub_server import CloseConnection, DropAfterCommit, HubServer
from tests.hub_server.client import COMMIT

ROWS = ["a", "b", "c"]
Reader = Callable[[], list[str]]


@pytest.fixture(params=["folder", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path, hub: HubServer) -> tuple[DatasetRepo, Reader]:
    """A dataset repository and a way to see which rows it has."""
    if request.param == "folder":
        return FolderDatasetRepo(tmp_path / "dataset"), lambda: ids(tmp_path / "dataset")
    count = iter(range(1000))

    def read() -> list[str]:
        return ids(dump(hub.files("alice/votes", "dataset"), tmp_path / f"read-{next(count)}"))

    return HubDatasetRepo("alice/votes", token="hf_alice", endpoint=hub.url), read


def test_pushed_rows_leave_one_after_the_other(tmp_path: Path, place: tuple[DatasetRepo, Reader]) -> None:
    repo, read = place
    store, delivery = open_store(tmp_path, repo)
    store.save([preference(id=row) for row in ROWS])
    delivery.send()
    for number, row in enumerate(ROWS):
        store.withdraw(row)
        assert delivery.send() == "sent"
        assert read() == ROWS[number + 1 :]
    assert store.status().saved == 0 and delivery.send() == "nothing"


def test_row_taken_back_while_its_batch_is_on_the_way(tmp_path: Path, place: tuple[DatasetRepo, Reader]) -> None:
    repo, read = place
    store, delivery = open_store(tmp_path, repo)
    store.save([preference(id=row) for row in ROWS])
    commit = repo.commit

    def meanwhile(*change: object) -> str:
        done = commit(*change)
        store.withdraw("b")
        return done

    repo.commit = meanwhile
    delivery.send()
    repo.commit = commit
    assert store.status().pushed == 2 and [row.id for row in store.newest()] == ["c", "a"]
    assert delivery.send() == "sent"
    assert read() == ["a", "c"]


def test_row_taken_back_before_its_batch_arrived_never_arrives(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, HubDatasetRepo("alice/votes", token="hf_alice", endpoint=hub.url))
    store.save([preference(id=row) for row in ROWS])
    hub.fail_next(COMMIT, CloseConnection())
    with pytest.raises(HubUnreachable):
        delivery.send()
    store.withdraw("b")
    delivery.send()
    assert len(hub.history("alice/votes", "dataset")) == 2
    assert ids(dump(hub.files("alice/votes", "dataset"), tmp_path / "read")) == ["a", "c"]


@pytest.mark.parametrize("first", [CloseConnection(), DropAfterCommit()])
@pytest.mark.parametrize("second", [CloseConnection(), DropAfterCommit()])
def test_replacement_of_a_replacement_with_every_reply_lost(tmp_path: Path, hub: HubServer, first, second) -> None:
    """Each try may or may not have landed; whatever is there of them goes, and the last one stays."""
    store, delivery = open_store(tmp_path, HubDatasetRepo("alice/votes", token="hf_alice", endpoint=hub.url))
    store.save([preference(id=row) for row in [*ROWS, "d"]])
    delivery.send()
    for row, fault in (("a", first), ("b", second)):
        store.withdraw(row)
        hub.fail_next(COMMIT, fault)
        with pytest.raises(HubUnreachable):
            delivery.send()
    store.withdraw("c")
    delivery.send()
    files = hub.files("alice/votes", "dataset")
    assert len([path for path in files if path.endswith(".parquet")]) == 1
    folder = dump(files, tmp_path / "read")
    assert ids(folder) == ["d"] and load(folder)["id"][:] == ["d"]
    assert store.status().pushed == 1
