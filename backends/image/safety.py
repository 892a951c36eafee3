"""What is drawn and shown at all, whichever engine draws it: a filter for prompts and a classifier for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backends.image.checked import CheckedDrawing
from backends.image.classifier import ClassifierDownloads, PictureClassifier
from backends.prompt_filters import filter_in
from core.chat import Progress
from core.image_protocols import Drawing
from core.images import ImageSettings
from core.prompt_filter import PromptFilter
from core.refs import ModelRef


@dataclass(frozen=True)
class SafetySettings:
    """As the settings of the app have it: a file of rules; a repository or folder, the labels that block, and from when."""

    prompt_filter: str = ""
    classifier: str = ""
    labels: tuple[str, ...] = ()
    threshold: float = 0.5


class Safety:
    """Holds for every drawing of the app. Without settings nothing is refused and nothing is looked at."""

    def __init__(self, prompts: PromptFilter, classifier: PictureClassifier | None) -> None:
        self._prompts, self._classifier = prompts, classifier

    def prepare(self) -> Iterator[Progress]:
        """Fetch the classifier, saying how far it is."""
        if self._classifier is not None:
            yield from self._classifier.prepare()

    def check(self, settings: ImageSettings) -> None:
        """Raise `UserInputError` naming the rule a prompt breaks. What a negative prompt keeps out is free."""
        self._prompts.check(settings.prompt)

    def watched(self, drawing: Drawing) -> Drawing:
        """The drawing, with its pictures looked at before anybody sees them."""
        return drawing if self._classifier is None else CheckedDrawing(drawing, self._classifier)


def build_safety(
    settings: SafetySettings, *, endpoint: str, token: str | None, pin: Callable[[str], ModelRef]
) -> Safety:
    """Read the filter's file, and name the classifier; nothing is fetched or loaded. Raises `UserInputError`."""
    classifier = None
    if settings.classifier:
        classifier = PictureClassifier(
            settings.classifier,
            downloads=ClassifierDownloads(endpoint, token),
            pin=pin,
            labels=settings.labels,
            threshold=settings.threshold,
        )
    return Safety(filter_in(settings.prompt_filter, "PROVING_PROMPT_FILTER"), classifier)
