"""What the Hub told a moment ago: pages that are opened twice ask nothing again. Errors are never remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, TypeVar

SECONDS = 120.0
MOST = 300
T = TypeVar("T")


class Remembered:
    """Values under keys, each for a while. What branches point to and who made a child changes."""

    def __init__(self, seconds: float = SECONDS, most: int = MOST, clock: Callable[[], float] = monotonic) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is known under `key`, else what `make` gives, which is then known."""
        now = self._clock()
        with self._lock:
            known = self._known.get(key)
        if known and now < known[0]:
            found: T = known[1]
            return found
        made = make()
        with self._lock:
            self._known[key] = (now + self._seconds, made)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return made

    def forget(self, key: Hashable) -> None:
        """Ask again the next time."""
        with self._lock:
            self._known.pop(key, None)
