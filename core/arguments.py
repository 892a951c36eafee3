"""The types of what a program sent: an API call is JSON, and JSON keeps no promise a signature made."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import UserInputError
from core.refs import shown


def check_types(
    *,
    text: Mapping[str, object] | None = None,
    whole: Mapping[str, object] | None = None,
    number: Mapping[str, object] | None = None,
    texts: Mapping[str, object] | None = None,
    yes_or_no: Mapping[str, object] | None = None,
) -> None:
    """Refuse the first value that is not of its type, by name. A text where a list belongs is not a list of letters."""
    for name, value in (text or {}).items():
        if not isinstance(value, str):
            raise UserInputError(f"{name} has to be text; it is {_kind(value)}.")
        check_characters(value, name)
    for name, value in (whole or {}).items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserInputError(f"{name} has to be a whole number; it is {_kind(value)}.")
    for name, value in (number or {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserInputError(f"{name} has to be a number; it is {_kind(value)}.")
    for name, value in (yes_or_no or {}).items():
        if not isinstance(value, bool):
            raise UserInputError(f"{name} has to be true or false; it is {_kind(value)}.")
    for name, value in (texts or {}).items():
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise UserInputError(f"{name} has to be a list of texts; it is {_kind(value)}.")
        for item in value:
            check_characters(item, name)


def check_characters(text: str, name: str) -> None:
    """Refuse half of a character pair: no tokenizer, file or database can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserInputError(
            f"{name} holds half of a character pair at position {error.start + 1}. Remove it and send it again."
        ) from error


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return f"“{shown(value)}”" if isinstance(value, str) else shown(repr(value), 40)
