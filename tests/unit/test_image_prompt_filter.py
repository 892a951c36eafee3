"""The prompt filter: whole words, patterns, tricks with letters, and files that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from backends.expressions import Expressions
from core.errors import BackendError, UserInputError
from core.prompt_filter import MOST_RULES, Matches, read_prompt_filter

RULES = read_prompt_filter(
    "# what we do not draw\n\napple\ngreen pear\n/cherr(y|ies)/\nc++\n", "rules.txt", Expressions
)


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [
        ("a red APPLE", "rule 3 of this app's prompt filter, “apple”"),
        ("apple, please", "rule 3"),
        ("a green   pear", "rule 4"),
        ("a green\npear", "rule 4"),
        ("two Cherries", "rule 5"),
        ("ap\u200bple", "rule 3"),
        ("\uff41pple", "rule 3"),
        ("written in c++!", "rule 6"),
    ],
)
def test_a_prompt_that_breaks_a_rule_is_refused_and_the_rule_named(prompt: str, rule: str) -> None:
    with pytest.raises(UserInputError) as refused:
        RULES.check(prompt)
    assert rule in str(refused.value)
    assert "please" not in str(refused.value), "what the visitor wrote stays out of the message"


@pytest.mark.parametrize("prompt", ["pineapple", "apples", "a pear that is green", "c", "", "# what we do not draw"])
def test_words_match_whole(prompt: str) -> None:
    RULES.check(prompt)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fine\n/(/", r"rules.txt, line 2: “/\(/” is not a regular expression"),
        ("x\n" * (MOST_RULES + 1), "more than 10,000 rules"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        read_prompt_filter(text, "rules.txt", Expressions)


@pytest.fixture
def bombs() -> Iterator[Expressions]:
    """Two expressions that come to no end on some texts, between two that do."""
    made = Expressions(("first", "(a+)+$", r"\s+$", "last"), seconds=1.0)
    yield made
    made.close()


@pytest.mark.parametrize(("text", "late"), [("a" * 5000 + "b first", 1), ("first" + " " * 2_000_000 + "x", 2)])
def test_an_expression_that_comes_to_no_end_is_ended_and_the_next_text_is_checked(
    bombs: Expressions, caplog: pytest.LogCaptureFixture, text: str, late: int
) -> None:
    """With `re` in this process the first of them would hold it for longer than anybody lives."""
    with caplog.at_level(logging.WARNING):
        assert bombs.matches(text) == Matches((0,), late)
    assert ("(a+)+$", r"\s+$")[late - 1] in caplog.text and "make it simpler" in caplog.text
    assert bombs.matches("the last one") == Matches((3,), None)


def test_what_was_not_checked_has_not_passed() -> None:
    rules = read_prompt_filter("pear\n/(a+)+$/\n", "rules.txt", lambda given: Expressions(given, seconds=1.0))
    with pytest.raises(UserInputError, match="Rule 2 of this app's filter takes longer than 1 seconds"):
        rules.check("a pear " + "a" * 5000 + "b")
    with pytest.raises(UserInputError, match="rule 1"):
        rules.check("a pear")
    rules.check("a plum")


def test_rules_come_in_the_order_of_the_file_and_texts_of_every_kind_cross() -> None:
    rules = read_prompt_filter("/^\\W+é$/\npear\n/x.y/\n/[\U0001f600]/\n", "rules.txt", Expressions)
    assert [rule.line for rule in rules.broken("x y pear \U0001f600")] == [2, 3, 4]
    assert [rule.line for rule in rules.broken("\ud800 É")] == [1]
    assert rules.broken("") == ()
    assert rules.broken("line\nline\0x\ny " + "word " * 50_000) == ()


def test_a_process_that_ended_is_begun_again_and_one_that_cannot_begin_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Expressions(("a",))
    assert made.matches("a").found == (0,)
    assert made._process is not None
    made._process.kill()
    made._process.wait()
    assert made.matches("a").found == (0,)
    made.close()
    monkeypatch.setattr("backends.expressions.sys.executable", "/nowhere/python")
    with pytest.raises(BackendError, match="nothing was checked"):
        made.matches("a")
