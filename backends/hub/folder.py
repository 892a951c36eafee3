"""Reads a model's folder: its card, config, files and parameter count. Bounded, and no file of it can break the list."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.hub.front_matter import Readme, decoded, read_readme
from backends.hub.rows import (
    ADULT,
    Row,
    about_of,
    bases_of,
    languages_of,
    mapping_of,
    quantization_of,
    text_of,
    texts_of,
)
from backends.hub.safetensors_header import NotSafetensors, parameters_by_dtype
from core.catalog import FileEntry, ModelSummary
from core.licenses import license_of
from core.refs import ModelRef
from core.tasks import task_of
from core.weights import Format, formats_of

log = logging.getLogger(__name__)
MOST_FILES = 5000
MOST_README_BYTES = 5_000_000
MOST_CONFIG_BYTES = 2_000_000
_LIBRARY_BY_FILE = (
    ("model_index.json", "diffusers"),
    ("adapter_config.json", "peft"),
    ("modules.json", "sentence-transformers"),
    ("config.json", "transformers"),
)


@dataclass(frozen=True, slots=True)
class Folder:
    """What a model's folder tells. `readme` is None when it has no README.md, `config` when it has no readable one.

    So are `tokenizer` (tokenizer_config.json, with chat_template.jinja in it) and `generation` (generation_config.json).
    """

    files: tuple[FileEntry, ...]
    readme: Readme | None
    config: Mapping[str, object] | None
    by_dtype: Mapping[str, int] | None = None
    tokenizer: Mapping[str, object] | None = None
    generation: Mapping[str, object] | None = None

    @property
    def params(self) -> int | None:
        """The number of parameters; None when no safetensors header tells."""
        return sum(self.by_dtype.values()) if self.by_dtype else None

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats of the weights in it."""
        return formats_of(entry.path for entry in self.files)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the card."""
        tags = (self.readme.metadata if self.readme else {}).get("tags")
        return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()

    def row(self, ref: ModelRef, *, bundled: bool, gated: bool | None) -> Row:
        """The summary of this folder under the name `ref`."""
        metadata = self.readme.metadata if self.readme else {}
        config = self.config or {}
        stated = license_of(metadata)
        names = {entry.path for entry in self.files}
        library = next((library for file, library in _LIBRARY_BY_FILE if file in names), None)
        known = bool(self.files)
        tags = self.tags
        bases, relation = bases_of(tags, metadata)
        if "adapter_config.json" in names and "config.json" not in names:
            relation = "adapter"
        summary = ModelSummary(
            repo_id=ref.repo_id,
            revision=ref.revision,
            source="local",
            task=text_of(metadata.get("pipeline_tag")) or task_of(config.get("architectures")),
            library=text_of(metadata.get("library_name")) or library,
            license=stated.id,
            license_class=stated.license_class if self.readme else None,
            params=self.params,
            gated=gated,
            has_card=(self.readme is not None) if known else None,
            weights_formats=self.formats if known else None,
            bundled=bundled,
            languages=languages_of(tags, metadata),
            base_models=bases,
            relation=relation,
            datasets=texts_of(metadata.get("datasets")),
            quantization=quantization_of(ref.repo_id, tags, self.config),
            chat_template=bool((self.tokenizer or {}).get("chat_template")) if known else None,
            custom_code=bool(config.get("auto_map")),
            adult=ADULT in tags,
            architecture=next(iter(texts_of(config.get("architectures"))), None),
        )
        return Row(summary, tags, about_of(metadata))


def read_folder(path: Path) -> Folder:
    """Everything a summary and a card need from `path`; an empty answer when it is not there."""
    files = _files(path)
    names = {entry.path for entry in files}
    readme = _content(path / "README.md", MOST_README_BYTES) if "README.md" in names else None

    def parsed(name: str) -> Mapping[str, object] | None:
        content = _content(path / name, MOST_CONFIG_BYTES) if name in names else None
        return None if content is None else _json(content)

    tokenizer = parsed("tokenizer_config.json")
    template = _content(path / "chat_template.jinja", MOST_CONFIG_BYTES) if "chat_template.jinja" in names else None
    if template is not None:
        tokenizer = {**(tokenizer or {}), "chat_template": decoded(template)}
    return Folder(
        files,
        None if readme is None else read_readme(readme),
        parsed("config.json"),
        _parameters(path, files),
        tokenizer,
        parsed("generation_config.json"),
    )


def _files(path: Path) -> tuple[FileEntry, ...]:
    found: list[FileEntry] = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            try:
                size = file.stat().st_size
            except OSError:
                continue  # A blob that is gone, in a cache: the file cannot be read either.
            found.append(FileEntry(file.relative_to(path).as_posix(), size))
        if len(found) >= MOST_FILES:
            break
    return tuple(sorted(found[:MOST_FILES], key=lambda entry: entry.path))


def _content(file: Path, most: int) -> bytes | None:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        log.warning("%s cannot be read: %s", file, error)
        return None


def _json(content: bytes) -> Mapping[str, object] | None:
    try:
        return mapping_of(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _parameters(path: Path, files: Sequence[FileEntry]) -> dict[str, int] | None:
    """Counts by dtype over the safetensors headers; None when there is none that can be read, or one that cannot."""
    total: dict[str, int] = {}
    for name in one_copy([entry.path for entry in files if entry.path.endswith(".safetensors")]):
        try:
            for dtype, count in parameters_by_dtype(path / name).items():
                total[dtype] = total.get(dtype, 0) + count
        except (NotSafetensors, OSError):
            return None
    return total or None


def one_copy(names: list[str]) -> list[str]:
    """Without the second copies of the same weights: variants such as `.fp16.`, and Mistral's `consolidated` file."""
    whole = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "model.safetensors"}
    kept = []
    for name in names:
        folder, _, file = name.rpartition("/")
        stem = file.removesuffix(".safetensors")
        plain = f"{name[: -len(file)]}{stem.partition('.')[0]}.safetensors"
        duplicate = (
            (file.startswith("consolidated") and len(names) > 1)
            or ("." in stem and plain in names)
            or (folder in whole and file.startswith("model-0"))
        )
        if not duplicate:
            kept.append(name)
    return kept
