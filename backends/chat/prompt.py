"""A conversation as the tokens a model reads: through its own chat template, exact to the byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.chat import Message
from core.errors import GenerationFailed
from core.refs import shown

THINKING = ("enable_thinking", "thinking")
"""What chat templates call the switch that makes a model reason before it answers."""


def encode(tokenizer: Any, messages: Sequence[Message], thinking: bool | None = None) -> list[int]:
    """The prompt's tokens. The caller holds the tokenizer's lock: encoding as plain text switches a state in it.

    Special tokens that a visitor typed become plain text, so nobody can end a turn or speak as the system. The beginning of
    an answer, when it stands last, follows the generation prompt to the byte, where the model itself would have written it;
    a template would trim it, or take its reasoning out. `thinking` is the template's own switch, None as it has it.
    """
    if not tokenizer.chat_template:
        return _plain(tokenizer, messages)
    if messages[-1].role == "assistant":
        own = own_tokens(tokenizer, messages)
        if own is None:
            return _refusing(lambda: _templated(tokenizer, messages, thinking))
        return [*encode(tokenizer, messages[:-1], thinking), *own]
    return _refusing(lambda: _asked(tokenizer, messages, thinking))


def own_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int] | None:
    """The tokens of the beginning of an answer that stands last; [] when none does.

    None where the tokenizer would not give the text back (one that writes it in another form): there it is the template's.
    """
    if messages[-1].role != "assistant":
        return []
    text = messages[-1].content
    ids = list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    return ids if tokenizer.chat_template is None or tokenizer.decode(ids, **_AS_IS) == text else None


_AS_IS = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}


def _asked(tokenizer: Any, messages: Sequence[Message], thinking: bool | None) -> list[int]:
    from jinja2.exceptions import TemplateError

    try:
        return _templated(tokenizer, messages, thinking)
    except TemplateError:
        if messages[0].role != "system" or len(messages) < 2:
            raise
        return _templated(tokenizer, folded(messages), thinking)


def _refusing(made: Callable[[], list[int]]) -> list[int]:
    from jinja2.exceptions import TemplateError

    try:
        return made()
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        raise GenerationFailed(
            f"This model's chat template refuses the conversation ({shown(str(error), 200)}). Clear the conversation or "
            "leave the system prompt empty, or choose another model."
        ) from error


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system prompt put before the first user message, for templates that know no system role."""
    system, first, *rest = messages
    return (Message(first.role, f"{system.content}\n\n{first.content}"), *rest)


def _templated(tokenizer: Any, messages: Sequence[Message], thinking: bool | None) -> list[int]:
    begun = messages[-1].role == "assistant"
    switch = {} if thinking is None else {name: thinking for name in THINKING if name in tokenizer.chat_template}
    encoded = tokenizer.apply_chat_template(
        [message.as_dict() for message in messages],
        add_generation_prompt=not begun,
        continue_final_message=begun,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,
        **switch,
    )
    return list(encoded["input_ids"])


def _plain(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    # A base model continues text; turns are set apart by an empty line and nothing is added to them.
    text = "\n\n".join(message.content for message in messages)
    return list(tokenizer(text, split_special_tokens=True)["input_ids"])
