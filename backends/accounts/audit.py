"""The audit log: who did what that others will ask about, in SQLite, where rows can be added and nothing else.

Where the operator has a journal (a bucket or volume that outlives this disk), every entry is a closed file there as well
before `add` returns, and a new disk starts from it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from backends.feedback.segments import Record, Segments
from core.audit import Entry
from core.errors import FeedbackError
from core.identity import now

COLUMNS = ("id", "at", "who", "role", "how", "action", "detail", "outcome")
SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, how TEXT NOT NULL,
    action TEXT NOT NULL, detail TEXT NOT NULL, outcome TEXT NOT NULL
);
"""
# An entry keeps its id wherever it is read again, so that the same one is never there twice.
IDS = """
BEGIN;
DROP TRIGGER IF EXISTS audit_stays;
ALTER TABLE audit ADD COLUMN id TEXT;
UPDATE audit SET id = lower(hex(randomblob(16)));
COMMIT;
"""
GROWS = """
CREATE UNIQUE INDEX IF NOT EXISTS audit_once ON audit (id);
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE IF NOT EXISTS journals (id TEXT PRIMARY KEY, upto INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS journal_segments (journal TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (journal, name));
"""
# A start reads every segment: there are never many more than this, and it takes this many of the oldest together.
MOST_SEGMENTS, MERGED = 300, 100
# One that is larger stays as it is.
MOST_BYTES = 1_000_000
FOLDER = "audit"
log = logging.getLogger(__name__)


class SqliteAudit:
    """Entries on this machine's disk, each there before `add` returns; with a journal there too, or said in the log."""

    def __init__(self, path: Path, journal: Path | None = None) -> None:
        """`journal` is the operator's journal folder. Raises `FeedbackError` when it cannot be used."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(SCHEMA)
        if "id" not in {name for _, name, *_ in self._database.execute("PRAGMA table_info(audit)")}:
            self._database.executescript(IDS)
        self._database.executescript(GROWS)
        path.chmod(0o600)
        self._segments = Segments(journal / FOLDER) if journal is not None else None
        if self._segments is not None:
            self._start(self._segments)

    def add(self, entry: Entry) -> None:
        """Write one entry down. A journal that cannot be written to is tried again with the next one."""
        values = (uuid4().hex, entry.at or now(), *(getattr(entry, name) for name in COLUMNS[2:]))
        with self._lock:
            self._database.execute(INSERT, values)
            if self._segments is None:
                return
            try:
                self._catch_up(self._segments)
                self._tidy(self._segments)
            except OSError as error:
                log.error("the audit log is on this disk but not in the journal %s: %s", self._segments.folder, error)

    def of(self, action: str) -> tuple[Entry, ...]:
        """Every entry of one kind, the oldest first."""
        with self._lock:
            rows = self._database.execute(f"{SELECT} WHERE action = ? ORDER BY number", (action,)).fetchall()
        return tuple(Entry(*row) for row in rows)

    def newest(self, limit: int = 100, before: int = 0) -> tuple[Entry, ...]:
        """The newest entries first; `before` is the number of the last one that was read, 0 for the beginning."""
        with self._lock:
            rows = self._database.execute(
                f"{SELECT} WHERE ? = 0 OR number < ? ORDER BY number DESC LIMIT ?", (before, before, limit)
            ).fetchall()
        return tuple(Entry(*row) for row in rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _start(self, segments: Segments) -> None:
        """Write what only this disk has, then read what only the journal has."""
        self._database.execute("INSERT OR IGNORE INTO journals (id) VALUES (?)", (segments.id,))
        try:
            self._catch_up(segments)
            known = {name for (name,) in self._names(segments)}
            came = sum(self._take_over(segments, name) for name in segments.names() if name not in known)
            self._tidy(segments)
        except OSError as error:
            raise FeedbackError(
                f"The journal folder {segments.folder} cannot be read or written ({error.strerror or type(error).__name__}). "
                "Check that the bucket or volume is mounted, or unset PROVING_JOURNAL."
            ) from error
        if came:
            log.warning("%s entries of the audit log came from the journal %s", came, segments.folder)

    def _catch_up(self, segments: Segments) -> None:
        """A segment of the entries since the last one. A crash in between writes them twice, under the same ids."""
        rows = self._database.execute(
            f"SELECT {', '.join(COLUMNS)} FROM audit WHERE number > (SELECT upto FROM journals WHERE id = ?) "  # noqa: S608
            "ORDER BY number",
            (segments.id,),
        ).fetchall()
        if rows:
            name = segments.write(_record(row) for row in rows)
            with _transaction(self._database):
                self._note(segments, name)

    def _take_over(self, segments: Segments, name: str) -> int:
        records = segments.read(name)
        if records is None:
            return 0
        with _transaction(self._database):
            before = self._database.total_changes
            for record in records:
                self._database.execute(INSERT, [str(record.get(column, "")) for column in COLUMNS])
            came = self._database.total_changes - before
            self._note(segments, name)
        return came

    def _tidy(self, segments: Segments) -> None:
        """Put the oldest segments into one, where there are many: of the log nothing is left out."""
        names = [name for (name,) in self._names(segments)]
        if len(names) <= MOST_SEGMENTS:
            return
        oldest = [name for name in names if segments.size(name) < MOST_BYTES][:MERGED]
        if len(oldest) < MERGED:
            return
        records = [record for name in oldest for record in segments.read(name) or ()]
        merged = segments.write(records, instead_of=oldest[0])
        with _transaction(self._database):
            for name in oldest:
                self._database.execute(
                    "DELETE FROM journal_segments WHERE journal = ? AND name = ?", (segments.id, name)
                )
            self._note(segments, merged)
        for name in oldest:
            segments.remove(name)

    def _names(self, segments: Segments) -> list[tuple[str]]:
        return self._database.execute(
            "SELECT name FROM journal_segments WHERE journal = ? ORDER BY name", (segments.id,)
        ).fetchall()

    def _note(self, segments: Segments, name: str) -> None:
        """Remember that this segment is known, and that everything up to now is in the journal."""
        self._database.execute("INSERT OR IGNORE INTO journal_segments VALUES (?, ?)", (segments.id, name))
        self._database.execute(
            "UPDATE journals SET upto = (SELECT coalesce(max(number), 0) FROM audit) WHERE id = ?", (segments.id,)
        )


SELECT = "SELECT number, at, who, role, how, action, detail, outcome FROM audit"
INSERT = f"INSERT OR IGNORE INTO audit ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


def _record(row: Sequence[object]) -> Record:
    return {"kind": "audit", **dict(zip(COLUMNS, row, strict=True))}


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
