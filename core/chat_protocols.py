"""What pages may ask of chat: answers on their way, the engines that give them, and the router that chooses one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from core.chat import Capabilities, Delta, GenerationSettings, LoadPlan, Message, Progress, Reply, WeightsOffer
from core.refs import ModelRef


class Answer(Protocol):
    """A running or finished answer. Pages listen to it; they do not own it."""

    @property
    def id(self) -> str:
        """A random id that names this answer and nothing else."""
        ...

    def listen(self) -> Iterator[Delta]:
        """Every delta from the first on, then those to come; ends after the one with `finish`.

        Any number may listen. When the last listener leaves an unfinished answer it goes on for the grace time
        (`Settings.orphan_seconds`), then it is cancelled. Raises `BackendError` if the engine failed.
        """
        ...

    def cancel(self) -> None:
        """End the answer within one token; listeners get a last delta with finish "cancelled". Idempotent."""
        ...

    def reply(self) -> Reply:
        """The answer as it stands, with the settings really applied."""
        ...


class ChatBackend(Protocol):
    """One engine: in this process, on ZeroGPU, or remote."""

    @property
    def name(self) -> str:
        """What the chip and the rows call it, for example "CPU"."""
        ...

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model; raises `NoBackend` or `UnsafeContentError` when it cannot run it."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        ...

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """Begin an answer. Loads the model first when it is on this machine but not in memory."""
        ...


ChatRequest = tuple[ModelRef, tuple[Message, ...], GenerationSettings]
"""What `ChatBackend.start` takes, for several answers at once."""


@runtime_checkable
class MeteredChat(Protocol):
    """What a chat engine adds whose GPU time is counted against the visitor."""

    def place(self, ref: ModelRef) -> None:
        """Fetch a model and put it where every call finds it; before the page is launched, in the main thread."""
        ...

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """GPU time that one call with these requests takes of the visitor's quota at most; None when it is not known yet."""
        ...

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """Begin several answers in one call, which is one wait for a GPU and one start-up."""
        ...


@runtime_checkable
class AdaptedChat(Protocol):
    """What a chat engine adds that puts LoRAs on top of its models."""

    def find_adapter(self, base: ModelRef, text: str) -> ModelRef:
        """As `ChatRouter.find_adapter`."""
        ...

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """As `ChatRouter.adapters`."""
        ...

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """As `ChatRouter.held`."""
        ...

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """As `ChatRouter.weights`."""
        ...


class RemoteModels(Protocol):
    """What an engine on another machine serves. Its models are chosen as `remote:<name>` and by nothing else."""

    @property
    def host(self) -> str:
        """Where text is sent, as it is shown before anything is."""
        ...

    def models(self) -> Sequence[ModelRef]:
        """The models that can be chosen; raises `BackendError` when the host does not tell."""
        ...

    def pin(self, name: str) -> ModelRef:
        """The model the host serves under a name, with its commit where the host says it."""
        ...


class ChatRouter(Protocol):
    """Chooses the engine for a model and keeps the start model's pin."""

    def start_model(self) -> ModelRef:
        """The model pinned at start (`PROVING_CHAT_MODEL`, else the bundled one)."""
        ...

    def main_moved(self) -> str | None:
        """The commit that main of the start model points to when it is no longer the pinned one; asks the Hub."""
        ...

    def pin(self, model: str) -> ModelRef:
        """`repo_id` or `repo_id@revision` resolved to one commit; "" is the start model.

        With `+repo_id[@revision]` after it the adapter of that name is on top, as `find_adapter` reads it.
        """
        ...

    def find_adapter(self, ref: ModelRef, text: str) -> ModelRef:
        """The model with the adapter that `repo_id[@revision]` or `local/<folder>` names, pinned and checked; "": without.

        Nothing is fetched but its description. Raises `UserInputError` when it is no such adapter or made for another
        base, `UnsafeContentError` when its weights are pickle, `NoBackend` where no adapter is loaded.
        """
        ...

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """The model with its weights held as an offer of `weights` says, "": as published.

        Raises `UserInputError` or `NoBackend` when that is not possible here.
        """
        ...

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """How else the weights of a model can be held, with what that saves; () where there is no choice."""
        ...

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """The adapters that can be chosen for a model, as `find_adapter` reads them; asks no network."""
        ...

    def engine(self, ref: ModelRef) -> str:
        """The name of the engine that would answer."""
        ...

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """As `ChatBackend.capabilities`, of the engine that would answer."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """As `ChatBackend.plan`."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """As `ChatBackend.prepare`."""
        ...

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """As `ChatBackend.start`."""
        ...

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """Begin several answers, in one call where the engine counts GPU time. All or none."""
        ...

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """GPU time they would take of the visitor's quota at most; None where nothing is counted. Asks no network."""
        ...

    def place(self, ref: ModelRef) -> None:
        """Get a model ready before the page is launched: on ZeroGPU every worker inherits what is placed by then."""
        ...

    def text_checks(self) -> str:
        """What looks at prompts and answers here, as a sentence; says so when nothing does."""
        ...

    def answer(self, answer_id: str) -> Answer | None:
        """A running or recent answer, for a listener that comes back; None when it is gone."""
        ...
