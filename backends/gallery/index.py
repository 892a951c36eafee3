"""The gallery's index in SQLite: its schema, its one connection, and its errors as sentences."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import GalleryError

BUSY_SECONDS = 5.0
# One numbered step after another; a step that was released is never edited.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE pictures (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT NOT NULL,
            id TEXT NOT NULL,
            created_at TEXT NOT NULL,
            starred INTEGER NOT NULL DEFAULT 0,
            model TEXT,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            steps INTEGER,
            seconds REAL,
            finish TEXT NOT NULL,
            size INTEGER NOT NULL,
            recipe TEXT NOT NULL,
            described TEXT NOT NULL,
            thumb BLOB NOT NULL,
            grid TEXT NOT NULL DEFAULT '',
            cell INTEGER,
            UNIQUE (owner, id)
        ) STRICT""",
        "CREATE INDEX pictures_newest ON pictures (owner, starred, number)",
        "CREATE INDEX pictures_grid ON pictures (owner, grid) WHERE grid <> ''",
        "CREATE INDEX pictures_model ON pictures (model, number)",
        """CREATE TABLE grids (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT NOT NULL,
            id TEXT NOT NULL,
            plan TEXT NOT NULL,
            UNIQUE (owner, id)
        ) STRICT""",
    ),
    # SHA-256 of the file, in hexadecimal; null in rows of before, until somebody looks for one.
    ("ALTER TABLE pictures ADD COLUMN sha256 TEXT", "CREATE INDEX pictures_file ON pictures (owner, sha256)"),
)
_REMEDIES = (
    ("SQLITE_FULL", "The disk that holds {folder} is full. Free some space, then try again."),
    ("SQLITE_READONLY", "{folder} cannot be written to. Make it writable, then try again."),
    ("SQLITE_BUSY", "Another process is using the gallery. Try again in a moment."),
    ("SQLITE_LOCKED", "Another process is using the gallery. Try again in a moment."),
    ("SQLITE_CORRUPT", "The gallery's index in {folder} is damaged. Keep a copy of the folder and ask for help."),
    ("SQLITE_NOTADB", "pictures.sqlite in {folder} is not a database. Move it away, then start the app again."),
)


class Index:
    """One connection, used by one thread at a time; SQLite's own lock keeps other processes out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Prompts are nobody else's on this machine; the files SQLite adds take over the mode.
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self.change() as db:
                found = int(db.execute("PRAGMA user_version").fetchone()[0])
                if found > len(MIGRATIONS):
                    raise GalleryError(
                        f"The gallery in {path.parent} was made by a newer version of this app. Start that version, or "
                        "set PROVING_DATA_DIR to another folder."
                    )
                for number, statements in enumerate(MIGRATIONS[found:], found + 1):
                    for statement in statements:
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        with self._lock, self._errors():
            yield self._connection

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or did not happen."""
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded into the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            said = next((remedy for code, remedy in _REMEDIES if name.startswith(code)), "")
            sentence = said.format(folder=self.path.parent) if said else f"({name or type(error).__name__}) Try again."
            raise GalleryError(f"The gallery could not be used. {sentence}") from error
        except OSError as error:
            raise GalleryError(
                f"The gallery's folder {self.path.parent} cannot be used ({error.strerror}). Check the disk's space and "
                "the folder's permissions, then try again."
            ) from error
