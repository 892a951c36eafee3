"""Rows and the outbox as a person reads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from components.numbers import age_of, age_since
from components.thumbnails import thumbnail
from core.dataset import text_of
from core.feedback import FeedbackStatus, FoundRows, StoredRow
from core.identity import code_of
from core.revision import choices

MOST_SHOWN = 1_200  # characters of one text on a card; the row itself is whole
STATES = {"waiting": "waiting to upload", "pushed": "in the dataset", "refused": "refused", "withdrawn": "withdrawn"}
PREFERENCES = ("preferences", "image_preferences", "vision_preferences")
RATINGS = ("ratings", "vision_ratings")
NAMES = {
    "preferences": "Preference", "image_preferences": "Preference", "ratings": "Rating", "comparisons": "Comparison",
    "vision_preferences": "Preference on a picture", "vision_ratings": "Rating on a picture",
}  # fmt: skip
EMPTY = (
    "<b>Nothing has been said yet.</b><p>Rate an answer in Chat, compare two blind, or capture a preference here.</p>"
)
NOT_FOUND = "<b>No row fits.</b><p>Search for less, or show all rows.</p>"
NONE_OF_MINE = "<b>No row here is yours.</b><p>Compare two answers blind in Chat, or capture a preference here.</p>"
# One listener on the component's own element: cards come and go. What cannot be undone asks once more, in its place, and
# goes on asking when the cards are made anew meanwhile: somebody else's row must not take the question away.
ON_LOAD = """
let asked = null;
const ask = (button) => {
  asked = {row: button.dataset.row, to: button.dataset.to};
  button.dataset.asked = '1';
  const before = button.textContent;
  button.textContent = button.dataset.sure;
  button.addEventListener('blur', () => setTimeout(() => {
    if (!button.isConnected) return;
    button.dataset.asked = '';
    button.textContent = before;
    asked = null;
  }), {once: true});
  button.focus({preventScroll: true});
};
element.addEventListener('click', (e) => {
  const button = e.target.closest('button[data-row]');
  if (!button) return;
  if (button.dataset.sure && button.dataset.asked !== '1') return ask(button);
  asked = null;
  trigger('select', {row: button.dataset.row, to: button.dataset.to});
});
watch('value', () => setTimeout(() => {
  if (!asked) return;
  const same = [...element.querySelectorAll('button[data-sure]')].find(
    (button) => button.dataset.row === asked.row && button.dataset.to === asked.to);
  if (!same) asked = null;
  else if (same.dataset.asked !== '1') ask(same);
}));
"""
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
    # What waits for a look is shown below, with the button that sends it: nothing has failed.
    told = "" if status.needs_approval else status.last_error
    error = f'<div class="pg-error">{escape(told)}</div>' if told else ""
    return f'<p class="pg-lead">{sentence}</p><p class="pg-meta">{" · ".join(details)}</p>{error}{warnings}'


def row_cards(
    found: FoundRows | Sequence[StoredRow], *, mine: str | None = None, empty: str = EMPTY, curates: bool = False
) -> str:
    """Rows newest first, one card each. `mine` is my own pseudonym: my rows can be changed and taken back.

    `curates`: those of others can be withdrawn.
    """
    found = found if isinstance(found, FoundRows) else FoundRows(tuple(found))
    if not found.rows:
        return f'<div class="pg-empty">{empty}</div>'
    # A battle with a winner is two rows of the dataset and one thing that somebody said.
    compared = {row.columns.get("comparison_id"): row for row in found.rows if row.config == "comparisons"}
    told = {row.columns.get("comparison_id") for row in found.rows if row.config in PREFERENCES} - {None}
    cards = "".join(
        _card(row, compared.get(row.columns.get("comparison_id"), row), mine, curates)
        for row in found.rows
        if row.config != "comparisons" or row.columns.get("comparison_id") not in told or row.columns.get("derived")
    )
    looked = f" Looked at the newest {found.looked_at:,} rows." if found.looked_at else ""
    return cards + (f'<p class="pg-foot">{looked.strip()}</p>' if looked else "")


def marked_difference(text: str, other: str) -> str:
    """`text` as HTML with the words that `other` does not have marked."""
    mine, theirs = WORDS.findall(text[:MOST_SHOWN]), WORDS.findall(other[:MOST_SHOWN])
    out = []
    for kind, start, end, _, _ in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        piece = escape("".join(mine[start:end]))
        out.append(piece if kind == "equal" or not piece.strip() else f"<mark>{piece}</mark>")
    return "".join(out) + ("…" if len(text) > MOST_SHOWN else "")


def _card(row: StoredRow, votes_on: StoredRow, mine: str | None, curates: bool) -> str:
    values = row.columns
    by = code_of(str(values.get("rater") or ""))
    head = [
        NAMES.get(row.config, row.config),
        str(values.get("source") or ""),
        age_since(_text(values.get("created_at"))) + " ago",
        "you" if mine and by == mine else str(values.get("rater") or "nobody named"),
        STATES[row.state],
    ]
    reasons = "".join(f'<span class="pg-tag">{escape(str(one))}</span> ' for one in _list(values.get("reasons")))
    comment = values.get("comment")
    why = f"{reasons}“{escape(str(comment)[:MOST_SHOWN])}”" if comment else reasons
    said = f'<p class="pg-why">{why}</p>' if why else ""
    turns = values.get("prompt")
    prompt = escape((turns if isinstance(turns, str) else _last(turns))[:MOST_SHOWN])
    before = len(turns) - 1 if isinstance(turns, list) else 0
    earlier = (
        f'<span class="pg-meta">after {before} earlier {"turn" if before == 1 else "turns"}</span> ' if before else ""
    )
    actions = _actions(votes_on) if mine and by == mine else _withdrawal(row) if curates else ""
    return (
        f'<article class="pg-row" data-row="{escape(row.id)}" data-state="{row.state}"><header>'
        f"{escape(' · '.join(part for part in head if part))}</header>"
        f'<p class="pg-asked">{earlier}{_seen(values.get("images"))}<span class="pg-words">{prompt}</span></p><div class="pg-two">{_answers(row)}</div>{said}{actions}</article>'
    )


def _seen(images: object) -> str:
    """The pictures of the conversation, small."""
    pngs = images if isinstance(images, list) else []
    return "".join(
        f'<img class="pg-seen" src="{thumbnail(png)}" alt="Picture {number} of the conversation" loading="lazy">'
        for number, png in enumerate(pngs, 1)
        if isinstance(png, bytes)
    )


def _withdrawal(row: StoredRow) -> str:
    gone = (
        f'<button type="button" class="pg-small" data-row="{escape(row.id)}" data-to="" '
        'data-sure="Withdraw for its reviewer?">Withdraw</button>'
    )
    return f'<footer class="pg-row-actions"><span class="pg-gap"></span>{gone}</footer>'


def _actions(row: StoredRow) -> str:
    changes = "".join(
        f'<button type="button" class="pg-small" data-row="{escape(row.id)}" data-to="{value}">{escape(label)}</button>'
        for value, label in choices(row)
    )
    change = f'<span class="pg-meta">Change to</span> {changes}' if changes else ""
    gone = (
        f'<button type="button" class="pg-small" data-row="{escape(row.id)}" data-to="" '
        'data-sure="Take back for good?">Take back</button>'
    )
    return f'<footer class="pg-row-actions">{change}<span class="pg-gap"></span>{gone}</footer>'


def _answers(row: StoredRow) -> str:
    values = row.columns
    if row.config in RATINGS:
        thumb = "Good" if values.get("label") else "Bad"
        return _answer(thumb, escape(_last(values.get("completion"))[:MOST_SHOWN]), values, "")
    names = ("chosen", "rejected") if row.config in PREFERENCES else ("left", "right")
    outcome = values.get("outcome")
    labels = ["Chosen", "Rejected"]
    if outcome is not None:
        labels = [
            f"Left{' · better' if outcome == 'left' else ''}",
            f"Right{' · better' if outcome == 'right' else ''}",
        ]
        if outcome in ("tie", "both_bad"):
            labels = [f"{side} · {'tie' if outcome == 'tie' else 'bad'}" for side in ("Left", "Right")]
    pictures = [values.get(name if name in ("chosen", "rejected") else f"{name}_image") for name in names]
    if isinstance(pictures[0], bytes) and isinstance(pictures[1], bytes):
        return "".join(
            _answer(label, _picture(png, label), values, name)
            for label, png, name in zip(labels, pictures, names, strict=True)
            if isinstance(png, bytes)
        )
    texts = [_last(values.get(name)) for name in names]
    return "".join(
        _answer(label, marked_difference(text, other), values, name)
        for label, text, other, name in zip(labels, texts, texts[::-1], names, strict=True)
    )


def _picture(png: bytes, label: str) -> str:
    return f'<img src="{thumbnail(png)}" alt="{escape(label)} picture" loading="lazy">'


def _answer(label: str, body: str, values: dict[str, Any], side: str) -> str:
    prefix = f"{side}_" if side else ""
    model, revision = values.get(f"{prefix}model"), values.get(f"{prefix}revision")
    maker = ""
    if model:
        maker = f'<span class="pg-tag">{escape(str(model).rpartition("/")[2])} <code>{escape(str(revision)[:7])}</code></span>'
    return f'<section><h4>{escape(label)} {maker}</h4><div class="pg-text">{body}</div></section>'


def _last(messages: object) -> str:
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        return text_of(messages[-1].get("content"))
    return ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
