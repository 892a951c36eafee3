"""The pinned chip: the exact model that answers, and what is known about it."""

from __future__ import annotations

from html import escape

from core.refs import ModelRef


def chip(ref: ModelRef | None, *, engine: str = "", notes: tuple[str, ...] = ()) -> str:
    """The header chip as HTML; opens to the full commit and the notes."""
    if ref is None:
        return '<div class="pg-chip pg-chip-empty">No model is pinned. Find one under Search.</div>'
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<details class="pg-chip"><summary><span class="pg-dot" aria-hidden="true"></span>'
        f"<b>{escape(ref.repo_id.rpartition('/')[2])}</b>"
        f"<code>{ref.revision[:7]}</code>{f'<span>{escape(engine)}</span>' if engine else ''}</summary>"
        f'<div class="pg-chip-more"><p>{escape(ref.repo_id)}</p>'
        f'<p><code>{ref.revision}</code> <button class="pg-copy" data-copy="{ref.revision}">Copy commit</button></p>'
        f"<ul>{lines}</ul></div></details>"
    )


def small_chip(ref: ModelRef) -> str:
    """Model and seven characters of the commit, for use beside an answer or a row."""
    return f'<span class="pg-tag">{escape(ref.repo_id.rpartition("/")[2])} <code>{ref.revision[:7]}</code></span>'
