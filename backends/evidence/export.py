"""Writes a view of the rows as files that `load_dataset` opens and trainers read: streamed, split by prompt, locked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from backends.evidence.frames import csv_of
from backends.evidence.views import CONFIG_OF, Columns, makers_of, rows_of
from backends.feedback.parquet import as_stored
from core import __version__
from core.dataset import SCHEMA_VERSION
from core.errors import FeedbackError, UserInputError
from core.evidence import RowSource
from core.export import VIEW_COLUMNS, VIEWS, ExportOrder, ExportStep, Format, Split, View, loading, split_of
from core.identity import now

LOCK = "models.lock.json"
CARD = "README.md"
WRITTEN_TOGETHER, PICTURES_TOGETHER = 1_000, 20
# Characters that some readers take for the end of a line, as JSON escapes them.
_NO_LINES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"})
_TRAINER: dict[View, str] = {"dpo": "DPO", "reward": "Reward", "kto": "KTO", "sft": "SFT"}


class _Writer(Protocol):
    def write(self, rows: list[Columns]) -> None: ...

    def close(self) -> None: ...


def export(
    source: RowSource,
    order: ExportOrder,
    folder: Path,
    *,
    dataset: str,
    commit: str | None,
    load: str = loading("./this-folder"),
) -> Iterator[ExportStep]:
    """Write `train` and `test` files, a card that loads them, and the lock file; yields after every batch.

    The folder's name does not matter and it may exist; `load` is the call that its card says loads it. Raises `UserInputError` when there are no rows for the view and
    `FeedbackError` when the disk is full or the rows cannot be read.
    """
    try:
        yield from _export(source, order, folder, dataset, commit, load)
    except OSError as error:
        raise FeedbackError(
            f"The export could not be written to {folder} ({error.strerror or type(error).__name__}). Free some space, "
            "then export again. The rows are untouched."
        ) from error


def _export(
    source: RowSource, order: ExportOrder, folder: Path, dataset: str, commit: str | None, load: str
) -> Iterator[ExportStep]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"{split}.{order.format}" for split in ("train", "test")}
    writers: dict[Split, _Writer] = {}
    waiting: dict[Split, list[Columns]] = {"train": [], "test": []}
    rows: Counter[str] = Counter()
    models: Counter[tuple[str, str | None, str | None]] = Counter()
    together = PICTURES_TOGETHER if order.view == "images" else WRITTEN_TOGETHER

    def flush(split: Split) -> None:
        if not waiting[split]:
            return
        if split not in writers:
            writers[split] = _WRITERS[order.format](files[split], order.view)
        writers[split].write(waiting[split])
        waiting[split] = []

    try:
        for row in rows_of(source, order):
            split = split_of(row["prompt"], order.test_share)
            waiting[split].append(row)
            rows[split] += 1
            models.update(set(makers_of(row)))
            if len(waiting[split]) >= together:
                flush(split)
                yield ExportStep(rows.total())
        for split in ("train", "test"):
            flush(split)
    finally:
        for writer in writers.values():
            writer.close()
    if not rows:
        raise UserInputError(_EMPTY[order.view])
    made = [files[split] for split in ("train", "test") if rows[split]]
    card = folder / CARD
    card.write_text(_card(order, [split for split in ("train", "test") if rows[split]], load), encoding="utf-8")
    lock = folder / LOCK
    lock.write_text(_lock(order, rows, models, made, dataset, commit), encoding="utf-8")
    yield ExportStep(rows.total(), (*made, card, lock), rows["train"], rows["test"])


_EMPTY: dict[View, str] = {
    "dpo": "There are no pairs to export yet. Compare two answers and vote, or capture a preference.",
    "reward": "There are no pairs to export yet. Compare two answers and vote, or capture a preference.",
    "kto": "There are no rated answers to export yet. Rate answers with a thumb in Chat, or compare two.",
    "sft": "There are no good answers to export yet. Rate answers with a thumb in Chat, or compare two.",
    "images": "There are no pairs of pictures to export yet. Compare two in Images and vote.",
}


class _Parquet:
    def __init__(self, path: Path, view: View) -> None:
        import pyarrow.parquet as pq

        self._columns = VIEW_COLUMNS[view]
        self._schema = _features(view).arrow_schema
        self._writer = pq.ParquetWriter(path, self._schema, compression="snappy")

    def write(self, rows: list[Columns]) -> None:
        import pyarrow as pa

        self._writer.write_table(
            pa.Table.from_pydict(
                {name: [as_stored(kind, row[name]) for row in rows] for name, kind in self._columns.items()},
                schema=self._schema,
            )
        )

    def close(self) -> None:
        self._writer.close()


class _Lines:
    def __init__(self, path: Path, view: View) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: list[Columns]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False).translate(_NO_LINES) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path, view: View) -> None:
        self._file, self._first = path.open("w", encoding="utf-8", newline=""), True

    def write(self, rows: list[Columns]) -> None:
        import pandas as pd

        self._file.write(csv_of(pd.DataFrame(rows), header=self._first))
        self._first = False

    def close(self) -> None:
        self._file.close()


_WRITERS: dict[Format, type[_Parquet] | type[_Lines] | type[_Csv]] = {
    "parquet": _Parquet,
    "jsonl": _Lines,
    "csv": _Csv,
}


def _features(view: View) -> Any:
    from datasets import Features

    from backends.feedback.parquet import features

    every = features(CONFIG_OF[view])
    return Features({name: every[name] for name in VIEW_COLUMNS[view]})


def _card(order: ExportOrder, splits: list[str], load: str) -> str:
    import yaml

    info = {"config_name": order.view, "features": _features(order.view)._to_yaml_list()}
    data_files = [{"split": split, "path": f"{split}.{order.format}"} for split in splits]
    front = {"configs": [{"config_name": order.view, "default": True, "data_files": data_files}]}
    if order.format != "csv":
        # Lists are text in a CSV file, so its columns are what they look like.
        front["dataset_info"] = [info]
    trainer = _TRAINER.get(order.view)
    train = (
        f"""
from trl import {trainer}Config, {trainer}Trainer

{trainer}Trainer(
    model="HuggingFaceTB/SmolLM2-135M-Instruct",
    args={trainer}Config(output_dir="{order.view}"),
    train_dataset=dataset,
).train()
"""
        if trainer and order.format != "csv"
        else ""
    )
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)}---

# {VIEWS[order.view]}

Exported with Proving Ground. `{LOCK}` names the dataset's commit and the commit of every model whose answers are here.
Prompts are either in `train` or in `test`, by a hash of the first user turn; a prompt stays where it is as rows are added.

```python
from datasets import load_dataset

dataset = {load}
{train}```
"""


def _lock(
    order: ExportOrder, rows: Counter[str], models: Counter[tuple[str, str | None, str | None]], files: list[Path],
    dataset: str, commit: str | None,
) -> str:  # fmt: skip
    named = [
        {"repo_id": model, "revision": revision, "adapter": adapter, "rows": count}
        for (model, revision, adapter), count in sorted(
            models.items(), key=lambda one: [value or "" for value in one[0]]
        )
    ]
    return json.dumps(
        {
            "dataset": dataset,
            "dataset_commit": commit,
            "view": order.view,
            "format": order.format,
            "test_share": order.test_share,
            "derived_pairs": order.derived,
            "rows": {split: rows[split] for split in ("train", "test")},
            "models": named,
            "files": {file.name: _sha256(file) for file in files},
            "schema_version": SCHEMA_VERSION,
            "app_version": __version__,
            "made_at": now(),
        },
        indent=2,
        ensure_ascii=False,
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
