"""What is set of a model's chat template besides the messages, as it is typed and as it is checked: name=value, one a line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from core.arguments import check_characters
from core.errors import UserInputError
from core.refs import shown

TemplateValue = str | int | float | bool

THINKING = ("enable_thinking", "thinking")
"""What chat templates call the switch that makes a model reason before it answers."""

MOST_KWARGS = 16
MOST_VALUE = 4_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# What the app itself tells a template; set from outside, it would speak in the place of the conversation.
_OURS = frozenset(
    {
        "messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize",
        "continue_final_message", "padding", "truncation", "max_length", "return_tensors", "return_dict",
        "return_assistant_tokens_mask", "tokenizer_kwargs", "sanitize_control_tokens",
    }
)  # fmt: skip


def read_template_kwargs(text: str) -> tuple[tuple[str, TemplateValue], ...]:
    """`name=value` a line. A value is JSON where it reads as true, false or a number, else it is text as it stands."""
    found: dict[str, TemplateValue] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not _NAME.fullmatch(name):
            raise UserInputError(
                f"Template options, line {number}: expected name=value, for example reasoning_effort=high."
            )
        if name in found:
            raise UserInputError(f"Template options: {name} stands there twice. Leave one of them out.")
        found[name] = _value(value.strip())
    return check_template_kwargs(tuple(sorted(found.items())))


def check_template_kwargs(kwargs: Sequence[tuple[str, object]]) -> tuple[tuple[str, TemplateValue], ...]:
    """`kwargs` when a template may be given them, else `UserInputError` naming the first that is wrong."""
    if len(kwargs) > MOST_KWARGS:
        raise UserInputError(f"Template options: at most {MOST_KWARGS} at a time.")
    checked: list[tuple[str, TemplateValue]] = []
    for name, value in kwargs:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _OURS:
            raise UserInputError(f"{shown(str(name), 60)} is no option of a chat template that can be set here.")
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise UserInputError(f"The template option {name} has to be text, a number, true or false.")
        if isinstance(value, str):
            check_characters(value, f"The template option {name}")
            if len(value) > MOST_VALUE:
                raise UserInputError(f"The template option {name} is longer than {MOST_VALUE:,} characters.")
        checked.append((name, value))
    return tuple(checked)


def _value(text: str) -> TemplateValue:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, str | int | float) else text
