"""Lets several answers share one processor a token at a time, in the order they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A fair lock. Decoding steps of several threads at once would fight for the same cores and all be slower.

    And wrong: while transformers computes a batch it has `is_causal` switched off in the model's own config, and a
    forward pass of the same model that begins meanwhile lets every token see the ones after it, and can leave it so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

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

    def _take(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                # Handed over, not freed: a newcomer must not overtake.
                self._waiting.popleft().set()
            else:
                self._taken = False
