"""PEFT adapters for chat models: found, checked against their base before anything large is fetched, and brought here."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends import bundled
from backends.downloads import LIST_SECONDS, Downloads
from backends.hub.deadline import within
from core.catalog import FileEntry
from core.chat import LoadPlan, Progress
from core.errors import AppError, DownloadFailed, UnsafeContentError, UserInputError
from core.refs import COMMIT, ModelRef, check_repo_id, shown, split_model
from core.weights import formats_of

log = logging.getLogger(__name__)
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
LOCAL = "local/"
_MOST_CONFIG_BYTES = 1_000_000
# Ways to begin a LoRA that leave the base model's own weights alone; every other one computes with them and changes them.
_HARMLESS_BEGINNINGS = (None, True, False, "gaussian", "orthogonal")


class AdapterDownloads(Downloads):
    """As `Downloads`, for the two files an adapter is made of."""

    def folder(self, ref: ModelRef) -> Path | None:
        """The snapshot when the adapter's config and weights are in it."""
        snapshot = self.snapshot(ref)
        return snapshot if is_adapter(snapshot) else None

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What is needed, with sizes, as the Hub lists it. Raises when the commit holds no adapter that is loaded here."""
        known = self._listed.get(ref)
        if known is None:
            listed = within(LIST_SECONDS, lambda until: self._list(ref))
            check_files([entry.path for entry in listed], str(ref))
            known = self._listed[ref] = tuple(entry for entry in listed if entry.path in (CONFIG, WEIGHTS))
        return known

    def described(self, ref: ModelRef) -> Path:
        """The snapshot with at least the adapter's config in it, fetched when it is not there."""
        snapshot = self.snapshot(ref)
        if not (snapshot / CONFIG).is_file():
            # Anybody may name an adapter: a description that is none must not fill the disk.
            if any(entry.path == CONFIG and (entry.size or 0) > _MOST_CONFIG_BYTES for entry in self.files(ref)):
                raise UserInputError(f"The {CONFIG} of {ref} is too large to be one. Choose another adapter.")
            within(LIST_SECONDS, lambda until: self._fetch(ref, CONFIG))
        return snapshot


