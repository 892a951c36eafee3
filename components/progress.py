"""Long work in its own unit, with a bar."""

from __future__ import annotations

from components.numbers import bytes_of
from core.chat import Place, Progress

STAGES = {
    "prepare": "Preparing the model that came with the app",
    "download": "Downloading",
    "load": "Loading into memory",
    "ready": "Ready",
}


def progress_line(step: Progress) -> str:
    """A sentence and a bar for one step of preparing a model."""
    text = STAGES[step.stage]
    if step.unit == "bytes" and step.done:
        text += f": {bytes_of(step.done)}" + (f" of {bytes_of(step.total)}" if step.total else "")
    elif step.total and step.done:
        text += f": {step.done} of {step.total} {step.unit}".rstrip()
    share = f' style="width:{min(100.0, 100 * step.done / step.total):.1f}%"' if step.total else ""
    moving = "" if share else " pg-bar-open"
    return f'<div class="pg-progress" role="status">{text}<div class="pg-bar{moving}"><i{share}></i></div></div>'


def queue_line(place: Place) -> str:
    """A sentence for somebody who waits for a place in the batch."""
    wait = f", at most about {place.seconds:.0f} s" if place.seconds is not None else ""
    return f"Waiting for a place: number {place.place} in the queue{wait}."
