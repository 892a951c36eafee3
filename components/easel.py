"""A visitor's drawings on the server: those on their way, in order, and those that are finished."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from core.image_protocols import Drawing
from core.images import Picture

MOST_EASELS = 500
MOST_PICTURES = 60
MOST_WAITING = 20
_SHOWN_PROMPT = 60


@dataclass(frozen=True, slots=True)
class Waiting:
    """One drawing on its way, as the queue names it."""

    drawing: Drawing
    prompt: str
    pictures: int = 1


class Easel:
    """One visitor's drawings. Several handlers of one page use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._expected = 0
        self._pictures: tuple[Picture, ...] = ()

    @property
    def full(self) -> bool:
        """Whether no more may be asked for until one is finished."""
        return len(self._waiting) + self._expected >= MOST_WAITING

    def expect(self, change: int = 1) -> None:
        """Count a drawing whose model is still being fetched, or with -1 no longer."""
        with self._lock:
            self._expected += change

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """What is finished, newest first."""
        return self._pictures

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What is on its way, the one that is drawn first."""
        with self._lock:
            return tuple(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """Put a drawing at the end."""
        with self._lock:
            self._waiting.append(waiting)

    def first(self, drawing: Drawing) -> bool:
        """Whether this is the drawing whose preview the page shows."""
        with self._lock:
            return bool(self._waiting) and self._waiting[0].drawing is drawing

    def finish(self, drawing: Drawing, pictures: Sequence[Picture] = ()) -> tuple[Picture, ...]:
        """Take a drawing out and keep its pictures; returns all that are kept, newest first."""
        with self._lock:
            self._waiting = [entry for entry in self._waiting if entry.drawing is not drawing]
            self._pictures = (*pictures, *self._pictures)[:MOST_PICTURES]
            return self._pictures

    def cancel(self, drawing_id: str = "") -> bool:
        """Stop the drawing of that id, or without one the first; False when it is not on its way here."""
        with self._lock:
            found = next((entry for entry in self._waiting if drawing_id in ("", entry.drawing.id)), None)
        if found is not None:
            found.drawing.cancel()
        return found is not None

    def clear(self) -> None:
        """Forget the finished pictures; what is on its way goes on."""
        with self._lock:
            self._pictures = ()


class Easels:
    """The easels of all pages by their session, the least recently used forgotten first."""

    def __init__(self, most: int = MOST_EASELS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._easels: OrderedDict[str, Easel] = OrderedDict()

    def of(self, session: str | None) -> Easel:
        """The easel of one page."""
        with self._lock:
            easel = self._easels.setdefault(session or "", Easel())
            self._easels.move_to_end(session or "")
            while len(self._easels) > self._most:
                self._easels.popitem(last=False)
            return easel

    def drop(self, session: str | None) -> None:
        """Forget a page that is gone. Its running drawings end by themselves after the grace time."""
        with self._lock:
            self._easels.pop(session or "", None)


# The row's button reaches Python through the element's own event.
ON_CANCEL = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-cancel]');
  if (button) { button.disabled = true; trigger('select', {id: button.dataset.cancel}); }
});
"""


def queue_html(waiting: Sequence[Waiting]) -> str:
    """The drawings that wait behind the first, each with its place and a button that cancels it."""
    if len(waiting) < 2:
        return ""
    rows = []
    for place, entry in enumerate(waiting[1:], 1):
        prompt = entry.prompt if len(entry.prompt) <= _SHOWN_PROMPT else entry.prompt[: _SHOWN_PROMPT - 1] + "…"
        many = f" · {entry.pictures} pictures" if entry.pictures > 1 else ""
        rows.append(
            f'<li><span class="pg-place">{place}</span><span class="pg-what">{escape(prompt)}{many}</span>'
            f'<button class="pg-copy" data-cancel="{escape(entry.drawing.id, quote=True)}" '
            f'aria-label="Cancel {escape(prompt, quote=True)}">Cancel</button></li>'
        )
    return f'<ol class="pg-queue" aria-label="Waiting drawings">{"".join(rows)}</ol>'
