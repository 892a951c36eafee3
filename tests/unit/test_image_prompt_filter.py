"""The prompt filter: whole words, patterns, tricks with letters, and files that cannot be read."""

from __future__ import annotations

import pytest

from core.errors import UserInputError
from core.prompt_filter import MOST_RULES, read_prompt_filter

RULES = read_prompt_filter("# what we do not draw\n\napple\ngreen pear\n/cherr(y|ies)/\nc++\n", "rules.txt")


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
        read_prompt_filter(text, "rules.txt")
