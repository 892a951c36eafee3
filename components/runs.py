"""Answers on their way, from the click on: what Stop, Clear and a second click need to know before there is a word."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import uuid4

from core.chat import Reply
from core.protocols import Answer

LAST_WORDS_SECONDS = 1.0


@dataclass(eq=False)
class Run:
    """One answer on its way. `stopped` holds even when the model was still being loaded at the click.

    `dropped` says that its conversation is gone: whoever follows it leaves the screen alone.
    """

    id: str = field(default_factory=lambda: uuid4().hex)
    stopped: bool = False
    dropped: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    _answer: Answer | None = None

    def follow(self, answer: Answer) -> None:
        """The engine has begun: from now on Stop reaches it."""
        self._answer = answer
        if self.stopped:
            answer.cancel()

    def reply(self) -> Reply | None:
        """What there is of the answer; None while the engine has not begun."""
        return None if self._answer is None else self._answer.reply()

    def stop(self) -> None:
        """End it, now or as soon as it begins."""
        self.stopped = True
        if self._answer is not None:
            self._answer.cancel()

    def drop(self) -> None:
        """End it and wait a moment for its last words, which must not come after what replaces them."""
        self.dropped = True
        self.stop()
        self.ended.wait(LAST_WORDS_SECONDS)


class Runs:
    """The runs that a handler is following now, safe for many visitors at once."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def open(self) -> Run:
        """A new run; the handler that opened it closes it."""
        run = Run()
        with self._lock:
            self._runs[run.id] = run
        return run

    def close(self, run: Run) -> None:
        """Nobody follows it any more."""
        with self._lock:
            self._runs.pop(run.id, None)
        run.ended.set()

    def get(self, run_id: str | None) -> Run | None:
        """The run of that id while it is on its way."""
        with self._lock:
            return self._runs.get(run_id or "")
