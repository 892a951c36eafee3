"""Where adapters lie: in the Hugging Face cache, or in the folder of the operator's own; and which files each needs."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.downloads import Downloads
from backends.image.files import INDEX
from core.catalog import FileEntry
from core.errors import AppError, UnsafeContentError, UserInputError
from core.images import AdapterKind
from core.refs import COMMIT, ModelRef, shown
from core.weights import file_format, formats_of

log = logging.getLogger(__name__)
CONTROLNET_WEIGHTS = "diffusion_pytorch_model.safetensors"
_CONTROLNET_INDEX = CONTROLNET_WEIGHTS + ".index.json"
_README = "README.md"
_MOST_CONFIG_BYTES = 1_000_000
_MOST_NAMED = 12


@dataclass(frozen=True)
class AdapterPlace:
    """An adapter on this machine: a LoRA's file, or a ControlNet's folder. `file` is a LoRA's path in its repository."""

    ref: ModelRef
    kind: AdapterKind
    path: Path
    file: str = ""

    @property
    def signature(self) -> tuple[float, int]:
        """Changes when the content does."""
        found = (self.path if self.kind == "lora" else self.path / "config.json").stat()
        return found.st_mtime, found.st_size


class AdapterDownloads(Downloads):
    """As `Downloads`, for one LoRA's file or for what a ControlNet needs."""

    def __init__(self, endpoint: str, token: str | None, cache_dir: Path | None, kind: AdapterKind, file: str) -> None:
        """`file` is the LoRA's path in its repository; "" for ControlNets."""
        super().__init__(endpoint, token, cache_dir)
        self._kind, self._file = kind, file

    def folder(self, ref: ModelRef) -> Path | None:
        """The snapshot when all that is needed is in it."""
        snapshot = self.snapshot(ref)
        whole = (snapshot / self._file).is_file() if self._kind == "lora" else controlnet_whole(snapshot)
        return snapshot if whole else None

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What is needed, with sizes, as the Hub lists it."""
        return tuple(entry for entry in self.listed(ref) if self._needed(entry.path))

    def listed(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """Every file of the commit, with sizes."""
        from backends.downloads import LIST_SECONDS
        from backends.hub.deadline import within

        known = self._listed.get(ref)
        if known is None:
            known = self._listed[ref] = within(LIST_SECONDS, lambda until: self._list(ref))
        return known

    def small(self, ref: ModelRef, path: str) -> Path:
        """A small file of the commit, fetched when it is not there."""
        from backends.downloads import LIST_SECONDS
        from backends.hub.deadline import within

        found = self.snapshot(ref) / path
        if not found.is_file():
            within(LIST_SECONDS, lambda until: self._fetch(ref, path))
        return found

    def _needed(self, path: str) -> bool:
        if self._kind == "lora":
            return path in (self._file, _README)
        return path in ("config.json", _CONTROLNET_INDEX) or (
            "/" not in path and path.startswith("diffusion_pytorch_model") and is_controlnet_weight(path)
        )


def is_controlnet_weight(path: str) -> bool:
    """Whether it is a file of weights in full precision: second copies such as `.fp16.` are left out."""
    return path == CONTROLNET_WEIGHTS or (path.endswith(".safetensors") and "-of-" in path and ".fp16" not in path)


def controlnet_whole(folder: Path) -> bool:
    """Whether a ControlNet's folder has its config and all its weights."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / _CONTROLNET_INDEX
    if not index.is_file():
        return (folder / CONTROLNET_WEIGHTS).is_file()
    shards = config_of(index).get("weight_map")
    return isinstance(shards, dict) and all((folder / str(name)).is_file() for name in shards.values())


