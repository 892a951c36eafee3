"""LoRAs and ControlNets for a base model: those of this machine, and those that are found, checked and fetched."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.hub.safetensors_header import NotSafetensors
from backends.image.adapter_files import (
    AdapterDownloads,
    AdapterPlace,
    check_controlnet_files,
    config_of,
    in_cache,
    in_folder,
    lora_file,
)
from backends.image.files import ImageFiles
from backends.image.lora_fit import Base, LoraHeader, base_of, check_fit, header_of, looks_like_lora, lora_header
from backends.image.loras import LoraFile
from core.chat import Progress
from core.errors import AppError, DownloadFailed, UserInputError
from core.images import Adapter, AdapterKind, ImageSettings
from core.refs import ModelRef, shown, split_model

log = logging.getLogger(__name__)
LOCAL = "local/"
_ADDRESS = re.compile(
    r"https?://[^/\s]+/([^/\s]+/[^/?\s]+)(?:/(?:blob|resolve|tree)/([^/?\s]+)(?:/([^?\s]+?))?)?/?(?:\?\S*)?"
)
_README_BYTES = 1_000_000


@dataclass(frozen=True)
class Attached:
    """What a drawing adds to its base model, as files on this machine; plain values that another process can read."""

    loras: tuple[LoraFile, ...] = ()
    controlnet: tuple[ModelRef, Path, str] | None = None
    """The ControlNet's ref, folder and class."""


NOTHING_ATTACHED = Attached()


