"""Lets several answers share one processor a token at a time, in the order they came."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

_ALL: WeakSet[Turns] = WeakSet()
_LAST_STEP_SECONDS = 5.0


class Turns:
    """A fair lock. Decoding steps of several threads at once would fight for the same cores and all be slower.

    And wrong: while transformers computes a batch it has `is_causal` switched off in the model's own config, and a
    forward pass of the same model that begins meanwhile lets every token see the ones after it, and can leave it so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()
        _ALL.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the turn and keep it for the block, except while `pass_on` gives it to others."""
        self._take()
        try:
            yield
        finally:
            self._give()

    def pass_on(self) -> None:
        """Let everybody who waits have one turn first. Only the holder may call it."""
        if self._waiting:
            self._give()
            self._take()

    def keep(self, seconds: float) -> None:
        """Take the next turn and never give it back: whoever computes now is the last. Waits at most so long for it."""
        self._take(first=True, seconds=seconds)

    def _take(self, *, first: bool = False, seconds: float | None = None) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            if first:
                self._waiting.appendleft(mine)
            else:
                self._waiting.append(mine)
        mine.wait(seconds)

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                # Handed over, not freed: a newcomer must not overtake.
                self._waiting.popleft().set()
            else:
                self._taken = False


@atexit.register
def _nobody_computes_any_more() -> None:
    # A thread that is inside torch while the interpreter goes away takes the whole process down with it (SIGABRT).
    for turns in tuple(_ALL):
        turns.keep(_LAST_STEP_SECONDS)
