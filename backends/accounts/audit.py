"""The audit log: who did what that others will ask about, in SQLite, where rows can be added and nothing else."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from core.audit import Entry
from core.identity import now

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL, how TEXT NOT NULL,
    action TEXT NOT NULL, detail TEXT NOT NULL, outcome TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""


class SqliteAudit:
    """Entries on this machine's disk, each there before `add` returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(SCHEMA)
        path.chmod(0o600)

    def add(self, entry: Entry) -> None:
        """Write one entry down."""
        with self._lock:
            self._database.execute(
                "INSERT INTO audit (at, who, role, how, action, detail, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.at or now(), entry.who, entry.role, entry.how, entry.action, entry.detail, entry.outcome),
            )

    def newest(self, limit: int = 100, before: int = 0) -> tuple[Entry, ...]:
        """The newest entries first; `before` is the number of the last one that was read, 0 for the beginning."""
        with self._lock:
            rows = self._database.execute(
                "SELECT number, at, who, role, how, action, detail, outcome FROM audit WHERE ? = 0 OR number < ? "
                "ORDER BY number DESC LIMIT ?",
                (before, before, limit),
            ).fetchall()
        return tuple(Entry(*row) for row in rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()
