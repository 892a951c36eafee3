"""The SQLite file: opened only where it is safe, one writer at a time, its errors as sentences."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from backends.feedback import recovery
from backends.feedback.group_commit import GroupCommit, Job, T
from backends.feedback.journal import Journal
from backends.feedback.migrations import migrate
from core.errors import FeedbackError, NotSaved

log = logging.getLogger(__name__)
BUSY_SECONDS = 5.0
# WAL keeps its index in shared memory, which these do not share between machines (or do not have at all).
UNSAFE_FILESYSTEMS = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre"),
    *("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.goofys", "fuse.mountpoint-s3", "fuse.juicefs"),
    *("fuse.hf-mount", "fuse.blobfuse2"),
)
# SQLite's primary result code, and what the person who runs the app can do about it.
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("SQLITE_FULL", "The disk that holds {folder} is full. Free some space, then try again."),
    ("SQLITE_READONLY", "{folder} cannot be written to. Make it writable, then try again."),
    ("SQLITE_CANTOPEN", "The feedback database in {folder} cannot be opened. Check the folder, then try again."),
    ("SQLITE_BUSY", "Another process is using the feedback database. Try again in a moment."),
    ("SQLITE_LOCKED", "Another process is using the feedback database. Try again in a moment."),
    ("SQLITE_IOERR", "The disk that holds {folder} failed to write. Check its space and health, then try again."),
    (
        "SQLITE_CORRUPT",
        "The feedback database in {folder} is damaged. Start the app again: it recovers what can be read.",
    ),
    (
        "SQLITE_NOTADB",
        "The feedback database in {folder} is damaged. Start the app again: it recovers what can be read.",
    ),
)
IN_USE = "in-use.sqlite"
DAMAGED = (
    "The feedback database in {folder} is damaged, and another process uses it. Stop every process that does, then start "
    "the app again: it recovers what can be read."
)


class Database:
    """Connections borrowed from a pool, one writer at a time in this process; SQLite's lock keeps other processes out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Set by `Journal.start`; every change is in there before it is committed here.
        self.journal: Journal | None = None
        self._idle: list[sqlite3.Connection] = []
        self._pool = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._together = GroupCommit(self.write)
        self._recovered: tuple[str, ...] = ()
        # Said by a thread of its own, maybe before this constructor is done.
        self._found_damaged: tuple[str, ...] = ()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_network_folder(path.parent)
            self._mend()
            self._holds = _shared(path.parent / IN_USE)
            self._recovered = recovery.notes(path.parent)
            with self._borrowed() as connection:
                _refuse_without_locks(connection, path)
                migrate(connection)
        except sqlite3.Error as error:
            raise FeedbackError(self._sentence(error)) from error
        except OSError as error:
            raise FeedbackError(
                f"The data folder {path.parent} cannot be used ({error.strerror}). Set PROVING_DATA_DIR to a folder on "
                "a local disk that can be written to."
            ) from error

    @property
    def notes(self) -> tuple[str, ...]:
        """What the operator should know of this file: what was recovered, what a check found."""
        return (*self._recovered, *self._found_damaged)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries."""
        try:
            with self._borrowed() as connection:
                yield connection
        except sqlite3.Error as error:
            raise FeedbackError(self._sentence(error)) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or did not happen; raises `NotSaved`."""
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise NotSaved(
                "Not saved. The feedback database is busy. Try again in a moment. What you entered is still on the screen."
            )
        try:
            with self._borrowed() as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    with self.journal.kept(connection) if self.journal else nullcontext():
                        connection.execute("COMMIT")
                finally:
                    # A failed COMMIT may leave the transaction open, and SQLite ends it by itself on some errors.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise NotSaved(f"Not saved. {self._sentence(error)} What you entered is still on the screen.") from error
        finally:
            self._writing.release()

    def change(self, job: Job[T]) -> T:
        """As `write`, for many callers at once: changes that wait share a transaction. Raises `NotSaved`, or the job's own."""
        return self._together.run(job)

    def empty_log(self) -> bool:
        """Fold the write-ahead log into the file and empty it; False while somebody still reads from it."""
        with self.read() as connection:
            busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def forget(self) -> bool:
        """Take what was erased here out of the journal too; False when that has to be tried again."""
        return self.journal is None or self.journal.forget(self)

    def tidy(self) -> None:
        """Keep the journal short, where there is one."""
        if self.journal is not None:
            self.journal.tidy(self)

    def close(self) -> None:
        """Close the connections; the last one folds the write-ahead log into the file."""
        with self._pool:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
        self._holds.close()
        if self.journal is not None:
            self.journal.end()

    def _mend(self) -> None:
        """Recover a damaged file before anybody opens it; a large one is checked to its end while the app runs."""
        damaged = recovery.is_damaged(self.path)
        if damaged is None:
            threading.Thread(target=self._check_on, name="feedback-check", daemon=True).start()
        if damaged:
            with lock(self.path.parent / IN_USE) as alone:
                if not alone:
                    raise FeedbackError(DAMAGED.format(folder=self.path.parent))
                recovery.recover(self.path)

    def _check_on(self) -> None:
        if recovery.is_damaged(self.path, seconds=None):
            log.error("%s is damaged", self.path)
            self._found_damaged = (dict(_REMEDIES)["SQLITE_CORRUPT"].format(folder=self.path.parent),)

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        with self._pool:
            if self._closed:
                raise NotSaved("Not saved. The app is shutting down. Try again when it is back.")
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        finally:
            with self._pool:
                if self._closed:
                    connection.close()
                else:
                    self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        # Explicit transactions only; a connection is used by one thread at a time, not always the same.
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # What people said is nobody else's on this machine; the files SQLite adds take over the mode.
        self.path.chmod(0o600)
        _to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten in the file.
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _sentence(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", "") or ""
        for code, remedy in _REMEDIES:
            if name.startswith(code):
                return remedy.format(folder=self.path.parent)
        return f"The feedback database refused the change ({name or type(error).__name__}). Try again."


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait for the busy time when another process does the same at that moment."""
    pause, end = threading.Event(), time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
        pause.wait(0.02)


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Hold a lock between processes that ends with the process, however it ends; False when another holds it.

    It is a transaction on an empty database: file locks by SQLite's own, portable means.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if not (error.sqlite_errorname or "").startswith("SQLITE_BUSY"):
                raise
            yield False
            return
        yield True
    finally:
        connection.close()


def _shared(path: Path) -> sqlite3.Connection:
    """Say that the database is in use, until the connection is closed or the process ends."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    path.chmod(0o600)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def filesystem_of(folder: Path, mounts: str) -> str:
    """The file system type of `folder` by the text of /proc/mounts; "" when it does not say."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _refuse_network_folder(folder: Path) -> None:
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return
    kind = filesystem_of(folder.resolve(), mounts.read_text(encoding="utf-8", errors="replace"))
    if kind in UNSAFE_FILESYSTEMS:
        raise FeedbackError(
            f"The data folder {folder} is on a network or object mount ({kind}), where SQLite can lose votes. "
            "Set PROVING_DATA_DIR to a folder on a local disk."
        )


def _refuse_without_locks(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    safe = mode == "wal"
    if safe:
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            other.execute("BEGIN IMMEDIATE")
            safe = False
        except sqlite3.OperationalError as error:
            # BUSY is what is hoped for: while one writes, the other is kept out.
            safe = (error.sqlite_errorname or "").startswith("SQLITE_BUSY")
            if not safe:
                raise
        finally:
            other.close()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    if not safe:
        raise FeedbackError(
            f"The data folder {path.parent} does not keep two writers apart, so votes could be lost there. "
            "Set PROVING_DATA_DIR to a folder on a local disk."
        )
