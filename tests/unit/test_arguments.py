"""What a program may send: the type of every argument, by name."""

from __future__ import annotations

import pytest

from core.arguments import check_types
from core.chat import Message, check_messages
from core.errors import UserInputError


def test_right_types_pass() -> None:
    check_types(
        text={"a": "", "b": "x\x00🙂"},
        whole={"c": -1},
        number={"d": -1, "e": 0.5},
        texts={"f": [], "g": ["x"], "h": ()},
    )


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("text", None, "value has to be text; it is null"),
        ("text", 5, "has to be text; it is 5"),
        ("text", "a\ud800b", "half of a character pair at position 2"),
        ("whole", "8", "has to be a whole number; it is “8”"),
        ("whole", 4.7, "whole number"),
        ("whole", True, "whole number"),
        ("whole", None, "null"),
        ("number", "hot", "has to be a number; it is “hot”"),
        ("number", False, "number"),
        ("texts", "stop", "has to be a list of texts; it is “stop”"),
        ("texts", [1], "list of texts"),
        ("texts", None, "null"),
        ("texts", ["\udfff"], "character pair"),
    ],
)
def test_a_wrong_type_is_refused_by_name(kind: str, value: object, says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        check_types(**{kind: {"value": value}})


def test_half_a_character_is_refused_before_a_model_sees_it() -> None:
    with pytest.raises(UserInputError, match="The message holds half of a character pair"):
        check_messages((Message("user", "\ud800"),))
