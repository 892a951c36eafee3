"""Messages to token ids through the model's own chat template."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.chat import GenerationSettings, Message
from core.errors import GenerationFailed, UserInputError


def prompt_ids(tokenizer: Any, messages: tuple[Message, ...]) -> list[int]:
    """The ids a model is asked. Control tokens typed by a person are encoded as ordinary text.

    A template without a system role gets the system prompt at the head of the first message. A model without a
    template gets the text as it is. Raises `GenerationFailed` when the template itself fails.
    """
    if not getattr(tokenizer, "chat_template", None):
        text = "\n\n".join(message.content for message in messages)
        ids: list[int] = tokenizer(text, split_special_tokens=True)["input_ids"]
        return ids
    try:
        return _applied(tokenizer, messages)
    except Exception as error:
        if messages[0].role != "system":
            raise _template_failed(error) from error
    folded = _without_system(messages)
    try:
        return _applied(tokenizer, folded)
    except Exception as error:
        raise _template_failed(error) from error


def _applied(tokenizer: Any, messages: tuple[Message, ...]) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [message.as_dict() for message in messages], add_generation_prompt=True, sanitize_control_tokens=True
    )
    ids: list[int] = encoded["input_ids"]
    return ids


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system, first, *rest = messages
    return (replace(first, content=f"{system.content}\n\n{first.content}"), *rest)


def _template_failed(error: Exception) -> GenerationFailed:
    return GenerationFailed(
        f"This model's chat template refused the conversation: {str(error)[:200]} Change the message it names, or clear "
        "the conversation."
    )


def fitted(settings: GenerationSettings, prompt_tokens: int, context: int | None) -> GenerationSettings:
    """`settings` with max new tokens cut to what the context leaves; refuses a prompt that leaves nothing."""
    if context is None:
        return settings
    left = context - prompt_tokens
    if left < 1:
        raise UserInputError(
            f"The conversation is {prompt_tokens:,} tokens long and this model reads at most {context:,}. Shorten the "
            "message, or clear the conversation and send the part that matters."
        )
    return replace(settings, max_new_tokens=min(settings.max_new_tokens, left))