class ChatAdapters:
    """The adapters of this machine and of the Hub. Looking at what is here asks no network; `find` and `fetch` may."""

    def __init__(self, downloads: AdapterDownloads, resolve: Callable[[str, str], ModelRef], own: Path) -> None:
        """`resolve` pins a name of the Hub; `own` holds the operator's adapters, each in a folder of its own."""
        self._downloads, self._resolve, self._own = downloads, resolve, own
        self._hashes: dict[tuple[object, ...], str] = {}

    def find(self, base: ModelRef, text: str) -> ModelRef:
        """`base` with the adapter that `repo_id[@revision]` or `local/<folder>` names, pinned and checked against it.

        Fetches the adapter's config and nothing else. Raises `UserInputError` when it is no such adapter or made for
        another base, `UnsafeContentError` when its weights are pickle, `HubError` when the Hub cannot tell.
        """
        repo_id, revision = split_model(text)
        ref = self._own_refs().get(repo_id)
        if ref is None:
            if repo_id.startswith(LOCAL):
                raise UserInputError(f"There is no adapter {shown(repo_id)} in {self._own}. It has: {self._listed()}.")
            ref = ModelRef(repo_id, revision) if COMMIT.fullmatch(revision) else self._resolve(repo_id, revision)
        elif revision not in ("", ref.revision):
            raise UserInputError(
                f"{repo_id} has changed since {revision[:7]}; it is {ref.revision[:7]} now. Choose it again."
            )
        check_fit(self.config(ref), base, str(ref))
        return ModelRef(base.repo_id, base.revision, ref)

    def here(self, base: ModelRef) -> tuple[str, ...]:
        """The adapters of this machine that were made for `base`, as `find` reads them."""
        found = []
        for ref in (*self._own_refs().values(), *self._cached()):
            try:
                check_fit(self.config(ref), base, str(ref))
            except AppError as error:
                log.debug("%s is not offered: %s", ref, error)
                continue
            found.append(ref.repo_id if ref.repo_id.startswith(LOCAL) else str(ref))
        return tuple(sorted(found))

    def config(self, ref: ModelRef) -> Mapping[str, Any]:
        """The adapter's config.json; fetched when it is not here."""
        folder = self._folder(ref) or self._downloads.described(ref)
        return read_config(folder, str(ref))

    def plan(self, ref: ModelRef) -> LoadPlan:
        """How many bytes of the adapter are not here."""
        folder = self._folder(ref)
        return LoadPlan(ref, True, source=str(folder)) if folder else self._downloads.plan(ref)

    def fetch(self, ref: ModelRef) -> Iterator[Progress]:
        """Bring the adapter here, saying how far it is."""
        if self._folder(ref) is None:
            yield from self._downloads.download(ref)

    def present(self, ref: ModelRef) -> Path:
        """The folder with config and weights; raises `DownloadFailed` when it is not here."""
        folder = self._folder(ref)
        if folder is None:
            raise DownloadFailed(f"The adapter {ref} is not on this machine yet. Choose it in the settings of Chat.")
        return folder

    def _folder(self, ref: ModelRef) -> Path | None:
        if ref.repo_id.startswith(LOCAL):
            return self._own / ref.repo_id.removeprefix(LOCAL) if self._own_refs().get(ref.repo_id) == ref else None
        return self._downloads.folder(ref)

    def _own_refs(self) -> dict[str, ModelRef]:
        found: dict[str, ModelRef] = {}
        for folder in sorted(self._own.iterdir()) if self._own.is_dir() else ():
            if not is_adapter(folder):
                continue
            try:
                name = check_repo_id(LOCAL + folder.name)
                found[name] = ModelRef(name, self._content(folder))
            except (AppError, OSError) as error:
                log.warning("%s is left out of the adapters: %s", folder, error)
        return found

    def _content(self, folder: Path) -> str:
        stats = [(folder / name).stat() for name in (CONFIG, WEIGHTS)]
        key = (folder, *((stat.st_mtime_ns, stat.st_size) for stat in stats))
        if key not in self._hashes:
            whole = hashlib.sha256()
            for name in (CONFIG, WEIGHTS):
                with (folder / name).open("rb") as file:
                    whole.update(hashlib.file_digest(file, "sha256").digest())
            self._hashes[key] = whole.hexdigest()[:40]
        return self._hashes[key]

    def _cached(self) -> Iterator[ModelRef]:
        cache = self._downloads.snapshot(ModelRef("any/name", "0" * 40)).parents[2]
        for weights in sorted(cache.glob(f"models--*/snapshots/*/{WEIGHTS}")):
            name = weights.parents[2].name.removeprefix("models--").replace("--", "/", 1)
            if is_adapter(weights.parent) and COMMIT.fullmatch(weights.parent.name):
                try:
                    yield ModelRef(name, weights.parent.name)
                except AppError:
                    continue  # A folder somebody made by hand; the Hub has no such name.

    def _listed(self) -> str:
        return ", ".join(name.removeprefix(LOCAL) for name in self._own_refs()) or "none"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter as PEFT saves it, in safetensors."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def check_files(paths: list[str], name: str) -> None:
    """Raise `UserInputError` or `UnsafeContentError` when a repository has no adapter that is loaded here."""
    if CONFIG not in paths:
        raise UserInputError(
            f"{name} is no adapter: it has no {CONFIG}. Give the repository of a LoRA that PEFT saved, or open this one on "
            "the Search page."
        )
    if WEIGHTS not in paths:
        if "pickle" in formats_of(paths):
            raise UnsafeContentError(
                f"The adapter {name} exists only as a pickle file, which can run code when it is loaded. Choose one with "
                f"{WEIGHTS}; there is no override in this version."
            )
        raise UserInputError(f"{name} has no {WEIGHTS}. Choose another adapter.")


def read_config(folder: Path, name: str) -> Mapping[str, Any]:
    """The adapter_config.json of `folder`; raises `UserInputError` when it is none."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserInputError(f"The {CONFIG} of {name} cannot be read. Choose another adapter.") from error
    if not isinstance(found, dict):
        raise UserInputError(f"The {CONFIG} of {name} is not a set of settings. Choose another adapter.")
    return found


def check_fit(config: Mapping[str, Any], base: ModelRef, name: str) -> None:
    """Raise `UserInputError` when an adapter is of another kind or was made for another base than `base`."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UserInputError(
            f"{name} is an adapter of the kind {shown(str(kind))}; only LoRA is loaded here. Choose another."
        )
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise UserInputError(
            f"{name} is made for {shown(str(config['task_type']))}, not for chat. Choose another adapter."
        )
    if config.get("megatron_config"):
        raise UserInputError(f"{name} needs Megatron to run, which this app does not load. Choose another adapter.")
    if config.get("init_lora_weights") not in _HARMLESS_BEGINNINGS:
        raise UserInputError(
            f"{name} begins with “{shown(str(config['init_lora_weights']))}”, which changes the base model's own weights. "
            "Save it again as a plain LoRA (PEFT: path_initial_model_for_weight_conversion)."
        )
    made_for = config.get("base_model_name_or_path")
    if not same_base(made_for, base):
        raise UserInputError(
            f"{name} was trained on {shown(str(made_for))}, not on {base.repo_id}. Pin {shown(str(made_for))} first, or "
            "choose another adapter."
        )


def same_base(made_for: object, base: ModelRef) -> bool:
    """Whether the base an adapter names is `base`. A path or nothing tells nothing: then the shapes decide on loading."""
    if not isinstance(made_for, str) or not made_for.strip():
        return True
    name = made_for.strip().rstrip("/")
    names = {base.repo_id, bundled.BASE_MODEL} if base == bundled.REF else {base.repo_id}
    if name.casefold() in {each.casefold() for each in names}:
        return True
    try:
        check_repo_id(name)
    except UserInputError:
        return True
    return "/" not in name
