"""Builds everything pictures need: the engines, the start model's pin, and the drawings a page can come back to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from backends.bundled.image import IMAGE_REF, image_folders
from backends.image.adapters import Adapters
from backends.image.files import ImageFiles, PipelineDownloads, own_pipeline
from backends.image.png import read_picture, text_chunks, write_png
from backends.image.running import DrawingDesk
from backends.image.safety import Safety, SafetySettings, build_safety
from backends.pins import PinBook
from backends.remote.target import Target, target_of
from core.catalog import LocalFolder
from core.chat import LoadPlan, Progress
from core.chat_protocols import RemoteModels
from core.errors import NoBackend, UserInputError
from core.image_protocols import Drawing, ImageBackend, MeteredImages
from core.images import Adapter, AdapterKind, ImageCapabilities, ImageSettings
from core.recipe import Recipe, recipe_in
from core.refs import COMMIT, ModelRef, remote_name, split_model

Resolve = Callable[[str, str], ModelRef]


LOCAL_ONLY = (
    "PROVING_LOCAL_ONLY=1: no prompt leaves this machine, so no remote engine is used. Choose a model of this machine."
)
NO_REMOTE = "No remote image engine is set up here. The operator names one with PROVING_REMOTE_IMAGE_URL."


class RemoteEngine(ImageBackend, RemoteModels, Protocol):
    """An image engine on another machine."""


class ImageRouter:
    """Chooses the engine for an image model and keeps the start model's pin."""

    def __init__(
        self,
        backends: Sequence[ImageBackend],
        *,
        resolve: Resolve,
        adapters: Adapters,
        safety: Safety,
        pins: PinBook,
        start: ModelRef | str,
        folders: tuple[LocalFolder, ...] = (),
        remote: RemoteEngine | None = None,
        no_remote: str = NO_REMOTE,
    ) -> None:
        """`resolve` asks the catalogue what commit a name means now; `folders` are the models outside the Hub's cache.

        `remote` draws with the models that were chosen as remote and no others; `no_remote` says why there is none.
        """
        self.folders = folders
        self._backends = tuple(backends)
        self._resolve = resolve
        # What asks for names that visitors give; the start model's is the operator's own.
        self.visitors: Resolve | None = None
        self._adapters = adapters
        self._pins = pins
        self._start = start
        self._safety = safety
        self._lock = threading.Lock()
        self._desk = DrawingDesk()
        self.remote = remote
        self._no_remote = no_remote

    def start_model(self) -> ModelRef:
        """The model pinned at start. Asks the Hub only the first time a name without a commit is configured."""
        if isinstance(self._start, str) and (name := remote_name(self._start)) is not None:
            # Not kept: what a host serves under a name may change, and the pin then says so.
            return self._from_host().pin(name)
        with self._lock:
            if isinstance(self._start, str):
                self._start = _pinned(self._pins, self._resolve, self._start)
            return self._start

    def pin(self, model: str) -> ModelRef:
        """`repo_id` or `repo_id@revision` resolved to one commit; "" is the start model.

        `remote:<name>` is what the remote engine serves under that name: nothing else ever leads there.
        """
        if not model.strip():
            return self.start_model()
        if (name := remote_name(model)) is not None:
            return self._from_host().pin(name)
        repo_id, revision = split_model(model)
        for folder in self.folders:
            if folder.ref.repo_id == repo_id and revision in ("", folder.ref.revision):
                return folder.ref
        own = self._start.repo_id if isinstance(self._start, ModelRef) else self._start.partition("@")[0]
        return (self._resolve if repo_id == own else self.visitors or self._resolve)(repo_id, revision)

    def engine(self, ref: ModelRef) -> str:
        """The name of the engine that would draw."""
        return self._choose(ref)[0].name

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        """What the engine that would draw can do with the model. The first call may import diffusers (seconds)."""
        return self._choose(ref)[1]

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model draws."""
        return self._choose(ref)[0].plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        yield from self._safety.prepare()
        yield from self._choose(ref)[0].prepare(ref)

    def start(self, ref: ModelRef, settings: ImageSettings) -> Drawing:
        """Put a drawing into the queue, and keep it so that a page that reloads finds it."""
        self._safety.check(settings)
        return self._desk.keep(self._safety.watched(self._choose(ref)[0].start(ref, settings)))

    def gpu_seconds(self, ref: ModelRef, settings: ImageSettings) -> int | None:
        """GPU time it would take of the visitor's quota at most; None where nothing is counted."""
        engine = self._choose(ref)[0]
        return engine.gpu_seconds(ref, settings) if isinstance(engine, MeteredImages) else None

    def place(self, ref: ModelRef) -> None:
        """Get a model ready before the page is launched."""
        if ref.host:
            return
        engine = self._choose(ref)[0]
        if isinstance(engine, MeteredImages):
            engine.place(ref)
        else:
            for _ in engine.prepare(ref):
                pass

    def drawing(self, drawing_id: str) -> Drawing | None:
        """A waiting, running or recent drawing; None when it is gone."""
        return self._desk.get(drawing_id)

    def adapters(self, ref: ModelRef) -> tuple[Adapter, ...]:
        """The LoRAs and ControlNets of this machine that fit a base model, by name; asks no network."""
        can = self.capabilities(ref)
        takes = {"lora": can.loras, "controlnet": can.controlnet}
        if not any(takes.values()):
            return ()
        return tuple(adapter for adapter in self._adapters.here(ref) if takes[adapter.kind])

    def find_adapter(self, ref: ModelRef, text: str, kind: AdapterKind) -> Adapter:
        """The adapter that `repo_id[@revision][:file]` names, pinned to its commit and checked against the base model."""
        can = self.capabilities(ref)
        if not (can.loras if kind == "lora" else can.controlnet):
            raise UserInputError(can.reason("loras" if kind == "lora" else "controlnet"))
        return self._adapters.find(ref, text, kind)

    def prepare_adapter(self, ref: ModelRef, adapter: Adapter) -> Iterator[Progress]:
        """Fetch an adapter, saying how far it is; the last item has stage "ready"."""
        yield from self._adapters.prepare(adapter)

    def recipe_in(self, data: bytes) -> Recipe:
        """The recipe inside a picture file; `UserInputError` when there is none or the file cannot be read safely."""
        recipe = recipe_in(text_chunks(data))
        if recipe is None:
            raise UserInputError(
                "There is no recipe in this file. Pictures drawn here, or by tools that write one, have it."
            )
        return recipe

    def picture_in(self, data: bytes) -> bytes:
        """The picture of any file as a plain upright PNG; `UserInputError` when it is too large, damaged or no picture."""
        return write_png(read_picture(data), {})

    def _choose(self, ref: ModelRef) -> tuple[ImageBackend, ImageCapabilities]:
        if ref.host:
            remote = self._from_host()
            return remote, remote.capabilities(ref)
        reasons = []
        for backend in self._backends:
            try:
                return backend, backend.capabilities(ref)
            except NoBackend as refusal:
                reasons.append(str(refusal) if len(self._backends) == 1 else f"{backend.name}: {refusal}")
        raise NoBackend(" ".join(reasons) or "No engine is set up to draw pictures here yet.", tuple(reasons))

    def _from_host(self) -> RemoteEngine:
        if self.remote is None:
            raise NoBackend(self._no_remote)
        return self.remote


