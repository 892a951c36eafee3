"""What reviewers are asked beside a vote: up to five questions and the reason chips, under a version of their own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import UserInputError

MOST_QUESTIONS = 5
MOST_CHOICES = 9
MOST_REASONS = 20
SCALE = ("1", "2", "3", "4", "5")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one answer. `choices` are what can be said; the scale 1 to 5 where the operator named none."""

    name: str
    text: str
    guidelines: str = ""
    choices: tuple[str, ...] = SCALE


@dataclass(frozen=True, slots=True)
class Rubric:
    """The questions and the reason chips. Every row that was made with it names `version`."""

    version: str
    questions: tuple[Question, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What one person said of one answer. `side` is the place of the answer on the screen, the first at 0."""

    question: str
    side: int
    value: str


DEFAULT = Rubric(
    "default-1",
    (
        Question("helpfulness", "Helpfulness", "5: does all that was asked. 3: half of it. 1: of no use."),
        Question(
            "faithfulness",
            "Faithfulness to the prompt's text",
            "5: nothing invented, nothing turned round. 3: small slips. 1: says what the text does not.",
        ),
        Question("tone", "Tone", "5: as you would want it sent. 3: needs a touch. 1: wrong for the reader."),
        Question("format", "Format", "5: the form asked for, easy to read. 3: readable. 1: has to be redone."),
    ),
    ("more correct", "more helpful", "better written", "followed the instructions", "shorter", "safer"),
)


def read_rubric(text: str, name: str) -> Rubric:
    """The rubric in a JSON file's text; raises `UserInputError` that names what is wrong. `name` is what to call the file.

    `{"version": "2", "questions": [{"name", "text", "guidelines", "choices"}], "reasons": ["shorter"]}`. Where no version is
    given, it follows from what the file says, so that a changed text is another version.
    """

    def wrong(what: str) -> UserInputError:
        return UserInputError(f"{name}: {what} Correct the file, then start again.")

    try:
        found = json.loads(text)
    except ValueError as error:
        raise wrong(f"it is no JSON ({error}).") from error
    if not isinstance(found, dict) or set(found) - {"version", "questions", "reasons"}:
        raise wrong("it has to be an object with questions, and if you like reasons and version.")
    questions = found.get("questions", [])
    if not isinstance(questions, list) or len(questions) > MOST_QUESTIONS:
        raise wrong(f"questions has to be a list of at most {MOST_QUESTIONS}.")
    read = tuple(_question(entry, number, wrong) for number, entry in enumerate(questions, 1))
    if len({question.name for question in read}) < len(read):
        raise wrong("two questions have the same name.")
    reasons = found.get("reasons", list(DEFAULT.reasons))
    if not _texts(reasons, MOST_REASONS, 60):
        raise wrong(f"reasons has to be a list of at most {MOST_REASONS} short texts.")
    version = found.get("version", "")
    if not isinstance(version, str) or len(version) > 60:
        raise wrong("version has to be a short text.")
    return Rubric(
        version or hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12], read, tuple(reasons)
    )


def _question(entry: object, number: int, wrong: Any) -> Question:
    if not isinstance(entry, dict) or set(entry) - {"name", "text", "guidelines", "choices"}:
        raise wrong(
            f"question {number} has to be an object with name and text, and if you like guidelines and choices."
        )
    name, text, guidelines = entry.get("name"), entry.get("text"), entry.get("guidelines", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong(f"question {number} needs a name of small letters, digits and dashes.")
    if (
        not isinstance(text, str)
        or not 0 < len(text) <= 200
        or not isinstance(guidelines, str)
        or len(guidelines) > 1000
    ):
        raise wrong(f"question {number} needs a text of at most 200 characters, and guidelines of at most 1,000.")
    choices = entry.get("choices", list(SCALE))
    if not _texts(choices, MOST_CHOICES, 60) or len(choices) < 2:
        raise wrong(f"question {number}: choices has to be a list of 2 to {MOST_CHOICES} short texts.")
    return Question(name, text, guidelines, tuple(choices))


def _texts(value: object, most: int, long: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(isinstance(each, str) and 0 < len(each.strip()) <= long for each in value)
        and len(set(value)) == len(value)
    )


def checked_scores(rubric: Rubric, found: object, sides: int) -> tuple[Score, ...]:
    """The answers a page sent, as [{question, side, value}]; nothing that this rubric does not ask passes."""
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) > MOST_QUESTIONS * sides:
        raise UserInputError("The answers to the questions cannot be read. Reload the page, then vote.")
    asked = {question.name: question.choices for question in rubric.questions}
    scores: dict[tuple[str, int], Score] = {}
    for entry in found:
        question, side, value = (
            (entry.get(name) for name in ("question", "side", "value")) if isinstance(entry, Mapping) else (None,) * 3
        )
        if (
            not isinstance(question, str)
            or not isinstance(side, int)
            or isinstance(side, bool)
            or not 0 <= side < sides
            or value not in asked.get(question, ())
        ):
            raise UserInputError("An answer to a question is not one of its choices. Reload the page, then vote.")
        scores[question, side] = Score(question, side, str(value))
    order = list(asked)
    return tuple(sorted(scores.values(), key=lambda score: (order.index(score.question), score.side)))


def checked_reasons(rubric: Rubric, found: object) -> tuple[str, ...]:
    """The reason chips a page sent, in the rubric's order."""
    if not isinstance(found, Sequence) or isinstance(found, str) or any(each not in rubric.reasons for each in found):
        raise UserInputError("A reason is not one of those offered here. Reload the page, then vote.")
    return tuple(reason for reason in rubric.reasons if reason in found)
