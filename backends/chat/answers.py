"""A running answer as pages see it: buffered from the first word, for any number of listeners, until nobody is left."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from time import monotonic
from uuid import uuid4

from core.chat import Delta, Finish, GenerationSettings, Path, Place, Reply, SoFar, Usage
from core.chat_protocols import Answer
from core.errors import AppError
from core.refs import ModelRef

# A listener is woken at most this often between its first delta and the last: a browser needs no more, and every wake
# takes a processor from the model.
BATCH_SECONDS = 0.1
# How long an answer waits for its very first listener when the grace time is shorter.
FIRST_LISTENER_SECONDS = 10.0
MOST_KEPT = 256


class BufferedAnswer:
    """Implements `core.chat_protocols.Answer`. An engine's worker fills it; `cancelled` tells the worker to stop."""

    def __init__(
        self,
        ref: ModelRef,
        settings: GenerationSettings,
        *,
        backend: str,
        dtype: str,
        path: Path,
        prompt_tokens: int | None,
        orphan_seconds: float,
        started: float | None = None,
        why: str = "",
    ) -> None:
        """`prompt_tokens` None: the engine does not count; the reply has no usage unless `count` tells it.

        `why` is `Reply.why`.
        """
        self._id = uuid4().hex
        self._made_by = (ref, settings, backend, dtype, path)
        self._why = why
        self._prompt_tokens = prompt_tokens
        self._orphan_seconds = orphan_seconds
        self._started = monotonic() if started is None else started
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._pieces: list[str] = []
        self._place: Place | None = None
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._error: AppError | None = None
        self._tokens = 0
        self._first: float | None = None
        self._newest = self._started
        self._listeners = 0
        self._orphaned: threading.Timer | None = None
        self.when_over: Callable[[], None] = lambda: None
        """Called once, when the answer ends for whatever reason; has to return at once."""
        self.goes_on_from: tuple[int, ...] = ()
        """As `backends.chat.decoding.Sink`."""
        self.steps = 0
        """How many tokens the engine made for this answer, those after a cancel included."""
        self._leave_alone(max(orphan_seconds, FIRST_LISTENER_SECONDS))

    @property
    def id(self) -> str:
        """A random id that names this answer and nothing else."""
        return self._id

    @property
    def settings(self) -> GenerationSettings:
        """The settings really applied."""
        return self._made_by[1]

    @property
    def cancelled(self) -> bool:
        """Whether the engine's work is not wanted any more."""
        return self.done

    @property
    def done(self) -> bool:
        """Whether the last delta is there, or an error."""
        return self._finish is not None or self._error is not None

    # For pages.

    def listen(self) -> Iterator[Delta]:
        """Every delta from the first on, then those to come; ends after the one with `finish`."""
        self._join()
        position, next_look = 0, 0.0
        place: Place | None = None
        try:
            while True:
                # Not on the condition, which every token would wake.
                self._over.wait(max(0.0, next_look - monotonic()))
                with self._changed:
                    self._changed.wait_for(
                        lambda at=position, told=place: (  # type: ignore[misc]
                            self.done or len(self._pieces) > at or self._place not in (None, told)
                        )
                    )
                    moved = self._place not in (None, place)
                    place = self._place
                    text, position = "".join(self._pieces[position:]), len(self._pieces)
                    finish, usage, error = self._finish, self._usage, self._error
                    so_far = self._so_far()
                if finish:
                    yield Delta(text, finish, usage)
                    return
                if text:
                    yield Delta(text, so_far=so_far)
                elif moved and not error:
                    yield Delta("", waiting=place)
                if error:
                    # A stored error collects a traceback with every raise.
                    raise error.with_traceback(None)
                next_look = monotonic() + BATCH_SECONDS
        finally:
            self._leave()

    def cancel(self) -> None:
        """End the answer for its listeners at once and for the engine within one token. Idempotent."""
        self._close("cancelled", None)

    def reply(self) -> Reply:
        """The answer as it stands, with the settings really applied."""
        ref, settings, backend, dtype, path = self._made_by
        with self._changed:
            content = "".join(self._pieces)
            return Reply(self._id, content, ref, settings, backend, dtype, path, self._finish, self._usage, self._why)

    # For engines.

    def step(self) -> None:
        """Count one token made."""
        self.steps += 1
        if not self.done:
            self._tokens += 1
            self._newest = monotonic()
            if self._first is None:
                self._first = self._newest

    def count(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Say how many tokens were read and written, where the engine is told and does not count itself."""
        self._prompt_tokens, self._tokens = prompt_tokens, completion_tokens

    def waits(self, place: Place | None) -> None:
        """Say where in the queue the request stands; None when its turn has come."""
        with self._changed:
            self._place = place
            self._changed.notify_all()

    def put(self, text: str) -> None:
        """Add text to show; after the end it is dropped."""
        if not text:
            return
        with self._changed:
            if not self.done:
                self._pieces.append(text)
                self._changed.notify_all()

    def end(self, finish: Finish) -> None:
        """Say that the engine is finished; after a cancel this changes nothing."""
        self._close(finish, None)

    def fail(self, error: AppError) -> None:
        """Say that the engine failed; what is there stays."""
        self._close(None, error)

    def _close(self, finish: Finish | None, error: AppError | None) -> None:
        with self._changed:
            if self.done:
                return
            now = monotonic()
            first = now if self._first is None else self._first
            if self._prompt_tokens is not None:
                self._usage = Usage(self._prompt_tokens, self._tokens, first - self._started, now - self._started)
            self._finish, self._error = finish, error
            self._over.set()
            self._stop_timer()
            self._changed.notify_all()
        self.when_over()

    def _so_far(self) -> SoFar | None:
        if self._first is None:
            return None
        return SoFar(
            self._tokens, self._first - self._started, self._newest - self._started, self._prompt_tokens
        )  # fmt: skip

    def _join(self) -> None:
        with self._changed:
            self._listeners += 1
            self._stop_timer()

    def _leave(self) -> None:
        with self._changed:
            self._listeners -= 1
            if self._listeners == 0 and not self.done:
                self._leave_alone(self._orphan_seconds)

    def _leave_alone(self, seconds: float) -> None:
        self._orphaned = threading.Timer(seconds, self._give_up)
        self._orphaned.daemon = True
        self._orphaned.start()

    def _give_up(self) -> None:
        with self._changed:
            # A listener may have come between the timer's end and this lock.
            if self._listeners == 0:
                self._close("cancelled", None)

    def _stop_timer(self) -> None:
        if self._orphaned is not None:
            self._orphaned.cancel()
            self._orphaned = None


class Desk:
    """Keeps running and recent answers by id, for a page that comes back."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def keep(self, answer: Answer) -> Answer:
        """Remember an answer and forget the oldest finished ones beyond the bound."""
        with self._lock:
            self._answers[answer.id] = answer
            spare = len(self._answers) - self._most
            finished = [key for key, kept in self._answers.items() if getattr(kept, "done", True)]
            for key in finished[: max(0, spare)]:
                del self._answers[key]
        return answer

    def get(self, answer_id: str) -> Answer | None:
        """The answer of that id; None when it is forgotten or never was."""
        with self._lock:
            return self._answers.get(answer_id)
