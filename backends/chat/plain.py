"""The engine in this process, on the processor or a GPU: answers in one batch, or one by one where a batch cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

from backends.chat.answers import BufferedAnswer
from backends.chat.fitting import Resident, resident
from backends.chat.metadata import capabilities
from backends.chat.steps import StepThread
from backends.chat.turns import Turns
from backends.chat.work import check_request, read, refuse_adapter, run
from backends.model_files import ModelFiles
from backends.registry import Lease, ModelRegistry
from core.chat import Capabilities, GenerationSettings, LoadPlan, Message, Progress
from core.errors import Busy
from core.refs import ModelRef

MOST_ALONE = 32
"""How many answers may be made or wait one by one; beside the batch they share the processor a token at a time."""


class LocalChat:
    """Implements `core.protocols.ChatBackend`: every request of a model a seat in its batch (`BatchedEngine`).

    A request that has to be exact to the bit (its seed was fixed) or that the batch cannot take is made by
    transformers' own `generate` in a thread of its own; `Reply.path` and `Reply.why` say so.
    """

    def __init__(
        self,
        files: ModelFiles,
        registry: ModelRegistry[Resident],
        *,
        device: Callable[[], str],
        name: Callable[[], str],
        orphan_seconds: float,
        free_bytes: Callable[[], int | None] = lambda: None,
        batching: bool = True,
    ) -> None:
        """`device` and `name` are asked when they are needed: finding a GPU may load torch.

        `free_bytes` bounds the memory of a model's batch. Without `batching` every answer is made alone.
        """
        self._files = files
        self._registry = registry
        self._device = device
        self._name = name
        self._orphan_seconds = orphan_seconds
        self._free_bytes = free_bytes
        self._batching = batching
        self._turns = Turns()
        self._steps = StepThread(self._turns)
        self._alone = threading.BoundedSemaphore(MOST_ALONE)

    @property
    def name(self) -> str:
        """CPU, or the GPU's name."""
        return self._name()

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model, from config.json alone."""
        refuse_adapter(ref)
        return capabilities(self._files, ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        refuse_adapter(ref)
        return self._files.plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        refuse_adapter(ref)
        if not self._registry.has(ref):
            yield from self._files.fetch(ref)
            from backends.chat.loading import tensor_count

            total = tensor_count(self._files.present(ref))
            yield Progress("load", 0, total, "tensors")
            self._lease(ref).release()
            yield Progress("load", total, total, "tensors")
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        """Begin an answer. A prompt that is too long is refused here, before anything runs.

        Raises `Busy` when as many wait already as may.
        """
        started = monotonic()
        check_request(ref, messages, settings)
        lease = self._lease(ref)
        try:
            model = lease.model
            prompt, applied = read(model.loaded, messages, settings)
            why = _why_alone(model, settings, len(prompt) + applied.max_new_tokens)
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
            if engine is None:
                self._begin_alone(lease, prompt, answer)
            else:
                engine.submit(prompt, answer, lease.release)
        except BaseException:
            lease.release()
            raise
        return answer

    def _lease(self, ref: ModelRef) -> Lease[Resident]:
        from backends.chat.loading import load, memory_needed

        device = self._device()

        def loaded() -> Resident:
            model = load(ref, self._files.present(ref), device)
            if not self._batching:
                return Resident(model, None, "batching is off")
            return resident(model, self._steps, self._free_bytes)

        return self._registry.lease(ref, loaded, lambda: memory_needed(self._files.present(ref), device))

    def _begin_alone(self, lease: Lease[Resident], prompt: list[int], answer: BufferedAnswer) -> None:
        if not self._alone.acquire(blocking=False):
            answer.cancel()
            raise Busy(
                f"{MOST_ALONE} answers are being made one by one already. Leave the seed empty to join the batch, or try "
                "again in a minute."
            )
        name = f"answer-{answer.id[:8]}"
        threading.Thread(target=self._run_alone, args=(lease, prompt, answer), name=name, daemon=True).start()

    def _run_alone(self, lease: Lease[Resident], prompt: list[int], answer: BufferedAnswer) -> None:
        from backends.chat.decoding import decode

        try:
            run(answer, lambda: decode(lease.model.loaded, prompt, answer.settings, answer, self._turns))
        finally:
            self._alone.release()
            lease.release()


def _why_alone(model: Resident, asked: GenerationSettings, tokens: int) -> str:
    """Why a request cannot be one of a batch; "" when it can. A batch rounds otherwise, so it repeats nothing exactly."""
    if model.engine is None:
        return model.why
    if asked.seed is not None:
        return "the seed is fixed"
    if tokens > model.engine.capacity():
        return "longer than the batch has room for"
    return ""
