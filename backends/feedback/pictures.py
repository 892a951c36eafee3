"""Pictures of rows in SQLite: kept once under the hash of their bytes, in the transaction of the row they belong to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from core.errors import FeedbackError


def keep(db: sqlite3.Connection, pictures: Mapping[str, bytes]) -> int:
    """Put the pictures beside their row; returns their bytes."""
    db.executemany("INSERT INTO pictures (sha256, png) VALUES (?, ?) ON CONFLICT DO NOTHING", list(pictures.items()))
    return sum(map(len, pictures.values()))


def picture_in(db: sqlite3.Connection) -> Callable[[str], bytes]:
    """A function that gives the picture of a hash; it raises `FeedbackError` when the database lost it."""

    def picture(sha256: str) -> bytes:
        found = db.execute("SELECT png FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if found is None:
            raise FeedbackError(
                "A picture of a saved row is missing from the feedback database. Keep a copy of the data folder and ask "
                "for help."
            )
        return bytes(found[0])

    return picture
