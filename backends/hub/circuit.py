"""Remembers for a while that the Hub did not answer, so that not every search waits for the deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from core.errors import HubError, HubUnreachable, RateLimited

SLOW_SECONDS = 1.0
T = TypeVar("T")


class Circuit:
    """Holds the reason not to ask the Hub, while asking would very likely only cost time."""

    def __init__(self, rest_seconds: float = 30.0, clock: Callable[[], float] = monotonic) -> None:
        self._rest = rest_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._reason: HubError | None = None

    @property
    def reason(self) -> HubError | None:
        """Why the Hub should be left alone now; None when it may be asked."""
        with self._lock:
            return self._reason if self._clock() < self._until else None

    def asked(self, ask: Callable[[], T]) -> T:
        """What `ask` gets from the Hub, minding how long it took; raises at once while the Hub should be left alone."""
        if (reason := self.reason) is not None:
            raise reason
        started = self._clock()
        try:
            value = ask()
        except (HubUnreachable, RateLimited) as error:
            self.failed(error, self._clock() - started)
            raise
        except HubError:
            self.answered()
            raise
        self.answered()
        return value

    def failed(self, error: HubError, after_seconds: float) -> None:
        """Note a failure. A quick one (connection refused, a 500) changes nothing: asking again costs nothing."""
        wait = self._rest if after_seconds >= SLOW_SECONDS else 0.0
        if isinstance(error, RateLimited):
            wait = min(error.retry_after or 0.0, self._rest)
        with self._lock:
            self._until, self._reason = self._clock() + wait, error

    def answered(self) -> None:
        """The Hub is there again."""
        with self._lock:
            self._until, self._reason = 0.0, None
