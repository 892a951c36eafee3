"""The first rows of a dataset's own files, read by Range: the head of a text file, or one group of a parquet file."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any
from urllib.parse import quote

from backends.hub.dataset_viewer import columns_of, preview_of
from backends.hub.errors import About
from backends.hub.front_matter import decoded
from backends.hub.rows import mapping_of
from backends.hub.session import HubSession
from core.catalog import FileEntry
from core.data_files import PICTURES, SOUNDS
from core.errors import HubError
from core.refs import ModelRef
from core.repo_cards import MOST_CELL, MOST_PREVIEWED, Cell, Column, Preview

HEAD_BYTES = 256_000
TAIL_BYTES = 64_000
MOST_READ = 8_000_000
MOST_UNPACKED = 64_000_000
MOST_PICTURE = 150_000
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))


class Reader:
    """One file of a dataset at one commit, read in pieces and never past `most` bytes in all."""

    def __init__(self, session: HubSession, ref: ModelRef, path: str, until: float, most: int = MOST_READ) -> None:
        self._session, self._ref, self._path, self._until, self._most = session, ref, path, until, most
        self.read = 0

    def piece(self, start: int, length: int) -> tuple[bytes, int | None]:
        """Bytes from `start` on and the file's size, where it is told."""
        if self.read + length > self._most:
            raise HubError("Its first rows lie in a larger piece than is read for a preview.")
        about = About(self._session.endpoint, f"datasets/{self._ref.repo_id}", self._ref.revision)
        content, size = self._session.get_range(
            f"datasets/{self._ref.repo_id}",
            self._ref.revision,
            self._path,
            start,
            length,
            about=about,
            until=self._until,
        )
        self.read += len(content)
        return content, size


def first_rows(session: HubSession, ref: ModelRef, file: FileEntry, config: str, split: str, until: float) -> Preview:
    """The first rows of one file; a sentence where its format cannot be read in pieces."""
    path = file.path.lower()
    reader = Reader(session, ref, file.path, until)
    if path.endswith(".parquet"):
        return _parquet(reader, file, config, split)
    if path.endswith((*PICTURES, *SOUNDS)):
        return Preview(config, split, problem="Its rows are files of their own, listed beside the card.")
    content, size = reader.piece(0, HEAD_BYTES)
    whole = size is not None and len(content) >= size
    text = decoded(content)
    if path.endswith((".csv", ".tsv")):
        records = _table(text, whole=whole, separator="\t" if path.endswith(".tsv") else ",")
    elif path.endswith(".txt"):
        records = [{"text": line} for line in _whole_lines(text, whole=whole)[:MOST_PREVIEWED]]
    else:
        records = _objects(text, whole=whole)
    if not records:
        why = f"The first {reader.read:,} bytes of {file.path} hold no whole row that can be read."
        return Preview(config, split, problem=why)
    names = list(dict.fromkeys(name for row in records for name in row))
    columns = [Column(name, _kind(records, name)) for name in names]
    return preview_of(config, split, columns, records, _source(file.path, reader.read))


def folder_rows(endpoint: str, ref: ModelRef, files: list[FileEntry], config: str, split: str) -> Preview:
    """A dataset of pictures or sounds that are files themselves: the pictures where they lie."""
    pictures = files[0].path.lower().endswith(PICTURES)
    kind = "Image" if pictures else "Audio"
    rows = tuple(
        (
            Cell(
                "picture" if pictures else "sound",
                "image" if pictures else "audio",
                f"{endpoint}/datasets/{ref.repo_id}/resolve/{ref.revision}/{quote(each.path)}",
            ),
            Cell(each.path[:MOST_CELL]),
        )
        for each in files[:MOST_PREVIEWED]
    )
    notes = () if pictures else ("Sounds are not played here; each link opens one on the Hub.",)
    return Preview(
        config, split, (Column(kind.lower(), kind), Column("file", "string")), rows, "the list of files", notes
    )


def parquet_facts(session: HubSession, ref: ModelRef, file: FileEntry, until: float) -> tuple[tuple[Column, ...], int]:
    """Columns and rows of a parquet file, from its last bytes."""
    import pyarrow.parquet as pq

    reader = Reader(session, ref, file.path, until)
    with _told(file.path):
        schema = pq.ParquetFile(_Ranges(reader, file))
        return _columns(schema.schema_arrow), schema.metadata.num_rows


