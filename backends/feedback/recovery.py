"""A damaged database: every row that can be read goes into a new file, the damaged one is kept aside.

How far rows had travelled is not salvaged: the outbox reads the dataset itself before it sends again, so nothing is sent
twice. What each row says is checked (its id, the hash of its pictures), so nothing half-readable comes back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from backends.feedback import durable
from backends.feedback.migrations import migrate
from backends.feedback.sqlite_pages import Value, records
from core.dataset import COLUMNS
from core.errors import FeedbackError

ASIDE = "damaged-"
UNFINISHED = ".part"
REPORT = "recovered.json"
SIDES = ("-wal", "-shm")
SECONDS = 2.0  # of checking before the app starts; a larger file is checked on in the background
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came out of a damaged file. `lost_events`: changes (saves, withdrawals) whose record could not be read."""

    folder: str
    rows: int
    lost_rows: int
    lost_events: int
    at: str


def is_damaged(path: Path, seconds: float | None = SECONDS) -> bool | None:
    """Whether SQLite finds the file damaged; None when there was no time to look at all of it."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    end = None if seconds is None else time.monotonic() + seconds
    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_progress_handler(lambda: end is not None and time.monotonic() > end, 100_000)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError as error:
        if (error.sqlite_errorname or "") == "SQLITE_INTERRUPT":
            return None
        raise
    except sqlite3.DatabaseError as error:
        name = error.sqlite_errorname or ""
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return True
        raise
    finally:
        connection.close()


def recover(path: Path) -> Recovered:
    """Put what can be read of the database at `path` into a new one there. Nobody else may have it open.

    A crash on the way loses nothing: copies of the damaged files are on disk before anything is replaced, and the next
    recovery reads them too.
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.parent / f"{ASIDE}{now}-{uuid4().hex[:6]}{UNFINISHED}"
    try:
        _copy_aside(path, aside)
        sources = sorted(path.parent.glob(f"{ASIDE}*{UNFINISHED}/{path.name}"))
        new = path.with_name(f".{path.name}{durable.TEMPORARY}")
        new.unlink(missing_ok=True)
        rows, lost_rows, lost_events = _salvage(sources, new)
        for side in SIDES:
            durable.remove(path.with_name(path.name + side))
        durable.rename(new, path)
        found = Recovered(aside.name.removesuffix(UNFINISHED), rows, lost_rows, lost_events, now)
        for folder in {source.parent for source in sources}:
            durable.write(folder / REPORT, json.dumps(asdict(found)).encode())
            durable.rename(folder, folder.with_name(folder.name.removesuffix(UNFINISHED)))
    except OSError as error:
        raise FeedbackError(
            f"The feedback database {path} is damaged, and what can be read of it could not be written beside it "
            f"({error.strerror or type(error).__name__}). Make room in {path.parent}, then start the app again."
        ) from error
    log.warning("%s", sentence(path.parent, found))
    return found


def notes(folder: Path) -> tuple[str, ...]:
    """A sentence for every damaged database that is kept in the data folder."""
    found = []
    for report in sorted(folder.glob(f"{ASIDE}*/{REPORT}")):
        try:
            found.append(sentence(folder, Recovered(**json.loads(report.read_text()))))
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be read: %s", report, error)
    return tuple(found)


def sentence(folder: Path, found: Recovered) -> str:
    """What the page says of a recovery."""
    rows = "row was" if found.rows == 1 else "rows were"
    lost = f" {found.lost_rows} could not be read." if found.lost_rows else ""
    if found.lost_events:
        lost += f" {found.lost_events} changes could not be read either: a row that was taken back among them may be here again."
    return (
        f"The feedback database was damaged. {found.rows} {rows} recovered into a new one.{lost} The damaged file is "
        f"kept in {folder / found.folder}; delete that folder when you do not need it any more."
    )


def _copy_aside(path: Path, aside: Path) -> None:
    aside.mkdir()
    aside.chmod(0o700)
    for name in (path.name, *(path.name + side for side in SIDES)):
        if (path.parent / name).is_file():
            shutil.copyfile(path.parent / name, aside / name)
            with (aside / name).open("rb") as copied:
                os.fsync(copied.fileno())


