"""Long work in its own unit, with a bar."""

from __future__ import annotations

from components.numbers import bytes_of
from core.chat import Place, Progress, SoFar

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


def writing_line(so_far: SoFar, context: int | None) -> str:
    """An answer that is being written, in figures. `context` is how many tokens the model reads at most."""
    counted = so_far.prompt_tokens is not None
    unit = "token" if counted else "piece"
    parts = [f"{so_far.tokens} {unit}{'' if so_far.tokens == 1 else 's'}"]
    if so_far.tokens_per_second:
        parts.append(f"{so_far.tokens_per_second:.1f} {unit}s/s")
    parts.append(f"first {so_far.first_token_s:.2f} s")
    if so_far.prompt_tokens is not None:
        used = so_far.prompt_tokens + so_far.tokens
        parts.append(f"context {used:,} of {context:,}" if context else f"context {used:,}")
    return f'<span class="pg-live">{" · ".join(parts)}</span>'


def queue_line(place: Place) -> str:
    """A sentence for somebody who waits for a place in the batch."""
    wait = f", at most about {place.seconds:.0f} s" if place.seconds is not None else ""
    return f"Waiting for a place: number {place.place} in the queue{wait}."
