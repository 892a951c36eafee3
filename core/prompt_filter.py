"""What prompts may not say: the operator's words and patterns, one a line, and which of them a prompt breaks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.errors import UserInputError
from core.refs import shown

MOST_RULES = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the filter's file. `words` is None for a regular expression, which a `Matcher` looks for."""

    line: int
    text: str
    words: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Matches:
    """The places of the expressions that occur in a text, and of the one at which the time was over (None: none)."""

    found: tuple[int, ...]
    unfinished: int | None


class Matcher(Protocol):
    """Looks for regular expressions in texts without ever taking longer than its time: some would not come to an end."""

    @property
    def seconds(self) -> float:
        """How long one text may take."""
        ...

    def matches(self, text: str) -> Matches:
        """Which of its expressions occur in `text`."""
        ...


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """The rules a prompt is held against. Without any, everything passes. `matcher` has the expressions among them."""

    rules: tuple[Rule, ...] = ()
    matcher: Matcher | None = None

    def check(self, prompt: str) -> None:
        """Raise `UserInputError` naming the rule that a prompt breaks; the prompt itself is in no message."""
        for rule in self.broken(prompt):
            raise UserInputError(
                f"This prompt is not drawn here: rule {rule.line} of this app's prompt filter, “{shown(rule.text)}”, "
                "forbids it. Change the prompt."
            )

    def broken(self, text: str) -> tuple[Rule, ...]:
        """The rules that a text breaks, in the order of the file.

        Raises `UserInputError` when an expression takes too long on it: what could not be looked at has not passed.
        """
        said = _plain(text)
        broken = [rule for rule in self.rules if rule.words is not None and rule.words.search(said)]
        if self.matcher is not None:
            expressions = [rule for rule in self.rules if rule.words is None]
            told = self.matcher.matches(said)
            if told.unfinished is not None:
                rule = expressions[told.unfinished]
                raise UserInputError(
                    f"Rule {rule.line} of this app's filter takes longer than {self.matcher.seconds:.0f} seconds on this "
                    "text, so it was not checked. Shorten or change it."
                )
            broken += [expressions[place] for place in told.found]
        return tuple(sorted(broken, key=lambda rule: rule.line))


def read_prompt_filter(text: str, name: str, matcher: Callable[[tuple[str, ...]], Matcher]) -> PromptFilter:
    """The rules in a file's text: a word or phrase a line, or a regular expression between slashes; `#` starts a comment.

    Words match as whole words, capitals or not. `matcher` is made for the expressions, where there are any. Raises
    `UserInputError` naming the line that cannot be read; `name` is what the sentence calls the file.
    """
    rules: list[Rule] = []
    expressions: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if len(rules) == MOST_RULES:
            raise UserInputError(f"{name} has more than {MOST_RULES:,} rules. Take some out.")
        if len(rule) > 2 and rule.startswith("/") and rule.endswith("/"):
            expressions.append(_checked(rule, number, name))
            rules.append(Rule(number, rule, None))
        else:
            rules.append(Rule(number, rule, _words(rule)))
    return PromptFilter(tuple(rules), matcher(tuple(expressions)) if expressions else None)


def _checked(rule: str, number: int, name: str) -> str:
    expression = rule[1:-1]
    try:
        re.compile(expression, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserInputError(
            f"{name}, line {number}: “{shown(rule)}” is not a regular expression ({error}). Correct it."
        ) from error
    if "\0" in expression:
        raise UserInputError(f"{name}, line {number}: a regular expression cannot hold the character NUL. Write \\x00.")
    return expression


def _words(rule: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in _plain(rule).split())
    # Not `\b`, which sees no edge beside a sign at the start or end of a rule.
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _plain(text: str) -> str:
    """Letters that look alike made alike, and what is not seen taken out: a filter that a space of no width passes is none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")
