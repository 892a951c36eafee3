"""Which rows travel together, and how far each has come: the outbox's books, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast
from uuid import uuid4

from backends.feedback.card import shard_path
from backends.feedback.compaction import mergeable, to_top_up
from backends.feedback.database import Database
from backends.feedback.encoding import decode
from backends.feedback.erasing import erase, waiting
from backends.feedback.giving_way import a_few_at_a_time
from backends.feedback.pictures import picture_in
from core.dataset import Config

MOST_ROWS = 1_000
# Of text at four bytes a character and of pictures together.
MOST_BYTES = 64_000_000
MOST_BATCHES = 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one config whose members never change once it is made.

    `path` is None when nothing is left of what it replaces. `sha256` is None until its bytes are made. `replaces` are the
    shards that have to go with the commit that brings this one; each may or may not be in the repository.
    """

    id: str
    config: Config
    path: str | None
    sha256: str | None
    rows: int
    replaces: tuple[str, ...]


class Batches:
    """The books of one destination. Every change is one transaction."""

    def __init__(self, database: Database, destination: str, *, many_at_once: bool = False) -> None:
        # many_at_once: a commit of the repository changes several files in one step.
        self.database, self.name, self._many_at_once = database, destination, many_at_once
        with database.write() as db:
            db.execute("INSERT INTO destinations (name) VALUES (?) ON CONFLICT DO NOTHING", (destination,))
            found = db.execute("SELECT id FROM destinations WHERE name = ?", (destination,)).fetchone()
            self.destination = int(found[0])
        self.place()

    def place(self) -> None:
        """Rows that came another way (saved for another destination, from a journal) wait too, unless they were taken back."""
        with self.database.write() as db:
            db.execute(
                """INSERT INTO placements (destination, row, state)
                SELECT ?, seq, 'waiting' FROM rows
                WHERE NOT EXISTS (SELECT 1 FROM placements WHERE destination = ? AND row = rows.seq)
                AND NOT EXISTS (SELECT 1 FROM events WHERE row = rows.seq AND kind IN ('withdrawn', 'superseded'))""",
                (self.destination, self.destination),
            )

    def counts(self) -> Counter[str]:
        """How many rows are in each state."""
        with self.database.read() as db:
            return Counter(dict(db.execute("SELECT state, n FROM tallies WHERE destination = ?", (self.destination,))))

    def oldest_waiting(self) -> float | None:
        """When the row was saved that waits longest, by the order of saving: the wall clock may have been set back."""
        with self.database.read() as db:
            found = db.execute(
                """SELECT saved_at FROM rows WHERE seq = (SELECT min(row) FROM (
                    SELECT * FROM (SELECT row FROM placements
                        WHERE destination = :d AND state = 'waiting' AND batch IS NULL ORDER BY row LIMIT 1)
                    UNION ALL
                    SELECT min(placements.row) FROM batches JOIN placements ON placements.batch = batches.id
                        WHERE batches.destination = :d AND batches.state = 'open' AND placements.state = 'waiting'))""",
                {"d": self.destination},
            ).fetchone()
            return found[0] if found else None

    def error(self) -> str | None:
        """What went wrong last, if nothing went right since; it outlives a restart."""
        with self.database.read() as db:
            found = db.execute("SELECT last_error FROM destinations WHERE id = ?", (self.destination,)).fetchone()
            return found[0] if found else None

    def failed(self, sentence: str | None) -> None:
        """Remember what went wrong, or that nothing does any more."""
        if self.error() != sentence:
            with self.database.write() as db:
                db.execute("UPDATE destinations SET last_error = ? WHERE id = ?", (sentence, self.destination))

    def pending(self) -> bool:
        """Whether there is anything to send: rows that wait, rows to take out, batches not confirmed."""
        with self.database.read() as db:
            return self._pending(db)

    def claim(self) -> tuple[Batch, ...]:
        """The batches to send now. What waits is put into new ones, whose members are fixed from here on.

        One batch at a time, and in the queue with the votes: nobody's vote waits for twenty thousand rows.
        """
        if not self.pending():
            return ()
        opened = self.database.change(self._prepare)
        while opened < MOST_BATCHES and self.database.change(self._open):
            opened += 1
        with self.database.read() as db:
            return tuple(self._open_batches(db))

    def rows(self, batch: Batch) -> list[dict[str, object]]:
        """The columns of a batch's rows, oldest first; also of one that was taken back since."""
        with self.database.read() as db:
            found = db.execute(
                "SELECT columns FROM placements JOIN rows ON rows.seq = placements.row WHERE batch = ? ORDER BY row",
                (batch.id,),
            )
            return [decode(batch.config, text, picture_in(db)) for some in a_few_at_a_time(found) for (text,) in some]

    def record(self, batch: Batch, sha256: str) -> None:
        """Fix the bytes of a batch, before they are offered to anyone."""
        with self.database.write() as db:
            db.execute("UPDATE batches SET sha256 = ? WHERE id = ?", (sha256, batch.id))

    def renew(self, batch: Batch) -> None:
        """Put the rows into another batch, for one whose recorded bytes cannot be made again."""
        with self.database.write() as db:
            self._replace(db, batch.id, batch.config)

    def pushed(self, batches: Sequence[Batch], commit: str) -> None:
        """The repository has these batches, and not what they replace any more.

        One after the other, as they were claimed: a batch that is not marked before a crash is offered again, unchanged.
        """
        for batch in batches:
            self.database.change(partial(self._pushed, batch.id, commit))

    def _pushed(self, batch: str, commit: str, db: sqlite3.Connection) -> None:
        db.execute("UPDATE batches SET state = 'pushed', commit_id = ? WHERE id = ?", (commit, batch))
        db.execute("UPDATE batches SET state = 'gone' WHERE replaced_by = ?", (batch,))
        db.execute("UPDATE placements SET state = 'pushed' WHERE batch = ? AND state = 'waiting'", (batch,))
        db.execute(
            "UPDATE destinations SET last_commit = ?, committed_at = ? WHERE id = ?",
            (commit, time.time(), self.destination),
        )

    def refuse(self, path: str, reason: str) -> bool:
        """Keep aside the batch the repository will never take; False when `path` is none of the open ones."""
        with self.database.write() as db:
            found = db.execute(
                "SELECT id FROM batches WHERE destination = ? AND state = 'open' AND path = ?", (self.destination, path)
            ).fetchone()
            if found is None:
                return False
            db.execute("UPDATE batches SET state = 'refused', reason = ? WHERE id = ?", (reason, *found))
            db.execute("UPDATE placements SET state = 'refused' WHERE batch = ? AND state != 'withdrawn'", found)
            return True

    @property
    def adopted(self) -> bool:
        """Whether the repository was read once, so that every row in it is known here."""
        with self.database.read() as db:
            found = db.execute("SELECT adopted FROM destinations WHERE id = ?", (self.destination,)).fetchone()
            return bool(found[0])

    def seen_commit(self) -> str | None:
        """A commit of the repository in which a shard was last known to be; None when none was."""
        with self.database.read() as db:
            found = db.execute(
                "SELECT commit_id FROM batches WHERE destination = ? AND commit_id IS NOT NULL ORDER BY seq DESC LIMIT 1",
                (self.destination,),
            ).fetchone()
            return found[0] if found else None

    def known_paths(self) -> frozenset[str]:
        """Every shard of ours that may be in the repository."""
        with self.database.read() as db:
            found = db.execute(
                "SELECT path FROM batches WHERE destination = ? AND path IS NOT NULL AND state != 'gone'",
                (self.destination,),
            )
            return frozenset(path for (path,) in found)

    def expected(self) -> dict[str, frozenset[str]]:
        """For each shard that was confirmed, the paths of which one has to be in the repository.

        That is its own, and for one that is being replaced its heir's and those of tries whose outcome is not known.
        """
        with self.database.read() as db:
            pushed = db.execute(
                "SELECT path FROM batches WHERE destination = ? AND state = 'pushed' AND path IS NOT NULL",
                (self.destination,),
            ).fetchall()
            replaced = db.execute(
                """SELECT old.path, old.commit_id, heir.path FROM batches AS old JOIN batches AS heir ON heir.id = old.replaced_by
                WHERE old.destination = ? AND old.state = 'replaced' AND old.path IS NOT NULL AND heir.path IS NOT NULL""",
                (self.destination,),
            ).fetchall()
        found = {path: frozenset((path,)) for (path,) in pushed}
        for path, commit, heir in replaced:
            if commit is not None:
                tries = {one for one, unknown, its_heir in replaced if its_heir == heir and unknown is None}
                found[path] = frozenset({path, heir, *tries})
        return found

    def approved(self) -> bool:
        """Whether somebody looked at what leaves and agreed to send it to a public dataset."""
        with self.database.read() as db:
            found = db.execute("SELECT approved FROM destinations WHERE id = ?", (self.destination,)).fetchone()
            return bool(found[0])

    def approve(self) -> None:
        """Record that agreement."""
        with self.database.write() as db:
            db.execute("UPDATE destinations SET approved = 1 WHERE id = ?", (self.destination,))

    def kept(self) -> frozenset[str]:
        """Ids of the batches of every destination whose bytes are still needed."""
        with self.database.read() as db:
            return frozenset(
                id_
                for (id_,) in db.execute(
                    "SELECT id FROM batches WHERE state = 'open' OR (state = 'refused' AND sha256 NOT NULL)"
                )
            )

    def last_commit(self) -> tuple[str | None, float | None]:
        """The newest commit and when it was made, by this machine's clock."""
        with self.database.read() as db:
            found = db.execute(
                "SELECT last_commit, committed_at FROM destinations WHERE id = ?", (self.destination,)
            ).fetchone()
            return found[0], found[1]

    def refusal(self) -> str | None:
        """Why the newest batch was kept aside."""
        with self.database.read() as db:
            found = db.execute(
                "SELECT reason FROM batches WHERE destination = ? AND state = 'refused' ORDER BY seq DESC LIMIT 1",
                (self.destination,),
            ).fetchone()
            return found[0] if found else None

    def erase(self) -> bool:
        """Erase what was taken back from this machine; the caller holds the outbox's lock. False: some of it later."""
        return erase(self.database, self.destination)

    def _pending(self, db: sqlite3.Connection) -> bool:
        if waiting(db):
            return True
        found = db.execute(
            """SELECT EXISTS (SELECT 1 FROM placements WHERE destination = :d AND state = 'waiting')
            OR EXISTS (SELECT 1 FROM placements WHERE destination = :d AND state = 'withdrawn' AND batch IS NOT NULL)
            OR EXISTS (SELECT 1 FROM batches WHERE destination = :d AND state = 'open')""",
            {"d": self.destination},
        ).fetchone()
        return bool(found[0])

    def _prepare(self, db: sqlite3.Connection) -> int:
        """Move what has to be moved into new batches; returns how many are open."""
        self._rewrite(db)
        if self._many_at_once and (merged := mergeable(db, self.destination, MOST_BYTES)):
            self._merge(db, *merged)
        opened = db.execute(
            "SELECT count(*) FROM batches WHERE destination = ? AND state = 'open'", (self.destination,)
        ).fetchone()
        return int(opened[0])

    def _rewrite(self, db: sqlite3.Connection) -> None:
        touched = db.execute(
            """SELECT DISTINCT batches.id, config, batches.state FROM placements JOIN batches ON batches.id = batch
            WHERE placements.destination = ? AND placements.state = 'withdrawn' ORDER BY batches.seq""",
            (self.destination,),
        ).fetchall()
        for batch, config, state in touched:
            if state == "refused":
                db.execute("UPDATE placements SET batch = NULL WHERE batch = ? AND state = 'withdrawn'", (batch,))
                # The file that was kept aside holds the row; the rows that stay are in the database.
                db.execute("UPDATE batches SET sha256 = NULL WHERE id = ?", (batch,))
            else:
                self._replace(db, batch, config)

    def _replace(self, db: sqlite3.Connection, old: str, config: str) -> None:
        """Move what is left of a batch into a new one, which inherits the shards the old one had to remove.

        An old batch that was never confirmed may be in the repository all the same (a lost reply): the new one removes its
        shard if it is there, so its rows are there once in either case.
        """
        new = str(uuid4())
        left = db.execute("SELECT count(*) FROM placements WHERE batch = ? AND state != 'withdrawn'", (old,)).fetchone()
        self._insert(db, new, config, has_rows=left[0] > 0)
        db.execute("UPDATE placements SET batch = ? WHERE batch = ? AND state != 'withdrawn'", (new, old))
        db.execute("UPDATE placements SET batch = NULL WHERE batch = ?", (old,))
        db.execute("UPDATE batches SET replaced_by = ? WHERE replaced_by = ? AND state = 'replaced'", (new, old))
        db.execute("UPDATE batches SET state = 'replaced', replaced_by = ? WHERE id = ?", (new, old))

    def _merge(self, db: sqlite3.Connection, config: str, olds: Sequence[str]) -> None:
        """Put the rows of several shards into one new batch, which replaces them all."""
        new = str(uuid4())
        self._insert(db, new, config, has_rows=True)
        for old in olds:
            db.execute("UPDATE placements SET batch = ? WHERE batch = ?", (new, old))
            db.execute("UPDATE batches SET state = 'replaced', replaced_by = ? WHERE id = ?", (new, old))

    def _open(self, db: sqlite3.Connection) -> bool:
        first = db.execute(
            """SELECT config FROM placements JOIN rows ON rows.seq = row
            WHERE destination = ? AND state = 'waiting' AND batch IS NULL ORDER BY row LIMIT 1""",
            (self.destination,),
        ).fetchone()
        if first is None:
            return False
        found = db.execute(
            """SELECT row, 4 * length(columns) + picture_bytes FROM placements JOIN rows ON rows.seq = row
            WHERE destination = ? AND state = 'waiting' AND batch IS NULL AND config = ? ORDER BY row LIMIT ?""",
            (self.destination, first[0], MOST_ROWS),
        ).fetchall()
        new = str(uuid4())
        self._insert(db, new, first[0], has_rows=True)
        members = _within(found, MOST_BYTES)
        db.executemany(
            "UPDATE placements SET batch = ? WHERE destination = ? AND row = ?",
            [(new, self.destination, row) for row in members],
        )
        if not self._many_at_once and (small := to_top_up(db, self.destination, first[0])):
            db.execute("UPDATE placements SET batch = ? WHERE batch = ?", (new, small))
            db.execute("UPDATE batches SET state = 'replaced', replaced_by = ? WHERE id = ?", (new, small))
        return True

    def _insert(self, db: sqlite3.Connection, batch: str, config: str, *, has_rows: bool) -> None:
        path = shard_path(cast(Config, config), batch) if has_rows else None
        db.execute(
            "INSERT INTO batches (id, destination, config, path, state) VALUES (?, ?, ?, ?, 'open')",
            (batch, self.destination, config, path),
        )

    def _open_batches(self, db: sqlite3.Connection) -> Iterable[Batch]:
        opened = db.execute(
            "SELECT id, config, path, sha256 FROM batches WHERE destination = ? AND state = 'open' ORDER BY seq",
            (self.destination,),
        ).fetchall()
        for batch, config, path, sha256 in opened:
            rows = db.execute("SELECT count(*) FROM placements WHERE batch = ?", (batch,)).fetchone()[0]
            replaced = db.execute(
                """SELECT path FROM batches WHERE replaced_by = ? AND state = 'replaced' AND path IS NOT NULL
                ORDER BY seq DESC""",
                (batch,),
            ).fetchall()
            yield Batch(batch, config, path, sha256, rows, tuple(path for (path,) in replaced))


def _within(rows: Sequence[tuple[int, int]], most: int) -> list[int]:
    """The first rows that fit together; at least one, however large."""
    found: list[int] = []
    size = 0
    for row, length in rows:
        size += length
        if found and size > most:
            break
        found.append(row)
    return found
