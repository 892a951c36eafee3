"""Chooses the engine for a model and keeps the start model's pin; builds everything chat needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from backends import bundled
from backends.bundled.card import metadata_text
from backends.bundled.constants import PARAMETERS
from backends.chat.adapter_files import AdapterDownloads, ChatAdapters
from backends.chat.answers import Desk
from backends.downloads import Downloads
from backends.model_files import ModelFiles, own_folder
from backends.pins import PinBook, moved
from backends.remote.target import Target, target_of
from backends.revision import Revisions
from backends.safety.build import TextSafetySettings, build_text_safety
from backends.safety.checked import CheckedAnswer, checked_prompt
from core.attached import NONE_HERE, Attached
from core.catalog import LocalFolder
from core.chat import Capabilities, GenerationSettings, LoadPlan, Message, Progress, WeightsOffer
from core.chat_protocols import AdaptedChat, Answer, ChatBackend, ChatRequest, MeteredChat, RemoteModels
from core.errors import HubError, NoBackend
from core.hub_protocols import HubCatalog
from core.refs import COMMIT, HELD, PLUS, ModelRef, remote_name, split_model
from core.text_safety import NOTHING_CHECKS, TextCheck, TextVerdict

HUB_MODEL = bundled.BASE_MODEL


LOCAL_ONLY = (
    "PROVING_LOCAL_ONLY=1: no prompt leaves this machine, so no remote engine is used. Choose a model of this machine."
)
NO_REMOTE = "No remote engine is set up here. The operator names one with PROVING_REMOTE_URL."


class RemoteEngine(ChatBackend, RemoteModels, Protocol):
    """An engine on another machine."""


class Router:
    """Implements `core.chat_protocols.ChatRouter`."""

    def __init__(
        self,
        backends: Sequence[ChatBackend],
        *,
        catalog: HubCatalog,
        pins: PinBook,
        start: ModelRef | str,
        folders: tuple[LocalFolder, ...] = (),
        desk: Desk | None = None,
        remote: RemoteEngine | None = None,
        no_remote: str = NO_REMOTE,
        check: TextCheck | None = None,
    ) -> None:
        """`start` is the start model: a ref, or a name on the Hub that is resolved once and pinned for good.

        `folders` are the models of this machine outside the Hub's cache; `backends` are asked in this order. `remote`
        runs the models that were chosen as remote and is asked for no other; `no_remote` says why there is none.
        `check` looks at every prompt and every answer.
        """
        self.catalog = catalog
        self.folders = folders
        self._backends = tuple(backends)
        self._pins = pins
        self._start = start
        self._lock = threading.Lock()
        self._desk = desk or Desk()
        self.remote = remote
        self._no_remote = no_remote
        self.check = check
        # Whom names that visitors give are looked up with; the start model's is the operator's own.
        self.visitors: HubCatalog | None = None

    def start_model(self) -> ModelRef:
        """The model pinned at start. Asks the Hub only the first time a name without a commit is configured."""
        if isinstance(self._start, str) and (name := remote_name(self._start)) is not None:
            # Not kept: what a host serves under a name may change, and the pin then says so.
            return self._from_host().pin(name)
        with self._lock:
            if isinstance(self._start, str):
                self._start = self._resolved(self._start)
            return self._start

    def main_moved(self) -> str | None:
        """The commit that main of the start model points to, when it is no longer the pinned one; asks the Hub."""
        pinned = self.start_model()
        if pinned.host:
            return None
        if any(folder.ref == pinned for folder in self.folders):
            return None
        try:
            return moved(pinned, self.catalog.resolve(pinned.repo_id))
        except HubError:
            # Not known is not news: the model runs from this machine all the same.
            return None

    def pin(self, model: str) -> ModelRef:
        """`repo_id` or `repo_id@revision` resolved to one commit; "" is the start model.

        `remote:<name>` is what the remote engine serves under that name: nothing else ever leads there. After a plus
        stands an adapter, as `find_adapter` reads it: `repo_id@revision+adapter@revision`; after a hash how the weights
        are held: `repo_id@revision#int8`.
        """
        if remote_name(model) is None and PLUS in model:
            base, _, adapter = model.partition(PLUS)
            return self.find_adapter(self.pin(base), adapter)
        if remote_name(model) is None and HELD in model:
            base, _, kind = model.partition(HELD)
            return self.held(self.pin(base), kind)
        if not model.strip():
            return self.start_model()
        if (name := remote_name(model)) is not None:
            return self._from_host().pin(name)
        repo_id, revision = split_model(model)
        for folder in self.folders:
            if folder.ref.repo_id == repo_id and revision in ("", folder.ref.revision):
                return folder.ref
        own = self._start.repo_id if isinstance(self._start, ModelRef) else self._start.partition("@")[0]
        return (self.catalog if repo_id == own else self.visitors or self.catalog).resolve(repo_id, revision)

    def find_adapter(self, ref: ModelRef, text: str) -> ModelRef:
        """The model with the adapter that `repo_id[@revision]` names, pinned to its commit and checked against the model.

        "" is the model without one. Fetches the adapter's description and nothing else.
        """
        if not text.strip():
            return ref.base
        engine = self._choose(ref.base)[0]
        if not isinstance(engine, AdaptedChat):
            raise NoBackend(
                f"{engine.name} loads no adapters. A host that serves some lists each as a model of its own."
                if ref.host
                else f"{engine.name} loads no adapters in this version. Choose the model without one."
            )
        return engine.find_adapter(ref.base, text)

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """The model with its weights held as `kind` says, "": as published. Raises `UserInputError` or `NoBackend`."""
        engine = self._choose(ref.published)[0]
        if not kind:
            return replace(ref, weights="")
        if not isinstance(engine, AdaptedChat):
            raise NoBackend(f"{engine.name} holds weights as they are published. Choose them so.")
        return engine.held(ref, kind)

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """How else the weights of a model can be held, with what that saves; () where there is no choice."""
        engine = self._choose(ref.published)[0]
        return engine.weights(ref) if isinstance(engine, AdaptedChat) else ()

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """The adapters that can be chosen for a model without asking a network, as `find_adapter` reads them."""
        engine, can = self._choose(ref.base)
        return engine.adapters(ref.base) if isinstance(engine, AdaptedChat) else can.adapters

    def engine(self, ref: ModelRef) -> str:
        """The name of the engine that would answer."""
        return self._choose(ref)[0].name

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What the engine that would answer can do with the model."""
        return self._choose(ref)[1]

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        return self._choose(ref)[0].plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        yield from self._choose(ref)[0].prepare(ref)

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """Begin an answer, and keep it so that a page that reloads finds it."""
        verdict = checked_prompt(self.check, messages) if self.check else None
        return self._kept(self._choose(ref)[0].start(ref, messages, settings), verdict)

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """Begin several answers: in one call where one engine that counts GPU time makes them all, else one by one."""
        engines = [self._choose(ref)[0] for ref, _, _ in requests]
        if isinstance(engines[0], MeteredChat) and all(engine is engines[0] for engine in engines):
            verdicts = [checked_prompt(self.check, messages) if self.check else None for _, messages, _ in requests]
            answers = engines[0].start_together(requests)
            return tuple(self._kept(answer, verdict) for answer, verdict in zip(answers, verdicts, strict=True))
        begun: list[Answer] = []
        try:
            for request in requests:
                begun.append(self.start(*request))  # noqa: PERF401  (what has begun is cancelled when the next fails)
        except Exception:
            for answer in begun:
                answer.cancel()
            raise
        return tuple(begun)

    def text_checks(self) -> str:
        """What looks at prompts and answers here, as a sentence; says so when nothing does."""
        return NOTHING_CHECKS if self.check is None else self.check.describe()

    def _kept(self, answer: Answer, verdict: TextVerdict | None) -> Answer:
        if self.check is not None and verdict is not None:
            answer = CheckedAnswer(answer, self.check, verdict)
        return self._desk.keep(answer)

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """GPU time they would take of the visitor's quota at most; None where nothing is counted."""
        # Nobody is asked where nothing is counted: a host's engine would be asked over the network.
        metered = next((engine for engine in self._backends if isinstance(engine, MeteredChat)), None)
        if metered is None or any(ref.host for ref, _, _ in requests):
            return None
        if not all(self._choose(ref)[0] is metered for ref, _, _ in requests):
            return None
        return metered.gpu_seconds(requests)

    def place(self, ref: ModelRef) -> None:
        """Get a model ready before the page is launched."""
        if ref.host:
            # Nothing to place here, and a host that is down must not keep the app from starting.
            return
        engine = self._choose(ref)[0]
        if isinstance(engine, MeteredChat):
            engine.place(ref)
        else:
            for _ in engine.prepare(ref):
                pass

    def answer(self, answer_id: str) -> Answer | None:
        """A running or recent answer; None when it is gone."""
        return self._desk.get(answer_id)

    def _choose(self, ref: ModelRef) -> tuple[ChatBackend, Capabilities]:
        if ref.host:
            remote = self._from_host()
            return remote, remote.capabilities(ref)
        reasons = []
        for backend in self._backends:
            try:
                return backend, backend.capabilities(ref)
            except NoBackend as refusal:
                reasons.append(str(refusal) if len(self._backends) == 1 else f"{backend.name}: {refusal}")
        raise NoBackend(" ".join(reasons) or "No engine is set up to run models.", tuple(reasons))

    def _from_host(self) -> RemoteEngine:
        if self.remote is None:
            raise NoBackend(self._no_remote)
        return self.remote

    def _resolved(self, model: str) -> ModelRef:
        repo_id, revision = split_model(model)
        if COMMIT.fullmatch(revision):
            return ModelRef(repo_id, revision)
        return self._pins.get(model) or self._pins.put(model, self.catalog.resolve(repo_id, revision))


