"""Conversations as the Chatbot shows them. The Chatbot is a view; the `Conversation` is the record.

A long conversation is shown from one of its later questions on, the earlier ones when they are asked for: every message
on the screen costs the browser milliseconds with every change.
"""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from typing import Any

from components.answer_parts import Part, parts_of, reasoning_html, tool_html
from components.attach_tray import Small, no_small, pictures_html
from components.formulas import with_formulas
from core.chat import Reply
from core.conversation import Conversation, Turn
from core.text_safety import flags_of

WAITING = "…"
# A single dollar is money more often than it is a formula; `with_formulas` tells them apart.
LATEX = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
QUESTIONS = 8
"""Of a long conversation at least so many questions with their answers are shown, and fewer than twice as many."""


def text_message(role: str, text: str) -> dict[str, Any]:
    """A Chatbot message whose text arrives unchanged.

    Always a text part: gradio dedents a bare string (`Chatbot._postprocess_content`).
    """
    return {"role": role, "content": [{"type": "text", "text": text}]}


def answer_message(text: str) -> dict[str, Any]:
    """An answer: its words as they are, its reasoning folded, the tools it asks for said as such."""
    return {"role": "assistant", "content": [_part(part) for part in parts_of(text)]}


def shown_messages(
    conversation: Conversation, partial: str | None = None, small: Small = no_small
) -> list[dict[str, Any]]:
    """The shown part of the path as Chatbot messages, figures under each answer, then the answer being written.

    `small` gives a small copy of a picture, as a `data:` URI.
    """
    messages: list[dict[str, Any]] = []
    first = first_shown(conversation)
    for turn, place in zip(conversation.path()[first:], conversation.places()[first:], strict=True):
        if turn.message.role == "user":
            messages.append(text_message("user", turn.message.content))
            pictures = pictures_html(turn.message.images, small) if turn.message.images else ""
            messages[-1]["content"].append(html_part(pictures + _asked_line(turn, place)))
        else:
            messages.append(answer_message(turn.message.content))
            messages[-1]["content"].append(html_part(_answer_line(conversation, turn, place)))
    if partial is not None:
        messages.append(answer_message(partial or WAITING))
    return messages


def turn_at(conversation: Conversation, index: int) -> Turn | None:
    """The turn behind the Chatbot message at `index`; None when the click came from an older view."""
    path = conversation.path()[first_shown(conversation) :]
    return path[index] if 0 <= index < len(path) else None


