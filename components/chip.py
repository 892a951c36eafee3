"""The pinned chip: the exact model that answers, and what is known about it."""

from __future__ import annotations

from html import escape

from core.refs import ModelRef


def chip(ref: ModelRef | None, *, engine: str = "", notes: tuple[str, ...] = ()) -> str:
    """The header chip as HTML; opens to the full commit and the notes."""
    if ref is None:
        return '<div class="pg-chip pg-chip-empty">No model is pinned. Find one under Search.</div>'
    # Where text goes is said by the ref itself, whatever else is known.
    sent = (f"What you write is sent to {ref.host}.",) if ref.host else ()
    lines = "".join(f"<li>{escape(note)}</li>" for note in (*sent, *notes))
    commit = "<p>Its commit is not known: the host does not say it.</p>"
    if ref.revision:
        copy = f'<button class="pg-copy" data-copy="{ref.revision}">Copy commit</button>'
        commit = f"<p><code>{ref.revision}</code> {copy}</p>"
    where = f"sent to {ref.host}" if ref.host else engine
    return (
        f'<details class="pg-chip"><summary><span class="pg-dot" aria-hidden="true"></span>'
        f"<b>{escape(ref.repo_id.rpartition('/')[2])}</b>"
        f"{_seven(ref)}{f'<span>{escape(ref.weights)}</span>' if ref.weights else ''}{_on_top(ref)}{f'<span>{escape(where)}</span>' if where else ''}</summary>"
        f'<div class="pg-chip-more"><p>{escape(ref.repo_id)}</p>{commit}{_adapter(ref)}<ul>{lines}</ul></div></details>'
    )


def battle_chip() -> str:
    """What stands in the chip's place while a battle is open: the pinned model may be a side of it."""
    return '<div class="pg-chip pg-chip-battle"><span class="pg-dot" aria-hidden="true"></span><b>Battle</b></div>'


def small_chip(ref: ModelRef) -> str:
    """Model and seven characters of the commit, for use beside an answer or a row."""
    return f'<span class="pg-tag">{escape(ref.repo_id.rpartition("/")[2])} {_seven(ref)}</span>'


def _on_top(ref: ModelRef) -> str:
    """The adapter in the chip's line."""
    if ref.adapter is None:
        return ""
    return f" + <b>{escape(ref.adapter.repo_id.rpartition('/')[2])}</b>{_seven(ref.adapter)}"


def _adapter(ref: ModelRef) -> str:
    """The adapter in full, in what the chip opens to."""
    if ref.adapter is None:
        return ""
    return f"<p>with the adapter {escape(ref.adapter.repo_id)}<br><code>{ref.adapter.revision}</code></p>"


def _seven(ref: ModelRef) -> str:
    return f"<code>{ref.revision[:7]}</code>" if ref.revision else ""
