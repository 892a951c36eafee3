"""Writes a view of the rows as files that `load_dataset` opens and trainers read: streamed, split by prompt, locked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from backends.evidence.frames import csv_of
from backends.evidence.views import CONFIG_OF, VISION_CONFIG_OF, Columns, makers_of, rows_of, vision_rows_of
from backends.feedback.parquet import as_stored
from core import __version__
from core.dataset import SCHEMA_VERSION, Config
from core.errors import FeedbackError, UserInputError
from core.evidence import RowSource
from core.export import (
    SPLITS,
    VIEW_COLUMNS,
    VIEWS,
    VISION_COLUMNS,
    ExportOrder,
    ExportStep,
    Format,
    Split,
    View,
    loading,
    split_of,
    vision_config,
)
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


class _Part:
    """The rows of one config of an export, on their way into its files for training and for testing."""

    def __init__(self, order: ExportOrder, folder: Path, *, vision: bool = False) -> None:
        self.config = vision_config(order.view) if vision else order.view
        self.columns = VISION_COLUMNS[order.view] if vision else VIEW_COLUMNS[order.view]
        self.features = _features(VISION_CONFIG_OF[order.view] if vision else CONFIG_OF[order.view], self.columns)
        self.rows: Counter[Split] = Counter()
        self._order = order
        self._files = {name: folder / f"{'vision-' if vision else ''}{name}.{order.format}" for name in SPLITS}
        self._writers: dict[Split, _Writer] = {}
        self._waiting: dict[Split, list[Columns]] = {"train": [], "test": []}
        self._together = PICTURES_TOGETHER if vision or order.view == "images" else WRITTEN_TOGETHER

    def add(self, row: Columns) -> bool:
        """Take one row; whether that made some go to disk."""
        images = row.get("images")
        split = split_of(row["prompt"], self._order.test_share, images if isinstance(images, list) else ())
        self._waiting[split].append(row)
        self.rows[split] += 1
        if len(self._waiting[split]) < self._together:
            return False
        self._flush(split)
        return True

    def finish(self) -> None:
        """Everything that waits goes to disk."""
        for split in SPLITS:
            self._flush(split)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    @property
    def files(self) -> dict[Split, Path]:
        """The files that hold rows."""
        return {split: self._files[split] for split in SPLITS if self.rows[split]}

    def _flush(self, split: Split) -> None:
        if not self._waiting[split]:
            return
        if split not in self._writers:
            self._writers[split] = _WRITERS[self._order.format](self._files[split], self)
        self._writers[split].write(self._waiting[split])
        self._waiting[split] = []


def export(
    source: RowSource,
    order: ExportOrder,
    folder: Path,
    *,
    dataset: str,
    commit: str | None,
    where: str = "./this-folder",
    revision: str = "",
) -> Iterator[ExportStep]:
    """Write `train` and `test` files, a card that loads them, and the lock file; yields after every batch.

    Rows with pictures in the prompt are a config of their own with files of their own, where the view and the format take
    them; elsewhere they are counted. The folder's name does not matter and it may exist; its card says it is loaded from
    `where`, at `revision`. Raises `UserInputError` when there are no rows for the view and `FeedbackError` when the disk is
    full or the rows cannot be read.
    """
    try:
        yield from _export(source, order, folder, dataset, commit, where, revision)
    except OSError as error:
        raise FeedbackError(
            f"The export could not be written to {folder} ({error.strerror or type(error).__name__}). Free some space, "
            "then export again. The rows are untouched."
        ) from error


def _export(
    source: RowSource, order: ExportOrder, folder: Path, dataset: str, commit: str | None, where: str, revision: str
) -> Iterator[ExportStep]:
    folder.mkdir(parents=True, exist_ok=True)
    text = _Part(order, folder)
    vision = _Part(order, folder, vision=True) if order.takes_pictures else None
    models: Counter[tuple[str, str | None, str | None]] = Counter()
    parts = [(text, rows_of(source, order)), *([(vision, vision_rows_of(source, order))] if vision else [])]
    written = left_out = 0
    try:
        for part, rows in parts:
            for row in rows:
                written += 1
                models.update(set(makers_of(row)))
                if part.add(row):
                    yield ExportStep(written)
            part.finish()
    finally:
        for part, _ in parts:
            part.close()
    if not vision:
        for left_out, _ in enumerate(vision_rows_of(source, order), 1):
            if left_out % WRITTEN_TOGETHER == 0:
                yield ExportStep(written)
    if not written:
        raise UserInputError(_all_left_out(order, left_out) if left_out else _EMPTY[order.view])
    made = [part for part, _ in parts if part.rows]
    files = [file for part in made for file in part.files.values()]
    card = folder / CARD
    card.write_text(_card(order, made, left_out, where, revision), encoding="utf-8")
    lock = folder / LOCK
    lock.write_text(_lock(order, made, left_out, models, files, dataset, commit), encoding="utf-8")
    yield ExportStep(
        written,
        (*files, card, lock),
        sum(part.rows["train"] for part in made),
        sum(part.rows["test"] for part in made),
        pictured=vision.rows.total() if vision else 0,
        left_out=left_out,
    )


def _all_left_out(order: ExportOrder, left_out: int) -> str:
    rows = "The one row for this has" if left_out == 1 else f"All {left_out:,} rows for this have"
    return f"{rows} pictures in the prompt. {order.why_not}"


_EMPTY: dict[View, str] = {
    "dpo": "There are no pairs to export yet. Compare two answers and vote, or capture a preference.",
    "reward": "There are no pairs to export yet. Compare two answers and vote, or capture a preference.",
    "kto": "There are no rated answers to export yet. Rate answers with a thumb in Chat, or compare two.",
    "sft": "There are no good answers to export yet. Rate answers with a thumb in Chat, or compare two.",
    "images": "There are no pairs of pictures to export yet. Compare two in Images and vote.",
}


class _Parquet:
    def __init__(self, path: Path, part: _Part) -> None:
        import pyarrow.parquet as pq

        self._columns = part.columns
        self._schema = part.features.arrow_schema
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
    def __init__(self, path: Path, part: _Part) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: list[Columns]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False).translate(_NO_LINES) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path, part: _Part) -> None:
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


def _features(config: Config, columns: Iterable[str]) -> Any:
    from datasets import Features

    from backends.feedback.parquet import features

    every = features(config)
    return Features({name: every[name] for name in columns})


def _card(order: ExportOrder, parts: list[_Part], left_out: int, where: str, revision: str) -> str:
    import yaml

    configs: list[dict[str, object]] = [
        {
            "config_name": part.config,
            # One of them opens where no name is given: the text, when there is any.
            **({"default": True} if part is parts[0] else {}),
            "data_files": [{"split": split, "path": file.name} for split, file in part.files.items()],
        }
        for part in parts
    ]
    front: dict[str, object] = {"configs": configs}
    if order.format != "csv":
        # Lists are text in a CSV file, so its columns are what they look like.
        front["dataset_info"] = [
            {"config_name": part.config, "features": part.features._to_yaml_list()} for part in parts
        ]
    out = f"\nRows left out because their prompts have pictures: {left_out:,}. {order.why_not}\n" if left_out else ""
    used = "\n".join(_usage(order, part, part is parts[0], where, revision) for part in parts)
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)}---

# {VIEWS[order.view]}

Exported with Proving Ground. `{LOCK}` names the dataset's commit and the commit of every model whose answers are here.
Prompts are either in `train` or in `test`, by a hash of the first user turn; a prompt stays where it is as rows are added.
{out}
{used}"""