def _salvage(sources: Sequence[Path], new: Path) -> tuple[int, int, int]:
    """Fill a new database; returns the rows in it, and the rows and events that are missing between those found."""
    connection = sqlite3.connect(new, isolation_level=None)
    new.chmod(0o600)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
        connection.execute("BEGIN")
        events: dict[int, tuple[Value, ...]] = {}
        for source in sources:
            for rowid, values in records(source):
                _keep(connection, events, rowid, values)
        _drop_rows_without_their_pictures(connection)
        connection.executemany(
            """INSERT INTO events (seq, row, kind, at, by_row) SELECT ?1, ?2, ?3, ?4, ?5
            WHERE EXISTS (SELECT 1 FROM rows WHERE seq = ?2)""",
            [(seq, *values) for seq, values in sorted(events.items())],
        )
        _supersede(connection)
        rows, last_row = connection.execute("SELECT count(*), coalesce(max(seq), 0) FROM rows").fetchone()
        connection.execute("COMMIT")
    finally:
        connection.close()
    last_event = max(events, default=0)
    return rows, last_row - rows, last_event - len(events)


def _keep(db: sqlite3.Connection, events: dict[int, tuple[Value, ...]], rowid: int, values: tuple[Value, ...]) -> None:
    if rowid < 1:
        return
    if _is_row(values):
        db.execute(
            """INSERT OR IGNORE INTO rows (seq, id, config, columns, created_at, saved_at, picture_bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (rowid, *values[1:6], values[6] if len(values) > 6 else 0),
        )
    elif len(values) == 5 and values[2] in ("saved", "withdrawn", "superseded") and isinstance(values[1], int):
        events[rowid] = values[1:]
    elif len(values) == 2 and isinstance(values[1], bytes) and values[0] == hashlib.sha256(values[1]).hexdigest():
        db.execute("INSERT OR IGNORE INTO pictures VALUES (?, ?)", values)
    elif len(values) == 3 and isinstance(values[1], str) and _version(values[1]) == values[0]:
        db.execute("INSERT OR IGNORE INTO consent_texts VALUES (?, ?, ?)", values)


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_row(values: tuple[Value, ...]) -> bool:
    if len(values) not in (6, 7) or values[0] is not None or values[2] not in COLUMNS or not isinstance(values[3], str):
        return False
    try:
        columns = json.loads(values[3])
    except ValueError:
        return False
    return (
        isinstance(columns, dict)
        and columns.get("id") == values[1]
        and isinstance(values[4], str)
        and isinstance(values[5], int | float)
    )


def _supersede(db: sqlite3.Connection) -> None:
    """A row that another one names as superseded is not current, whether or not that event could be read."""
    db.execute(
        """INSERT INTO events (row, kind, at, by_row)
        SELECT old.seq, 'superseded', new.created_at, new.id
        FROM rows AS new JOIN rows AS old ON old.id = json_extract(new.columns, '$.supersedes')
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE row = old.seq AND kind != 'saved')"""
    )


def _drop_rows_without_their_pictures(db: sqlite3.Connection) -> None:
    """A row whose picture is lost can be neither shown nor sent; the report counts it as lost."""
    for name in ("chosen", "rejected", "left_image", "right_image"):
        db.execute(
            """DELETE FROM rows WHERE config IN ('image_preferences', 'comparisons')
            AND json_type(columns, '$.' || ?1) = 'text'
            AND NOT EXISTS (SELECT 1 FROM pictures WHERE sha256 = json_extract(columns, '$.' || ?1))""",
            (name,),
        )
    db.execute(
        """DELETE FROM rows WHERE config IN ('vision_preferences', 'vision_ratings')
        AND EXISTS (SELECT 1 FROM json_each(columns, '$.images') AS one
            WHERE NOT EXISTS (SELECT 1 FROM pictures WHERE sha256 = one.value))"""
    )
