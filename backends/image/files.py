"""Where each image model's files are, or how they get there: the bundled one, folders of the operator, the Hub's cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from backends.downloads import LIST_SECONDS, Downloads
from backends.hub.deadline import within
from backends.image.revision import pipeline_revision
from core.catalog import FileEntry, LocalFolder
from core.chat import LoadPlan, Progress
from core.errors import DownloadFailed, UnsafeContentError, UserInputError
from core.refs import ModelRef, shown
from core.weights import formats_of

INDEX = "model_index.json"
_SETTINGS = (".json", ".txt", ".model")
# Second copies of the same weights, and weights for other libraries.
_OTHER = ("fp16", "bf16", "ema", "non_ema", "onnx", "openvino", "flax")


class PipelineDownloads(Downloads):
    """As `Downloads`, choosing what a diffusers pipeline needs instead of what a chat model does."""

    def folder(self, ref: ModelRef) -> Path | None:
        """The model's snapshot when every component it names is in it; asks no network."""
        snapshot = self.snapshot(ref)
        return snapshot if is_whole(snapshot) else None

    def describing(self, ref: ModelRef) -> Path:
        """The snapshot folder with at least model_index.json and the configs in it, fetched when they are not there."""
        snapshot = self.snapshot(ref)
        if self.folder(ref) is None:
            small = [entry.path for entry in self.files(ref) if entry.path.endswith(".json")]

            def fetch(until: float) -> None:
                for path in small:
                    if not (snapshot / path).is_file():
                        self._fetch(ref, path)

            within(LIST_SECONDS, fetch)
        return snapshot

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What inference needs of the commit, with sizes, as the Hub lists it."""
        known = self._listed.get(ref)
        if known is None:
            known = self._listed[ref] = pipeline_files(within(LIST_SECONDS, lambda until: self._list(ref)))
        return known


class ImageFiles:
    """Finds and fetches. Looking never touches the network; `describing`, `plan` and `fetch` may."""

    def __init__(self, folders: Sequence[LocalFolder], downloads: PipelineDownloads) -> None:
        """`folders` are the bundled model's and the operator's own."""
        self._folders = {folder.ref: folder for folder in folders}
        self._downloads = downloads

    def describing(self, ref: ModelRef) -> Path:
        """A folder with at least the configs in it."""
        known = self._folders.get(ref)
        return known.path if known else self._downloads.describing(ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched."""
        known = self._folders.get(ref)
        if known is not None:
            return LoadPlan(ref, ready=True, source="comes with the app" if known.bundled else str(known.path))
        return self._downloads.plan(ref)

    def fetch(self, ref: ModelRef) -> Iterator[Progress]:
        """Bring the files here, saying how far it is."""
        if ref not in self._folders:
            yield from self._downloads.download(ref)

    def present(self, ref: ModelRef) -> Path:
        """The folder; raises `DownloadFailed` when it is not whole."""
        known = self._folders.get(ref)
        folder = known.path if known else self._downloads.folder(ref)
        if folder is None:
            raise DownloadFailed(f"{ref} is not on this machine yet. Open its card and choose Download and use.")
        return folder


def pipeline_files(files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """The files of a pipeline to fetch; raises `UnsafeContentError` or `UserInputError` when there are none to load."""
    paths = [entry.path for entry in files]
    if INDEX not in paths:
        raise UserInputError(
            "This repository is not a diffusers pipeline, it has no model_index.json. Choose a repository that has one."
        )
    kept = [entry for entry in files if entry.path == INDEX or _needed(entry.path)]
    if not any(entry.path.endswith(".safetensors") for entry in kept):
        if "pickle" in formats_of(paths):
            raise UnsafeContentError(
                "The weights of this model exist only as pickle files, which can run code when they are loaded. Choose a "
                "model with safetensors weights; there is no override in this version."
            )
        raise UserInputError("This repository has no safetensors weights. Choose another model.")
    return tuple(kept)


def is_whole(folder: Path) -> bool:
    """Whether every component that model_index.json names has its files, all shards of its index included."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        components = [
            name for name, value in index.items() if name[:1] != "_" and isinstance(value, list) and all(value)
        ]
        return bool(components) and all(_component_whole(folder / name) for name in components)
    except (OSError, ValueError, AttributeError, KeyError):
        # Not there, or not readable: the download puts it right, or loading says so.
        return False


def own_pipeline(path: Path) -> LocalFolder:
    """The pipeline in a folder of the operator, named `local/<folder>` and pinned to its content.

    Raises `UserInputError` when it is not one that is loaded here.
    """
    path = path.expanduser().resolve()
    if not is_whole(path):
        raise UserInputError(
            f"PROVING_IMAGE_MODEL: {path} is not a whole diffusers pipeline with safetensors weights. Give a folder as its "
            "save_pretrained writes it."
        )
    try:
        return LocalFolder(ModelRef(f"local/{path.name}", pipeline_revision(path)), path, ready=True, bundled=False)
    except (OSError, ValueError) as error:
        raise UserInputError(
            f"PROVING_IMAGE_MODEL: {path} cannot be read ({shown(str(error))}). Check its files."
        ) from error


def _needed(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if not folder or "/" in folder or folder in ("onnx", "openvino", "assets", "examples"):
        return False
    if any(f".{word}" in name or name.startswith(word) for word in _OTHER):
        return False
    return name.endswith((".safetensors", *_SETTINGS))


def _component_whole(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir() if path.exists()}
    for index in (name for name in names if name.endswith(".safetensors.index.json")):
        if not set(json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()) <= names:
            return False
    # Schedulers, tokenizers and processors have no weights; models do, and they say what class they are.
    return "config.json" not in names or any(name.endswith(".safetensors") for name in names)