def _usage(order: ExportOrder, part: _Part, default: bool, where: str, revision: str) -> str:
    """How one config is loaded and, but for CSV, trained on."""
    vision = part.config != order.view
    told = (
        """Conversations with pictures are a config of their own: a column `images` makes TRL read every row for a model that
sees. The content of each message is a list of parts, with a part of type `image` where each picture stands.

"""
        if vision
        else ""
    )
    trainer = _TRAINER.get(order.view)
    model = "HuggingFaceTB/SmolVLM-256M-Instruct" if vision else "HuggingFaceTB/SmolLM2-135M-Instruct"
    whole = ", max_length=None" if vision else ""
    train = (
        f"""
from trl import {trainer}Config, {trainer}Trainer

{trainer}Trainer(
    model="{model}",
    args={trainer}Config(output_dir="{part.config}"{whole}),
    train_dataset=dataset,
).train()
"""
        if trainer and order.format != "csv"
        else ""
    )
    return f"""{told}```python
from datasets import load_dataset

dataset = {loading(where, revision, "" if default else part.config)}
{train}```
"""


def _lock(
    order: ExportOrder, parts: list[_Part], left_out: int, models: Counter[tuple[str, str | None, str | None]],
    files: list[Path], dataset: str, commit: str | None,
) -> str:  # fmt: skip
    named = [
        {"repo_id": model, "revision": revision, "adapter": adapter, "rows": count}
        for (model, revision, adapter), count in sorted(
            models.items(), key=lambda one: [value or "" for value in one[0]]
        )
    ]
    pictured = [part for part in parts if part.config != order.view]
    return json.dumps(
        {
            "dataset": dataset,
            "dataset_commit": commit,
            "view": order.view,
            "format": order.format,
            "test_share": order.test_share,
            "derived_pairs": order.derived,
            "rows": {split: sum(part.rows[split] for part in parts) for split in SPLITS},
            "rows_with_pictures": {split: sum(part.rows[split] for part in pictured) for split in SPLITS},
            "left_out_with_pictures": left_out,
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