def build_chat(
    *,
    data_dir: Path,
    chat_model: str = "",
    token: str | None = None,
    endpoint: str,
    orphan_seconds: float = 30.0,
    zero_gpu: bool = False,
    remote_url: str = "",
    remote_token: str = "",
    local_only: bool = False,
    allow_pickle: bool = False,
    text_safety: TextSafetySettings | None = None,
    catalog: Callable[[tuple[LocalFolder, ...]], HubCatalog] | None = None,
    png: Callable[[Attached], bytes] = NONE_HERE.png,
) -> Router:
    """The router with its engines, from plain values; loads no model, no torch, and asks no network.

    `catalog` makes the catalogue from the folders of this machine; without it the Hub's own is made. With `local_only`
    there is no remote engine, whatever `remote_url` says. With `allow_pickle` weights that exist only so are loaded.
    `png` gives the file of a picture that goes with a message.
    """
    target = None if local_only else target_of(remote_url, remote_token)
    models_dir = data_dir / "models"
    # On ZeroGPU never: what is placed there is loaded before anybody could see that it is pickle.
    allow_pickle = allow_pickle and not zero_gpu
    start, own = _start_of(chat_model, models_dir, allow_pickle)
    folders = (*own, *_bundled_folder(models_dir))
    downloads = Downloads(endpoint, token, pickle=allow_pickle)
    files = ModelFiles(models_dir, own, downloads, pickle=allow_pickle)
    models = (catalog or _catalog(endpoint, token))(folders)
    if zero_gpu:
        backend = _zero_gpu(files, orphan_seconds)
    else:
        adapters = ChatAdapters(AdapterDownloads(endpoint, token), models.resolve, data_dir / "adapters")
        backend = _local(files, adapters, orphan_seconds, png)
    router = Router(
        (backend,),
        catalog=models,
        pins=PinBook(data_dir / "pins.json"),
        start=start,
        folders=folders,
        remote=_remote(target, endpoint, orphan_seconds, png) if target else None,
        no_remote=LOCAL_ONLY if local_only else NO_REMOTE,
    )
    if text_safety is not None:
        router.check = build_text_safety(text_safety, endpoint=endpoint, token=token, pin=router._resolved)
    return router


