"""The engine in this process, on the processor or a GPU: one worker thread for each answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

from backends.chat.answers import BufferedAnswer
from backends.chat.loaded import LoadedModel
from backends.chat.metadata import capabilities
from backends.chat.turns import Turns
from backends.chat.work import check_request, refuse_adapter, request, run
from backends.model_files import ModelFiles
from backends.registry import Lease, ModelRegistry
from core.chat import Capabilities, GenerationSettings, LoadPlan, Message, Progress
from core.refs import ModelRef


class LocalChat:
    """Implements `core.protocols.ChatBackend` with transformers' `generate`.

    Answers share the processor a token at a time (`Turns`), so several at once are each correct and equally fast. They
    are not one batch yet: issue 4 puts continuous batching behind this same door.
    """

    def __init__(
        self,
        files: ModelFiles,
        registry: ModelRegistry[LoadedModel],
        *,
        device: Callable[[], str],
        name: Callable[[], str],
        orphan_seconds: float,
    ) -> None:
        """`device` and `name` are asked when they are needed: finding a GPU may load torch."""
        self._files = files
        self._registry = registry
        self._device = device
        self._name = name
        self._orphan_seconds = orphan_seconds
        self._turns = Turns()

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
        """Begin an answer. A prompt that is too long is refused here, before anything runs."""
        started = monotonic()
        check_request(ref, messages, settings)
        lease = self._lease(ref)
        try:
            prompt, answer = request(
                lease.model,
                messages,
                settings,
                backend=self.name,
                path="plain",
                orphan_seconds=self._orphan_seconds,
                started=started,
            )
            threading.Thread(
                target=self._run, args=(lease, prompt, answer), name=f"answer-{answer.id[:8]}", daemon=True
            ).start()
        except BaseException:
            lease.release()
            raise
        return answer

    def _lease(self, ref: ModelRef) -> Lease[LoadedModel]:
        from backends.chat.loading import load, memory_needed

        device = self._device()
        return self._registry.lease(
            ref,
            lambda: load(ref, self._files.present(ref), device),
            lambda: memory_needed(self._files.present(ref), device),
        )

    def _run(self, lease: Lease[LoadedModel], prompt: list[int], answer: BufferedAnswer) -> None:
        from backends.chat.decoding import decode

        try:
            run(answer, lambda: decode(lease.model, prompt, answer.settings, answer, self._turns))
        finally:
            lease.release()
