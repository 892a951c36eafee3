"""What the store holds as the page asks for it: current rows, filtered, newest first."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, cast

from backends.feedback.encoding import decode
from backends.feedback.pictures import picture_in
from core.dataset import Config
from core.feedback import FoundRows, RowQuery, RowState, StoredRow
from core.identity import code_of

# A search looks at so many of the newest rows, so that the page never waits for all of a million.
SEARCHED_ROWS = 20_000
# What people wrote and whose answer it was; not ids, settings, and roles.
SEARCHED = (
    *(
        "content",
        "text",
        "prompt",
        "comment",
        "rater",
        "campaign",
        "model",
        "chosen_model",
        "rejected_model",
        "left_model",
    ),
    *("right_model",),
)
# CROSS: rows first, newest or by their index, and each row's placement then; the other way round reads them all.
_SELECT = """SELECT rows.id, rows.config, columns, placements.state, batches.path
    FROM rows CROSS JOIN placements ON placements.row = rows.seq AND placements.destination = ?
    LEFT JOIN batches ON batches.id = placements.batch
    WHERE placements.state != 'withdrawn'"""


def row_of(db: sqlite3.Connection, destination: int, row_id: str) -> StoredRow | None:
    """One current row; None when there is none of that id."""
    found = db.execute(f"{_SELECT} AND rows.id = ?", (destination, row_id)).fetchone()
    return stored(db, *found) if found else None


def find(db: sqlite3.Connection, destination: int, query: RowQuery, limit: int) -> FoundRows:
    """Current rows that fit, newest first."""
    limit = max(0, limit)
    wanted, values = _where(query)
    newest = 0
    if query.text.strip():
        newest = db.execute("SELECT coalesce(max(seq), 0) FROM rows").fetchone()[0]
        wanted.append("rows.seq > ?")
        values.append(newest - SEARCHED_ROWS)
    conditions = "".join(f" AND {one}" for one in wanted)
    found = db.execute(
        f"{_SELECT}{conditions} ORDER BY rows.seq DESC LIMIT ?",
        (destination, *values, limit + 1),
    ).fetchall()
    rows = tuple(stored(db, *row) for row in found[:limit])
    return FoundRows(rows, len(found) > limit, SEARCHED_ROWS if newest > SEARCHED_ROWS else None)


def leaving(db: sqlite3.Connection, destination: int, limit: int) -> tuple[StoredRow, ...]:
    """The rows that wait, oldest first."""
    found = db.execute(
        """SELECT rows.id, rows.config, columns, placements.state, batches.path
        FROM (SELECT * FROM placements WHERE destination = ? AND state = 'waiting' ORDER BY row LIMIT ?) AS placements
        JOIN rows ON rows.seq = placements.row LEFT JOIN batches ON batches.id = placements.batch ORDER BY rows.seq""",
        (destination, max(0, limit)),
    ).fetchall()
    return tuple(stored(db, *row) for row in found)


def _where(query: RowQuery) -> tuple[list[str], list[Any]]:
    wanted: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("rows.config = ?", query.config),
        ("rows.code = ?", code_of(query.rater) if query.rater else None),
        ("json_extract(columns, '$.source') = ?", query.source),
        ("json_extract(columns, '$.outcome') = ?", query.outcome),
        ("json_extract(columns, '$.comparison_id') = ?", query.comparison_id),
    ):
        if value:
            wanted.append(condition)
            values.append(value)
    if text := query.text.strip():
        keys = ", ".join(f"'{key}'" for key in SEARCHED)
        # First the whole text, which is fast and finds names of columns too; then the values that count.
        wanted.append("columns LIKE ? ESCAPE '\\'")
        wanted.append(
            f"EXISTS (SELECT 1 FROM json_tree(columns) AS part WHERE part.type = 'text' AND part.key IN ({keys}) "  # noqa: S608
            "AND part.value LIKE ? ESCAPE '\\')"
        )
        values += [_pattern(json.dumps(text, ensure_ascii=False)[1:-1]), _pattern(text)]
    return wanted, values


def _pattern(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def stored(db: sqlite3.Connection, id_: str, config: str, text: str, state: str, shard: Any) -> StoredRow:
    """A row of the database as the page and the evidence read it, its pictures with it."""
    known = cast(Config, config)
    return StoredRow(id_, known, decode(known, text, picture_in(db)), cast(RowState, state), shard)
