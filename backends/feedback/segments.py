"""Closed files of a journal: each written once under its own name, read whole or not at all, never appended to.

That is what a storage bucket mounted as a folder keeps: a file is there when `close` has returned; nothing is locked,
renamed or changed in place (huggingface/hf-mount, README, "Consistency model").
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

from core.errors import FeedbackError

ENDING = ".jsonl"
MARK = ".run"
IDENTITY = "journal.json"
FORMAT = 1
Record = dict[str, object]
log = logging.getLogger(__name__)


class Segments:
    """The files of one journal folder, in the order of their names. `id` stays with the folder wherever it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.id = _identity(folder / IDENTITY)
            ordinals = [_ordinal(name) for name in self.names()]
        except OSError as error:
            raise FeedbackError(
                f"The journal folder {folder} cannot be used ({error.strerror or type(error).__name__}). Mount the bucket "
                "or volume there so that it can be written to, or unset PROVING_JOURNAL."
            ) from error
        self._next = max(ordinals, default=0) + 1
        self._run = ""

    def names(self) -> list[str]:
        """Every segment that is there, oldest first."""
        return sorted(path.name for path in self.folder.glob(f"*-*{ENDING}"))

    def write(self, records: Iterable[Mapping[str, object]], instead_of: str | None = None) -> str:
        """Put the records into a new segment; it is there whole when this returns its name. Raises `OSError`.

        It comes after all others, or stands at the place of `instead_of`, which is left to the caller.
        """
        ordinal = self._next if instead_of is None else _ordinal(instead_of)
        self._next = max(self._next, ordinal + 1)
        # Another process may write into the same folder at the same time: its names differ.
        name = f"{ordinal:012d}-{uuid4().hex[:8]}{ENDING}"
        write_new(self.folder / name, _lines(records))
        return name

    def read(self, name: str) -> list[Record] | None:
        """The records of a segment; None for one that was never finished: nobody was told that it is there."""
        content = (self.folder / name).read_bytes()
        body, _, last = content.rstrip(b"\n").rpartition(b"\n")
        try:
            end = json.loads(last)
            if end["kind"] == "end" and end["sha256"] == hashlib.sha256(body).hexdigest():
                return [json.loads(line) for line in body.split(b"\n") if line]
        except (ValueError, KeyError, TypeError):
            pass
        log.warning("%s of the journal was not finished; nobody was told that it is saved", name)
        return None

    def begin(self) -> None:
        """Leave a mark that a process has begun to write here; `other_runs` of others see it."""
        ordinal = max((_ordinal(name) for name in self._marks()), default=0) + 1
        self._run = f"{ordinal:012d}-{uuid4().hex[:8]}{MARK}"
        write_new(self.folder / self._run, b"{}")

    def end(self) -> None:
        """Take the mark away: nothing more comes from this process."""
        if self._run:
            self.remove(self._run)

    def other_runs(self) -> tuple[list[str], list[str]]:
        """Marks of processes that began before this one and did not end, and of those that began later."""
        marks = self._marks()
        return [name for name in marks if name < self._run], [name for name in marks if name > self._run]

    def _marks(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"*-*{MARK}"))

    def size(self, name: str) -> int:
        """Bytes of a segment."""
        return (self.folder / name).stat().st_size

    def remove(self, name: str) -> None:
        """Delete a segment; one that is gone is no error."""
        (self.folder / name).unlink(missing_ok=True)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that was not there before; it is kept when this returns. What a failure left is removed."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            # On a mounted bucket this uploads, and says so when it could not.
            os.close(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _lines(records: Iterable[Mapping[str, object]]) -> bytes:
    body = "\n".join(
        json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for record in records
    ).encode()
    end = json.dumps({"kind": "end", "sha256": hashlib.sha256(body).hexdigest()})
    return body + b"\n" + end.encode() + b"\n"


def _ordinal(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _identity(path: Path) -> str:
    """The folder's own id, made when it is empty."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        made = uuid4().hex
        write_new(path, json.dumps({"format": FORMAT, "id": made}).encode())
        return made
    except ValueError as error:
        raise FeedbackError(
            f"{path} is damaged. If that folder holds the journal of this app, delete this one file; else set "
            "PROVING_JOURNAL to an empty folder."
        ) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FeedbackError(
            f"{path} was made by a newer version of this app. Start that version, or set PROVING_JOURNAL to another folder."
        )
    return str(found["id"])
