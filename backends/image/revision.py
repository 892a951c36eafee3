"""The revision of a pipeline's folder: a hash of what decides its pictures, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

# What a newer library writes differently without changing the model.
_NOT_CONTENT = ("_diffusers_version", "_name_or_path", "transformers_version", "_commit_hash")
_TOKENIZERS = ("merges.txt", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")


def pipeline_revision(folder: Path) -> str:
    """40 hex digits of the tensors, configs and tokenizers of a folder; not of the card and its pictures.

    Raises `OSError` or `ValueError` for files that cannot be read.
    """
    whole = hashlib.sha256()
    for name in content_files(folder):
        path = folder / name
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                found = {key: value for key, value in found.items() if key not in _NOT_CONTENT}
            digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).digest()
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        whole.update(len(name).to_bytes(8, "little") + name.encode() + digest)
    return whole.hexdigest()[:40]


def content_files(folder: Path) -> Iterator[str]:
    """The files that decide what the pipeline draws: model_index.json and its components' files, one level down."""
    yield "model_index.json"
    for path in sorted(folder.glob("*/*")):
        if path.is_file() and (path.suffix in (".json", ".safetensors") or path.name in _TOKENIZERS):
            yield path.relative_to(folder).as_posix()
