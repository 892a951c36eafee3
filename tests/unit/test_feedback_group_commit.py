"""Group commit: one transaction for everybody who waits, in order, and nobody is told before it is on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.feedback.group_commit import MOST_TOGETHER, GroupCommit
from core.errors import NotSaved, UserInputError
from tests.contract.outbox_rows import open_store, preference
from tests.serving import wait_until


class Disk:
    """Transactions on a database in memory; each waits for `gate` before it commits, and may fail there."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.db.execute("CREATE TABLE said (word TEXT PRIMARY KEY)")
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.commits: list[int] = []
        self.error: Exception | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.db.execute("BEGIN")
        before = self.db.execute("SELECT count(*) FROM said").fetchone()[0]
        try:
            yield self.db
            self.entered.set()
            assert self.gate.wait(60)
            if self.error is not None:
                raise self.error
            after = self.db.execute("SELECT count(*) FROM said").fetchone()[0]
            self.db.execute("COMMIT")
            self.commits.append(after - before)
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def words(self) -> list[str]:
        return [word for (word,) in self.db.execute("SELECT word FROM said ORDER BY rowid")]


def say(group: GroupCommit, word: str) -> str:
    def job(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO said VALUES (?)", (word,))
        if word.startswith("bad"):
            raise UserInputError(f"{word} is refused")
        return word

    return group.run(job)


def crowd(disk: Disk, group: GroupCommit, pool: ThreadPoolExecutor, words: list[str]) -> list:
    """All of `words` asked for while the first one's commit is held; in the order given."""
    disk.gate.clear()
    disk.entered.clear()
    futures = [pool.submit(say, group, words[0])]
    assert disk.entered.wait(60)
    for number, word in enumerate(words[1:], 1):
        futures.append(pool.submit(say, group, word))
        wait_until(lambda n=number: len(group._queue) == n, 60, "not queued")
    return futures


def test_those_who_wait_share_a_commit_in_the_order_they_came() -> None:
    disk = Disk()
    group = GroupCommit(disk.transaction)
    with ThreadPoolExecutor(8) as pool:
        futures = crowd(disk, group, pool, list("abcdefg"))
        assert not any(future.done() for future in futures)
        disk.gate.set()
        assert [future.result(60) for future in futures] == list("abcdefg")
    assert disk.words() == list("abcdefg") and disk.commits == [1, 6]
    assert say(group, "later") == "later"


def test_a_refused_change_leaves_the_others_alone() -> None:
    disk = Disk()
    group = GroupCommit(disk.transaction)
    with ThreadPoolExecutor(8) as pool:
        futures = crowd(disk, group, pool, ["a", "bad-b", "c", "bad-d"])
        disk.gate.set()
        for future in (futures[1], futures[3]):
            with pytest.raises(UserInputError):
                future.result(60)
        assert [futures[0].result(60), futures[2].result(60)] == ["a", "c"]
    assert disk.words() == ["a", "c"]


def test_a_failed_commit_is_told_to_everybody_in_it_and_the_next_one_goes_on() -> None:
    disk = Disk()
    group = GroupCommit(disk.transaction)
    with ThreadPoolExecutor(8) as pool:
        disk.error = NotSaved("Not saved. The disk is full.")
        futures = crowd(disk, group, pool, ["a", "b", "c"])
        disk.gate.set()
        for future in futures:
            with pytest.raises(NotSaved, match="disk is full"):
                future.result(60)
    disk.error = None
    assert disk.words() == [] and say(group, "d") == "d"


def test_an_error_that_is_no_sentence_is_one_for_those_who_only_shared_the_commit() -> None:
    disk = Disk()
    group = GroupCommit(disk.transaction)
    with ThreadPoolExecutor(8) as pool:
        futures = crowd(disk, group, pool, ["a", "b", "c"])
        disk.error = RuntimeError("a bug")
        disk.gate.set()
        raised = [future.exception(60) for future in futures]
    assert [type(one) for one in raised] == [RuntimeError, RuntimeError, NotSaved]


def test_a_crowd_is_served_in_parts() -> None:
    disk = Disk()
    group = GroupCommit(disk.transaction)
    words = [f"w{number}" for number in range(MOST_TOGETHER + 6)]
    with ThreadPoolExecutor(len(words)) as pool:
        futures = crowd(disk, group, pool, words)
        disk.gate.set()
        assert [future.result(60) for future in futures] == words
    assert disk.commits == [1, MOST_TOGETHER, 5]


def test_saves_of_many_threads_share_commits_and_each_is_there(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    entered, gate, commits = threading.Event(), threading.Event(), []
    write = store._database.write

    @contextmanager
    def held() -> Iterator[sqlite3.Connection]:
        with write() as db:
            yield db
            entered.set()
            assert gate.wait(60)
        commits.append(1)

    store._database._together._transaction = held
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(store.save, [preference()]) for _ in range(8)]
        assert entered.wait(60)
        wait_until(lambda: len(store._database._together._queue) == 7, 60, "not queued")
        gate.set()
        assert all(future.result(60).fresh for future in futures)
    assert len(commits) == 2 and store.status().saved == 8
