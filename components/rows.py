"""Rows and the outbox as a person reads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from components.numbers import age_of, age_since
from core.feedback import FeedbackStatus, StoredRow

MOST_SHOWN = 1_200  # characters of one text on a card; the row itself is whole
STATES = {"waiting": "waiting to upload", "pushed": "in the dataset", "refused": "refused", "withdrawn": "withdrawn"}
WORDS = re.compile(r"\s+|[^\s]+")


def outbox_panel(status: FeedbackStatus) -> str:
    """The outbox in one sentence, where rows go, and what went wrong last."""
    rows = "row" if status.saved == 1 else "rows"
    sentence = f"{status.saved} {rows} saved · {status.waiting} waiting · {status.pushed} in the dataset"
    if status.refused:
        sentence += f" · {status.refused} refused"
    if status.waiting and status.oldest_waiting_s is not None:
        sentence += f" · oldest waiting {age_of(status.oldest_waiting_s)}"
    details = [f"Dataset: <code>{escape(status.dataset)}</code>"]
    if status.account:
        details.append(escape(status.account))
    if status.last_commit:
        details.append(f"last commit <code>{escape(status.last_commit[:7])}</code>")
    warnings = "".join(f'<p class="pg-notice">{escape(warning)}</p>' for warning in status.warnings)
    error = f'<div class="pg-error">{escape(status.last_error)}</div>' if status.last_error else ""
    return f'<p class="pg-lead">{sentence}</p><p class="pg-meta">{" · ".join(details)}</p>{error}{warnings}'


def row_cards(rows: Sequence[StoredRow]) -> str:
    """The newest rows, one card each."""
    if not rows:
        return (
            '<div class="pg-empty"><b>Nothing has been said yet.</b><p>Rate an answer in Chat, compare two blind, or '
            "capture a preference here.</p></div>"
        )
    # A battle with a winner is two rows of the dataset and one thing that somebody said.
    told = {row.columns.get("comparison_id") for row in rows if row.config == "preferences"} - {None}
    return "".join(
        _card(row) for row in rows if row.config != "comparisons" or row.columns.get("comparison_id") not in told
    )


def marked_difference(text: str, other: str) -> str:
    """`text` as HTML with the words that `other` does not have marked."""
    mine, theirs = WORDS.findall(text[:MOST_SHOWN]), WORDS.findall(other[:MOST_SHOWN])
    out = []
    for kind, start, end, _, _ in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        piece = escape("".join(mine[start:end]))
        out.append(piece if kind == "equal" or not piece.strip() else f"<mark>{piece}</mark>")
    return "".join(out) + ("…" if len(text) > MOST_SHOWN else "")


def _card(row: StoredRow) -> str:
    values = row.columns
    head = [
        {"preferences": "Preference", "ratings": "Rating", "comparisons": "Comparison"}.get(row.config, row.config),
        str(values.get("source") or ""),
        age_since(_text(values.get("created_at"))) + " ago",
        str(values.get("rater") or "nobody named"),
        STATES[row.state],
    ]
    comment = values.get("comment")
    said = f'<p class="pg-why">“{escape(str(comment))}”</p>' if comment else ""
    turns = values.get("prompt")
    prompt = escape(_last(turns)[:MOST_SHOWN])
    before = len(turns) - 1 if isinstance(turns, list) else 0
    earlier = (
        f'<span class="pg-meta">after {before} earlier {"turn" if before == 1 else "turns"}</span> ' if before else ""
    )
    return (
        f'<article class="pg-row" data-row="{escape(row.id)}" data-state="{row.state}"><header>'
        f"{escape(' · '.join(part for part in head if part))}</header>"
        f'<p class="pg-asked">{earlier}{prompt}</p><div class="pg-two">{_answers(row)}</div>{said}</article>'
    )


def _answers(row: StoredRow) -> str:
    values = row.columns
    if row.config == "ratings":
        thumb = "Good" if values.get("label") else "Bad"
        return _answer(thumb, escape(_last(values.get("completion"))[:MOST_SHOWN]), values, "")
    names = ("chosen", "rejected") if row.config == "preferences" else ("left", "right")
    texts = [_last(values.get(name)) for name in names]
    outcome = values.get("outcome")
    labels = ["Chosen", "Rejected"]
    if outcome is not None:
        labels = [
            f"Left{' · better' if outcome == 'left' else ''}",
            f"Right{' · better' if outcome == 'right' else ''}",
        ]
        if outcome in ("tie", "both_bad"):
            labels = [f"{side} · {'tie' if outcome == 'tie' else 'bad'}" for side in ("Left", "Right")]
    return "".join(
        _answer(label, marked_difference(text, other), values, name)
        for label, text, other, name in zip(labels, texts, texts[::-1], names, strict=True)
    )


def _answer(label: str, body: str, values: dict[str, Any], side: str) -> str:
    prefix = f"{side}_" if side else ""
    model, revision = values.get(f"{prefix}model"), values.get(f"{prefix}revision")
    maker = ""
    if model:
        maker = f'<span class="pg-tag">{escape(str(model).rpartition("/")[2])} <code>{escape(str(revision)[:7])}</code></span>'
    return f'<section><h4>{escape(label)} {maker}</h4><div class="pg-text">{body}</div></section>'


def _last(messages: object) -> str:
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        return str(messages[-1].get("content") or "")
    return ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
