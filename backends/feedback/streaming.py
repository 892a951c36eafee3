"""Every current row of a config, a few at a time: what an export reads, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from backends.feedback.database import Database
from backends.feedback.encoding import decode
from backends.feedback.pictures import picture_in
from core.dataset import Config
from core.feedback import RowState, StoredRow

READ_TOGETHER = 500
READ_PICTURES_TOGETHER = 20


def rows(database: Database, destination: int, config: Config) -> Iterator[StoredRow]:
    """Oldest first; rows saved meanwhile come last. Raises `FeedbackError` when the database cannot be read."""
    after = 0
    together = READ_PICTURES_TOGETHER if "image" in config or "vision" in config else READ_TOGETHER
    while True:
        with database.read() as db:
            found = db.execute(
                """SELECT rows.seq, rows.id, columns, placements.state, batches.path
                FROM rows JOIN placements ON placements.row = rows.seq AND placements.destination = ?
                LEFT JOIN batches ON batches.id = placements.batch
                WHERE placements.state != 'withdrawn' AND rows.config = ? AND rows.seq > ? ORDER BY rows.seq LIMIT ?""",
                (destination, config, after, together),
            ).fetchall()
            picture = picture_in(db)
            batch = [
                StoredRow(row_id, config, decode(config, text, picture), cast(RowState, state), shard)
                for _, row_id, text, state, shard in found
            ]
        yield from batch
        if len(found) < together:
            return
        after = found[-1][0]
