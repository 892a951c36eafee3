"""Gold questions: prompts whose answer is known, so that a careful reviewer's choice is known where one side alone holds it."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import UserInputError

MOST_GOLD = 2_000
MOST_ANSWER = 200
HELP = (
    "Give a CSV or JSONL file with the columns prompt and gold, where gold is a short text that the right answer holds"
)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Gold:
    """What is known: the prompt, folded, to the texts of which a right answer holds one."""

    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def holders(self, prompt: str, answers: Sequence[str]) -> tuple[bool, ...]:
        """For each of the answers whether it holds what is known of the prompt; empty where nothing is.

        Whole words, whatever their case; what a model thought before it answered does not count.
        """
        known = self.answers.get(_folded(prompt))
        if not known:
            return ()
        told = [_folded(_THOUGHT.sub(" ", answer)) for answer in answers]
        return tuple(any(_holds(answer, text) for text in known) for answer in told)


NOTHING = Gold()


def expected(left: bool, right: bool) -> str | None:
    """The outcome a careful reviewer gives, by which side holds the known answer; None where it does not tell."""
    return None if left == right else "left" if left else "right"


def read_gold(text: str, filename: str) -> Gold:
    """The questions in a CSV or JSONL file. In JSONL `gold` may be a list, of which one is enough.

    Raises `UserInputError` that names the line.
    """
    text = text.removeprefix("\ufeff")
    rows = _json_lines(text) if filename.endswith((".jsonl", ".ndjson")) else _csv(text)
    found: dict[str, tuple[str, ...]] = {}
    for number, (prompt, known) in enumerate(rows, 1):
        texts = tuple(_folded(one) for one in known if one.strip())
        if not prompt.strip() or not texts:
            raise UserInputError(f"Gold question {number} has no prompt or no gold. {HELP}.")
        if any(len(one) > MOST_ANSWER for one in texts):
            raise UserInputError(
                f"Gold question {number}: a gold has at most {MOST_ANSWER} characters. Take the few words that have to be there."
            )
        found[_folded(prompt)] = texts
    if not found:
        raise UserInputError(f"There is no gold question in it. {HELP}.")
    if len(found) > MOST_GOLD:
        raise UserInputError(f"There are {len(found):,} gold questions; at most {MOST_GOLD:,} are looked at.")
    return Gold(found)


def _csv(text: str) -> list[tuple[str, list[str]]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise UserInputError(f"The CSV cannot be read ({error}). Save it again as CSV in UTF-8.") from error
    if rows and not {"prompt", "gold"} <= set(rows[0]):
        raise UserInputError(f"The CSV has no columns prompt and gold. {HELP}.")
    return [(row["prompt"] or "", [row["gold"] or ""]) for row in rows]


def _json_lines(text: str) -> list[tuple[str, list[str]]]:
    found = []
    for number, line in enumerate((line for line in text.splitlines() if line.strip()), 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UserInputError(f"Line {number} is no JSON ({error}). Each line has to be one object.") from error
        prompt, gold = (entry.get("prompt"), entry.get("gold")) if isinstance(entry, dict) else (None, None)
        given = gold if isinstance(gold, list) else [gold]
        known = [one for one in given if isinstance(one, str)]
        if not isinstance(prompt, str) or len(known) != len(given):
            raise UserInputError(f"Line {number} has no prompt and gold that are texts. {HELP}.")
        found.append((prompt, known))
    return found


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _holds(answer: str, known: str) -> bool:
    """`known` as words of their own: 4 is not in 14, 4.5 or 1,400, but it is in "It is 4."."""
    pattern = rf"(?<!\w)(?<!\d[.,]){re.escape(known)}(?!\w)(?![.,]\d)"
    return re.search(pattern, answer) is not None
