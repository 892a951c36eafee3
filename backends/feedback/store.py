"""The feedback store: every row durable in SQLite before anyone says saved, then handed to the outbox."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence

from backends.feedback import consents, reading, reviewers, streaming
from backends.feedback.batches import Batches
from backends.feedback.database import Database
from backends.feedback.encoding import encode
from backends.feedback.outbox import Outbox
from backends.feedback.pictures import keep
from backends.feedback.verdicts import behind, catch_up, keep_in_order, prepare
from backends.feedback.votes import SqliteVotes
from core.consent import Consent
from core.dataset import Config, Row
from core.errors import NotSaved, UserInputError
from core.feedback import FeedbackStatus, FoundRows, RowQuery, Saved, StoredRow
from core.identity import checked_name, code_of, now

UPLOAD_SECONDS = 60.0
CLOSE_SECONDS = 15.0


class SqliteFeedbackStore:
    """Rows are never changed: taking one back or replacing it is a new event. State is told for one destination.

    `warnings` are what the operator should know of this machine, for the status.
    """

    def __init__(
        self,
        database: Database,
        batches: Batches,
        outbox: Outbox,
        dataset: str,
        consent: Consent | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._database, self._batches, self._outbox, self._dataset = database, batches, outbox, dataset
        database.change(prepare)
        self._consent, self._warnings = consent, warnings

    @property
    def consent(self) -> Consent | None:
        """The operator's text, or None."""
        return self._consent

    def agreed(self, rater: str | None) -> bool:
        """Whether this reviewer agreed to the text as it is now; True when nothing is asked."""
        if self._consent is None:
            return True
        with self._database.read() as db:
            return consents.has_agreed(db, self._consent, rater)

    def agree(self, rater: str, version: str) -> None:
        """Record an agreement; it is on disk when this returns."""
        consent = self._consent
        if consent is not None:
            self._database.change(lambda db: consents.record(db, consent, rater, version))

    def name_of(self, rater: str) -> str:
        """The name this reviewer chose for their rows; "" when none."""
        with self._database.read() as db:
            return reviewers.name_of(db, rater)

    def rename(self, rater: str, name: str) -> str:
        """Put a name on this reviewer's rows from now on, or none with ""; returns it as rows will have it."""
        name = checked_name(name)
        self._database.change(lambda db: reviewers.rename(db, rater, name))
        return name

    def save(self, rows: Sequence[Row], taking_back: Sequence[str] = ()) -> Saved:
        """All rows or none; when one of them is there already (a second click, a second tab) nothing changes."""
        ids = tuple(row.provenance.id for row in rows)
        if not ids or len(set(ids)) != len(ids):
            raise ValueError("rows to save need ids of their own")
        consent = self._consent
        if consent is not None:
            rows = consents.stamped(rows, consent)
        with self._database.read() as db:
            rows = reviewers.named(db, rows)
        encoded = [encode(row) for row in rows]

        def insert(db: sqlite3.Connection) -> Saved:
            if consent is not None:
                consents.refuse_without(db, rows, consent)
            if self._already(db, ids):
                return Saved(ids, fresh=False, same=self._same(db, ids, [text for text, _ in encoded]))
            for row, (text, pictures) in zip(rows, encoded, strict=True):
                self._insert(db, row, text, keep(db, pictures))
            for row_id in taking_back:
                self._withdraw(db, row_id)
            return Saved(ids, fresh=True)

        saved = self._database.change(insert)
        if saved.fresh:
            self._outbox.wake()
        return saved

    def withdraw(self, row_id: str) -> None:
        """Take a row back: a waiting one stays here, a pushed one leaves its shard with the next upload. Idempotent."""
        self._database.change(lambda db: self._withdraw(db, row_id))
        self._outbox.wake()

    def withdraw_all(self, rater: str) -> int:
        """Take back every current row of one reviewer, in one transaction; returns how many they were."""

        def take_back(db: sqlite3.Connection) -> int:
            code = code_of(rater)
            mine = db.execute("SELECT seq FROM current_rows WHERE code = ?", (code,)).fetchall()
            for (seq,) in mine:
                self._take_back(db, seq, "withdrawn", None)
            db.execute("DELETE FROM reviewers WHERE code = ?", (code,))
            return len(mine)

        gone = self._database.change(take_back)
        if gone:
            self._outbox.wake()
        return gone

    def row(self, row_id: str) -> StoredRow | None:
        """One current row; None when there is no such row, or not any more."""
        with self._database.read() as db:
            return reading.row_of(db, self._batches.destination, row_id)

    def find(self, query: RowQuery, limit: int = 20) -> FoundRows:
        """Current rows that fit, newest first; raises `FeedbackError` when the database cannot be read."""
        with self._database.read() as db:
            return reading.find(db, self._batches.destination, query, limit)

    def newest(self, limit: int = 20, config: Config | None = None) -> Sequence[StoredRow]:
        """Current rows, newest first."""
        return list(self.find(RowQuery(config), limit).rows)

    def status(self) -> FeedbackStatus:
        """Counts and health, from this machine alone; the same effort for ten rows and for a million."""
        counts = self._batches.counts()
        oldest = self._batches.oldest_waiting() if counts["waiting"] else None
        account = self._outbox.account
        waiting, pushed, refused = counts["waiting"], counts["pushed"], counts["refused"]
        error = self._outbox.last_error or (self._batches.refusal() if refused else None)
        warnings = (*self._warnings, *self._database.notes, *(account.warnings if account else ()))
        return FeedbackStatus(
            saved=waiting + pushed + refused,
            waiting=waiting,
            pushed=pushed,
            refused=refused,
            dataset=self._dataset,
            last_commit=self._batches.last_commit()[0],
            last_error=error,
            # The wall clock may have been set back since.
            oldest_waiting_s=max(0.0, time.time() - oldest) if oldest is not None else None,
            account=(account.label or None) if account else None,
            # A token that does not hold is told of twice: when it is looked at, and when it is used.
            warnings=tuple(warning for warning in warnings if warning != error),
            needs_approval=self._outbox.needs_approval,
        )

    def rows(self, config: Config) -> Iterator[StoredRow]:
        """Every current row of a config, oldest first, read a few at a time."""
        return streaming.rows(self._database, self._batches.destination, config)

    def votes(self) -> SqliteVotes:
        """The comparisons without their texts, every current one counted."""
        with self._database.read() as db:
            done = not behind(db)
        while not done:
            done = self._database.change(catch_up)
        return SqliteVotes(self._database.read)

    def leaving(self, limit: int = 20) -> Sequence[StoredRow]:
        """The rows that leave with the next upload, oldest first."""
        with self._database.read() as db:
            return reading.leaving(db, self._batches.destination, limit)

    def approve(self) -> FeedbackStatus:
        """Somebody looked at what leaves and agrees that everybody may read it; then it is sent."""
        self._batches.approve()
        return self.upload_now()

    def upload_now(self) -> FeedbackStatus:
        """Send what waits, now, and wait for the outcome at most a minute."""
        self._outbox.send_now(UPLOAD_SECONDS)
        return self.status()

    def close(self) -> None:
        """Send what waits within a bound, then stop. What did not leave is sent after the next start."""
        self._outbox.close(CLOSE_SECONDS)
        self._database.close()

    def _already(self, db: sqlite3.Connection, ids: Sequence[str]) -> bool:
        marks = ", ".join("?" * len(ids))
        found = db.execute(
            f"""SELECT EXISTS (SELECT 1 FROM events WHERE row = rows.seq AND kind != 'saved')
            FROM rows WHERE id IN ({marks})""",  # noqa: S608  (question marks only)
            tuple(ids),
        ).fetchall()
        if any(taken_back for (taken_back,) in found):
            raise NotSaved("Not saved. This answer was given before and taken back; start a new one to answer again.")
        return bool(found)

    def _same(self, db: sqlite3.Connection, ids: Sequence[str], texts: Sequence[str]) -> bool:
        """Whether the rows of these ids say what `texts` say; when it was said does not count."""
        for row_id, text in zip(ids, texts, strict=True):
            kept = db.execute("SELECT columns FROM rows WHERE id = ?", (row_id,)).fetchone()
            if kept is None or _said(kept[0]) != _said(text):
                return False
        return True

    def _insert(self, db: sqlite3.Connection, row: Row, text: str, picture_bytes: int) -> None:
        about = row.provenance
        cursor = db.execute(
            "INSERT INTO rows (id, config, columns, created_at, saved_at, picture_bytes) VALUES (?, ?, ?, ?, ?, ?)",
            (about.id, row.config, text, about.created_at, time.time(), picture_bytes),
        )
        seq = cursor.lastrowid
        db.execute("INSERT INTO events (row, kind, at) VALUES (?, 'saved', ?)", (seq, now()))
        if row.config == "comparisons" and seq is not None:
            keep_in_order(db, seq, row.columns())
        db.execute(
            "INSERT INTO placements (destination, row, state) VALUES (?, ?, 'waiting')",
            (self._batches.destination, seq),
        )
        if about.supersedes:
            old = db.execute("SELECT seq FROM rows WHERE id = ?", (about.supersedes,)).fetchone()
            if old is not None:
                self._take_back(db, _heir(db, old[0]), "superseded", about.id)

    def _withdraw(self, db: sqlite3.Connection, row_id: str) -> None:
        found = db.execute("SELECT seq FROM rows WHERE id = ?", (row_id,)).fetchone()
        if found is None:
            raise UserInputError("That row is not in this app's store, so there is nothing to take back.")
        self._take_back(db, _heir(db, found[0]), "withdrawn", None)

    def _take_back(self, db: sqlite3.Connection, seq: int, kind: str, by_row: str | None) -> None:
        gone = db.execute("SELECT 1 FROM events WHERE row = ? AND kind != 'saved'", (seq,)).fetchone()
        if gone is None:
            db.execute("INSERT INTO events (row, kind, at, by_row) VALUES (?, ?, ?, ?)", (seq, kind, now(), by_row))
            # For every destination: each takes the row out of its shard when it is the current one again.
            db.execute("UPDATE placements SET state = 'withdrawn' WHERE row = ?", (seq,))


def _heir(db: sqlite3.Connection, seq: int) -> int:
    """The row that stands in this one's place: a page may still know the one that was changed elsewhere since."""
    while True:
        found = db.execute(
            """SELECT rows.seq FROM events JOIN rows ON rows.id = events.by_row
            WHERE events.row = ? AND events.kind = 'superseded'""",
            (seq,),
        ).fetchone()
        if found is None or found[0] <= seq:
            return seq
        seq = found[0]


def _said(text: str) -> dict[str, object]:
    columns: dict[str, object] = json.loads(text)
    return {name: value for name, value in columns.items() if name not in ("created_at", "app_version")}