class Adapters:
    """Finds, checks and fetches adapters. Only descriptions are read here; engines load what `attached` names."""

    def __init__(
        self,
        files: ImageFiles,
        resolve: Callable[[str, str], ModelRef],
        *,
        endpoint: str,
        token: str | None = None,
        folder: Path,
        cache_dir: Path | None = None,
    ) -> None:
        """`folder` holds the operator's own adapters; `cache_dir` None is where huggingface_hub itself looks."""
        self._files, self._resolve = files, resolve
        self._endpoint, self._token = endpoint, token
        self._folder, self._cache_dir = folder, cache_dir
        self._lock = threading.Lock()
        self._downloads: dict[tuple[AdapterKind, str], AdapterDownloads] = {}
        self._bases: dict[ModelRef, Base] = {}
        self._checked: dict[tuple[object, ...], Adapter | None] = {}

    def here(self, base: ModelRef) -> tuple[Adapter, ...]:
        """The adapters of this machine that fit a base model, by name; asks no network."""
        found = [adapter for place in self._places() if (adapter := self._fitting(base, place)) is not None]
        return tuple(sorted(found, key=lambda adapter: (adapter.kind, adapter.name.lower(), adapter.id)))

    def find(self, base: ModelRef, text: str, kind: AdapterKind) -> Adapter:
        """As `core.image_protocols.ImageRouter.find_adapter`."""
        repo_id, revision, file = split_adapter(text)
        if repo_id.startswith(LOCAL):
            return self._own(base, repo_id, revision, kind)
        ref = self._resolve(repo_id, revision)
        if kind == "controlnet":
            return self._controlnet(base, ref)
        return self._lora(base, ref, file)

    def prepare(self, adapter: Adapter) -> Iterator[Progress]:
        """As `core.image_protocols.ImageRouter.prepare_adapter`."""
        if not adapter.ref.repo_id.startswith(LOCAL):
            yield from self._download(adapter.kind, adapter.file).download(adapter.ref)
        yield Progress("ready")

    def attached(self, base: ModelRef, settings: ImageSettings) -> Attached:
        """The files of the adapters of a request, checked against the base model.

        Raises `DownloadFailed` for one that is not here, and `UserInputError` for one that does not fit.
        """
        if not settings.loras and settings.control is None:
            return Attached()
        places = {(place.kind, place.ref, place.file): place for place in self._places()}
        loras = []
        for lora in settings.loras:
            named = [place for (kind, ref, file), place in places.items() if (kind, ref) == ("lora", lora.ref)]
            place = _only([place for place in named if lora.file in ("", place.file)], lora.ref, "LoRA")
            self._check_known(base, place)
            loras.append(LoraFile(lora.ref, place.file, lora.weight, place.path))
        if settings.control is None:
            return Attached(tuple(loras))
        net = _only(
            [place for (kind, ref, _), place in places.items() if (kind, ref) == ("controlnet", settings.control.ref)],
            settings.control.ref,
            "ControlNet",
        )
        self._check_known(base, net)
        class_name = str(config_of(net.path / "config.json").get("_class_name"))
        return Attached(tuple(loras), (net.ref, net.path, class_name))

    # How each kind is found.

    def _own(self, base: ModelRef, repo_id: str, revision: str, kind: AdapterKind) -> Adapter:
        for place in in_folder(self._folder):
            if (place.ref.repo_id, place.kind) == (repo_id, kind) and revision in ("", place.ref.revision):
                return self._check(base, place)
        raise UserInputError(f"There is no {_KINDS[kind]} {repo_id} in {self._folder}. Put its file there first.")

    def _lora(self, base: ModelRef, ref: ModelRef, asked: str) -> Adapter:
        here = [place for place in self._cached() if place.ref == ref and place.kind == "lora" and place.file == asked]
        if here:
            return self._check(base, here[0])
        listing = self._download("lora", asked)
        entries = {entry.path: entry.size for entry in listing.listed(ref)}
        file = lora_file(tuple(entries), asked, ref.repo_id)
        downloads = self._download("lora", file)
        if downloads.folder(ref) is not None:
            return self._check(base, AdapterPlace(ref, "lora", downloads.snapshot(ref) / file, file))
        header = _remote_header(self._endpoint, self._token, ref, file)
        note = check_fit(header, self._base(base), ref.repo_id)
        readme = listing.small(ref, "README.md") if "README.md" in entries else None
        return Adapter(ref, "lora", file, header.triggers or _triggers_of(readme), entries[file], note)

    def _controlnet(self, base: ModelRef, ref: ModelRef) -> Adapter:
        downloads = self._download("controlnet", "")
        folder = downloads.folder(ref)
        if folder is not None:
            return self._check(base, AdapterPlace(ref, "controlnet", folder))
        check_controlnet_files([entry.path for entry in downloads.listed(ref)], ref.repo_id)
        config = config_of(downloads.small(ref, "config.json"))
        self._check_net(base, config, ref.repo_id)
        return Adapter(ref, "controlnet", size=sum(entry.size or 0 for entry in downloads.files(ref)))

    # What is here, and whether it fits.

    def _places(self) -> Iterator[AdapterPlace]:
        yield from in_folder(self._folder)
        yield from self._cached()

    def _cached(self) -> Iterator[AdapterPlace]:
        from huggingface_hub import constants

        return in_cache(self._cache_dir or Path(constants.HF_HUB_CACHE))

    def _fitting(self, base: ModelRef, place: AdapterPlace) -> Adapter | None:
        """The adapter when it fits; None for another family's and for files that are none."""
        try:
            key = (base, place.path, place.signature)
        except OSError:
            return None
        if key not in self._checked:
            try:
                self._checked[key] = self._check(base, place)
            except AppError as refusal:
                log.debug("%s is not offered for %s: %s", place.ref, base, refusal)
                self._checked[key] = None
        return self._checked[key]

    def _check_known(self, base: ModelRef, place: AdapterPlace) -> None:
        if self._fitting(base, place) is None:
            # Checked again for the sentence that says why.
            self._check(base, place)

    def _check(self, base: ModelRef, place: AdapterPlace) -> Adapter:
        if place.kind == "controlnet":
            self._check_net(base, config_of(place.path / "config.json"), place.ref.repo_id)
            weights = sum(path.stat().st_size for path in place.path.glob("*.safetensors"))
            return Adapter(place.ref, "controlnet", size=weights)
        try:
            header = lora_header(place.path)
        except (NotSafetensors, OSError) as error:
            raise UserInputError(
                f"{place.ref.repo_id}: {shown(place.file)} is not a whole safetensors file. Fetch it again, or choose another."
            ) from error
        if not looks_like_lora(header):
            # Said before the base model's configs are read: most files of a cache are no adapters.
            raise UserInputError(f"{place.ref.repo_id} is not a LoRA. Choose another file.")
        note = check_fit(header, self._base(base), place.ref.repo_id)
        readme = place.path.parent / "README.md"
        triggers = header.triggers or _triggers_of(readme if place.ref.repo_id[: len(LOCAL)] != LOCAL else None)
        return Adapter(place.ref, "lora", place.file, triggers, place.path.stat().st_size, note)

    def _check_net(self, base: ModelRef, config: Mapping[str, Any], name: str) -> None:
        from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING as FAMILIES

        from backends.image.controlnets import check_controlnet
        from backends.image.metadata import facts_of

        facts = facts_of(self._files.describing(base), str(base))
        family = next(key for key, cls in FAMILIES.items() if cls.__name__ == facts.class_name)
        net = facts.configs.get("unet") or facts.configs.get("transformer") or {}
        check_controlnet(config, net, family, name, vae_scale=facts.vae_scale)

    def _base(self, ref: ModelRef) -> Base:
        with self._lock:
            if ref not in self._bases:
                self._bases[ref] = base_of(self._files.describing(ref))
            return self._bases[ref]

    def _download(self, kind: AdapterKind, file: str) -> AdapterDownloads:
        with self._lock:
            found = self._downloads.get((kind, file))
            if found is None:
                found = AdapterDownloads(self._endpoint, self._token, self._cache_dir, kind, file)
                self._downloads[kind, file] = found
            return found


