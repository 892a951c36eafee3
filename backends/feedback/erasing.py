"""Taken back for good: the texts and pictures of a withdrawn row leave this machine's database too, its log included.

What stays is the row's id, its moments and what it superseded, so that it is neither saved nor counted again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.dataset import COLUMNS

if TYPE_CHECKING:
    from backends.feedback.database import Database

# Nobody's vote waits for more than so many.
TOGETHER = 100
KEPT = ("id", "created_at", "supersedes", "source", "consent_version", "app_version", "schema_version")
PICTURES = tuple(
    dict.fromkeys(name for columns in COLUMNS.values() for name, kind in columns.items() if kind == "image")
)
SEVERAL = "images"
"""The column of more than one picture."""


def shown_in(columns: Mapping[str, object]) -> list[str]:
    """The hashes of every picture that a row's text names."""
    several = columns.get(SEVERAL)
    found = [columns.get(name) for name in PICTURES] + (several if isinstance(several, list) else [])
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def stub(text: str) -> str:
    """What stays of a row's columns when it was taken back."""
    columns = json.loads(text)
    return json.dumps({name: columns.get(name) for name in KEPT}, sort_keys=True, separators=(",", ":"))


def waiting(db: sqlite3.Connection) -> bool:
    """Whether something is left to do now."""
    found = db.execute("SELECT EXISTS (SELECT 1 FROM to_erase WHERE not_before <= ?)", (time.time(),)).fetchone()
    return bool(found[0])


def erase(database: Database, destination: int) -> bool:
    """Erase what was taken back; False when some of it has to wait for a batch it is in, or for a reader of the log.

    Nobody may be making shards meanwhile: the caller holds the outbox's lock.
    """
    some = 0
    while found := database.change(lambda db: _erase_some(db, destination)):
        some += found
    if some:
        database.change(_erase_makers)
    with database.read() as db:
        erased = db.execute("SELECT EXISTS (SELECT 1 FROM to_erase WHERE erased = 1)").fetchone()[0]
    if erased:
        if not database.empty_log() or not database.forget():
            return False
        with database.write() as db:
            db.execute("DELETE FROM to_erase WHERE erased = 1")
    with database.read() as db:
        return not waiting(db)


def _erase_some(db: sqlite3.Connection, destination: int) -> int:
    # A changed vote that was taken back takes what it was before along.
    db.execute(
        """INSERT OR IGNORE INTO to_erase (row, not_before) SELECT events.row, not_before
        FROM to_erase JOIN rows ON rows.seq = to_erase.row
        JOIN events ON events.by_row = rows.id WHERE events.kind = 'superseded'"""
    )
    # A batch that is on its way is made anew without the row first, by the next claim.
    found = db.execute(
        """SELECT rows.seq, columns, picture_bytes FROM to_erase JOIN rows ON rows.seq = to_erase.row WHERE erased = 0
        AND not_before <= ? AND NOT EXISTS (SELECT 1 FROM placements JOIN batches ON batches.id = placements.batch
            WHERE placements.row = rows.seq AND placements.destination = ? AND batches.state = 'open') LIMIT ?""",
        (time.time(), destination, TOGETHER),
    ).fetchall()
    for seq, text, picture_bytes in found:
        columns = json.loads(text)
        db.execute("UPDATE rows SET columns = ?, picture_bytes = 0 WHERE seq = ?", (stub(text), seq))
        if picture_bytes:
            _erase_pictures(db, shown_in(columns))
        db.execute("UPDATE to_erase SET erased = 1 WHERE row = ?", (seq,))
    return len(found)


def _erase_pictures(db: sqlite3.Connection, hashes: list[str]) -> None:
    shown = ", ".join(f"json_extract(columns, '$.{name}')" for name in PICTURES)
    for sha256 in hashes:
        # Another row may show the same picture.
        db.execute(
            f"""DELETE FROM pictures WHERE sha256 = ?1
            AND NOT EXISTS (SELECT 1 FROM rows WHERE picture_bytes > 0 AND (?1 IN ({shown})
                OR instr(coalesce(json_extract(columns, '$.{SEVERAL}'), ''), ?1)))""",  # noqa: S608  (column names)
            (sha256,),
        )


def _erase_makers(db: sqlite3.Connection) -> None:
    """Settings can hold text (a negative prompt), and names may be a person's: none stays of whom no vote is left."""
    db.execute(
        """DELETE FROM makers WHERE NOT EXISTS (
            SELECT 1 FROM verdicts WHERE kind IN ('chat', 'image') AND leaked IN (0, 1) AND left_maker = makers.id
        ) AND NOT EXISTS (SELECT 1 FROM verdicts WHERE right_maker = makers.id)"""
    )
    db.execute("DELETE FROM speeds WHERE maker NOT IN (SELECT id FROM makers)")
    db.execute("DELETE FROM people WHERE chat <= 0 AND image <= 0")
