"""Faults of the world around the outbox: a clock set back, a token revoked, a lost disk; nothing lost, nothing twice."""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from backends import hub_client
from backends.evidence.board import leaderboard
from backends.feedback import batches as batches_module
from backends.feedback import durable
from backends.feedback import store as store_module
from backends.feedback.hub import HubDatasetRepo
from core.dataset import ComparisonRow, Contender
from core.errors import AppError, DatasetRejected, HubUnreachable
from core.evidence import Merge, VoteFilter
from tests.contract.outbox_rows import comparison, dump, ids, loaded_ids, open_store, preference
from tests.hub_server import HubServer, SilentAfterCommit
from tests.hub_server.client import COMMIT

REPO = "alice/votes"


class Clock:
    """The wall clock, set by hand."""

    def __init__(self, at: float) -> None:
        self.at = at

    def time(self) -> float:
        return self.at

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def test_a_clock_that_is_set_back_loses_nothing_and_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(2_000_000_000.0)
    monkeypatch.setattr(store_module, "time", clock)
    monkeypatch.setattr(batches_module, "time", clock)
    store, delivery = open_store(tmp_path)
    store.save([preference(id="a", created_at="2033-05-18T03:33:20.000000+00:00")])
    clock.at -= 86_400.0
    store.save([preference(id="b", created_at="2033-05-17T03:33:20.000000+00:00")])
    status = store.status()
    # The oldest is the one that was saved first, and its age is never negative.
    assert status.oldest_waiting_s == 0.0 and [row.id for row in store.newest()] == ["b", "a"]
    clock.at += 10.0 + 86_400.0
    assert store.status().oldest_waiting_s == 10.0
    clock.at -= 10 * 86_400.0
    assert delivery.send() == "sent" and ids(tmp_path / "dataset") == ["a", "b"]
    store.save([preference(id="c", supersedes="a")])
    store.close()
    # The last commit is in the future now: the next one does not wait for that.
    again, _ = open_store(tmp_path, start=True)
    assert again.upload_now().waiting == 0 and ids(tmp_path / "dataset") == ["b", "c"]
    again.close()


def test_a_token_that_is_revoked_keeps_rows_waiting_and_a_new_one_sends_them(tmp_path: Path, hub: HubServer) -> None:
    hub.add_user("alice", "hf_first")
    store, delivery = open_store(tmp_path, HubDatasetRepo(REPO, token="hf_first", endpoint=hub.url), name="hub")
    store.save([preference(id="a")])
    delivery.send()
    hub.add_user("alice", "hf_first", expired=True)
    store.save([preference(id="b")])
    store.withdraw("a")
    with pytest.raises(DatasetRejected, match="revoked") as raised:
        delivery.send()
    assert "hf_first" not in str(raised.value) and store.status().waiting == 1
    store.close()
    hub.add_user("alice", "hf_second")
    again, delivery = open_store(tmp_path, HubDatasetRepo(REPO, token="hf_second", endpoint=hub.url), name="hub")
    assert delivery.send() == "sent" and again.status().pushed == 1
    assert ids(dump(hub.files(REPO, "dataset"), tmp_path / "read")) == ["b"]


class FullDisk:
    """The module `os` of a disk that is full at one flush: what was written before it lies half-written."""

    def __init__(self, at: int) -> None:
        self.left, self.met = at, False

    def fsync(self, handle: int) -> None:
        self.left -= 1
        if self.left == -1:
            self.met = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_a_disk_that_is_full_at_any_step_of_sending_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vote, a changed one and one taken back, sent while there is no room at the n-th flush; then there is room again."""
    for number in itertools.count():
        folder = tmp_path / str(number)
        store, delivery = open_store(folder)
        store.save([preference(id=name) for name in ("kept", "changed", "withdrawn")])
        delivery.send()
        store.save([preference(id="new"), comparison("left", id="voted")])
        store.save([preference(id="heir", supersedes="changed")])
        store.withdraw("withdrawn")
        disk = FullDisk(number)
        with monkeypatch.context() as patched:
            patched.setattr(durable, "os", disk)
            told = ""
            try:
                delivery.send()
            except AppError as error:
                told = str(error)
            assert ("space" in told and "rows wait" in told) if disk.met else told == ""
            assert {row.id for row in store.newest()} == {"kept", "new", "heir", "voted"}
            # Whoever reads the dataset now finds every row that stays, and none twice.
            seen = loaded_ids(folder / "dataset")
            assert len(seen) == len(set(seen)) and "kept" in seen
        delivery.send()
        assert loaded_ids(folder / "dataset") == ["heir", "kept", "new"]
        assert ids(folder / "dataset", "comparisons") == ["voted"] and store.status().waiting == 0
        store.close()
        if not disk.met:
            break
    # Several files are written for a delivery such as this one, each flushed with its folder.
    assert number > 8


def test_a_hub_that_commits_and_then_says_nothing_is_left_and_asked_again(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import close_session

    store, delivery = open_store(tmp_path, HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url), name="hub")
    store.save([preference(id="a")])
    delivery.send()
    store.save([preference(id="b", supersedes="a"), comparison(id="c")])
    hub.fail_next(COMMIT, SilentAfterCommit())
    with monkeypatch.context() as patched:
        # The client that is there has the usual patience.
        close_session()
        patched.setattr(hub_client, "READ_SECONDS", 2.0)
        with pytest.raises(HubUnreachable, match="rows wait"):
            delivery.send()
    close_session()
    assert store.status().waiting == 2
    landed = len(hub.history(REPO, "dataset"))
    assert delivery.send() == "sent" and store.status().waiting == 0
    assert len(hub.history(REPO, "dataset")) == landed
    found = dump(hub.files(REPO, "dataset"), tmp_path / "read")
    assert (ids(found), ids(found, "comparisons")) == (["b"], ["c"])


def votes(contenders: Mapping[str, Contender]) -> list[ComparisonRow]:
    """Thirty votes of three raters on three contenders, decided and not."""
    names = sorted(contenders)
    rows = []
    for number in range(30):
        left, right = names[number % 3], names[(number + 1 + number // 3 % 2) % 3]
        outcome = ("left", "right", "left", "tie", "both_bad")[number % 5]
        row = comparison(outcome, id=f"c{number}", rater=f"r-{number % 3}", source="battle", blind=True)
        rows.append(replace(row, left_by=contenders[left], right_by=contenders[right]))
    return rows


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_the_leaderboard_is_the_same_from_a_database_made_of_the_dataset(
    tmp_path: Path, hub: HubServer, place: str
) -> None:
    def opened() -> tuple:
        repo = HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url) if place == "hub" else None
        return open_store(tmp_path, repo, name=place)

    makers = {name: Contender(f"org/{name}", name * 40, None, '{"temperature": 0.2}') for name in "abc"}
    store, delivery = opened()
    for row in votes(makers):
        store.save([row])
    delivery.send()
    store.save(
        [
            replace(
                comparison("right", id="changed", rater="r-1", supersedes="c4"),
                left_by=makers["a"],
                right_by=makers["b"],
            )
        ]
    )
    store.withdraw("c7")
    assert store.withdraw_all("r-2") == 10
    delivery.send()
    before = leaderboard(store.votes(), VoteFilter(blind_only=False), Merge())
    assert before.votes and len(before.standings) == 3
    store.close()
    for file in tmp_path.glob("feedback.sqlite*"):
        file.unlink()

    again, delivery = opened()
    delivery.send()
    after = leaderboard(again.votes(), VoteFilter(blind_only=False), Merge())
    assert after == before
    again.close()
