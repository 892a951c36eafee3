"""A small cache on disk for what the Hub told: by commit for ever, by question with its age. Losing it loses nothing."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from pathlib import Path
from time import time

log = logging.getLogger(__name__)
MOST_ENTRIES = 2000
_PRUNE_EVERY = 100


class DiskCache:
    """JSON values under text keys. A folder that cannot be written keeps nothing and breaks nothing."""

    def __init__(self, folder: Path, most: int = MOST_ENTRIES) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._puts = 0

    def get(self, key: str) -> tuple[object, float] | None:
        """The value and its age in seconds; None when there is none that can be read."""
        path = self._path(key)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return value, max(0.0, time() - path.stat().st_mtime)
        except (OSError, ValueError, RecursionError):
            return None

    def put(self, key: str, value: object) -> None:
        """Keep `value`, whole or not at all."""
        path = self._path(key)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(value), encoding="utf-8")
            part.replace(path)
        except (OSError, ValueError) as error:
            log.warning("what the Hub told cannot be kept: %s", error)
            return
        with self._lock:
            self._puts += 1
            due = self._puts % _PRUNE_EVERY == 1
        if due:
            self._prune()

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"

    def _prune(self) -> None:
        """Drop the oldest entries beyond what is kept."""
        try:
            files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in files[: max(0, len(files) - self._most)]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("old entries of the cache cannot be dropped: %s", error)
