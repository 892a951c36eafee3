"""Signed-in visitors' conversations in SQLite: every turn a row of its own, so that what is new is all that is written."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.conversations import MOST_LISTED, MOST_TITLE, Change, Head
from core.errors import ConversationError, UserInputError
from core.transcripts import FORMAT

FILE = "conversations.sqlite"
BUSY_SECONDS = 5.0
MOST_KEPT = 2_000
"""Conversations of one visitor; beyond it the oldest go."""
# One numbered step after another; a step that was released is never edited.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversations (
            number INTEGER PRIMARY KEY,
            owner TEXT NOT NULL,
            id TEXT NOT NULL,
            title TEXT NOT NULL,
            named INTEGER NOT NULL DEFAULT 0,
            updated TEXT NOT NULL,
            running TEXT,
            head TEXT NOT NULL,
            UNIQUE (owner, id)
        ) STRICT""",
        "CREATE INDEX conversations_newest ON conversations (owner, updated DESC)",
        """CREATE TABLE turns (
            number INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            id TEXT NOT NULL,
            content TEXT NOT NULL,
            record TEXT NOT NULL,
            UNIQUE (conversation, id)
        ) STRICT""",
    ),
)
_REMEDIES = (
    ("SQLITE_FULL", "The disk that holds {folder} is full. Free some space, then try again."),
    ("SQLITE_READONLY", "{folder} cannot be written to. Make it writable, then try again."),
    ("SQLITE_BUSY", "Another process is using the conversations. Try again in a moment."),
    ("SQLITE_LOCKED", "Another process is using the conversations. Try again in a moment."),
    ("SQLITE_CORRUPT", "The conversations in {folder} are damaged. Keep a copy of the folder and ask for help."),
    ("SQLITE_NOTADB", f"{FILE} in {{folder}} is not a database. Move it away, then start the app again."),
)


