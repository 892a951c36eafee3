"""Rows as trainers read them: what each view takes from the dataset's configs, one row at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from uuid import NAMESPACE_URL, uuid5

from core.dataset import COLUMNS, Config
from core.evidence import RowSource
from core.export import VIEW_COLUMNS, ExportOrder, View

Columns = dict[str, object]

# Which config's types a view has.
CONFIG_OF: dict[View, Config] = {
    "dpo": "preferences",
    "reward": "preferences",
    "kto": "ratings",
    "sft": "ratings",
    "images": "image_preferences",
}
_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground/export")
_MAKER = ("model", "revision", "adapter", "settings", "timings")


def rows_of(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    """The rows of a view, in the order they were saved, each with every column of `VIEW_COLUMNS`."""
    wanted = list(VIEW_COLUMNS[order.view])
    for row in _MAKERS[order.view](source, order):
        yield {name: row.get(name) for name in wanted}


def makers_of(row: Columns) -> Iterator[tuple[str, str | None, str | None]]:
    """(model, commit, adapter) of every answer in a row whose maker is known."""
    for side in ("", "chosen_", "rejected_"):
        model = row.get(f"{side}model")
        if isinstance(model, str):
            yield model, _text(row.get(f"{side}revision")), _text(row.get(f"{side}adapter"))


def _pairs(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    for row in source.rows("preferences"):
        if row.columns["chosen"] != row.columns["rejected"]:
            yield row.columns
    if order.derived:
        yield from derived_pairs(source)


def _single(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    for row in source.rows("ratings"):
        yield row.columns
    if order.unpaired:
        for row in source.rows("preferences"):
            for side, label in (("chosen", True), ("rejected", False)):
                yield {**_one_side(row.columns, side), "label": label}


def _good(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    seen: set[bytes] = set()

    def fresh(row: Mapping[str, object]) -> bool:
        key = _digest([row["prompt"], row["completion"]])
        known = key in seen
        seen.add(key)
        return not known

    for stored in source.rows("preferences"):
        row = _one_side(stored.columns, "chosen")
        if fresh(row):
            yield row
    for stored in source.rows("ratings"):
        if stored.columns["label"] and fresh(stored.columns):
            yield stored.columns


def _pictures(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    for row in source.rows("image_preferences"):
        yield row.columns


_MAKERS: dict[View, Callable[[RowSource, ExportOrder], Iterator[Columns]]] = {
    "dpo": _pairs,
    "reward": _pairs,
    "kto": _single,
    "sft": _good,
    "images": _pictures,
}


def derived_pairs(source: RowSource) -> Iterator[Columns]:
    """Pairs of one thumb up and one thumb down on answers to exactly the same prompt; each rating is used once."""
    up, down = set[bytes](), set[bytes]()
    for row in source.rows("ratings"):
        (up if row.columns["label"] else down).add(_digest(row.columns["prompt"]))
    both = up & down
    waiting: dict[tuple[bytes, bool], list[Columns]] = {}
    for row in source.rows("ratings"):
        key, label = _digest(row.columns["prompt"]), bool(row.columns["label"])
        if key not in both:
            continue
        others = waiting.setdefault((key, not label), [])
        match = next((one for one in others if one["completion"] != row.columns["completion"]), None)
        if match is None:
            waiting.setdefault((key, label), []).append(row.columns)
        else:
            others.remove(match)
            yield _derived(row.columns, match) if label else _derived(match, row.columns)


def _derived(good: Columns, bad: Columns) -> Columns:
    later = max(good, bad, key=lambda row: str(row["created_at"]))
    row: Columns = dict.fromkeys(COLUMNS["preferences"])
    for name in ("prompt", "tools", "schema_version"):
        row[name] = good[name]
    for name in ("rater", "campaign", "consent_version", "backend", "dtype", "app_version"):
        row[name] = good[name] if good[name] == bad[name] else None
    return row | {
        "chosen": good["completion"],
        "rejected": bad["completion"],
        "id": str(uuid5(_NAMESPACE, f"{good['id']}:{bad['id']}")),
        "created_at": later["created_at"],
        "source": "derived",
        "derived": True,
        "blind": False,
        **{f"chosen_{name}": good[name] for name in _MAKER},
        **{f"rejected_{name}": bad[name] for name in _MAKER},
    }


def _one_side(pair: Columns, side: str) -> Columns:
    """One answer of a pair as a row of `ratings`; the comment and the reasons were about both."""
    return {
        **pair,
        "completion": pair[side],
        "id": str(uuid5(_NAMESPACE, f"{pair['id']}:{side}")),
        "shown_left": None,
        "strength": None,
        **{name: pair[f"{side}_{name}"] for name in _MAKER},
    }


def _digest(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).digest()[:16]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
