"""Rows as text in SQLite: checked against the dataset's columns, so that a row that is saved can always be sent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime

from core.dataset import COLUMNS, ColumnType, Config, Row
from core.errors import NotSaved


def encode(row: Row) -> str:
    """The row's columns as JSON with sorted keys; raises `NotSaved` when a value does not fit its column."""
    columns = row.columns()
    for name, kind in COLUMNS[row.config].items():
        value = columns[name]
        if value is not None and not _CHECKS[kind](value):
            raise NotSaved(
                f"Not saved. “{name}” holds something the dataset cannot keep (half of a character pair, or a value that "
                "is not of its type). Remove it and save again; what you entered is still on the screen."
            )
    if not columns["id"]:
        raise NotSaved("Not saved. The row has no id.")
    return json.dumps(columns, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def decode(config: Config, text: str) -> dict[str, object]:
    """The columns in the order of the config; a column that is younger than the row is null."""
    found = json.loads(text)
    return {name: found.get(name) for name in COLUMNS[config]}


def _text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _timestamp(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _records(*keys: str) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, list) and all(
            isinstance(entry, dict) and set(entry) == set(keys) and all(map(_text, entry.values())) for entry in value
        )

    return check


def _int32(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


_CHECKS: dict[ColumnType, Callable[[object], bool]] = {
    "string": _text,
    "timestamp": _timestamp,
    "bool": lambda value: isinstance(value, bool),
    "int32": _int32,
    "float64": lambda value: isinstance(value, int | float) and math.isfinite(value),
    "strings": lambda value: isinstance(value, list) and all(map(_text, value)),
    "messages": _records("role", "content"),
    "scores": _records("question", "side", "value"),
    # Rows with pictures come with their own type; JSON is no place for their bytes.
    "image": lambda value: False,
}
