"""Answers on their way, from the click on: what Stop, Clear, a second click and a page that comes back need to know."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import uuid4

from core.chat import Reply
from core.chat_protocols import Answer
from core.conversation import Conversation

LAST_WORDS_SECONDS = 1.0
MOST_REMEMBERED = 512


@dataclass(eq=False)
class Run:
    """One answer on its way. `stopped` holds even when the model was still being loaded at the click.

    `dropped` says that its conversation is gone: whoever follows it leaves the screen alone. `asked` is the conversation
    up to the question, `before` where it stood before that, `begun` how the answer was begun, and `turn` the answer that
    goes on, None for a new one. `context` is how many tokens the model reads at most.
    """

    id: str = field(default_factory=lambda: uuid4().hex)
    stopped: bool = False
    dropped: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    asked: Conversation = field(default_factory=Conversation)
    before: str | None = None
    begun: str = ""
    turn: str | None = None
    context: int | None = None
    _answer: Answer | None = None

    @property
    def answer(self) -> Answer | None:
        """What the engine writes; None while it has not begun."""
        return self._answer

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
    """The runs that handlers follow now, and those of late that a page may come back to; safe for many visitors at once."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._runs: dict[str, Run] = {}
        self._late: OrderedDict[str, Run] = OrderedDict()
        self._followed: dict[str, int] = {}
        self._most = most
        self._lock = threading.Lock()

    def open(self, run: Run | None = None) -> Run:
        """A new run, or one that somebody else follows too; whoever opened it closes it."""
        run = run or Run()
        with self._lock:
            self._runs[run.id] = run
            run.ended.clear()
            self._followed[run.id] = self._followed.get(run.id, 0) + 1
            self._late[run.id] = run
            self._late.move_to_end(run.id)
            while len(self._late) > self._most:
                self._late.popitem(last=False)
        return run

    def close(self, run: Run) -> None:
        """One less follows it; when nobody is left it is over for this page."""
        with self._lock:
            left = self._followed.get(run.id, 0) - 1
            if left > 0:
                self._followed[run.id] = left
                return
            self._followed.pop(run.id, None)
            self._runs.pop(run.id, None)
        run.ended.set()

    def get(self, run_id: str | None) -> Run | None:
        """The run of that id while it is on its way."""
        with self._lock:
            return self._runs.get(run_id or "")

    def late(self, run_id: str | None) -> Run | None:
        """The run of that id on its way, or a little while after it."""
        with self._lock:
            return self._late.get(run_id or "")
