"""Rows as trainers read them: what each view takes from the dataset's configs, one row at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from core.dataset import COLUMNS, Config
from core.evidence import RowSource
from core.export import VIEW_COLUMNS, VISION_COLUMNS, ExportOrder, View

Columns = dict[str, object]

# Which config's types a view has.
CONFIG_OF: dict[View, Config] = {
    "dpo": "preferences",
    "reward": "preferences",
    "kto": "ratings",
    "sft": "ratings",
    "images": "image_preferences",
}
VISION_CONFIG_OF: dict[View, Config] = {"dpo": "vision_preferences", "kto": "vision_ratings", "sft": "vision_ratings"}
_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground/export")
_MAKER = ("model", "revision", "adapter", "settings", "timings")


@dataclass(frozen=True, slots=True)
class Kept:
    """The pairs and the rated answers of a source: those in text alone, or those with pictures in the prompt."""

    source: RowSource
    vision: bool = False

    def pairs(self) -> Iterator[Columns]:
        for row in self.source.rows("vision_preferences" if self.vision else "preferences"):
            yield row.columns

    def ratings(self) -> Iterator[Columns]:
        for row in self.source.rows("vision_ratings" if self.vision else "ratings"):
            yield row.columns


def rows_of(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    """The rows of a view in text, in the order they were saved, each with every column of `VIEW_COLUMNS`."""
    wanted = list(VIEW_COLUMNS[order.view])
    for row in _MAKERS[order.view](Kept(source), order):
        yield {name: row.get(name) for name in wanted}


def vision_rows_of(source: RowSource, order: ExportOrder) -> Iterator[Columns]:
    """As `rows_of`, the rows with pictures in the prompt, with `VISION_COLUMNS`; pictures as PNG bytes.

    A view whose trainer takes none gives its rows as `dpo` has them, to be counted.
    """
    if order.view == "images":
        return
    wanted = list(VISION_COLUMNS.get(order.view, VISION_COLUMNS["dpo"]))
    for row in _MAKERS[order.view](Kept(source, vision=True), order):
        yield {name: row.get(name) for name in wanted}


def makers_of(row: Columns) -> Iterator[tuple[str, str | None, str | None]]:
    """(model, commit, adapter) of every answer in a row whose maker is known."""
    for side in ("", "chosen_", "rejected_"):
        model = row.get(f"{side}model")
        if isinstance(model, str):
            yield model, _text(row.get(f"{side}revision")), _text(row.get(f"{side}adapter"))


def _pairs(kept: Kept, order: ExportOrder) -> Iterator[Columns]:
    for row in kept.pairs():
        if row["chosen"] != row["rejected"]:
            yield row
    if order.derived:
        yield from derived_pairs(kept)


def _single(kept: Kept, order: ExportOrder) -> Iterator[Columns]:
    yield from kept.ratings()
    if order.unpaired:
        for row in kept.pairs():
            for side, label in (("chosen", True), ("rejected", False)):
                yield {**_one_side(row, side), "label": label}


def _good(kept: Kept, order: ExportOrder) -> Iterator[Columns]:
    seen: set[bytes] = set()

    def fresh(row: Columns) -> bool:
        key = _digest([_asked(row), row["completion"]])
        known = key in seen
        seen.add(key)
        return not known

    for pair in kept.pairs():
        row = _one_side(pair, "chosen")
        if fresh(row):
            yield row
    for row in kept.ratings():
        if row["label"] and fresh(row):
            yield row


def _pictures(kept: Kept, order: ExportOrder) -> Iterator[Columns]:
    for row in kept.source.rows("image_preferences"):
        yield row.columns


_MAKERS: dict[View, Callable[[Kept, ExportOrder], Iterator[Columns]]] = {
    "dpo": _pairs,
    "reward": _pairs,
    "kto": _single,
    "sft": _good,
    "images": _pictures,
}


def derived_pairs(kept: Kept) -> Iterator[Columns]:
    """Pairs of one thumb up and one thumb down on answers to exactly the same prompt; each rating is used once."""
    up, down = set[bytes](), set[bytes]()
    for row in kept.ratings():
        (up if row["label"] else down).add(_digest(_asked(row)))
    both = up & down
    waiting: dict[tuple[bytes, bool], list[Columns]] = {}
    for row in kept.ratings():
        key, label = _digest(_asked(row)), bool(row["label"])
        if key not in both:
            continue
        others = waiting.setdefault((key, not label), [])
        match = next((one for one in others if one["completion"] != row["completion"]), None)
        if match is None:
            waiting.setdefault((key, label), []).append(row)
        else:
            others.remove(match)
            yield _derived(row, match) if label else _derived(match, row)


def _derived(good: Columns, bad: Columns) -> Columns:
    later = max(good, bad, key=lambda row: str(row["created_at"]))
    row: Columns = dict.fromkeys(COLUMNS["preferences"])
    for name in ("images", "prompt", "tools", "schema_version"):
        row[name] = good.get(name)
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


def _asked(row: Columns) -> list[object]:
    """What makes a prompt this one: its messages, and the pictures in them."""
    images = row.get("images")
    pngs = [hashlib.sha256(png).hexdigest() for png in images] if isinstance(images, list) else []
    return [row["prompt"], pngs]


def _digest(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).digest()[:16]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
