"""Noticing that a program gave up its call: it cancelled, or its connection is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gradio.context import LocalContext

LOOK_SECONDS = 0.1


@contextmanager
def ended_with_caller(cancel: Callable[[], None]) -> Iterator[None]:
    """Call `cancel` when the program whose call runs here is no longer waiting, and in any case at the end.

    gradio lets a handler that is no generator run on for nobody: it only marks the call. So the mark is looked at.
    """
    gone, over = caller_gone(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            if gone():
                cancel()
                return

    threading.Thread(target=look, name="caller", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        cancel()


def caller_gone() -> Callable[[], bool]:
    """Says whether the call that is being handled now was given up; outside of gradio's queue it never is."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or event_id is None:
        return lambda: False
    queue = blocks._queue

    def gone() -> bool:
        calls = [event for events in list(queue.active_jobs) for event in events or () if event._id == event_id]
        return not any(event.alive for event in calls)

    return gone
