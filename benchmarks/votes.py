"""Votes per second of eight threads, each acknowledged only when it is on disk, and how long the slowest wait.

The peer writes the same rows one transaction each, through SQLite's own lock, as the store did without group commit.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from core.chat import Message
from core.dataset import ComparisonRow, Contender, PreferenceRow, Provenance, Row
from core.identity import now

THREADS = 8
SECONDS = 10.0
WARM_SECONDS = 1.0
ANSWER = "The lighthouse keeper looked at the sea for a long time and said nothing. " * 8


def rows_of_a_vote() -> tuple[Row, ...]:
    """What one vote on a battle saves: a comparison and a preference, with answers of a usual length."""
    about = Provenance(str(uuid4()), now(), "battle", "0", rater="r-0123456789abcdef", comparison_id=str(uuid4()))
    prompt, sides = (
        (Message("user", "Tell me a story."),),
        ((Message("assistant", ANSWER),), (Message("assistant", "No."),)),
    )
    makers = Contender("org/model", "a" * 40, None, '{"temperature": 0.2}'), Contender("org/other", "b" * 40)
    return (
        ComparisonRow(about, "chat", prompt, *sides, "left", *makers),
        PreferenceRow(replace(about, id=str(uuid4())), prompt, *sides, *makers),
    )


def sustained(save: Callable[[tuple[Row, ...]], object]) -> tuple[float, float, float]:
    """(votes per second, median and 99th percentile of the wait in milliseconds) with every thread as fast as it can."""
    waits: list[list[float]] = [[] for _ in range(THREADS)]
    begin = threading.Barrier(THREADS + 1)

    def vote(mine: list[float]) -> None:
        begin.wait()
        start = time.monotonic()
        while (at := time.monotonic()) < start + WARM_SECONDS + SECONDS:
            rows = rows_of_a_vote()
            asked = time.monotonic()
            save(rows)
            if at > start + WARM_SECONDS:
                mine.append(time.monotonic() - asked)

    threads = [threading.Thread(target=vote, args=(mine,)) for mine in waits]
    for thread in threads:
        thread.start()
    begin.wait()
    for thread in threads:
        thread.join()
    found = [wait for mine in waits for wait in mine]
    cuts = quantiles(found, n=100)
    return len(found) / SECONDS, cuts[49] * 1000, cuts[98] * 1000


def one_by_one(path: Path) -> Callable[[tuple[Row, ...]], None]:
    """The peer: one transaction and one fsync for each vote."""
    from backends.feedback.encoding import encode

    connections = threading.local()
    with sqlite3.connect(path) as first:
        first.execute("PRAGMA journal_mode = WAL")
        first.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, config TEXT, columns TEXT)")

    def save(rows: tuple[Row, ...]) -> None:
        if not hasattr(connections, "mine"):
            connections.mine = sqlite3.connect(path, timeout=60, isolation_level=None)
            connections.mine.execute("PRAGMA synchronous = FULL")
        db: sqlite3.Connection = connections.mine
        encoded = [(row.provenance.id, row.config, encode(row)[0]) for row in rows]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO rows VALUES (?, ?, ?)", encoded)
        db.execute("COMMIT")

    return save


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    from backends.feedback.build import build_feedback

    # Beside the checkout, not in /tmp, which is often memory: the figure is about a disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = build_feedback(Path(folder) / "data", dataset="", token=None, endpoint="")
        rate, middle, slow = sustained(store.save)
        store.close()
        peer_rate, peer_middle, peer_slow = sustained(one_by_one(Path(folder) / "peer.sqlite"))
    return [
        (
            f"Durable votes, {THREADS} threads",
            f"{rate:.0f} per second; wait {middle:.1f} ms, 99th percentile {slow:.1f} ms",
            f"one transaction each {peer_rate:.0f} per second; {peer_middle:.1f} ms, {peer_slow:.1f} ms "
            "(300 or more, 50 ms at most)",
        )
    ]


if __name__ == "__main__":
    for line in run():
        print(*line, sep=" | ")
