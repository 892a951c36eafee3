"""The batch of one model: every visitor's request a seat in it, a queue before it, and text out after every step."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic

from backends.chat.answers import BufferedAnswer
from backends.chat.decoding import Watcher, translated
from backends.chat.loaded import LoadedModel
from backends.chat.paged import PAGE, PagedBatch, Shape, chooser
from backends.chat.steps import StepThread
from backends.chat.work import plainly
from core.chat import Place
from core.errors import AppError, Busy

log = logging.getLogger(__name__)
MOST_WAITING = 64
"""How many requests may wait for a seat; one more is refused and told when to come again."""
_STEP_GUESS = 0.05
_SMOOTHING = 0.1


@dataclass
class Seat:
    """One request: what it asks, where its text goes, and what to do when it is over, however it ends."""

    prompt: list[int]
    answer: BufferedAnswer
    watcher: Watcher
    done: Callable[[], None]
    made: int = 0

    @property
    def tokens(self) -> int:
        """The most tokens it may come to."""
        return len(self.prompt) + self.answer.settings.max_new_tokens

    @property
    def left(self) -> int:
        """How many tokens it may still make."""
        return self.answer.settings.max_new_tokens - self.made


class BatchedEngine:
    """Answers requests to one model in one batch, a step at a time, in the thread that `StepThread` keeps.

    Requests that find no room wait in the order they came; no one overtakes. A request that fails, fails alone. When a
    step itself fails (memory, a broken kernel), everybody in the batch is told, and those who wait get a fresh batch.
    """

    def __init__(self, loaded: LoadedModel, shape: Shape, steps: StepThread, batch: PagedBatch | None = None) -> None:
        """`batch`, where there is one already, is of the same `loaded` and `shape`."""
        self._loaded = loaded
        self._shape = shape
        self._steps = steps
        self._batch = batch
        self._lock = threading.Lock()
        self._waiting: deque[Seat] = deque()
        # Only the step thread uses what follows.
        self._seats: dict[str, Seat] = {}
        self._step_seconds = _STEP_GUESS
        # Read by whoever submits: for each seat, how many tokens it may still make, the fewest first.
        self._left: tuple[int, ...] = ()

    def capacity(self) -> int:
        """The most tokens one request may come to, its prompt included."""
        return self._shape.tokens // PAGE * PAGE

    def submit(self, prompt: Sequence[int], answer: BufferedAnswer, done: Callable[[], None]) -> None:
        """Take a request in; `done` is called once when its slot is free again. Raises `Busy` when the queue is full."""
        seat = Seat(list(prompt), answer, Watcher(self._loaded, answer.settings, answer), done)
        if seat.tokens > self.capacity():
            raise ValueError(f"{seat.tokens} tokens will never fit into {self.capacity()}")
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                seconds = self._wait_of(len(self._waiting))
                raise Busy(
                    f"{MOST_WAITING} people are waiting for this model already. Try again in about {seconds:.0f} s, or "
                    "choose another model.",
                    seconds,
                )
            self._waiting.append(seat)
        self._steps.wake(self)

    def busy(self) -> bool:
        """Whether anybody waits for a word."""
        return bool(self._seats or self._waiting)

    def step(self) -> None:
        """Let in who fits, make one token for everybody who is in, and send those away who are done."""
        self._leave_cancelled()
        self._let_in()
        if not self._seats:
            return
        started = monotonic()
        try:
            chosen = self._current().step()
        except Exception as error:
            log.exception("a batch of %d failed", len(self._seats))
            self._end_batch(error)
            return
        for name, token in chosen.items():
            self._after(name, token)
        self._left = tuple(sorted(seat.left for seat in self._seats.values()))
        self._step_seconds += (monotonic() - started - self._step_seconds) * _SMOOTHING

    def abandon(self, error: BaseException) -> None:
        """The thread is gone or the step raised what it should not: tell everybody, wait for nothing."""
        self._end_batch(error)
        with self._lock:
            seats, self._waiting = list(self._waiting), deque()
        for seat in seats:
            self._fail(seat, error)

    # From here on in the step thread.

    def _current(self) -> PagedBatch:
        if self._batch is None:
            self._batch = PagedBatch(self._loaded, self._shape)
        return self._batch

    def _leave_cancelled(self) -> None:
        for name, seat in list(self._seats.items()):
            if seat.watcher.left():
                self._free(name)
                self._end(seat)
        with self._lock:
            gone = [seat for seat in self._waiting if seat.answer.cancelled]
            self._waiting = deque(seat for seat in self._waiting if not seat.answer.cancelled)
        for seat in gone:
            self._end(seat)

    def _let_in(self) -> None:
        try:
            while self._waiting and len(self._seats) < self._shape.requests:
                seat = self._waiting[0]
                if not self._current().fits(seat.tokens):
                    break
                with self._lock:
                    self._waiting.popleft()
                seat.answer.waits(None)
                self._seat(seat)
        except Exception as error:
            # There is no batch, so nobody who waits would ever get in.
            log.exception("a batch could not be made")
            self.abandon(error)
        for number, seat in enumerate(tuple(self._waiting), 1):
            seat.answer.waits(Place(number, ceil(self._wait_of(number))))

    def _seat(self, seat: Seat) -> None:
        name = seat.answer.id
        try:
            choose = chooser(self._loaded, seat.prompt, seat.answer.settings)
        except Exception as error:
            log.exception("a request could not be set up")
            self._fail(seat, error)
            return
        self._seats[name] = seat
        self._current().add(name, seat.prompt, seat.tokens, choose)

    def _after(self, name: str, token: int | Exception) -> None:
        seat = self._seats[name]
        try:
            if isinstance(token, Exception):
                raise token
            seat.made += 1
            ended = seat.watcher.after(token) or seat.left <= 0
        except Exception as error:  # noqa: BLE001  (logged and told)
            self._free(name, keep=False)
            self._fail(seat, error)
            return
        if ended:
            self._free(name)
            self._end(seat)

    def _free(self, name: str, *, keep: bool = True) -> None:
        del self._seats[name]
        self._current().remove(name, keep=keep)

    def _end_batch(self, error: BaseException) -> None:
        seats, self._seats = list(self._seats.values()), {}
        # Its tensors are in no state to be used again; the next request makes a fresh one.
        self._batch = None
        for seat in seats:
            self._fail(seat, error)

    def _end(self, seat: Seat) -> None:
        try:
            finish = seat.watcher.end()
        except Exception as error:  # noqa: BLE001  (logged and told)
            self._fail(seat, error)
            return
        seat.done()
        seat.answer.end(finish)

    def _fail(self, seat: Seat, error: BaseException) -> None:
        if not isinstance(error, AppError):
            log.warning("an answer failed: %s: %s", type(error).__name__, error)
            error = translated(error, self._loaded)
        seat.done()
        seat.answer.fail(plainly(error))

    def _wait_of(self, place: int) -> float:
        """Seconds until the one at `place` gets in, at most: nobody stops early, and places come free one by one."""
        left = self._left or (0,)
        rounds, rest = divmod(place - 1, len(left))
        return (left[rest] + rounds * left[-1]) * self._step_seconds
