"""What visitors used in the last hour, in SQLite: a restart gives nobody a new share, and nobody ten more passwords to try."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS used (
    what TEXT NOT NULL, key TEXT NOT NULL, minute INTEGER NOT NULL, amount REAL NOT NULL, PRIMARY KEY (what, key, minute)
) WITHOUT ROWID;
"""
MINUTES = 60
log = logging.getLogger(__name__)


class SqliteUsage:
    """Implements `core.limits.Book`. Users and addresses stand in it for an hour, then they are deleted."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        # Nobody is told that this is kept: what a machine loses with its power is a few seconds of somebody's share.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute("PRAGMA secure_delete=ON")
        self._database.executescript(SCHEMA)
        path.chmod(0o600)
        self._tidied = 0
        self._tidy(self._minute())

    def add(self, what: str, key: str, amount: float) -> None:
        """Count it. A disk that fails is said in the log: the limits go on in memory."""
        minute = self._minute()
        try:
            with self._lock:
                self._database.execute(
                    "INSERT INTO used VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                    (what, key, minute, amount),
                )
                self._tidy(minute)
        except sqlite3.Error as error:
            log.error("what is used is counted in memory only: %s", error)

    def recent(self) -> list[tuple[str, str, float, float]]:
        """What, by whom, seconds ago and how much, the oldest first. A minute counts as its end: rather longer than shorter."""
        now = self._clock()
        with self._lock:
            rows = self._database.execute(
                "SELECT what, key, minute, amount FROM used WHERE minute BETWEEN ? AND ? ORDER BY minute",
                (int(now // 60) - MINUTES, int(now // 60)),
            ).fetchall()
        return [(what, key, max(0.0, now - (minute + 1) * 60), amount) for what, key, minute, amount in rows]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _minute(self) -> int:
        return int(self._clock() // 60)

    def _tidy(self, minute: int) -> None:
        """Once a minute: what is too old goes, and what a clock that was set back says of the future."""
        if minute != self._tidied:
            self._tidied = minute
            self._database.execute("DELETE FROM used WHERE minute NOT BETWEEN ? AND ?", (minute - MINUTES, minute))
