"""A dataset repository that is a folder, in exactly the Hub's layout."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from backends.feedback import durable
from backends.feedback.card import card, configs_of
from backends.feedback.errors import ShardConflict, ShardsMissing
from core.errors import DatasetRejected
from core.feedback_protocols import DatasetHead

CARD = "README.md"


class FolderDatasetRepo:
    """Shards and card in `root`. One writer at a time: the outbox holds its lock while it commits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashes: dict[tuple[str, int, int], str] = {}

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"folder {self.root}"

    @property
    def shared(self) -> bool:
        """Nobody else writes here: what is missing was lost."""
        return False

    def head(self) -> DatasetHead:
        """The shards that are there."""
        return DatasetHead(None, frozenset(self._shards()))

    def has(self, commit: str) -> bool:
        """A folder has no history."""
        return False

    def read(self, path: str, head: DatasetHead) -> bytes:
        """The bytes of a shard; raises `DatasetRejected` when they cannot be read."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise self._rejected(error) from error

    def commit(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]] = (),
        numbers: str = "",
    ) -> str:
        """Bring the folder to the new state; returns an id made from its whole content.

        The order is such that a reader, or a crash, at any moment meets every row at most once and no row that stays is
        ever away: new shards first, the card before the last shard of a config goes, and a shard that replaces another is
        renamed over it and then to its own name.
        """
        try:
            there = self._shards()
            if missing := [ways for ways in expects if not ways & there]:
                raise ShardsMissing(len(missing), self.name)
            return self._commit(adds, deletes, numbers)
        except OSError as error:
            raise self._rejected(error) from error

    def _rejected(self, error: OSError) -> DatasetRejected:
        return DatasetRejected(
            f"The dataset folder {self.root} cannot be used ({error.strerror or type(error).__name__}). Check its space and "
            "permissions. The rows wait in the feedback database and are sent when it works again."
        )

    def _commit(self, adds: Mapping[str, Path | bytes], deletes: Mapping[str, str | None], numbers: str) -> str:
        self._remove_leftovers()
        for path, content in adds.items():
            there = self.root / path
            if there.is_file() and durable.sha256_of(there) != durable.sha256_of(content):
                raise ShardConflict(path, self.name)
        heirs = {new: [old for old in deletes if deletes[old] == new] for new in adds}
        for path, content in adds.items():
            if not any((self.root / old).is_file() for old in heirs[path]) and not (self.root / path).is_file():
                durable.write(self.root / path, durable.bytes_of(content))
        self._write_card((self._shards() | set(adds)) - set(deletes), numbers)
        for path, content in adds.items():
            for old in heirs[path]:
                self._hand_over(old, path, content)
        for old, new in deletes.items():
            if new is None:
                durable.remove(self.root / old)
        return self._tree_id()

    def _hand_over(self, old: str, new: str, content: Path | bytes) -> None:
        source, target = self.root / old, self.root / new
        if not source.is_file():
            return
        if target.is_file():
            durable.remove(source)
            return
        durable.write(source, durable.bytes_of(content))
        durable.rename(source, target)

    def _write_card(self, paths: set[str], numbers: str) -> None:
        file = self.root / CARD
        existing = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
        wanted = card(existing, configs_of(paths), f"./{self.root.name}", numbers)
        if wanted != existing:
            durable.write(file, wanted.encode())

    def _shards(self) -> set[str]:
        return {file.relative_to(self.root).as_posix() for file in self.root.glob("data/*/*.parquet")}

    def _remove_leftovers(self) -> None:
        for pattern in (f".*{durable.TEMPORARY}", f"data/*/.*{durable.TEMPORARY}"):
            for part in self.root.glob(pattern):
                part.unlink(missing_ok=True)

    def _tree_id(self) -> str:
        files = [CARD, *sorted(self._shards())]
        lines = (f"{self._hash(path)} {path}\n" for path in files if (self.root / path).is_file())
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:40]

    def _hash(self, path: str) -> str:
        file = self.root / path
        found = file.stat()
        key = (path, found.st_size, found.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = durable.sha256_of(file)
        return self._hashes[key]
