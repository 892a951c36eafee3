"""What the books say against what the repository holds: shards this database does not know, and shards that are gone.

Read before the first delivery of every run, and whenever a commit finds a shard missing:

- A database that never met this repository (a new disk, a recovered file) takes its rows over, each where it is. So a
  deleted data folder comes back from the dataset, and nothing is sent twice.
- A repository that lost everything (deleted, made anew) or that nobody else writes to gets its rows again.
- Elsewhere a missing shard was rewritten or taken out by another app or by the owner: its rows are where they are now,
  and those that are nowhere were taken back by somebody who may.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import cast
from uuid import NAMESPACE_URL, uuid5

from backends.feedback.batches import Batches
from backends.feedback.card import config_of
from backends.feedback.encoding import encode_columns
from backends.feedback.pictures import keep
from core.dataset import Config
from core.errors import NotSaved
from core.feedback_protocols import DatasetHead, DatasetRepo
from core.identity import now

TOGETHER = 200  # rows in one transaction, so that nobody's vote waits long
# What somebody else took out of the dataset is erased here so much later.
GRACE_SECONDS = 7 * 86_400.0
log = logging.getLogger(__name__)


def reconcile(batches: Batches, repo: DatasetRepo) -> None:
    """Bring the books up to what `repo` holds; raises what the repository raises."""
    head = repo.head()
    expected = batches.expected()
    missing = [path for path, ways in expected.items() if not ways & head.paths]
    again = bool(missing) and (not repo.shared or _is_another(batches, repo, head, expected))
    if again:
        log.warning("%s has lost %s shards; their rows are sent again", repo.name, len(missing))
        _send_again(batches, missing)
    elif missing:
        log.warning("%s shards of %s were rewritten or taken out by somebody else", len(missing), repo.name)
        _detach(batches, missing)
    if (missing and not again) or not batches.adopted:
        _adopt_all(batches, repo, head)


def _is_another(batches: Batches, repo: DatasetRepo, head: DatasetHead, expected: Mapping[str, frozenset[str]]) -> bool:
    """Whether nothing of what was sent is there, its commit neither: deleted and made anew, not rewritten."""
    if any(ways & head.paths for ways in expected.values()):
        return False
    seen = batches.seen_commit()
    return head.commit is None or seen is None or not repo.has(seen)


def _send_again(batches: Batches, paths: Sequence[str]) -> None:
    with batches.database.write() as db:
        for batch, heir in _batches_at(db, batches.destination, paths):
            db.execute(
                "UPDATE placements SET state = 'waiting', batch = NULL WHERE batch = ? AND state = 'pushed'", (batch,)
            )
            # A row taken back since has nowhere to be taken out of any more.
            db.execute("UPDATE placements SET batch = NULL WHERE batch = ?", (batch,))
            db.execute("UPDATE placements SET state = 'waiting' WHERE batch = ? AND state = 'pushed'", (heir,))
            db.execute("UPDATE batches SET state = 'gone' WHERE id = ?", (batch,))


def _detach(batches: Batches, paths: Sequence[str]) -> None:
    """Their rows are somewhere else in the repository now, or nowhere. Rows that were never there wait as before."""
    with batches.database.write() as db:
        for batch, heir in _batches_at(db, batches.destination, paths):
            db.execute("UPDATE placements SET batch = NULL WHERE batch IN (?, ?)", (batch, heir))
            db.execute("UPDATE batches SET state = 'gone' WHERE id IN (?1, ?2) OR replaced_by = ?2", (batch, heir))


def _batches_at(db: sqlite3.Connection, destination: int, paths: Sequence[str]) -> list[tuple[str, str | None]]:
    return [
        found
        for path in paths
        for found in db.execute(
            """SELECT id, replaced_by FROM batches WHERE destination = ? AND path = ? AND state IN ('pushed', 'replaced')""",
            (destination, path),
        ).fetchall()
    ]


def _adopt_all(batches: Batches, repo: DatasetRepo, head: DatasetHead) -> None:
    known = batches.known_paths()
    for path in sorted(head.paths - known):
        config = config_of(path)
        if config is None:
            continue
        # pyarrow takes a second to import: only an app that finds shards of others pays for it.
        from backends.feedback.parquet import rows_of

        rows = rows_of(config, repo.read(path, head))
        if rows is None:
            log.warning("%s of %s was made by a newer version; it stays as it is", path, repo.name)
            continue
        _adopt(batches, config, path, rows, head.commit)
    _settle(batches)


def _adopt(
    batches: Batches, config: Config, path: str, rows: Iterable[Mapping[str, object]], commit: str | None
) -> None:
    # The same name each time: a crash half-way is continued by the next run.
    name = str(uuid5(NAMESPACE_URL, f"proving-ground:{batches.name}:{path}"))
    left = iter(rows)
    while some := list(islice(left, TOGETHER)):
        with batches.database.write() as db:
            for columns in some:
                _adopt_row(db, batches.destination, config, columns, name)
    with batches.database.write() as db:
        db.execute(
            """INSERT INTO batches (id, destination, config, path, state, commit_id, adopted)
            VALUES (?, ?, ?, ?, 'pushed', ?, 1) ON CONFLICT (id) DO UPDATE SET state = 'pushed', commit_id = excluded.commit_id""",
            (name, batches.destination, config, path, commit),
        )


def _adopt_row(
    db: sqlite3.Connection, destination: int, config: Config, columns: Mapping[str, object], batch: str
) -> None:
    row_id = columns.get("id")
    found = db.execute("SELECT seq FROM rows WHERE id = ?", (row_id,)).fetchone()
    if found is None:
        try:
            text, pictures = encode_columns(config, columns)
        except NotSaved as error:
            log.warning("a row of the dataset is left alone: %s", error)
            return
        at = datetime.fromisoformat(cast(str, columns["created_at"])).timestamp()
        cursor = db.execute(
            "INSERT INTO rows (id, config, columns, created_at, saved_at, picture_bytes) VALUES (?, ?, ?, ?, ?, ?)",
            (row_id, config, text, columns["created_at"], at, keep(db, pictures)),
        )
        found = (cursor.lastrowid,)
        db.execute("INSERT INTO events (row, kind, at) VALUES (?, 'saved', ?)", (*found, now()))
    gone = db.execute("SELECT 1 FROM events WHERE row = ? AND kind != 'saved'", found).fetchone()
    db.execute(
        """INSERT INTO placements (destination, row, state, batch) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (destination, row) DO UPDATE SET state = excluded.state, batch = excluded.batch
        WHERE batch IS NULL OR NOT EXISTS (SELECT 1 FROM batches WHERE id = batch AND state IN ('open', 'pushed', 'refused'))""",
        (destination, *found, "withdrawn" if gone else "pushed", batch),
    )


def _settle(batches: Batches) -> None:
    """After every shard was read: what was replaced or taken out elsewhere is so here too."""
    with batches.database.write() as db:
        for seq, by_row in db.execute(
            """SELECT old.seq, new.id FROM rows AS new JOIN rows AS old ON old.id = json_extract(new.columns, '$.supersedes')
            WHERE NOT EXISTS (SELECT 1 FROM events WHERE row = old.seq AND kind != 'saved')"""
        ).fetchall():
            _gone(db, seq, "superseded", by_row)
        taken_out = db.execute(
            "SELECT row FROM placements WHERE destination = ? AND state = 'pushed' AND batch IS NULL",
            (batches.destination,),
        ).fetchall()
        for (seq,) in taken_out:
            _gone(db, seq, "withdrawn", None)
        db.execute("UPDATE destinations SET adopted = 1 WHERE id = ?", (batches.destination,))
    if taken_out:
        log.warning("%s rows were taken out of the dataset by somebody else", len(taken_out))


def _gone(db: sqlite3.Connection, seq: int, kind: str, by_row: str | None) -> None:
    db.execute("INSERT INTO events (row, kind, at, by_row) VALUES (?, ?, ?, ?)", (seq, kind, now(), by_row))
    # A repository that was set back by mistake can be mended from here meanwhile.
    db.execute("UPDATE to_erase SET not_before = ? WHERE row = ?", (time.time() + GRACE_SECONDS, seq))
    db.execute("UPDATE placements SET state = 'withdrawn' WHERE row = ?", (seq,))
