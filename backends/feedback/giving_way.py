"""Work on many rows that stands back for whoever votes meanwhile.

A thread that is busy in Python keeps the interpreter for up to five milliseconds each time another one asks for it
(`sys.getswitchinterval`), and a vote asks some twenty times: once for every statement SQLite has run for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
TOGETHER = 10
# Long enough for a thread that waits to be woken and to go on; at nought the same thread may take the interpreter again.
REST_SECONDS = 0.0005


def a_few_at_a_time(rows: Iterable[T]) -> Iterator[list[T]]:
    """The rows in their order, a few together, with a rest after each few."""
    left = iter(rows)
    while some := list(islice(left, TOGETHER)):
        yield some
        time.sleep(REST_SECONDS)
