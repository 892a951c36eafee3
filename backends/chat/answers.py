"""Answers that outlive their page: any number may listen, and one that nobody hears ends by itself."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from uuid import uuid4

from core.chat import Delta, Finish, GenerationSettings, Path, Reply, Usage
from core.errors import GenerationFailed
from core.refs import ModelRef

RECENT = 500


class RunningAnswer:
    """One answer being written by an engine's thread and read by listeners.

    The engine calls `put`, then `finish` or `fail`, and asks `cancelled` before every step.
    """

    def __init__(
        self,
        ref: ModelRef,
        settings: GenerationSettings,
        *,
        backend: str,
        dtype: str,
        path: Path,
        orphan_seconds: float,
    ) -> None:
        self.id = uuid4().hex
        self._ref, self._settings = ref, settings
        self._backend, self._dtype, self._path = backend, dtype, path
        self._orphan_seconds = orphan_seconds
        self._changed = threading.Condition()
        self._deltas: list[Delta] = []
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._error: BaseException | None = None
        self._listeners = 0
        self._orphaned: threading.Timer | None = None
        self._cancel = threading.Event()
        self._started = time.monotonic()
        self._first: float | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.steps = 0

    def listen(self) -> Iterator[Delta]:
        """As `core.protocols.Answer.listen`."""
        with self._changed:
            self._listeners += 1
            if self._orphaned is not None:
                self._orphaned.cancel()
                self._orphaned = None
        try:
            seen = 0
            while True:
                with self._changed:
                    self._changed.wait_for(lambda seen=seen: len(self._deltas) > seen or self._ended)
                    fresh, ended, error = self._deltas[seen:], self._ended, self._error
                seen += len(fresh)
                yield from fresh
                if ended and seen == len(self._deltas):
                    if error is not None:
                        raise error
                    return
        finally:
            self._leave()

    def cancel(self) -> None:
        """As `core.protocols.Answer.cancel`: listeners are told at once, the engine stops before its next step."""
        self._cancel.set()
        self.finish("cancelled")

    def reply(self) -> Reply:
        """As `core.protocols.Answer.reply`."""
        with self._changed:
            text = "".join(delta.text for delta in self._deltas)
            return Reply(
                self.id, text, self._ref, self._settings, self._backend, self._dtype, self._path, self._finish, self._usage
            )

    @property
    def cancelled(self) -> bool:
        """Whether the engine should take no further step."""
        return self._cancel.is_set()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        with self._changed:
            return self._ended

    def count_step(self) -> None:
        """The engine counts every forward pass here."""
        self.steps += 1

    def put(self, text: str) -> None:
        """Add text that is safe to show; after the end it is dropped."""
        with self._changed:
            if self._ended or not text:
                return
            if self._first is None:
                self._first = time.monotonic() - self._started
            self._deltas.append(Delta(text))
            self._changed.notify_all()

    def finish(self, finish: Finish) -> None:
        """End the answer; the first end counts."""
        with self._changed:
            if self._ended:
                return
            seconds = time.monotonic() - self._started
            first = self._first if self._first is not None else seconds
            self._usage = Usage(self.prompt_tokens, self.completion_tokens, round(first, 4), round(seconds, 4))
            self._finish = finish
            self._deltas.append(Delta("", finish, self._usage))
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """End the answer with an error that every listener gets."""
        with self._changed:
            if not self._ended:
                self._error = error
                self._changed.notify_all()

    @property
    def _ended(self) -> bool:
        return self._finish is not None or self._error is not None

    def _leave(self) -> None:
        with self._changed:
            self._listeners -= 1
            if self._listeners == 0 and not self._ended:
                self._orphaned = threading.Timer(self._orphan_seconds, self._nobody_came_back)
                self._orphaned.daemon = True
                self._orphaned.start()

    def _nobody_came_back(self) -> None:
        with self._changed:
            alone = self._listeners == 0
        if alone:
            self.cancel()


class AnswerDesk:
    """Recent answers by id, for a listener that comes back. Bounded: the oldest finished ones go."""

    def __init__(self, most: int = RECENT) -> None:
        self._most = most
        self._answers: OrderedDict[str, RunningAnswer] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, answer: RunningAnswer) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers[answer.id] = answer
            for answer_id in list(self._answers):
                if len(self._answers) <= self._most:
                    break
                if self._answers[answer_id].done:
                    del self._answers[answer_id]

    def get(self, answer_id: str) -> RunningAnswer | None:
        """The answer of that id, None when it is gone."""
        with self._lock:
            return self._answers.get(answer_id)


def run_in_thread(answer: RunningAnswer, work: Callable[[], None]) -> None:
    """Run an engine's `work` for `answer` in its own thread; an error of ours reaches the listeners as it is."""

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (a thread's error has no other way to the listeners)
            answer.fail(error)
        finally:
            if not answer.done:
                answer.fail(GenerationFailed("The engine ended without an answer. Send the message again."))

    threading.Thread(target=guarded, name=f"answer-{answer.id[:8]}", daemon=True).start()