def _start_of(chat_model: str, models_dir: Path, pickle: bool) -> tuple[ModelRef | str, tuple[LocalFolder, ...]]:
    if not chat_model:
        return (bundled.REF if _bundled_folder(models_dir) else HUB_MODEL), ()
    if remote_name(chat_model) is not None:
        return chat_model, ()
    path = Path(chat_model).expanduser()
    if path.is_absolute() or chat_model.startswith(".") or path.is_dir():
        own = own_folder(path, Revisions(models_dir), pickle=pickle)
        return own.ref, (own,)
    repo_id, revision = split_model(chat_model)
    if repo_id == bundled.REF.repo_id and revision in ("", bundled.REVISION):
        return bundled.REF, ()
    return chat_model, ()


def _bundled_folder(models_dir: Path) -> tuple[LocalFolder, ...]:
    ready = bundled.is_prepared(models_dir)
    if not ready and bundled.installed() is None:
        return ()
    foretold = (metadata_text(), PARAMETERS)
    return (LocalFolder(bundled.REF, models_dir / bundled.FOLDER, ready=ready, bundled=True, foretold=foretold),)


def _catalog(endpoint: str, token: str | None) -> Callable[[tuple[LocalFolder, ...]], HubCatalog]:
    from backends.hub.catalog import Catalog
    from backends.hub.local import LocalModels
    from backends.hub.remote import HubModels

    return lambda folders: Catalog(HubModels(endpoint, token), LocalModels(folders))


def _local(
    files: ModelFiles, adapters: ChatAdapters, orphan_seconds: float, png: Callable[[Attached], bytes]
) -> ChatBackend:
    from backends.chat.plain import LocalChat
    from backends.gpu import device, device_name, free_memory
    from backends.registry import ModelRegistry

    def free_bytes() -> int | None:
        return free_memory(device())

    return LocalChat(
        files,
        ModelRegistry(free_bytes=free_bytes),
        adapters=adapters,
        device=device,
        name=device_name,
        orphan_seconds=orphan_seconds,
        free_bytes=free_bytes,
        png=png,
    )


def _remote(target: Target, endpoint: str, orphan_seconds: float, png: Callable[[Attached], bytes]) -> RemoteEngine:
    from backends.remote.chat import RemoteChat

    return RemoteChat(target, endpoint=endpoint, orphan_seconds=orphan_seconds, png=png)


def _zero_gpu(files: ModelFiles, orphan_seconds: float) -> ChatBackend:
    from backends.chat.zerogpu import ZeroGpuChat

    return ZeroGpuChat(files, orphan_seconds=orphan_seconds)
