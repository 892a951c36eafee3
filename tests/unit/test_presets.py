"""Tasks and links: filled in exactly, and nothing taken from a stranger's link that was not asked for."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict

import pytest

from core.address import Address, read_address
from core.errors import UserInputError
from core.presets import DEFAULTS, MOST_LINK, Preset, Setup, link_text, read_preset, read_setup

EXACT = "  \tlead\n\n    {Text} \\1 {How}\U0001f642 "


def encoded(record: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(record).encode()).decode().rstrip("=")


def test_every_task_that_comes_along_is_one_that_can_be_read() -> None:
    for task in DEFAULTS:
        assert read_preset(json.loads(json.dumps(asdict(task)))) == task


def test_fields_are_filled_in_exactly_and_only_once() -> None:
    task = Preset("t", fields=("Text", "How"), template="{How}: {Text}|{Text} {other}")
    assert task.message({"Text": EXACT, "How": "x{Text}"}) == f"x{{Text}}: {EXACT}|{EXACT} {{other}}"
    with pytest.raises(UserInputError, match="How"):
        task.message({"Text": "t", "How": " \n"})


def test_a_link_brings_everything_back() -> None:
    settings = {
        "temperature": 0.2,
        "top_k": 17,
        "repetition_penalty": 1.3,
        "seed": 5,
        "thinking": "off",
        "template": "effort=high\n",
    }
    setup = Setup("org/m@" + "c" * 40, EXACT, settings, EXACT, True, DEFAULTS[2])
    assert read_setup(setup.text()) == setup
    place = Address("chat", chat=setup.text())
    assert read_address(dict(pair.split("=") for pair in place.query().split("&"))) == place
    assert "chat=" not in Address("search", chat="abc").query()


@pytest.mark.parametrize("text", ["", "%%%", "abc", encoded([]), encoded(5), "a" * (MOST_LINK + 1)])
def test_a_broken_link_says_so(text: str) -> None:
    with pytest.raises(UserInputError, match="not whole"):
        read_setup(text)
    assert link_text("a b") == "" and link_text("<script>") == ""


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"temperature": 1e9}, "Temperature has to be between 0 and 100"),
        ({"temperature": float("nan")}, "Temperature"),
        ({"top_k": -1}, "Top-k has to be between 0"),
        ({"top_k": float("inf")}, "no number"),
        ({"seed": float("nan")}, "no number"),
        ({"repetition_penalty": 50}, "Repetition penalty has to be between 0.1 and 10"),
        ({"max_new_tokens": 10**9}, "Max new tokens"),
    ],
)
def test_a_link_sets_nothing_that_a_person_could_not(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        read_setup(encoded({"settings": wrong}))


def test_what_does_not_belong_in_a_link_is_left_out_or_refused() -> None:
    crafted = {
        "model": 5,
        "system": ["x"],
        "settings": {"temperature": "0", "evil": 1, "seed": True, "thinking": "maybe", "template": 5},
        "locked": "yes",
    }
    assert read_setup(encoded(crafted)) == Setup()
    for wrong in (
        {"system": "x" * 9000},
        {"preset": {"name": ""}},
        {"preset": {"name": "t", "fields": ["A"], "template": "no field"}},
        {"preset": {"name": "t", "fields": ["{A}"], "template": "{{A}}"}},
        {"preset": {"name": "t", "rubric": ["x"] + [str(n) for n in range(9)]}},
        {"preset": 5},
    ):
        with pytest.raises(UserInputError):
            read_setup(encoded(wrong))


def test_what_is_too_long_for_a_link_is_said() -> None:
    with pytest.raises(UserInputError, match="too long for a link"):
        Setup(system="ü" * 7000, first="x" * 7000).text()
