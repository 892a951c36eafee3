"""Following several streams at once and releasing them in step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from components.pace import INTERVAL
from core.chat_protocols import Answer
from core.errors import AppError
from core.lockstep import released


@dataclass(frozen=True, slots=True)
class Sides:
    """What every side may show now. `done` is True once, at the end, for all together.

    `stopped`: an answer was ended before its end, and every side ends where it stood on the screen.
    """

    texts: tuple[str, ...]
    done: bool
    failed: AppError | None = None
    stopped: bool = False


class _Follower:
    """One listener thread: it fills `text` and wakes the reader; the reader decides what is shown."""

    def __init__(self, answer: Answer, changed: threading.Condition) -> None:
        self.text = ""
        self.done = False
        self.error: BaseException | None = None
        self.left = False
        self.cancelled = False
        self._answer = answer
        self._changed = changed
        self._thread = threading.Thread(target=self._follow, name="battle-listener", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for delta in self._answer.listen():
                with self._changed:
                    self.text += delta.text
                    self.cancelled = delta.finish == "cancelled"
                    self._changed.notify_all()
                    if self.left:
                        return
        except Exception as error:  # noqa: BLE001  (handed to the reader, who raises it in the handler's thread)
            self.error = error
        finally:
            with self._changed:
                self.done = True
                self._changed.notify_all()


def side_by_side(
    answers: Sequence[Answer],
    interval: float = INTERVAL,
    stride: Callable[[int], int] | None = None,
    ended: Callable[[], bool] = lambda: False,
) -> Iterator[Sides]:
    """Texts of all `answers`, in step, at most one message per `interval`; the last has `done`.

    Neither the pace nor the end of one side can be told from the other: every message carries the same number of
    characters of each, and none is marked finished before all are. A failing side ends the battle for all, with
    `failed` set. With a `stride` (characters of the next message, from those shown before) how many messages there are
    follows from the texts alone, and an answer that was stopped ends for all where they stood; `ended` says that somebody
    stopped them, which an engine that had finished already cannot tell.
    """
    changed = threading.Condition()
    followers = [_Follower(answer, changed) for answer in answers]
    shown = 0
    try:
        while True:
            with changed:
                changed.wait(interval)
                texts = tuple(f.text for f in followers)
                finished = tuple(f.done for f in followers)
                error = next((f.error for f in followers if f.error is not None), None)
                stopped = ended() or any(f.cancelled for f in followers)
            if error is not None:
                if not isinstance(error, AppError):
                    raise error
                yield Sides(tuple(text[:shown] for text in texts), True, error)
                return
            if stopped and stride is not None:
                for answer in answers:
                    answer.cancel()
                if not all(finished):
                    continue
                # One that had ended, or was faster, must not show more than the rest.
                yield Sides(tuple(text[:shown] for text in texts), True, stopped=True)
                return
            reach = released(texts, finished, shown)
            longest = max(map(len, texts), default=0)
            if stride is not None:
                step = shown + stride(shown)
                reach = step if reach >= step else longest if all(finished) else shown
            if all(finished) and (stride is None or reach >= longest):
                yield Sides(texts, True)
                return
            if reach > shown:
                shown = reach
                yield Sides(tuple(text[:shown] for text in texts), False)
                _pause(changed, interval)
    finally:
        for follower in followers:
            follower.left = True


def _pause(changed: threading.Condition, interval: float) -> None:
    """Let text gather for one interval, whatever wakes the condition meanwhile."""
    with changed:
        changed.wait_for(lambda: False, interval)
