"""Same rows, fewer files: when the shards of a config are many, small ones become one.

A Hub commit changes any number of files at once, so many are merged together. A folder cannot: there the newest small
shard is written again with the rows that wait, one file for one, which a reader never sees half of.
"""

from __future__ import annotations

import sqlite3

MOST_SHARDS = 100
MOST_FOLDER_SHARDS = 32
MERGED_ROWS = 10_000
TOPPED_UP_ROWS = 500


def mergeable(db: sqlite3.Connection, destination: int, most_bytes: int) -> tuple[str, list[str]] | None:
    """A config whose shards are too many, and the oldest of them that fit into one; None when all is well.

    Shards that other apps may look after are left to them.
    """
    crowded = db.execute(
        """SELECT config FROM batches WHERE destination = ? AND state = 'pushed' AND adopted = 0
        GROUP BY config HAVING count(*) > ? LIMIT 1""",
        (destination, MOST_SHARDS),
    ).fetchone()
    if crowded is None:
        return None
    chosen: list[str] = []
    rows = size = 0
    for batch, count, length in db.execute(
        """SELECT batches.id, count(*), sum(4 * length(columns) + picture_bytes) FROM batches
        JOIN placements ON placements.batch = batches.id JOIN rows ON rows.seq = placements.row
        WHERE batches.destination = ? AND batches.state = 'pushed' AND adopted = 0 AND batches.config = ?
        GROUP BY batches.id HAVING count(*) < ? ORDER BY batches.seq LIMIT ?""",
        (destination, *crowded, MERGED_ROWS // 2, 4 * MOST_SHARDS),
    ):
        if rows + count > MERGED_ROWS or size + length > most_bytes:
            break
        chosen.append(batch)
        rows, size = rows + count, size + length
    return (crowded[0], chosen) if len(chosen) > 1 else None


def to_top_up(db: sqlite3.Connection, destination: int, config: str) -> str | None:
    """The small shard of a folder that takes up the rows that wait; None while the shards are few."""
    found = db.execute(
        "SELECT count(*) FROM batches WHERE destination = ? AND state = 'pushed' AND config = ?", (destination, config)
    ).fetchone()
    if found[0] <= MOST_FOLDER_SHARDS:
        return None
    smallest = db.execute(
        """SELECT batches.id FROM batches JOIN placements ON placements.batch = batches.id
        WHERE batches.destination = ? AND batches.state = 'pushed' AND batches.config = ?
        GROUP BY batches.id HAVING count(*) < ? ORDER BY count(*), batches.seq LIMIT 1""",
        (destination, config, TOPPED_UP_ROWS),
    ).fetchone()
    return smallest[0] if smallest else None
