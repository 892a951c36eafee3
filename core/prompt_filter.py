"""What prompts may not say: the operator's words and patterns, one a line, and which of them a prompt breaks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import UserInputError
from core.refs import shown

MOST_RULES = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the filter's file."""

    line: int
    text: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """The rules a prompt is held against. Without any, everything passes."""

    rules: tuple[Rule, ...] = ()

    def check(self, prompt: str) -> None:
        """Raise `UserInputError` naming the rule that a prompt breaks; the prompt itself is in no message."""
        for rule in self.broken(prompt):
            raise UserInputError(
                f"This prompt is not drawn here: rule {rule.line} of this app's prompt filter, “{shown(rule.text)}”, "
                "forbids it. Change the prompt."
            )

    def broken(self, text: str) -> Iterator[Rule]:
        """The rules that a text breaks, in the order of the file."""
        said = _plain(text)
        return (rule for rule in self.rules if rule.pattern.search(said))


def read_prompt_filter(text: str, name: str) -> PromptFilter:
    """The rules in a file's text: a word or phrase a line, or a regular expression between slashes; `#` starts a comment.

    Words match as whole words, capitals or not. Raises `UserInputError` naming the line that cannot be read; `name` is what
    the sentence calls the file.
    """
    rules: list[Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if len(rules) == MOST_RULES:
            raise UserInputError(f"{name} has more than {MOST_RULES:,} rules. Take some out.")
        rules.append(Rule(number, rule, _pattern(rule, number, name)))
    return PromptFilter(tuple(rules))


def _pattern(rule: str, number: int, name: str) -> re.Pattern[str]:
    if len(rule) > 2 and rule.startswith("/") and rule.endswith("/"):
        try:
            return re.compile(rule[1:-1], re.IGNORECASE)
        except re.error as error:
            raise UserInputError(
                f"{name}, line {number}: “{shown(rule)}” is not a regular expression ({error}). Correct it."
            ) from error
    words = r"\s+".join(re.escape(word) for word in _plain(rule).split())
    # Not `\b`, which sees no edge beside a sign at the start or end of a rule.
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _plain(text: str) -> str:
    """Letters that look alike made alike, and what is not seen taken out: a filter that a space of no width passes is none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")
