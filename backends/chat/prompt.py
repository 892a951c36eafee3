"""A conversation as the tokens a model reads: through its own chat template, exact to the byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from backends.chat.template import names_of
from core.chat import Message
from core.errors import GenerationFailed, UserInputError
from core.refs import shown
from core.template_kwargs import THINKING, TemplateValue

T = TypeVar("T")
_PROBE = "Is this told to the model?"


def encode(
    tokenizer: Any,
    messages: Sequence[Message],
    thinking: bool | None = None,
    template_kwargs: Sequence[tuple[str, TemplateValue]] = (),
) -> list[int]:
    """The prompt's tokens. The caller holds the tokenizer's lock: encoding as plain text switches a state in it.

    Special tokens that a visitor typed become plain text, so nobody can end a turn or speak as the system. The beginning of
    an answer, when it stands last, follows the generation prompt to the byte, where the model itself would have written it;
    a template would trim it, or take its reasoning out. `thinking` is the template's own switch, None as it has it, and
    `template_kwargs` what else is set of it. Raises `UserInputError` for what this template does not read.
    """
    given = switches(names_of(tokenizer), thinking, template_kwargs)
    if not tokenizer.chat_template:
        return _plain(tokenizer, messages)
    if messages[-1].role == "assistant":
        own = own_tokens(tokenizer, messages)
        if own is not None:
            return [*refusing(lambda: _asked(tokenizer, messages[:-1], given)), *own]
    return refusing(lambda: _asked(tokenizer, messages, given))


def switches(
    names: frozenset[str], thinking: bool | None, template_kwargs: Sequence[tuple[str, TemplateValue]]
) -> dict[str, TemplateValue]:
    """What the template is given besides the messages."""
    given = dict(template_kwargs)
    if unknown := sorted(set(given) - names):
        known = f"It reads {', '.join(sorted(names))}." if names else "It reads none."
        raise UserInputError(
            f"This model's chat template has no option called {shown(unknown[0], 60)}. {known} Correct the template "
            "options, or leave them empty."
        )
    if thinking is None:
        return given
    switch = {name: thinking for name in THINKING if name in names}
    if not switch:
        raise UserInputError(
            "This model's chat template has no switch for thinking first. Leave it as the model has it."
        )
    return {**switch, **given}


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


def _asked(tokenizer: Any, messages: Sequence[Message], switches: Mapping[str, TemplateValue]) -> list[int]:
    if messages[0].role == "system" and len(messages) > 1 and not _takes_system(tokenizer, switches):
        messages = folded(messages)
    return _templated(tokenizer, messages, switches)


def _takes_system(tokenizer: Any, switches: Mapping[str, TemplateValue]) -> bool:
    """Whether the template tells the model what the system prompt says; some refuse one, and some leave it out in silence."""
    from jinja2.exceptions import TemplateError

    probe = [Message("system", _PROBE).as_dict(), Message("user", "?").as_dict()]
    try:
        return _PROBE in tokenizer.apply_chat_template(probe, add_generation_prompt=True, tokenize=False, **switches)
    except TemplateError:
        return False


def refusing(made: Callable[[], T]) -> T:
    """What `made` makes with a chat template; `GenerationFailed` when the template refuses."""
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
    return (Message(first.role, f"{system.content}\n\n{first.content}", first.images), *rest)


def _templated(tokenizer: Any, messages: Sequence[Message], switches: Mapping[str, TemplateValue]) -> list[int]:
    begun = messages[-1].role == "assistant"
    encoded = tokenizer.apply_chat_template(
        [message.as_dict() for message in messages],
        add_generation_prompt=not begun,
        continue_final_message=begun,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,
        **switches,
    )
    return list(encoded["input_ids"])


def _plain(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    # A base model continues text, so its answer follows what it answers directly, as it was written. What a person adds is
    # set apart by an empty line, and nothing else is put in.
    text = messages[0].content
    for before, message in pairwise(messages):
        joined = (before.role, message.role) == ("user", "assistant")
        text += message.content if joined else f"\n\n{message.content}"
    return list(tokenizer(text, split_special_tokens=True)["input_ids"])
