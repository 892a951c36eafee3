"""The in-process engine: models on the CPU or on CUDA, one thread per answer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from backends.chat.answers import AnswerDesk, RunningAnswer, run_in_thread
from backends.chat.decoding import decode
from backends.chat.detokenise import Detokeniser, StopStrings
from backends.chat.prompts import fitted, prompt_ids
from backends.registry import LoadedModel, Registry
from core.chat import Capabilities, Finish, GenerationSettings, LoadPlan, Message, Progress
from core.errors import GenerationFailed, OutOfMemory
from core.refs import ModelRef

# transformers' own values where a model's generation_config says nothing.
FALLBACK = GenerationSettings(temperature=1.0, top_p=1.0, top_k=50, repetition_penalty=1.0)


class LocalChat:
    """`ChatBackend` for this machine. Every answer runs the plain path: its own cache and its own generator."""

    def __init__(self, registry: Registry, desk: AnswerDesk, orphan_seconds: float) -> None:
        self._registry = registry
        self._desk = desk
        self._orphan_seconds = orphan_seconds

    @property
    def name(self) -> str:
        """CPU, or the CUDA device's name."""
        return self._registry.device_name

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """As `ChatBackend.capabilities`; reads config files only."""
        return self._registry.capabilities(ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """As `ChatBackend.plan`."""
        return self._registry.plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """As `ChatBackend.prepare`."""
        return self._registry.prepare(ref)

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> RunningAnswer:
        """As `ChatBackend.start`."""
        for _ in self._registry.prepare(ref):
            pass
        loaded = self._registry.acquire(ref)
        try:
            prompt = prompt_ids(loaded.tokenizer, messages)
            applied = fitted(resolved(settings, loaded), len(prompt), loaded.context)
            answer = RunningAnswer(
                ref,
                applied,
                backend=self.name,
                dtype=loaded.dtype,
                path="plain",
                orphan_seconds=self._orphan_seconds,
            )
            answer.prompt_tokens = len(prompt)
            self._desk.add(answer)
        except BaseException:
            self._registry.release(loaded)
            raise
        run_in_thread(answer, lambda: self._write(answer, loaded, prompt, applied))
        return answer

    def _write(
        self, answer: RunningAnswer, loaded: LoadedModel, prompt: list[int], settings: GenerationSettings
    ) -> None:
        try:
            finish = write(
                answer,
                decode(
                    loaded.model, prompt, settings, loaded.ends, lambda: answer.cancelled, on_step=answer.count_step
                ),
                loaded.tokenizer,
                settings,
            )
            answer.finish(finish)
        except RuntimeError as error:
            raise translated(error) from error
        finally:
            self._registry.release(loaded)


def write(answer: RunningAnswer, tokens: Iterator[int], tokenizer: Any, settings: GenerationSettings) -> Finish:
    """Put the text of `tokens` into `answer` and say how it ended."""
    text, stops = Detokeniser(tokenizer), StopStrings(settings.stop)
    for token in tokens:
        answer.completion_tokens += 1
        answer.put(stops.add(text.add(token)))
        if stops.found:
            return "stop"
    if answer.cancelled:
        return "cancelled"
    answer.put(stops.add(text.rest()))
    answer.put(stops.rest())
    return "length" if answer.completion_tokens >= settings.max_new_tokens else "stop"


def resolved(settings: GenerationSettings, loaded: LoadedModel) -> GenerationSettings:
    """`settings` as they will be applied: the model's own defaults filled in, then transformers', then a seed."""
    filled = {}
    for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
        chosen = getattr(settings, name)
        own = loaded.defaults.get(name)
        filled[name] = chosen if chosen is not None else own if own is not None else getattr(FALLBACK, name)
    # What `model.generate` would do: a model whose own config does not ask for sampling answers greedily.
    if settings.temperature is None and not loaded.defaults.get("do_sample"):
        filled["temperature"] = 0.0
    seed = settings.seed if settings.seed is not None else secrets.randbelow(2**31)
    return replace(settings, **filled, seed=seed)


def translated(error: RuntimeError) -> GenerationFailed | OutOfMemory:
    """What torch raises as RuntimeError, as an error of ours."""
    text = str(error)
    if "out of memory" in text.lower() or "not enough memory" in text.lower() or "can't allocate" in text.lower():
        return OutOfMemory(
            "There was not enough memory for this answer. Shorten the conversation, lower max new tokens, or choose a "
            "smaller model."
        )
    return GenerationFailed(f"The engine stopped with an error: {text[:200]} Send the message again; nothing is lost.")

