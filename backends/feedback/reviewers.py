"""The names reviewers chose for their rows, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from core.dataset import Row
from core.identity import code_of, signed

R = TypeVar("R", bound=Row)


def name_of(db: sqlite3.Connection, code: str) -> str:
    """The chosen name; "" when there is none."""
    found = db.execute("SELECT name FROM reviewers WHERE code = ?", (code,)).fetchone()
    return str(found[0]) if found else ""


def rename(db: sqlite3.Connection, code: str, name: str) -> None:
    """Remember the name, or forget it with ""."""
    if name:
        db.execute("INSERT INTO reviewers VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name", (code, name))
    else:
        db.execute("DELETE FROM reviewers WHERE code = ?", (code,))


def named(db: sqlite3.Connection, rows: Sequence[R]) -> tuple[R, ...]:
    """The rows under the names their raters have now; a name on a changed vote stays. Programs name their raters themselves."""
    return tuple(_named(db, row) for row in rows)


def _named(db: sqlite3.Connection, row: R) -> R:
    about = row.provenance
    if not about.rater or about.source == "api":
        return row
    code = code_of(about.rater)
    name = name_of(db, code)
    return replace(row, provenance=replace(about, rater=signed(name, code))) if name else row
