"""The commits that configured models were pinned to, kept across restarts."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

from backends.revision import write_whole
from core.errors import AppError
from core.refs import ModelRef

log = logging.getLogger(__name__)


class PinBook:
    """A small JSON file: what was configured, and the commit it meant the first time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def get(self, model: str) -> ModelRef | None:
        """The ref that `model`, as configured, was pinned to before."""
        with self._lock:
            entry = self._read().get(model)
        if not isinstance(entry, dict):
            return None
        try:
            return ModelRef(str(entry.get("repo_id")), str(entry.get("revision")))
        except AppError as error:
            log.warning("%s: the pin of %s is not one and is made again: %s", self._path, model, error)
            return None

    def put(self, model: str, ref: ModelRef) -> ModelRef:
        """Keep the commit for `model`; on disk before it returns. Raises `OSError` when it cannot be."""
        with self._lock:
            pins = self._read()
            pins[model] = {"repo_id": ref.repo_id, "revision": ref.revision}
            write_whole(self._path, json.dumps(pins, indent=2, sort_keys=True) + "\n")
        return ref

    def _read(self) -> dict[str, object]:
        try:
            pins = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read; models are pinned anew: %s", self._path, error)
            return {}
        return pins if isinstance(pins, dict) else {}


def moved(pinned: ModelRef, newest: ModelRef) -> str | None:
    """The commit main points to when that is no longer the pinned one."""
    return None if newest.revision == pinned.revision else newest.revision
