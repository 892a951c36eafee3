"""A conversation as the tokens a model reads: through its own chat template, exact to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.chat import Message
from core.errors import GenerationFailed
from core.refs import shown


def encode(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The prompt's tokens. The caller holds the tokenizer's lock: encoding as plain text switches a state in it.

    Special tokens that a visitor typed become plain text, so nobody can end a turn or speak as the system.
    """
    if not tokenizer.chat_template:
        return _plain(tokenizer, messages)
    from jinja2.exceptions import TemplateError

    try:
        try:
            return _templated(tokenizer, messages)
        except TemplateError:
            if messages[0].role != "system" or len(messages) < 2:
                raise
            return _templated(tokenizer, folded(messages))
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        raise GenerationFailed(
            f"This model's chat template refuses the conversation ({shown(str(error), 200)}). Clear the conversation or "
            "leave the system prompt empty, or choose another model."
        ) from error


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system prompt put before the first user message, for templates that know no system role."""
    system, first, *rest = messages
    return (Message(first.role, f"{system.content}\n\n{first.content}"), *rest)


def _templated(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [message.as_dict() for message in messages],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,
    )
    return list(encoded["input_ids"])


def _plain(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    # A base model continues text; turns are set apart by an empty line and nothing is added to them.
    text = "\n\n".join(message.content for message in messages)
    return list(tokenizer(text, split_special_tokens=True)["input_ids"])