class SqliteConversations:
    """Implements `core.conversations.ConversationStore`. The file is made when the first conversation is kept."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None

    def keep(self, owner: str, change: Change) -> None:
        """Put a change on disk before this returns."""
        head = change.head
        with self._change() as db:
            db.execute(
                """INSERT INTO conversations (owner, id, title, named, updated, running, head) VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (owner, id) DO UPDATE SET updated = excluded.updated, running = excluded.running,
                head = excluded.head, title = CASE WHEN named AND NOT excluded.named THEN title ELSE excluded.title END,
                named = named OR excluded.named""",
                (
                    owner, change.id, head["title"], int(head["named"]), head["updated"], head["running"],
                    json.dumps(head, ensure_ascii=False),
                ),
            )  # fmt: skip
            number = self._number(db, owner, change.id)
            db.executemany(
                """INSERT INTO turns (conversation, id, content, record) VALUES (?, ?, ?, ?)
                ON CONFLICT (conversation, id) DO UPDATE SET content = excluded.content, record = excluded.record""",
                [(number, turn["id"], turn["content"], json.dumps(turn, ensure_ascii=False)) for turn in change.turns],
            )
            db.execute(
                """DELETE FROM conversations WHERE number IN (
                    SELECT number FROM conversations WHERE owner = ? ORDER BY updated DESC LIMIT -1 OFFSET ?
                )""",
                (owner, MOST_KEPT),
            )

    def list(self, owner: str, words: str = "", limit: int = MOST_LISTED) -> Sequence[Head]:
        """The conversations whose title or text has every one of `words`, the newest first."""
        if not self._path.exists():
            return ()
        wanted = words.split()[:8]
        # instr, not LIKE: a percent sign that is looked for is a percent sign.
        has = """ AND (instr(lower(c.title), lower(?)) OR EXISTS (
            SELECT 1 FROM turns t WHERE t.conversation = c.number AND instr(lower(t.content), lower(?))))"""
        found = (
            "SELECT c.id, c.title, c.updated, (SELECT count(*) FROM turns t WHERE t.conversation = c.number) "  # noqa: S608
            f"FROM conversations c WHERE c.owner = ?{has * len(wanted)} ORDER BY c.updated DESC LIMIT ?"
        )
        asked = [owner, *(word for each in wanted for word in (each, each)), limit]
        with self._read() as db:
            return tuple(Head(*row) for row in db.execute(found, asked))

    def read(self, owner: str, conversation_id: str) -> dict[str, Any]:
        """The whole record; `UserInputError` when it is not here."""
        with self._read() as db:
            row = db.execute(
                "SELECT number, head, title, named FROM conversations WHERE owner = ? AND id = ?",
                (owner, conversation_id),
            ).fetchone()
            if row is None:
                raise UserInputError("This conversation is not kept here any more.")
            turns = db.execute("SELECT record FROM turns WHERE conversation = ? ORDER BY number", (row[0],)).fetchall()
        head = {**json.loads(row[1]), "title": row[2], "named": bool(row[3])}
        return {"format": FORMAT, "version": 1, **head, "turns": [json.loads(turn[0]) for turn in turns]}

    def rename(self, owner: str, conversation_id: str, title: str) -> None:
        """Give it a title."""
        title = " ".join(title.split())[:MOST_TITLE]
        if not title:
            raise UserInputError("A conversation needs a title. Type one, or leave the one it has.")
        with self._change() as db:
            db.execute(
                "UPDATE conversations SET title = ?, named = 1 WHERE owner = ? AND id = ?",
                (title, owner, conversation_id),
            )

    def delete(self, owner: str, conversation_id: str) -> bool:
        """Delete it and all its branches."""
        with self._change() as db:
            done = db.execute("DELETE FROM conversations WHERE owner = ? AND id = ?", (owner, conversation_id))
            return done.rowcount > 0

    def turns_with(self, owner: str, conversation_id: str, text: str) -> Sequence[dict[str, Any]]:
        """The records of a conversation's turns that have this text in them."""
        with self._read() as db:
            found = db.execute(
                """SELECT record FROM turns t JOIN conversations c ON c.number = t.conversation
                WHERE c.owner = ? AND c.id = ? AND instr(t.record, ?)""",
                (owner, conversation_id, text),
            ).fetchall()
        return tuple(json.loads(record) for (record,) in found)

    def mentions(self, owner: str, text: str) -> bool:
        """Whether the record of any turn that is kept has this text."""
        with self._read() as db:
            found = db.execute(
                """SELECT EXISTS (SELECT 1 FROM turns t JOIN conversations c ON c.number = t.conversation
                WHERE c.owner = ? AND instr(t.record, ?))""",
                (owner, text),
            ).fetchone()
        return bool(found[0])

    def latest(self, owner: str) -> str | None:
        """The conversation that was kept last and says that an answer is on its way."""
        if not self._path.exists():
            return None
        with self._read() as db:
            row = db.execute(
                "SELECT id, running FROM conversations WHERE owner = ? ORDER BY updated DESC LIMIT 1", (owner,)
            ).fetchone()
        return row[0] if row and row[1] else None

    def close(self) -> None:
        """Close the database; the write-ahead log is folded into the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _number(self, db: sqlite3.Connection, owner: str, conversation_id: str) -> int:
        row = db.execute("SELECT number FROM conversations WHERE owner = ? AND id = ?", (owner, conversation_id))
        return int(row.fetchone()[0])

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            # What people said is nobody else's on this machine; the files SQLite adds take over the mode.
            self._path.chmod(0o600)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            _migrate(db, self._path.parent)
            self._opened = db
        return self._opened

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._connection()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        folder = self._path.parent
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            said = next((remedy for code, remedy in _REMEDIES if name.startswith(code)), "")
            sentence = said.format(folder=folder) if said else f"({name or type(error).__name__}) Try again."
            raise ConversationError(f"The conversation could not be kept or read. {sentence}") from error
        except OSError as error:
            raise ConversationError(
                f"The folder {folder} cannot be used ({error.strerror}). Check the disk's space and the folder's "
                "permissions, then try again."
            ) from error


def _migrate(db: sqlite3.Connection, folder: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > len(MIGRATIONS):
            raise ConversationError(
                f"The conversations in {folder} were kept by a newer version of this app. Start that version, or set "
                "PROVING_DATA_DIR to another folder."
            )
        for number, statements in enumerate(MIGRATIONS[found:], found + 1):
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
