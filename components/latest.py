"""Which of a visitor's openings is the newest, so that a slow one that was overtaken stops filling in the page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import uuid4

MOST_VISITORS = 5000


class Latest:
    """Which opening of a card is the newest of each visitor: one that was overtaken stops filling in the page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: OrderedDict[str, str] = OrderedDict()

    def enter(self, visitor: str) -> str:
        """A ticket for a new opening; those before it are overtaken."""
        ticket = uuid4().hex
        with self._lock:
            self._tickets[visitor] = ticket
            self._tickets.move_to_end(visitor)
            while len(self._tickets) > MOST_VISITORS:
                self._tickets.popitem(last=False)
        return ticket

    def overtaken(self, visitor: str, ticket: str) -> bool:
        """Whether the visitor has opened another card since."""
        with self._lock:
            return self._tickets.get(visitor, ticket) != ticket
