"""Writes files so that after a crash they are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

TEMPORARY = ".part"


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path`, on disk before this returns; the folder is made when absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The leading dot keeps the half-written file out of every glob a reader might use.
    part = path.with_name(f".{path.name}{TEMPORARY}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename(part, path)


def rename(source: Path, target: Path) -> None:
    """Move a file over another in one step, on disk before this returns."""
    source.replace(target)
    for folder in {source.parent, target.parent}:
        _sync_folder(folder)


def remove(path: Path) -> None:
    """Delete a file, on disk before this returns; one that is gone is no error."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _sync_folder(path.parent)


def sha256_of(content: Path | bytes) -> str:
    """The SHA-256 of bytes or of a file."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_of(content: Path | bytes) -> bytes:
    """The bytes themselves, read when `content` is a file."""
    return content if isinstance(content, bytes) else content.read_bytes()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; NTFS journals the rename itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
