"""Gives every call to the Hub an end: the library below has no timeout and retries for up to 23 seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from core.errors import HubUnreachable

T = TypeVar("T")
MOST_THREADS = 24
_free = threading.BoundedSemaphore(MOST_THREADS)


class Pending(Generic[T]):
    """A call that runs in its own thread; whoever waits for it may give up."""

    def __init__(self, call: Callable[[], T], slots: threading.BoundedSemaphore) -> None:
        self._call = call
        self._slots = slots
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the call and keep what came of it."""
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001  (raised again in `result`, where somebody waits for it)
            self._error = error
        finally:
            self._slots.release()
            self._done.set()

    def result(self, until: float) -> T:
        """The call's value or its error; `HubUnreachable` when `until` (monotonic seconds) comes first."""
        started = monotonic()
        if not self._done.wait(max(0.0, until - started)):
            raise HubUnreachable("The Hub does not answer in time. Check the network, or try again in a moment.")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set whenever there is no error


def start(call: Callable[[], T], until: float) -> Pending[T]:
    """Begin `call` in a daemon thread, so that one that hangs can be left behind.

    Left-behind threads end through the client's own timeouts; while too many of them still hang, no more are begun.
    """
    # Kept with the call: it has to give back the place it took, whatever the module's name means by then.
    slots = _free
    if not slots.acquire(timeout=max(0.0, until - monotonic())):
        raise HubUnreachable("Too many requests to the Hub are still waiting for an answer. Try again in a moment.")
    pending = Pending(call, slots)
    threading.Thread(target=pending.run, name="hub-call", daemon=True).start()
    return pending


def within(seconds: float, call: Callable[[float], T]) -> T:
    """The value of `call` within `seconds`. It is told a moment (monotonic seconds) a little before that.

    So a call that minds the moment can still hand over what it has, or say better what went wrong.
    """
    now = monotonic()
    moment = now + 0.9 * seconds
    return start(lambda: call(moment), moment).result(now + seconds)