def config_of(path: Path) -> Mapping[str, object]:
    """A JSON file's object; {} when there is none that can be read."""
    try:
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def lora_file(paths: Sequence[str], asked: str, name: str) -> str:
    """Which file of a repository holds the LoRA; raises `UserInputError` or `UnsafeContentError` with what to do.

    `asked` is the path that was named, "" when none was; `name` what sentences call the repository.
    """
    if asked and file_format(asked) == "pickle":
        raise UnsafeContentError(
            f"{shown(asked)} is a pickle file, which can run code when it is loaded. Choose a LoRA in safetensors; there is "
            "no override in this version."
        )
    loras = [path for path in paths if path.endswith(".safetensors")]
    if asked:
        if asked not in loras:
            raise UserInputError(f"{name} has no safetensors file “{shown(asked)}”. It has: {_listed(loras)}.")
        return asked
    if INDEX in paths:
        raise UserInputError(f"{name} is a whole model, not a LoRA. Open it on the Search page instead.")
    if len(loras) == 1:
        return loras[0]
    if "pytorch_lora_weights.safetensors" in loras:
        return "pytorch_lora_weights.safetensors"
    if loras:
        raise UserInputError(
            f"{name} has {len(loras)} LoRA files. Name one after a colon, as in {name}:{shown(loras[0])}. It has: "
            f"{_listed(loras)}."
        )
    if "pickle" in formats_of(paths):
        raise UnsafeContentError(
            f"The LoRA {name} exists only as a pickle file, which can run code when it is loaded. Choose one in "
            "safetensors; there is no override in this version."
        )
    raise UserInputError(f"{name} has no safetensors file, so there is no LoRA in it. Choose another repository.")


def check_controlnet_files(paths: Sequence[str], name: str) -> None:
    """Raise `UserInputError` or `UnsafeContentError` when a repository has no ControlNet that is loaded here."""
    if "config.json" not in paths or INDEX in paths:
        raise UserInputError(
            f"{name} is not a ControlNet: it has no config.json of its own. Choose another repository."
        )
    if not any(is_controlnet_weight(path) for path in paths):
        if "pickle" in formats_of(paths):
            raise UnsafeContentError(
                f"The ControlNet {name} exists only as pickle files, which can run code when they are loaded. Choose one "
                "with safetensors weights; there is no override in this version."
            )
        raise UserInputError(f"{name} has no {CONTROLNET_WEIGHTS}. Choose another ControlNet.")


def in_cache(cache_dir: Path) -> Iterator[AdapterPlace]:
    """What the Hugging Face cache holds that may be an adapter, by its files."""
    for snapshot in sorted(cache_dir.glob("models--*/snapshots/*")):
        repo_id = snapshot.parents[1].name.removeprefix("models--").replace("--", "/", 1)
        if not COMMIT.fullmatch(snapshot.name) or (snapshot / INDEX).exists():
            continue
        try:
            yield from _in_folder(ModelRef(repo_id, snapshot.name), snapshot)
        except AppError:
            continue  # A folder somebody made by hand; the Hub has no such name.


def in_folder(folder: Path) -> Iterator[AdapterPlace]:
    """The operator's own: LoRA files, and ControlNets in folders of their own; each pinned to its content."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".safetensors":
                yield AdapterPlace(ModelRef(f"local/{path.stem}", _content([path])), "lora", path, path.name)
            elif path.is_dir() and controlnet_whole(path):
                parts = sorted(entry for entry in path.iterdir() if entry.suffix in (".json", ".safetensors"))
                yield AdapterPlace(ModelRef(f"local/{path.name}", _content(parts)), "controlnet", path)
        except (AppError, OSError) as error:
            log.warning("%s is left out of the adapters: %s", path, error)


def _in_folder(ref: ModelRef, folder: Path) -> Iterator[AdapterPlace]:
    if (folder / "config.json").is_file():
        # A model of its own, unless the class says otherwise.
        if "ControlNet" in str(config_of(folder / "config.json").get("_class_name")) and controlnet_whole(folder):
            yield AdapterPlace(ref, "controlnet", folder)
        return
    for pattern in ("*.safetensors", "*/*.safetensors"):
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                yield AdapterPlace(ref, "lora", path, path.relative_to(folder).as_posix())


_hashes: dict[tuple[Path, float, int], bytes] = {}


def _content(paths: Sequence[Path]) -> str:
    """40 hex digits of names and bytes. A file is read again only when its time or size changed."""
    whole = hashlib.sha256()
    for path in paths:
        found = path.stat()
        key = (path, found.st_mtime, found.st_size)
        if key not in _hashes:
            with path.open("rb") as file:
                _hashes[key] = hashlib.file_digest(file, "sha256").digest()
        whole.update(path.name.encode() + b"\0" + _hashes[key])
    return whole.hexdigest()[:40]


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return (", ".join(shown(path) for path in paths[:_MOST_NAMED]) or "none") + more
