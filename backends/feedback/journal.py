"""The event journal on a bucket or volume: every committed change is a closed file there before anybody says saved.

SQLite stays on the local disk, which on a Space ends with the container. A new disk starts from the journal: rows with
their pictures, what was taken back, consents and names. What a dataset on the Hub holds comes back from there
(`adoption`), so that only what is new since is needed here.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from backends.feedback import journal_records as lines
from backends.feedback.journal_records import Held
from backends.feedback.segments import Segments
from core.errors import FeedbackError, NotSaved

if TYPE_CHECKING:
    from backends.feedback.database import Database

TOGETHER = 200  # rows of one segment, where many are written at once
ALL = -1
# A start reads every segment: there are never many more than this, and it takes this many small ones together.
MOST_SEGMENTS = 300
MERGED = 100
MOST_BYTES = 32_000_000
# A bucket that is mounted shows a file of another container up to 30 s late (huggingface/hf-mount, README).
SETTLE_SECONDS = 60.0
log = logging.getLogger(__name__)


class Journal:
    """What one journal folder holds of one database.

    The books of that are in the database itself, in the transaction they are about: a crash leaves both, or neither, or a
    segment that nobody was told of, which the next start takes over.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._alone_at = 0.0

    def start(self, database: Database) -> int:
        """Write what the database has and the journal lacks, then take over what only the journal has.

        Returns how many rows came from the journal. From then on the database writes every change here first. Raises
        `FeedbackError` when the folder cannot be used.
        """
        with database.write() as db:
            db.execute("INSERT OR IGNORE INTO journals (id) VALUES (?)", (self._segments.id,))
            named = db.execute("SELECT EXISTS (SELECT 1 FROM reviewers)").fetchone()[0]
        with self._readable():
            self._segments.begin()
            while self._catch_up(database):
                pass
            came = self._take_over(database, names=not named)
        self._alone_at = monotonic() + SETTLE_SECONDS
        database.journal = self
        return came

    def take_turn(self, database: Database) -> int | None:
        """Whether this process is the one that sends: how many rows came from others since, or None when it is not.

        Where two containers overlap (a Space that is rebuilt), the older one stops sending as soon as it sees the newer
        one's mark, and that waits until it has: nothing is sent twice.
        """
        with self._readable():
            older, newer = self._segments.other_runs()
            if newer or (older and monotonic() < self._alone_at):
                return None
            came = self._take_over(database, names=False)
            for mark in older:
                self._segments.remove(mark)
        return came

    def end(self) -> None:
        """Nothing more is written. A folder that cannot be reached any more keeps the mark, and the next start waits."""
        try:
            self._segments.end()
        except OSError as error:
            log.warning("the mark of this run stays in the journal: %s", error)

    @contextmanager
    def kept(self, db: sqlite3.Connection) -> Iterator[None]:
        """Write what this transaction changed; the block then commits it. A commit that fails takes the file with it."""
        try:
            name, _ = self._append(db, ALL)
        except OSError as error:
            raise NotSaved(
                f"Not saved. The journal folder {self._segments.folder} cannot be written to "
                f"({error.strerror or type(error).__name__}). Try again in a moment; what you entered is still on the screen."
            ) from error
        try:
            yield
        except BaseException:
            if name:
                self._segments.remove(name)
            raise

    def forget(self, database: Database) -> bool:
        """Write segments anew that hold what was erased from the database; False when the folder did not let it."""
        with database.read() as db:
            touched = db.execute(
                """SELECT DISTINCT segment FROM journal_holds WHERE journal = ? AND (
                    row IN (SELECT row FROM to_erase WHERE erased = 1)
                    OR (code IS NOT NULL AND code NOT IN (SELECT code FROM reviewers)))""",
                (self._segments.id,),
            ).fetchall()
        try:
            for (name,) in touched:
                self._rewrite(database, [name])
        except OSError as error:
            log.warning("what was taken back is still in the journal: %s", error)
            return False
        return True

    def tidy(self, database: Database) -> None:
        """Where there are many small segments, put the oldest into one, without the rows a dataset on the Hub has by now."""
        with database.read() as db:
            known = [
                name
                for (name,) in db.execute(
                    "SELECT name FROM journal_segments WHERE journal = ? ORDER BY name", (self._segments.id,)
                )
            ]
        if len(known) <= MOST_SEGMENTS:
            return
        try:
            small = [name for name in known if self._segments.size(name) < MOST_BYTES // MERGED][:MERGED]
            if len(small) == MERGED:
                self._rewrite(database, small)
        except OSError as error:
            log.warning("the journal is not tidied: %s", error)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FeedbackError(
                f"The journal folder {self._segments.folder} cannot be read or written "
                f"({error.strerror or type(error).__name__}). Check that the bucket or volume is mounted, or unset "
                "PROVING_JOURNAL. The rows wait."
            ) from error

    def _catch_up(self, database: Database) -> bool:
        with database.write() as db:
            return self._append(db, TOGETHER)[1]

    def _append(self, db: sqlite3.Connection, most: int) -> tuple[str | None, bool]:
        """Write a segment of what came since the last one; its name, and whether rows are left because of `most`."""
        rows_upto, events_upto, notes_upto = db.execute(
            "SELECT rows_upto, events_upto, notes_upto FROM journals WHERE id = ?", (self._segments.id,)
        ).fetchone()
        seqs = lines.rows_after(db, rows_upto, most)
        new = [seq for seq in seqs if not lines.is_on_the_hub(db, seq)]
        records = list(lines.row_records(db, new))
        held: list[Held] = [(seq, None) for seq in new]
        left = len(seqs) == most
        if not left:
            # Of a row that is not in here, an event alone would say nothing after a restart.
            events = lines.events_after(db, events_upto)
            strangers = [seq for seq in dict.fromkeys(row for row, _ in events) if not self._holds(db, seq, new)]
            records += lines.row_records(db, strangers, whole=False)
            records += [record for _, record in events]
            notes, codes = lines.note_records(db, notes_upto)
            records += notes
            held += [*((seq, None) for seq in strangers), *((None, code) for code in codes)]
        name = self._segments.write(records) if records else None
        if name:
            self._note(db, name, held)
        self._move_on(db, seqs[-1] if left else None)
        return name, left

    def _holds(self, db: sqlite3.Connection, seq: int, new: Iterable[int]) -> bool:
        found = db.execute("SELECT 1 FROM journal_holds WHERE row = ? AND journal = ?", (seq, self._segments.id))
        return seq in new or found.fetchone() is not None

    def _note(self, db: sqlite3.Connection, name: str, held: Iterable[Held]) -> None:
        db.execute("INSERT OR IGNORE INTO journal_segments (journal, name) VALUES (?, ?)", (self._segments.id, name))
        db.executemany(
            "INSERT INTO journal_holds (journal, segment, row, code) VALUES (?, ?, ?, ?)",
            [(self._segments.id, name, row, code) for row, code in held],
        )

    def _move_on(self, db: sqlite3.Connection, row: int | None = None) -> None:
        """Remember that everything up to now is in the journal; with `row`, only the rows up to that one."""
        if row is not None:
            db.execute("UPDATE journals SET rows_upto = ? WHERE id = ?", (row, self._segments.id))
            return
        db.execute(
            """UPDATE journals SET rows_upto = (SELECT coalesce(max(seq), 0) FROM rows),
            events_upto = (SELECT coalesce(max(seq), 0) FROM events),
            notes_upto = (SELECT coalesce(max(seq), 0) FROM journal_notes) WHERE id = ?""",
            (self._segments.id,),
        )

    def _unknown(self, database: Database) -> list[str]:
        with database.read() as db:
            known = db.execute("SELECT name FROM journal_segments WHERE journal = ?", (self._segments.id,)).fetchall()
        return sorted(set(self._segments.names()) - {name for (name,) in known})

    def _take_over(self, database: Database, *, names: bool) -> int:
        came = sum(self._replay(database, name, names=names) for name in self._unknown(database))
        if came:
            log.warning("%s rows came from the journal %s", came, self._segments.folder)
        return came

    def _replay(self, database: Database, name: str, *, names: bool) -> int:
        records = self._segments.read(name)
        if records is None:
            return 0
        with database.write() as db:
            came, held = lines.take_over(db, records, names=names)
            self._note(db, name, held)
            self._move_on(db)
        return came

    def _rewrite(self, database: Database, names: Sequence[str]) -> None:
        """Put what is still needed of these segments into a new one at the place of the first, and delete them."""
        records = [record for name in names for record in self._segments.read(name) or ()]
        with database.write() as db:
            left, held = lines.still_needed(db, records)
            new = self._segments.write(left, instead_of=names[0]) if left else None
            for name in names:
                db.execute("DELETE FROM journal_holds WHERE journal = ? AND segment = ?", (self._segments.id, name))
                db.execute("DELETE FROM journal_segments WHERE journal = ? AND name = ?", (self._segments.id, name))
            if new:
                self._note(db, new, held)
        for name in names:
            self._segments.remove(name)
