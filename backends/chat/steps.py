"""One thread for the batches of all models: it steps those that have work, in turn, and ends when there is none."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Protocol

from backends.chat.turns import Turns

log = logging.getLogger(__name__)


class Steps(Protocol):
    """Work that is done a step at a time."""

    def busy(self) -> bool:
        """Whether there is a step to do."""
        ...

    def step(self) -> None:
        """Do it."""
        ...

    def abandon(self, error: BaseException) -> None:
        """No step will be done: tell everybody who waits."""
        ...


class StepThread:
    """Runs the steps. Every other thread only hands work over and calls `wake`.

    One thread, because each thread that has computed keeps OpenMP workers of its own and then all wait longer for each
    other (`backends/loading_lock.py`); and it ends when nothing is left, for the same reason.
    """

    def __init__(self, turns: Turns) -> None:
        """`turns` is shared with whatever else computes on the same processor."""
        self._turns = turns
        self._lock = threading.Lock()
        self._waiting: deque[Steps] = deque()
        self._running = False

    def wake(self, work: Steps) -> None:
        """Say that `work` is busy; from any thread, any number of times."""
        with self._lock:
            if work not in self._waiting:
                self._waiting.append(work)
            if not self._running:
                threading.Thread(target=self._run, name="answer-batches", daemon=True).start()
                self._running = True

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                with self._turns.held():
                    self._step(work)
        except BaseException as error:
            with self._lock:
                left, self._running = list(self._waiting), False
                self._waiting.clear()
            for work in left:
                work.abandon(error)
            raise

    def _next(self) -> Steps | None:
        with self._lock:
            # Asked under the lock: work that comes after this look calls `wake`, which waits for it.
            while self._waiting:
                work = self._waiting.popleft()
                if work.busy():
                    self._waiting.append(work)
                    return work
            self._running = False
            return None

    def _step(self, work: Steps) -> None:
        try:
            work.step()
        except Exception as error:
            log.exception("a step of a batch failed")
            work.abandon(error)