def first_shown(conversation: Conversation) -> int:
    """The place on the current path of the first turn that is shown.

    It moves by `QUESTIONS` questions at a time, and never while one is being answered: a click names a message by its place.
    """
    path = conversation.path()
    asked = [at for at, turn in enumerate(path) if turn.message.role == "user"]
    usual = max(0, len(asked) // QUESTIONS - 1) * QUESTIONS
    first = asked[usual] if usual else 0
    since = next((at for at, turn in enumerate(path) if turn.id == conversation.since), first)
    return min(first, since)


def with_earlier(conversation: Conversation) -> Conversation:
    """The conversation with more of its earlier turns to be shown."""
    path = conversation.path()
    asked = [at for at, turn in enumerate(path[: first_shown(conversation)]) if turn.message.role == "user"]
    first = asked[-2 * QUESTIONS] if len(asked) > 2 * QUESTIONS else 0
    return replace(conversation, since=path[first].id if path else None)


def earlier_line(conversation: Conversation) -> str:
    """What stands above the messages of a long conversation: how many are shown, and the way to those before; else ""."""
    hidden = first_shown(conversation)
    if not hidden:
        return ""
    of = len(conversation.path())
    return (
        f'<div class="pg-doing"><span class="pg-meta">The last {of - hidden} of {of} messages are shown.</span> '
        + act("earlier", "Earlier messages", spot="bar:earlier")
        + "</div>"
    )


def figures(reply: Reply, context: int | None = None) -> str:
    """The line under an answer: who made it, how long, how fast, and why it ended. `context`: what the model reads at most."""
    parts = [f"{reply.ref.short} · {reply.backend} {reply.dtype}".rstrip()]
    if reply.path == "batched":
        parts.append("batched")
    if reply.why:
        parts.append(f"alone, not batched: {reply.why}")
    usage = reply.usage
    if usage:
        parts.append(f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out")
        if usage.tokens_per_second:
            parts.append(f"{usage.tokens_per_second:.1f} tokens/s")
        parts.append(f"first {usage.first_token_s:.2f} s")
        if context:
            parts.append(f"context {usage.prompt_tokens + usage.completion_tokens:,} of {context:,}")
    parts.append("seed not known" if reply.settings.seed is None else f"seed {reply.settings.seed}")
    ended = {"length": "cut at max new tokens", "cancelled": "stopped", "": "cut short"}.get(reply.finish or "")
    flagged = flags_of(reply.safety, "This answer")
    return " · ".join([*parts, *([ended] if ended else []), *([flagged] if flagged else [])])


def copied(text: str) -> str:
    """`text` as an attribute value from which a browser reads back every byte (HTML would turn CR into LF)."""
    return escape(text, quote=True).replace("\r", "&#13;")


def act(name: str, label: str, title: str = "", spot: str = "", *, off: bool = False, **values: object) -> str:
    """A button that components/chat.js hears: `name` is what is done, `values` go with it."""
    sent = copied(json.dumps({"act": name, **values}))
    said = f' title="{escape(title)}" aria-label="{escape(title)}"' if title else ""
    place = f' data-spot="{escape(spot)}"' if spot else ""
    return f'<button type="button" class="pg-copy" data-chat="{sent}"{said}{place}{" disabled" if off else ""}>{label}</button>'


def html_part(html: str) -> dict[str, Any]:
    """HTML of ours as a component part, so that it is no part of the text."""
    return {"type": "component", "component": "html", "value": html, "constructor_args": {}, "props": {}}


def thumbs(conversation: Conversation) -> list[str | None]:
    """The thumb on each of the model's turns that are shown, as Chatbot's `feedback_value` reads it."""
    names = {True: "Like", False: "Dislike", None: None}
    shown = conversation.path()[first_shown(conversation) :]
    return [names[turn.label] for turn in shown if turn.message.role == "assistant"]


def _part(part: Part) -> dict[str, Any]:
    if part.kind == "text":
        return {"type": "text", "text": with_formulas(part.text)}
    return html_part(reasoning_html(part) if part.kind == "reasoning" else tool_html(part))


def _arrows(turn: Turn, place: tuple[int, int]) -> str:
    at, of = place
    what = "answer" if turn.message.role == "assistant" else "wording"
    # The spot is the place in the tree, so that the keyboard stays where it was when the turn there is another one.
    spot = f"{turn.parent or 'first'}:{turn.message.role}"
    return (
        f'<span class="pg-siblings" role="group" aria-label="{what} {at} of {of}">'
        + act("switch", "‹", f"Previous {what}", f"{spot}:back", off=at == 1, turn=turn.id, by=-1)
        + f"<span>{at}/{of}</span>"
        + act("switch", "›", f"Next {what}", f"{spot}:on", off=at == of, turn=turn.id, by=1)
        + "</span> "
    )


def _asked_line(turn: Turn, place: tuple[int, int]) -> str:
    # Not the Chatbot's own Edit: it edits what was rendered, and not where anything stands under the text.
    edit = act("edit", "Edit", "Edit this message", f"{turn.id}:edit", turn=turn.id)
    return f'<div class="pg-own">{_arrows(turn, place) if place[1] > 1 else ""}{edit}</div>'


def _answer_line(conversation: Conversation, turn: Turn, place: tuple[int, int]) -> str:
    """What stands under an answer: its siblings, its figures, and what can be done with it.

    gradio shows its own copy button only on messages of text alone; ours copies the record, not what was rendered.
    """
    reply = turn.reply
    line = _arrows(turn, place) if place[1] > 1 else ""
    if reply is not None:
        line += f"<span>{escape(figures(reply, turn.context))}</span> "
        if turn.prefilled:
            line += f"<span>· begun by hand ({turn.prefilled} characters)</span> "
    else:
        line += f"<span>{'edited by hand' if turn.edited else 'maker not known'}</span> "
    line += '<span class="pg-actions-of">'
    line += f'<button type="button" class="pg-copy" data-copy="{copied(turn.message.content)}">Copy</button> '
    line += act("edit", "Edit answer", spot=f"{turn.id}:edit", turn=turn.id)
    if place[1] > 1:
        mine = [pair for pair in conversation.preferred if turn.id in (pair.chosen, pair.rejected)]
        label = "Prefer this one"
        if mine:
            label = "Preferred" if mine[-1].chosen == turn.id else "Not preferred"
        line += " " + act("prefer", label, spot=f"{turn.id}:prefer", turn=turn.id)
    if turn.label is not None:
        line += " " + act("why", "Why?", "Say why you rated it so", spot=f"{turn.id}:why", turn=turn.id)
    return f'<div class="pg-figures">{line}</span></div>'
