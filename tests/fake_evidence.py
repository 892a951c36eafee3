"""The real evidence over rows in memory, for the pages' tests."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from backends.evidence.service import EvidenceOf
from backends.feedback.verdicts import keep, prepare
from backends.feedback.votes import SqliteVotes
from core.dataset import Config, Row
from core.feedback import StoredRow


class Keeps(Protocol):
    """Whatever keeps rows by id, in the order they were saved."""

    kept: dict[str, Row]


class RowsInMemory:
    """`core.evidence.RowSource` over them; the votes are counted anew every time."""

    def __init__(self, store: Keeps) -> None:
        self.store = store

    def rows(self, config: Config) -> Iterator[StoredRow]:
        for row_id, row in list(self.store.kept.items()):
            if row.config == config:
                yield StoredRow(row_id, config, row.columns(), "waiting")

    def votes(self) -> SqliteVotes:
        db = sqlite3.connect(":memory:", check_same_thread=False)
        busy = threading.Lock()

        @contextmanager
        def lent() -> Iterator[sqlite3.Connection]:
            with busy:
                yield db

        prepare(db, beside_rows=False)
        rows = [row for row in list(self.store.kept.values()) if row.config == "comparisons"]
        for number, row in enumerate(rows, 1):
            keep(db, number, row.columns())
        # Ids, so that what is remembered is not mistaken for something else after a row was swapped for another.
        stamp = tuple(row.provenance.id for row in rows)
        votes = SqliteVotes(lent)
        votes.stamp = lambda: stamp  # type: ignore[method-assign]
        return votes


def evidence_of(store: Keeps) -> EvidenceOf:
    """Evidence over a fake store."""
    return EvidenceOf(RowsInMemory(store), lambda: ("folder data/dataset", None))
