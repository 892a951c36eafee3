"""A chat engine that says what it is told, at the pace it is told, through the same answers as the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic

from backends.chat.answers import BufferedAnswer
from backends.chat.detokenise import StopStrings
from backends.chat.work import check_request, run
from core.chat import Capabilities, Finish, GenerationSettings, LoadPlan, Message, Progress
from core.errors import AppError, UserInputError
from core.refs import ModelRef

Script = Callable[[tuple[Message, ...], GenerationSettings], Sequence[str]]
CONTEXT = 2048


class ScriptedChat:
    """Implements `ChatBackend`. `pace` is called before each piece: block in it to hold the engine there.

    `error` is raised after the last piece. Each piece counts as one token, each word of the prompt as one.
    """

    name = "CPU"

    def __init__(
        self,
        script: Script | Sequence[str] = ("Hello", " there", "."),
        *,
        pace: Callable[[], None] = lambda: None,
        error: AppError | None = None,
        orphan_seconds: float = 30.0,
    ) -> None:
        self.script = script
        self.pace = pace
        self.error = error
        self.orphan_seconds = orphan_seconds
        self.asked: list[tuple[ModelRef, tuple[Message, ...], GenerationSettings]] = []

    def capabilities(self, ref: ModelRef) -> Capabilities:
        return Capabilities(max_context=CONTEXT)

    def plan(self, ref: ModelRef) -> LoadPlan:
        return LoadPlan(ref, ready=True, source="a script")

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        started = monotonic()
        check_request(messages, settings)
        prompt_tokens = sum(len(message.content.split()) for message in messages)
        if prompt_tokens >= CONTEXT:
            raise UserInputError(
                f"The conversation has {prompt_tokens:,} tokens; this model reads at most {CONTEXT:,}."
            )
        applied = replace(
            settings,
            temperature=settings.temperature if settings.temperature is not None else 0.0,
            top_p=settings.top_p if settings.top_p is not None else 1.0,
            top_k=settings.top_k or 0,
            repetition_penalty=settings.repetition_penalty or 1.0,
            seed=5 if settings.seed is None else settings.seed,
        )
        self.asked.append((ref, messages, applied))
        answer = BufferedAnswer(
            ref,
            applied,
            backend=self.name,
            dtype="float32",
            path="plain",
            prompt_tokens=prompt_tokens,
            orphan_seconds=self.orphan_seconds,
            started=started,
        )
        pieces = self.script(messages, applied) if callable(self.script) else self.script
        work = (answer, lambda: self._say(answer, pieces))
        threading.Thread(target=run, args=work, name=f"answer-{answer.id[:8]}", daemon=True).start()
        return answer

    def _say(self, answer: BufferedAnswer, pieces: Sequence[str]) -> Finish:
        stops = StopStrings(answer.settings.stop)
        for piece in pieces[: answer.settings.max_new_tokens]:
            self.pace()
            if answer.cancelled:
                return "cancelled"
            answer.step()
            answer.put(stops.add(piece))
            if stops.found:
                return "stop"
        if self.error:
            raise self.error
        answer.put(stops.rest())
        return "length" if len(pieces) > answer.settings.max_new_tokens else "stop"