def split_adapter(text: str) -> tuple[str, str, str]:
    """Read `repo_id[@revision][:file]`, or the address of a repository or file on the Hub; "" for what is not given."""
    address = _ADDRESS.fullmatch(text.strip())
    if address:
        model, revision, file = (part or "" for part in address.groups())
        text = f"{model}@{revision}" if revision else model
        return (*split_model(text), file)
    model, _, file = text.strip().partition(":")
    return (*split_model(model), file)


_KINDS: dict[AdapterKind, str] = {"lora": "LoRA", "controlnet": "ControlNet"}


def _only(places: list[AdapterPlace], ref: ModelRef, kind: str) -> AdapterPlace:
    if len(places) > 1:
        names = ", ".join(shown(place.file) for place in places)
        raise UserInputError(f"The {kind} {ref.repo_id} has several files here: {names}. Name one of them.")
    if not places:
        raise DownloadFailed(f"The {kind} {ref} is not on this machine yet. Add it to the model first.")
    return places[0]


def _remote_header(endpoint: str, token: str | None, ref: ModelRef, file: str) -> LoraHeader:
    """The header of a file on the Hub: its first kilobytes, not the file."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import SafetensorsParsingError

    from backends.downloads import LIST_SECONDS
    from backends.hub.deadline import within
    from backends.hub.errors import About, hub_errors
    from backends.hub_client import install_timeouts

    def ask(until: float) -> Any:
        install_timeouts()
        with hub_errors(About(endpoint, ref.repo_id, ref.revision)):
            return HfApi(endpoint=endpoint, token=token).parse_safetensors_file_metadata(
                ref.repo_id, file, revision=ref.revision, timeout=LIST_SECONDS
            )

    try:
        found = within(LIST_SECONDS, ask)
    except SafetensorsParsingError as error:
        raise UserInputError(
            f"{ref.repo_id}: {shown(file)} is not a safetensors file, whatever its name says. Choose another LoRA."
        ) from error
    shapes = {name: {"shape": list(tensor.shape)} for name, tensor in found.tensors.items()}
    return header_of({**shapes, "__metadata__": found.metadata})


def _triggers_of(readme: Path | None) -> tuple[str, ...]:
    from backends.hub.front_matter import read_readme

    if readme is None or not readme.is_file():
        return ()
    with readme.open("rb") as file:
        said = read_readme(file.read(_README_BYTES)).metadata.get("instance_prompt")
    return (shown(said.strip(), 60),) if isinstance(said, str) and said.strip() else ()
