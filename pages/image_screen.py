"""Images tab: what a drawing puts on the screen while it waits, is drawn, ends, or ends with nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import gradio as gr

from components.easel import Waiting, queue_html
from components.pictures import drawing_line, files_of, preview_html, recipe_of, recipe_table
from core.images import Picture, Step

# The line of words changes no more often than one can read; a preview is shown when it comes.
LINE_SECONDS = 0.4


class Update(NamedTuple):
    """What drawing puts on the screen, in the order of its outputs."""

    status: Any
    queue: Any
    preview: Any
    stage: Any
    strip: Any
    drawn: Any
    last: Any
    stop: Any
    start_from: Any
    recipe: Any
    chosen: Any
    picked: Any
    source: Any


@dataclass
class Screen:
    """What one drawing has put on the screen so far: only what is new is sent, gradio takes time for every value."""

    clock: Callable[[], float] = monotonic
    _queue: str | None = None
    _preview: bytes | None = None
    _first: bool = False
    _next: float = field(default=0.0)

    def follow(self, step: Step, queue: str, *, first: bool) -> Iterator[Update]:
        """What a step changes. `first`: this drawing has the stage, it does not wait behind another of this page."""
        news, self._queue = queue != self._queue, queue
        if not first:
            if news:
                yield waits(queue)
            return
        preview = None if step.preview is self._preview else step.preview
        if self._first and preview is None and not news and self.clock() < self._next:
            return
        shown = Update(drawing_line(step), queue if news else gr.skip(), *(gr.skip(),) * 11)
        if not self._first:
            shown = busy(drawing_line(step), step.preview, queue, running=True)
        elif preview is not None:
            shown = shown._replace(preview=preview_html(preview))
        self._first, self._preview, self._next = True, step.preview, self.clock() + LINE_SECONDS
        yield shown


def busy(
    status: str, preview: bytes | None = None, queue: Any = None, *, running: bool = False, source: Any = None
) -> Update:
    """The screen while drawing: a preview in the place of the picture, nothing jumps."""
    skip = gr.skip()
    return Update(
        status, skip if queue is None else queue, preview_html(preview), gr.Gallery(visible=False), skip, skip, skip,
        gr.Button(visible=True, interactive=running), gr.Button(visible=False), skip, skip, skip,
        skip if source is None else source,
    )  # fmt: skip


def waits(queue: str) -> Update:
    """The screen of a drawing that waits behind another: only the queue changes."""
    return Update(gr.skip(), queue, *(gr.skip(),) * 11)


def finished(pictures: Sequence[Picture], kept: tuple[Picture, ...], status: str, waiting: Sequence[Waiting]) -> Update:
    """The screen after a drawing: its pictures, unless the next one has the stage already."""
    first, free = pictures[0], not waiting
    return Update(
        status,
        queue_html(waiting),
        "" if not waiting else gr.skip(),
        gr.Gallery(value=files_of(pictures), visible=free, selected_index=0),
        gr.Gallery(value=files_of(kept), visible=len(kept) > len(pictures)),
        kept,
        tuple(pictures),
        gr.Button(visible=bool(waiting), interactive=True),
        gr.Button(visible=free),
        recipe_table(recipe_of(first)),
        recipe_of(first),
        first.id,
        gr.skip(),
    )


def rested(status: str, waiting: Sequence[Waiting], kept: Sequence[Picture]) -> Update:
    """The screen when a drawing ends without a picture: those that were there before come back."""
    skip, still = gr.skip(), bool(waiting)
    back = bool(kept) and not still
    return Update(
        skip if still else status, queue_html(waiting), skip if still else "", gr.Gallery(visible=back), skip, skip, skip,
        gr.Button(visible=still, interactive=True), gr.Button(visible=back), skip, skip, skip, skip,
    )  # fmt: skip


def cleared() -> Update:
    """The screen without pictures; what is on its way stays."""
    skip = gr.skip()
    return Update(
        "", skip, "", gr.Gallery(value=[], visible=False), gr.Gallery(value=[], visible=False), (), (), skip,
        gr.Button(visible=False), recipe_table(None), None, None, skip,
    )  # fmt: skip