def _parquet(reader: Reader, file: FileEntry, config: str, split: str) -> Preview:
    import pyarrow.parquet as pq

    with _told(file.path):
        source = pq.ParquetFile(_Ranges(reader, file))
        columns = _columns(source.schema_arrow)
        if not source.metadata.num_row_groups or not source.metadata.num_rows:
            return Preview(config, split, columns, problem="This split has no rows.")
        group, left_out = source.metadata.row_group(0), []
        size: dict[str, list[int]] = {}
        for number in range(group.num_columns):
            chunk = group.column(number)
            sums = size.setdefault(chunk.path_in_schema.partition(".")[0], [0, 0])
            sums[0] += chunk.total_compressed_size
            sums[1] += chunk.total_uncompressed_size
        chosen, room, unpacked = [], MOST_READ - reader.read, MOST_UNPACKED
        for column in sorted(columns, key=lambda each: size.get(each.name, [0, 0])[0]):
            packed, full = size.get(column.name, [0, 0])
            if packed <= room and full <= unpacked:
                chosen.append(column.name)
                room, unpacked = room - packed, unpacked - full
            else:
                left_out.append(column.name)
        kept = [column for column in columns if column.name in chosen]
        if not kept:
            raise HubError("Its first rows lie in a larger piece than is read for a preview.")
        batch = next(source.iter_batches(MOST_PREVIEWED, row_groups=[0], columns=[each.name for each in kept]))
        records = batch.to_pylist()
    note = f"Not read, because a piece of it is too large for a preview: {', '.join(left_out[:6])}." if left_out else ""
    plain = [{name: None if _bytes(value) else value for name, value in row.items()} for row in records]
    shown = preview_of(config, split, kept, plain, _source(file.path, reader.read), *filter(None, [note]))
    return _with_pictures(shown, records)


def _with_pictures(preview: Preview, records: list[dict[str, Any]]) -> Preview:
    """Pictures inside the rows, as data addresses: nothing is fetched for them."""
    rows = []
    for cells, record in zip(preview.rows, records, strict=False):
        made = []
        for cell, column in zip(cells, preview.columns, strict=True):
            content = _bytes(record.get(column.name))
            if content is None:
                made.append(cell)
                continue
            kind = next((name for magic, name in _MAGIC if content.startswith(magic)), None)
            if kind and len(content) <= MOST_PICTURE:
                address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
                made.append(Cell("picture", "image", address))
            else:
                made.append(Cell(f"{len(content):,} bytes"))
        rows.append(tuple(made))
    return Preview(
        preview.config, preview.split, preview.columns, tuple(rows), preview.source, preview.notes, preview.problem
    )


def _bytes(value: Any) -> bytes | None:
    """The bytes of a value, of a picture's too; None for a value that can be written as text."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) else None


def _columns(schema: Any) -> tuple[Column, ...]:
    """The features a file was written with by the datasets library, else the Arrow types."""
    said = (schema.metadata or {}).get(b"huggingface")
    try:
        info = mapping_of(json.loads(said)) if said else None
    except (ValueError, RecursionError):
        info = None
    named = {each.name: each for each in columns_of((mapping_of((info or {}).get("info")) or {}).get("features"))}
    return tuple(named.get(field.name) or Column(field.name[:200], str(field.type)[:60]) for field in schema)


class _Ranges(io.RawIOBase):
    """A remote file for pyarrow: its tail is read once, the rest as it is asked for."""

    def __init__(self, reader: Reader, file: FileEntry) -> None:
        self._reader = reader
        size = file.size
        if size is None:
            size = reader.piece(0, 4)[1]
        if size is None:
            raise HubError(f"The Hub does not say how large {file.path} is.")
        self._size, self._at = size, 0
        self._from = max(0, size - TAIL_BYTES)
        self._tail = reader.piece(self._from, size - self._from)[0]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self._size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        if self._at >= self._from:
            content = self._tail[self._at - self._from : end - self._from]
        else:
            content = self._reader.piece(self._at, end - self._at)[0]
        self._at += len(content)
        return content


class _told:
    """What pyarrow says of a file that is no parquet becomes a sentence."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | StopIteration | UnicodeDecodeError | MemoryError):
            raise HubError(
                f"{self._path} cannot be read as parquet: {str(error)[:120] or 'it is cut short'}."
            ) from error


def _objects(text: str, *, whole: bool) -> list[dict[str, Any]]:
    """JSON rows: one a line, or the first of one long array."""
    records: list[dict[str, Any]] = []
    start = text.lstrip()
    if start.startswith("["):
        decoder, at = json.JSONDecoder(), text.index("[") + 1
        while len(records) < MOST_PREVIEWED:
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                break
            records.append(value if isinstance(value, dict) else {"value": value})
        return records
    for line in _whole_lines(text, whole=whole):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        records.append(value if isinstance(value, dict) else {"value": value})
        if len(records) == MOST_PREVIEWED:
            break
    if not records and whole:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return [value] if isinstance(value, dict) else []
    return records


def _table(text: str, *, whole: bool, separator: str) -> list[dict[str, Any]]:
    lines = _whole_lines(text, whole=whole)
    try:
        rows = csv.reader(lines, delimiter=separator)
        names = [name or f"column {number}" for number, name in enumerate(next(rows, []), 1)]
        return [dict(zip(names, row, strict=False)) for row, _ in zip(rows, range(MOST_PREVIEWED), strict=False)]
    except csv.Error:
        return []


def _whole_lines(text: str, *, whole: bool) -> list[str]:
    lines = text.splitlines(keepends=True)
    # The last one may have been cut by the end of what was read.
    return [line.rstrip("\r\n") for line in (lines if whole else lines[:-1])]


def _kind(records: list[dict[str, Any]], name: str) -> str:
    kinds = {type(row[name]) for row in records if row.get(name) is not None}
    names = {str: "string", bool: "bool", int: "int64", float: "float64", list: "List", dict: "struct"}
    return " or ".join(sorted(names.get(kind, kind.__name__) for kind in kinds)) or "null"


def _source(path: str, read: int) -> str:
    return f"{path}, of which {read:,} bytes were read"
