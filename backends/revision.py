"""The revision of a model folder: a hash of what decides its answers, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
_CHUNK = 1 << 20
# Vocabularies of tokenizers that have no tokenizer.json.
_VOCABULARIES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
# What a newer library writes differently without changing the model.
_NOT_CONTENT = ("transformers_version", "_name_or_path", "_commit_hash", "_from_model_config", "torch_dtype", "dtype")


def content_revision(folder: Path) -> str:
    """40 hex digits of the tensors (names, types, shapes, bytes), the chat template and the tokenizer's vocabulary.

    Not of the card and not of version fields. Raises `ValueError` for a malformed file.
    """
    whole = hashlib.sha256()
    for part in (_tensors(folder), _chat_templates(folder), _vocabulary(folder)):
        digest = hashlib.sha256()
        for piece in part:
            digest.update(len(piece).to_bytes(8, "little") + piece)
        whole.update(digest.digest())
    return whole.hexdigest()[:40]


def folder_revision(folder: Path) -> str:
    """The revision of somebody's own folder: its content, its config and its generation defaults."""
    settings = {}
    for name in ("config.json", "generation_config.json"):
        if (folder / name).is_file():
            value = json.loads((folder / name).read_text(encoding="utf-8"))
            settings[name] = {key: value[key] for key in value if key not in _NOT_CONTENT}
    text = content_revision(folder) + json.dumps(settings, sort_keys=True)
    if not any(folder.glob("*.safetensors")):
        # Only where the operator allows them; which tensors are in them is not known without opening them.
        for path in sorted(folder.glob("pytorch_model*.bin")):
            text += _digest(path, 0, path.stat().st_size).hex()
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Revisions:
    """Remembers revisions by the sizes and times of a folder's files, so that gigabytes are hashed once."""

    def __init__(self, models_dir: Path) -> None:
        self._path = models_dir / ".revisions.json"
        self._lock = threading.Lock()

    def of(self, folder: Path) -> str:
        """`content_revision` of a folder."""
        return self._known(folder, "content") or self.remember(folder, content_revision(folder))

    def of_own(self, folder: Path) -> str:
        """`folder_revision` of a folder."""
        return self._known(folder, "own") or self.remember(folder, folder_revision(folder), "own")

    def remember(self, folder: Path, revision: str, kind: str = "content") -> str:
        """Keep what is known of a folder as it stands; returns the revision."""
        with self._lock:
            known = self._read()
            known[f"{kind}:{folder.resolve()}"] = {"files": signature(folder), "revision": revision}
            try:
                write_whole(self._path, json.dumps(known, indent=1, sort_keys=True))
            except OSError as error:
                # Only a cache: the next start hashes again.
                log.warning("revisions are not remembered: %s", error)
        return revision

    def _known(self, folder: Path, kind: str) -> str | None:
        with self._lock:
            entry = self._read().get(f"{kind}:{folder.resolve()}")
        return str(entry["revision"]) if entry and entry["files"] == signature(folder) else None

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Absent or torn: it is only a cache.
            return {}
        return known if isinstance(known, dict) else {}


def signature(folder: Path) -> list[list[object]]:
    """Name, size and time of each file of a folder; the card does not count."""
    entries = [(path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file() and path.name != "README.md"]
    return [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in entries]


def write_whole(path: Path, text: str) -> None:
    """Replace a text file in one step: after a crash it holds the old text or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def tensor_headers(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file (names to dtype, shape, offsets) and where its data begins."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size - 8:
            raise ValueError(f"{path.name} is not a safetensors file, or it is cut off")
        header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} has no safetensors header")
    header.pop("__metadata__", None)
    return header, size + 8


def _tensors(folder: Path) -> Iterator[bytes]:
    found: dict[str, tuple[Path, int, Any]] = {}
    for path in folder.glob("*.safetensors"):
        header, start = tensor_headers(path)
        found |= {name: (path, start, entry) for name, entry in header.items()}
    for name in sorted(found):
        path, start, entry = found[name]
        begin, end = entry["data_offsets"]
        yield f"{name}\0{entry['dtype']}\0{entry['shape']}".encode()
        yield _digest(path, start + begin, end - begin)


def _digest(path: Path, begin: int, size: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(begin)
        while size > 0:
            chunk = file.read(min(size, _CHUNK))
            if not chunk:
                raise ValueError(f"{path.name} is cut off")
            digest.update(chunk)
            size -= len(chunk)
    return digest.digest()


def _chat_templates(folder: Path) -> Iterator[bytes]:
    config = folder / "tokenizer_config.json"
    if config.is_file():
        template = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
        if template is not None:
            yield template.encode() if isinstance(template, str) else json.dumps(template, sort_keys=True).encode()
    for path in (folder / "chat_template.jinja", *sorted((folder / "additional_chat_templates").glob("*.jinja"))):
        if path.is_file():
            yield path.read_bytes()


def _vocabulary(folder: Path) -> Iterator[bytes]:
    whole = folder / "tokenizer.json"
    if whole.is_file():
        tokenizer = json.loads(whole.read_text(encoding="utf-8"))
        model = tokenizer.get("model") or {}
        added = [[token.get("id"), token.get("content")] for token in tokenizer.get("added_tokens") or ()]
        # Older files write a merge as "a b", newer ones as ["a", "b"].
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges") or ()]
        for value in (model.get("vocab"), merges, sorted(added)):
            yield json.dumps(value, sort_keys=True).encode()
        return
    for name in _VOCABULARIES:
        if (folder / name).is_file():
            yield (folder / name).read_bytes()
