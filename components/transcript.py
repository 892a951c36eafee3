"""Conversations as the Chatbot shows them. The Chatbot is a view; the `Conversation` is the record."""

from __future__ import annotations

from html import escape
from typing import Any

from core.chat import Reply
from core.conversation import Conversation, Turn

WAITING = "…"


def text_message(role: str, text: str) -> dict[str, Any]:
    """A Chatbot message whose text arrives unchanged.

    Always a text part: gradio dedents a bare string (`Chatbot._postprocess_content`).
    """
    return {"role": role, "content": [{"type": "text", "text": text}]}


def shown_messages(conversation: Conversation, partial: str | None = None) -> list[dict[str, Any]]:
    """The current path as Chatbot messages, figures under each finished answer, then the answer being written."""
    messages: list[dict[str, Any]] = []
    for turn in conversation.path():
        messages.append(text_message(turn.message.role, turn.message.content))
        if turn.reply is not None:
            messages[-1]["content"].append(_figures_part(turn.reply))
    if partial is not None:
        messages.append(text_message("assistant", partial or WAITING))
    return messages


def turn_at(conversation: Conversation, index: int) -> Turn | None:
    """The turn behind the Chatbot message at `index`; None when the click came from an older view."""
    path = conversation.path()
    return path[index] if 0 <= index < len(path) else None


def figures(reply: Reply) -> str:
    """The line under an answer: who made it, how long, how fast, and why it ended."""
    parts = [f"{reply.ref.short} · {reply.backend} {reply.dtype}".rstrip()]
    if reply.path == "batched":
        parts.append("batched")
    if reply.why:
        parts.append(f"alone, not batched: {reply.why}")
    usage = reply.usage
    if usage:
        parts.append(f"{usage.completion_tokens} tokens")
        if usage.tokens_per_second:
            parts.append(f"{usage.tokens_per_second:.1f} tokens/s")
        parts.append(f"first {usage.first_token_s:.2f} s")
    parts.append("seed not known" if reply.settings.seed is None else f"seed {reply.settings.seed}")
    ended = {"length": "cut at max new tokens", "cancelled": "stopped", "": "cut short"}.get(reply.finish or "")
    return " · ".join([*parts, *([ended] if ended else [])])


def copied(text: str) -> str:
    """`text` as an attribute value from which a browser reads back every byte (HTML would turn CR into LF)."""
    return escape(text, quote=True).replace("\r", "&#13;")


def _figures_part(reply: Reply) -> dict[str, Any]:
    """The figures as a component part, so that they are no part of the text.

    gradio shows its own copy button only on messages of text alone; ours copies the record, not what was rendered.
    """
    value = (
        f'<div class="pg-figures"><span>{escape(figures(reply))}</span> '
        f'<button class="pg-copy" data-copy="{copied(reply.content)}">Copy</button></div>'
    )
    return {"type": "component", "component": "html", "value": value, "constructor_args": {}, "props": {}}


def thumbs(conversation: Conversation) -> list[str | None]:
    """The thumb on each of the model's turns of the current path, as Chatbot's `feedback_value` reads it."""
    names = {True: "Like", False: "Dislike", None: None}
    return [names[turn.label] for turn in conversation.path() if turn.message.role == "assistant"]
