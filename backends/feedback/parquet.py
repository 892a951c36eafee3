"""Shards: rows of one config as the bytes of a parquet file that `load_dataset` opens as it is."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backends.feedback.giving_way import a_few_at_a_time
from core.dataset import COLUMNS, ColumnType, Config


def features(config: Config) -> Any:
    """The config's columns as `datasets.Features`; the same in every shard and in the dataset's card."""
    from datasets import Features, Image, List, Value

    def feature(kind: ColumnType) -> Any:
        text = Value("string")
        if kind == "strings":
            return List(text)
        if kind == "messages":
            return List({"role": text, "content": text})
        if kind == "scores":
            return List({"question": text, "side": text, "value": text})
        if kind == "image":
            return Image()
        if kind == "images":
            return List(Image())
        if kind == "parts":
            return List({"role": text, "content": List({"type": text, "text": text})})
        return Value("timestamp[us, tz=UTC]" if kind == "timestamp" else kind)

    return Features({name: feature(kind) for name, kind in COLUMNS[config].items()})


def shard(config: Config, rows: Sequence[Mapping[str, object]]) -> bytes:
    """The rows as parquet. A column a row lacks is null; images are PNG bytes, which are embedded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = features(config).arrow_schema
    # While Python's values become Arrow's, nobody else's thread runs.
    parts = [
        pa.Table.from_pydict(
            {name: [as_stored(kind, row.get(name)) for row in some] for name, kind in COLUMNS[config].items()},
            schema=schema,
        )
        for some in a_few_at_a_time(rows)
    ]
    table = pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()
    out = io.BytesIO()
    pq.write_table(table, out, compression="snappy")
    return out.getvalue()


def rows_of(config: Config, content: bytes) -> Iterator[dict[str, object]] | None:
    """The rows of a shard as plain values, the counterpart of `shard`; a column the shard lacks is null.

    None when it has columns this version does not know: written again by it, they would be lost.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content))
    if set(file.schema_arrow.names) - set(COLUMNS[config]):
        return None
    return (
        {name: _plain(kind, row.get(name)) for name, kind in COLUMNS[config].items()}
        for batch in file.iter_batches(200)
        for row in batch.to_pylist()
    )


def _plain(kind: ColumnType, value: Any) -> object:
    if value is None:
        return None
    if kind == "timestamp":
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if kind == "image":
        return value["bytes"]
    if kind == "images":
        return [each["bytes"] for each in value]
    return value


def as_stored(kind: str, value: object) -> object:
    """A row's value as a file's column of that kind takes it: a timestamp as a moment in UTC, a picture as its bytes."""
    if value is None:
        return None
    if kind == "timestamp":
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    if kind == "image":
        return {"bytes": value, "path": None}
    if kind == "images" and isinstance(value, list):
        return [{"bytes": each, "path": None} for each in value]
    return value
