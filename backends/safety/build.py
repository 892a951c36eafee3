"""The operator's text checks from the settings: nothing is fetched or loaded before the first text is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backends.prompt_filters import filter_in
from backends.safety.classifier import TextClassifier, TextClassifierDownloads
from core.errors import AppError
from core.prompt_filter import PromptFilter
from core.refs import ModelRef, shown
from core.text_safety import Action, Finding, TextVerdict


@dataclass(frozen=True)
class TextSafetySettings:
    """As the settings of the app have it: a file of words, a classifier with its labels and threshold, and what follows."""

    words: str = ""
    classifier: str = ""
    labels: tuple[str, ...] = ()
    threshold: float = 0.5
    action: Action = "flag"


class TextChecks:
    """Implements `core.text_safety.TextCheck`."""

    def __init__(self, words: PromptFilter, classifier: TextClassifier | None, action: Action) -> None:
        self._words, self._classifier, self._action = words, classifier, action

    @property
    def action(self) -> Action:
        """What happens to a text that is objected to."""
        return self._action

    def describe(self) -> str:
        """What checks here, as a sentence."""
        by = [*(["a word list"] if self._words.rules else []), *([self._name()] if self._classifier else [])]
        done = "withheld" if self._action == "withhold" else "shown and flagged"
        return f"Prompts and answers are checked by {' and '.join(by)}; what is objected to is {done}."

    def check(self, text: str) -> TextVerdict:
        """What the words and the classifier object to."""
        found: list[Finding] = []
        by = ["words"] if self._words.rules else []
        failed = []
        try:
            found += [Finding("words", f"rule {rule.line}") for rule in self._words.broken(text)]
        except AppError as error:
            failed.append(f"word list ({shown(str(error), 200)})")
        if self._classifier is not None and text.strip():
            by.append(self._name())
            try:
                judged = self._classifier.verdict(text)
                if judged.blocked:
                    found.append(Finding(self._name(), judged.label, round(judged.share, 4)))
            except AppError as error:
                failed.append(f"{self._name()} ({shown(str(error), 200)})")
        # A text that could not be looked at is not shown where what is objected to would not be.
        return TextVerdict(
            tuple(found), tuple(by), self._action == "withhold" and bool(found or failed), ", ".join(failed)
        )

    def _name(self) -> str:
        assert self._classifier is not None
        return shown(self._classifier.model)


def build_text_safety(
    settings: TextSafetySettings, *, endpoint: str, token: str | None, pin: Callable[[str], ModelRef]
) -> TextChecks | None:
    """The checks; None where the operator set none. Raises `UserInputError` naming the setting that is wrong."""
    classifier = None
    if settings.classifier:
        classifier = TextClassifier(
            settings.classifier,
            downloads=TextClassifierDownloads(endpoint, token),
            pin=pin,
            labels=settings.labels,
            threshold=settings.threshold,
        )
    words = filter_in(settings.words, "PROVING_TEXT_FILTER")
    return TextChecks(words, classifier, settings.action) if words.rules or classifier else None
