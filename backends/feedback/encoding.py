"""Rows as text in SQLite: checked against the dataset's columns, so that a row that is saved can always be sent.

Pictures are kept beside the text under the hash of their bytes, and the text names the hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime

from core.dataset import COLUMNS, ColumnType, Config, Row
from core.errors import NotSaved

_PNG = b"\x89PNG\r\n\x1a\n"


def encode(row: Row) -> tuple[str, dict[str, bytes]]:
    """The row's columns as JSON with sorted keys, and its pictures by hash; raises `NotSaved` when a value does not fit."""
    return encode_columns(row.config, row.columns())


def encode_columns(config: Config, values: Mapping[str, object]) -> tuple[str, dict[str, bytes]]:
    """As `encode`, for a row that is columns already (one that was read from a shard)."""
    pictures: dict[str, bytes] = {}
    columns = {name: values.get(name) for name in COLUMNS[config]}
    for name, kind in COLUMNS[config].items():
        value = columns[name]
        if value is not None and not _CHECKS[kind](value):
            raise NotSaved(
                f"Not saved. “{name}” holds something the dataset cannot keep (half of a character pair, or a value that "
                "is not of its type). Remove it and save again; what you entered is still on the screen."
            )
        if isinstance(value, bytes):
            columns[name] = _kept(value, pictures)
        elif kind == "images" and isinstance(value, list):
            columns[name] = [_kept(each, pictures) for each in value]
    if not columns["id"]:
        raise NotSaved("Not saved. The row has no id.")
    return json.dumps(columns, ensure_ascii=False, sort_keys=True, separators=(",", ":")), pictures


def decode(config: Config, text: str, picture: Callable[[str], bytes]) -> dict[str, object]:
    """The columns in the order of the config; a column that is younger than the row is null."""
    found = json.loads(text)
    columns = {name: found.get(name) for name in COLUMNS[config]}
    for name, kind in COLUMNS[config].items():
        if kind == "image" and columns[name] is not None:
            columns[name] = picture(columns[name])
        elif kind == "images" and columns[name] is not None:
            columns[name] = [picture(each) for each in columns[name]]
    return columns


def _kept(png: bytes, pictures: dict[str, bytes]) -> str:
    name = hashlib.sha256(png).hexdigest()
    pictures[name] = png
    return name


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


def _parts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(message, dict)
        and set(message) == {"role", "content"}
        and _text(message["role"])
        and isinstance(message["content"], list)
        and all(
            isinstance(part, dict)
            and set(part) == {"type", "text"}
            and part["type"] in ("image", "text")
            and (_text(part["text"]) if part["type"] == "text" else part["text"] is None)
            for part in message["content"]
        )
        for message in value
    )


def _png(value: object) -> bool:
    return isinstance(value, bytes) and value.startswith(_PNG)


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
    "image": _png,
    "parts": _parts,
    "images": lambda value: isinstance(value, list) and bool(value) and all(map(_png, value)),
}
