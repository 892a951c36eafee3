"""A published dataset as a source of evidence: a folder in the Hub's layout, or a dataset repository at one commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.feedback.streaming import READ_PICTURES_TOGETHER, READ_TOGETHER
from backends.feedback.verdicts import keep, prepare
from backends.feedback.votes import SqliteVotes
from core.dataset import COLUMNS, Config
from core.errors import FeedbackError, UserInputError
from core.feedback import StoredRow
from core.refs import COMMIT, split_model

# The texts are looked at once; pictures never.
_COUNTED = [name for name, kind in COLUMNS["comparisons"].items() if kind != "image"]


class PublishedDataset:
    """`where` is a folder, or `owner/name` with an optional `@revision`. Nothing is downloaded before it is needed."""

    def __init__(self, where: str, *, token: str | None = None, endpoint: str | None = None) -> None:
        self.where, self._token, self._endpoint = where, token, endpoint
        self._folder: Path | None = None
        self._votes: SqliteVotes | None = None
        self._lock = threading.Lock()
        self.commit: str | None = None

    def folder(self) -> Path:
        """Where its files are on this machine; downloads them from the Hub the first time."""
        with self._lock:
            if self._folder is None:
                self._folder = self._found()
            return self._folder

    def rows(self, config: Config) -> Iterator[StoredRow]:
        """Every row of a config, shard by shard."""
        columns = list(COLUMNS[config])
        for path, row in self._read(config, columns):
            yield StoredRow(str(row["id"]), config, row, "pushed", path.name)

    def votes(self) -> SqliteVotes:
        """The comparisons, counted in a temporary database of this process."""
        folder = self.folder()
        with self._lock:
            if self._votes is None:
                self._votes = self._counted(folder)
            return self._votes

    def _counted(self, folder: Path) -> SqliteVotes:
        if not any(folder.glob("data/*/*.parquet")):
            raise UserInputError(f"{self.where} holds no rows: there is no data/<config>/*.parquet in it.")
        # An empty name is a private file that ends with the connection.
        db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        busy = threading.Lock()

        @contextmanager
        def lent() -> Iterator[sqlite3.Connection]:
            with busy:
                yield db

        db.execute("BEGIN")
        prepare(db, beside_rows=False)
        for number, (_, row) in enumerate(self._read_from(folder, "comparisons", _COUNTED), 1):
            keep(db, number, row)
        db.execute("COMMIT")
        return SqliteVotes(lent)

    def _read(self, config: Config, columns: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield from self._read_from(self.folder(), config, columns)

    def _read_from(self, folder: Path, config: Config, columns: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pictures = any(COLUMNS[config][name] in ("image", "images") for name in columns)
        together = READ_PICTURES_TOGETHER if pictures else READ_TOGETHER
        for path in sorted(folder.glob(f"data/{config}/*.parquet")):
            try:
                file = pq.ParquetFile(path)
                there = [name for name in columns if name in file.schema_arrow.names]
                for batch in file.iter_batches(together, columns=there):
                    for row in batch.to_pylist():
                        yield path, _plain(row, columns)
            except pa.ArrowInvalid as error:
                raise FeedbackError(f"{path.name} of {self.where} is not a parquet file that can be read.") from error

    def _found(self) -> Path:
        folder = Path(self.where).expanduser()
        if folder.is_dir():
            return folder
        try:
            repo_id, revision = split_model(self.where)
        except UserInputError as error:
            raise UserInputError(
                f"{self.where} is neither a folder here nor a dataset of the Hub. Write a path, or owner/name."
            ) from error
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        from backends.hub_client import install_timeouts

        install_timeouts()
        try:
            found = Path(
                snapshot_download(
                    repo_id, repo_type="dataset", revision=revision or None, token=self._token,
                    endpoint=self._endpoint, allow_patterns=["data/*/*.parquet", "README.md"],
                )
            )  # fmt: skip
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise FeedbackError(
                f"The dataset {self.where} cannot be read from the Hub ({type(error).__name__}). Check its name, the token "
                "(HF_TOKEN) and the network."
            ) from error
        # A snapshot's folder is named by its commit.
        self.commit = found.name if COMMIT.fullmatch(found.name) else None
        return found


def _plain(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The row as the store gives it: missing columns null, moments as text, pictures as bytes."""
    plain: dict[str, Any] = {}
    for name in columns:
        value = row.get(name)
        if isinstance(value, datetime):
            value = value.isoformat(timespec="microseconds")
        elif isinstance(value, dict) and "bytes" in value:
            value = value["bytes"]
        elif name == "images" and isinstance(value, list):
            value = [each["bytes"] for each in value]
        plain[name] = value
    return plain
