"""The engine in this process, on the processor or a GPU: answers in one batch, or one by one where a batch cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from backends import bundled
from backends.chat.adapted import AdapterSwitch
from backends.chat.adapter_files import ChatAdapters
from backends.chat.answers import BufferedAnswer
from backends.chat.fitting import ADAPTER_SHARE, Resident, resident
from backends.chat.metadata import capabilities, read_config
from backends.chat.steps import StepThread
from backends.chat.turns import Turns
from backends.chat.weights import check_published, offers
from backends.chat.work import check_request, going_on, read, refuse_adapter, run
from backends.loading_lock import load_alone
from backends.model_files import ModelFiles
from backends.registry import Lease, ModelRegistry
from core.attached import NONE_HERE, Attached
from core.chat import Capabilities, GenerationSettings, LoadPlan, Message, Progress, WeightsOffer
from core.errors import Busy, NoBackend, UserInputError
from core.refs import ModelRef, shown

OFF = "batching is off"
MOST_ALONE = 32
"""How many answers may be made or wait one by one; beside the batch they share the processor a token at a time."""


class LocalChat:
    """Implements `core.chat_protocols.ChatBackend`: every request of a model a seat in its batch (`BatchedEngine`).

    A request that has to be exact to the bit (its seed was fixed) or that the batch cannot take is made by
    transformers' own `generate` in a thread of its own; `Reply.path` and `Reply.why` say so.
    """

    def __init__(
        self,
        files: ModelFiles,
        registry: ModelRegistry[Resident],
        *,
        adapters: ChatAdapters | None = None,
        device: Callable[[], str],
        name: Callable[[], str],
        orphan_seconds: float,
        free_bytes: Callable[[], int | None] = lambda: None,
        batching: bool = True,
        png: Callable[[Attached], bytes] = NONE_HERE.png,
    ) -> None:
        """`device` and `name` are asked when they are needed: finding a GPU may load torch.

        `free_bytes` bounds the memory of a model's batch. Without `batching` every answer is made alone.
        `png` gives the file of a picture that goes with a message.
        """
        self._files = files
        self._registry = registry
        self._adapters = adapters
        self._device = device
        self._name = name
        self._orphan_seconds = orphan_seconds
        self._free_bytes = free_bytes
        self._batching = batching
        self._png = png
        # Models whose files promise eyes, and whose processor could not be loaded when it was tried.
        self._blind: dict[ModelRef, str] = {}
        self._turns = Turns()
        self._steps = StepThread(self._turns)
        self._alone = threading.BoundedSemaphore(MOST_ALONE)

    @property
    def name(self) -> str:
        """CPU, or the GPU's name."""
        return self._name()

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model, from config.json alone."""
        if self._adapters is None:
            refuse_adapter(ref, "here")
        can = capabilities(self._files, ref.published)
        blind = self._blind.get(ref.published)
        return can if blind is None else replace(can, images=False, why_not=(*can.why_not, ("images", blind)))

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """The model with its weights held as `kind` says, "": as published. Raises `UserInputError` when that is not possible."""
        if not kind:
            return replace(ref, weights="")
        offer = next((offer for offer in self.weights(ref) if offer.kind == kind), None)
        if offer is None or offer.why_not:
            why = offer.why_not if offer else f"The weights of {ref.published} cannot be held as {shown(kind)} here."
            raise UserInputError(f"{why} Choose them as published.")
        if ref.adapter is not None:
            raise UserInputError(
                "An adapter goes on top of the weights as published. Choose the model without it first."
            )
        return replace(ref, weights=kind)

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """How else the weights of a model that is here can be held."""
        folder = self._files.folder(ref.published)
        return () if folder is None else offers(folder, read_config(folder, str(ref)), self._device())

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """The adapters of this machine that were made for a model."""
        return self._adapters.here(ref.base) if self._adapters else ()

    def find_adapter(self, base: ModelRef, text: str) -> ModelRef:
        """`base` with the adapter that `text` names, pinned and checked against it; fetches its description only."""
        if self._adapters is None:
            raise NoBackend("Adapters are not loaded here. Choose the model without the adapter.")
        if base.weights:
            raise UserInputError("An adapter goes on top of the weights as published. Choose those first.")
        return self._adapters.find(base, text)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        plan = self._files.plan(ref.published)
        if ref.adapter is None:
            return plan
        more = self._own_adapters(ref).plan(ref.adapter)
        return LoadPlan(
            ref,
            plan.ready and more.ready,
            plan.download_bytes + more.download_bytes,
            plan.files + more.files,
            more.source if plan.ready else plan.source,
        )

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model and its adapter, saying how far it is; the last item has stage "ready"."""
        if ref.adapter is not None:
            yield from self._own_adapters(ref).fetch(ref.adapter)
        if not self._registry.has(ref.base):
            if ref.published != bundled.REF and self._files.folder(ref.published) is None:
                config = read_config(self._files.describing(ref.published), str(ref))
                check_published(config, str(ref), self._device())
            yield from self._files.fetch(ref.published)
            from backends.chat.loading import tensor_count

            total = tensor_count(self._files.present(ref.published))
            yield Progress("load", 0, total, "tensors")
            self._lease(ref).release()
            yield Progress("load", total, total, "tensors")
        elif ref.adapter is not None:
            self._lease(ref).release()
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        """Begin an answer. A prompt that is too long is refused here, before anything runs.

        Raises `Busy` when as many wait already as may.
        """
        started = monotonic()
        check_request(messages, settings)
        lease = self._lease(ref)
        try:
            model = lease.model
            prompt, pixels, applied = read(model.loaded, messages, settings, self._png)
            why = _why_alone(model, settings, len(prompt) + applied.max_new_tokens, pixels)
            engine = None if why else model.engine
            answer = BufferedAnswer(
                ref,
                applied,
                backend=self.name,
                dtype=model.loaded.dtype,
                path="plain" if engine is None else "batched",
                prompt_tokens=len(prompt),
                orphan_seconds=self._orphan_seconds,
                started=started,
                why=why if self._batching else "",
            )
            answer.goes_on_from = going_on(model.loaded, messages)
            if engine is None:
                self._begin_alone(lease, prompt, answer, pixels)
            else:
                engine.submit(prompt, answer, lease.release)
        except BaseException:
            lease.release()
            raise
        return answer

    def _lease(self, ref: ModelRef) -> Lease[Resident]:
        """The model with its batch, or its adapter with the adapter's; the base stays as long as any of them is in use."""
        base = self._base(ref.base)
        if ref.adapter is None:
            return base
        try:
            adapted = base.model.adapters.lease(ref, lambda: self._adapted(base.model, ref))
        except BaseException:
            base.release()
            raise

        def release() -> None:
            adapted.release()
            base.release()

        return Lease(adapted.model, release)

    def _base(self, ref: ModelRef) -> Lease[Resident]:
        from backends.chat.loading import load, memory_needed

        device = self._device()

        def loaded() -> Resident:
            model = load(ref, self._files.present(ref.published), device, pickle=self._files.pickle)
            if model.blind:
                self._blind[ref.published] = model.blind
            if self._adapters is not None:
                model = replace(model, switch=AdapterSwitch(model.model))
            if not self._batching:
                return Resident(model, None, OFF)
            return resident(model, self._steps, self._free_bytes)

        return self._registry.lease(ref, loaded, lambda: memory_needed(self._files.present(ref.published), device))

    def _adapted(self, base: Resident, ref: ModelRef) -> Resident:
        from backends.chat.loading import load_adapter

        adapter = ref.adapter
        assert adapter is not None
        folder = self._own_adapters(ref).present(adapter)

        def work() -> Resident:
            # Nobody may compute with the model while its layers are exchanged, nor while the trial switches them. The
            # turn is taken last: somebody else's load must not stop every answer.
            with self._turns.held():
                kept = [other.adapter for other in base.adapters.models()]
                loaded = load_adapter(base.loaded, adapter, folder, kept)
                if base.engine is None:
                    return Resident(loaded, None, base.why)
                return resident(loaded, self._steps, self._free_bytes, share=ADAPTER_SHARE, alone=lambda trial: trial())

        return load_alone(work)

    def _own_adapters(self, ref: ModelRef) -> ChatAdapters:
        if self._adapters is None:
            refuse_adapter(ref, "here")
            raise AssertionError(f"{ref} has no adapter")
        return self._adapters

    def _begin_alone(
        self, lease: Lease[Resident], prompt: list[int], answer: BufferedAnswer, pixels: Mapping[str, Any]
    ) -> None:
        if not self._alone.acquire(blocking=False):
            answer.cancel()
            raise Busy(
                f"{MOST_ALONE} answers are being made one by one already. Leave the seed empty to join the batch, or try "
                "again in a minute."
            )
        name = f"answer-{answer.id[:8]}"
        work = (lease, prompt, answer, pixels)
        threading.Thread(target=self._run_alone, args=work, name=name, daemon=True).start()

    def _run_alone(
        self, lease: Lease[Resident], prompt: list[int], answer: BufferedAnswer, pixels: Mapping[str, Any]
    ) -> None:
        from backends.chat.decoding import decode

        try:
            run(answer, lambda: decode(lease.model.loaded, prompt, answer.settings, answer, self._turns, pixels))
        finally:
            self._alone.release()
            lease.release()


def _why_alone(model: Resident, asked: GenerationSettings, tokens: int, pixels: Mapping[str, Any]) -> str:
    """Why a request cannot be one of a batch; "" when it can. A batch rounds otherwise, so it repeats nothing exactly."""
    if model.engine is None:
        return model.why
    if pixels:
        return "it looks at a picture"
    if asked.seed is not None:
        return "the seed is fixed"
    if tokens > model.engine.capacity():
        return "longer than the batch has room for"
    return ""