_NO_SAFETY = SafetySettings()


def build_images(
    *,
    data_dir: Path,
    image_model: str = "",
    token: str | None = None,
    endpoint: str,
    orphan_seconds: float = 30.0,
    zero_gpu: bool = False,
    remote_url: str = "",
    remote_token: str = "",
    local_only: bool = False,
    resolve: Resolve | None = None,
    safety: SafetySettings = _NO_SAFETY,
) -> ImageRouter:
    """The router with its engines, from plain values; loads no model, no torch, and asks no network.

    `resolve` is the catalogue's; without it one is made.
    """
    setting = "PROVING_REMOTE_IMAGE_URL"
    target = None if local_only else target_of(remote_url, remote_token, "text-to-image", setting)
    start, own = _start_of(image_model)
    folders = (*own, *image_folders())
    files = ImageFiles(folders, PipelineDownloads(endpoint, token))
    resolve = resolve or _resolver(endpoint, token, folders)
    pins = PinBook(data_dir / "image-pins.json")
    adapters = Adapters(files, resolve, endpoint=endpoint, token=token, folder=data_dir / "adapters")
    return ImageRouter(
        ((_zero_gpu if zero_gpu else _local)(files, adapters, orphan_seconds),),
        resolve=resolve,
        adapters=adapters,
        safety=build_safety(safety, endpoint=endpoint, token=token, pin=partial(_pinned, pins, resolve)),
        pins=pins,
        start=start,
        folders=folders,
        remote=_remote(target, endpoint, orphan_seconds) if target else None,
        no_remote=LOCAL_ONLY if local_only else NO_REMOTE,
    )


def _pinned(pins: PinBook, resolve: Resolve, model: str) -> ModelRef:
    """The commit of a configured name: the same after a restart, whatever the Hub says then."""
    repo_id, revision = split_model(model)
    if COMMIT.fullmatch(revision):
        return ModelRef(repo_id, revision)
    return pins.get(model) or pins.put(model, resolve(repo_id, revision))


def _start_of(image_model: str) -> tuple[ModelRef | str, tuple[LocalFolder, ...]]:
    if not image_model:
        return IMAGE_REF, ()
    if remote_name(image_model) is not None:
        return image_model, ()
    path = Path(image_model).expanduser()
    if path.is_absolute() or image_model.startswith(".") or path.is_dir():
        own = own_pipeline(path)
        return own.ref, (own,)
    repo_id, revision = split_model(image_model)
    if repo_id == IMAGE_REF.repo_id:
        if revision not in ("", IMAGE_REF.revision):
            raise UserInputError(f"PROVING_IMAGE_MODEL: this version comes with {IMAGE_REF}, not {image_model}.")
        return IMAGE_REF, ()
    return image_model, ()


def _remote(target: Target, endpoint: str, orphan_seconds: float) -> RemoteEngine:
    from backends.remote.images import RemoteImages

    return RemoteImages(target, endpoint=endpoint, orphan_seconds=orphan_seconds)


def _local(files: ImageFiles, adapters: Adapters, orphan_seconds: float) -> ImageBackend:
    from backends.gpu import device, device_name, free_memory
    from backends.image.local import LocalImages
    from backends.registry import ModelRegistry

    def free() -> int | None:
        return free_memory(device())

    registry = ModelRegistry(most=2, free_bytes=free)  # type: ignore[var-annotated]
    return LocalImages(
        files, adapters, registry, device=device, name=device_name, free_bytes=free, orphan_seconds=orphan_seconds
    )


def _zero_gpu(files: ImageFiles, adapters: Adapters, orphan_seconds: float) -> ImageBackend:
    from backends.image.zerogpu import ZeroGpuImages

    return ZeroGpuImages(files, adapters, orphan_seconds=orphan_seconds)


def _resolver(endpoint: str, token: str | None, folders: tuple[LocalFolder, ...]) -> Resolve:
    from backends.hub.catalog import Catalog
    from backends.hub.local import LocalModels
    from backends.hub.remote import HubModels

    return Catalog(HubModels(endpoint, token), LocalModels(folders)).resolve
