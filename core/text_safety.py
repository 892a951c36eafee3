"""What the operator's checks say of a text: what was found, by what, and whether the text is shown all the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

Action = Literal["flag", "withhold"]
ACTIONS: tuple[Action, ...] = ("flag", "withhold")
NOTHING_CHECKS = "Nothing checks prompts and answers here. The operator can set a word list or a classifier."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check objects to. `by` is "words" or the classifier's name, `share` (0 to 1) what the classifier gave."""

    by: str
    label: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class TextVerdict:
    """What the checks said of one text. `failed` names the check that could not be made."""

    found: tuple[Finding, ...] = ()
    by: tuple[str, ...] = ()
    withheld: bool = False
    failed: str = ""

    @property
    def flagged(self) -> bool:
        """Whether anything was found."""
        return bool(self.found)

    def record(self) -> dict[str, object]:
        """The verdict as a row's `safety` keeps it."""
        found = [{k: v for k, v in asdict(finding).items() if v is not None} for finding in self.found]
        kept: dict[str, object] = {
            "by": list(self.by),
            "flagged": self.flagged,
            "found": found,
            "withheld": self.withheld,
        }
        return kept | ({"failed": self.failed} if self.failed else {})

    def sentence(self, what: str) -> str:
        """What a person reads of it; "" when nothing was found. `what` is “This answer” or the like."""
        if self.failed:
            return f"{what} was not checked: {self.failed} failed."
        if not self.found:
            return ""
        labels = ", ".join(dict.fromkeys(finding.label for finding in self.found))
        return f"{what} was flagged by this app's text check ({labels})."


def safety_column(prompt: TextVerdict | None, answer: TextVerdict | None) -> str | None:
    """Both verdicts as JSON with sorted keys; None where nothing was checked."""
    told = {name: each.record() for name, each in (("prompt", prompt), ("answer", answer)) if each is not None}
    return json.dumps(told, sort_keys=True, ensure_ascii=False) if told else None


def column_of(**verdicts: str | None) -> str | None:
    """The verdicts of several answers as one column, each under its name; null where none was looked at."""
    looked_at = {name: json.loads(text) for name, text in verdicts.items() if text}
    return json.dumps(looked_at, sort_keys=True) if looked_at else None


def flags_of(safety: str | None, name: str) -> str:
    """What a stored verdict says to a person: “Answer A was flagged …”; "" where nothing was found."""
    if safety is None:
        return ""
    told = json.loads(safety).get("answer") or {}
    if told.get("failed"):
        return f"{name} was not checked: {told['failed']} failed."
    labels = ", ".join(dict.fromkeys(str(each["label"]) for each in told.get("found", ())))
    return f"{name} was flagged by this app's text check ({labels})." if labels else ""


class TextCheck(Protocol):
    """Looks at prompts and answers."""

    @property
    def action(self) -> Action:
        """What happens to a text that is objected to."""
        ...

    def describe(self) -> str:
        """What checks here, as a sentence."""
        ...

    def check(self, text: str) -> TextVerdict:
        """What is objected to. Never raises for what a text says; a check that failed is told in the verdict."""
        ...
