"""Work that takes longer than a moment, done in a thread of its own while the page is told how far it is."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
# Shorter than this and a bar would only flicker.
PATIENCE = 0.3


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The last thing `watched` gives: what the work returned."""

    value: T


def watched(
    work: Callable[[Callable[[int, int], None]], T], patience: float = PATIENCE
) -> Iterator[tuple[int, int] | Done[T]]:
    """(done, total) now and then while `work` runs, (0, 0) when it has said nothing yet; then `Done`. Its error is raised."""
    said: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(work, lambda done, total: said.put((done, total)))
        job.add_done_callback(lambda _: said.put(None))
        latest = (0, 0)
        while not job.done():
            try:
                step = said.get(timeout=patience)
                while step is not None and not said.empty():
                    step = said.get()
            except queue.Empty:
                step = latest
            if step is not None and not job.done():
                latest = step
                yield step
    yield Done(job.result())


def bar(text: str, done: int = 0, total: int = 0) -> str:
    """A sentence over a bar; the bar moves by itself while the total is not known."""
    share = f' style="width:{min(100.0, 100 * done / total):.1f}%"' if total else ""
    moving = "" if share else " pg-bar-open"
    return f'<div class="pg-progress" role="status">{text}<div class="pg-bar{moving}"><i{share}></i></div></div>'
