"""A classifier from the Hub that looks at every picture before anybody does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.downloads import LIST_SECONDS, Downloads
from backends.hub.deadline import within
from backends.loading_lock import load_alone
from core.catalog import FileEntry
from core.chat import Progress
from core.errors import AppError, BackendError, UnsafeContentError
from core.refs import ModelRef, shown
from core.weights import formats_of

log = logging.getLogger(__name__)
WEIGHTS = "model.safetensors"
_NEEDED = ("config.json", "preprocessor_config.json", WEIGHTS)
# What classifiers call a picture that anybody may see.
_HARMLESS = frozenset({"normal", "safe", "sfw", "neutral", "drawing", "drawings", "clean", "ok"})


@dataclass(frozen=True)
class Verdict:
    """What the classifier said: the label that counts most among those that block, and how much all of them do (0 to 1)."""

    blocked: bool
    label: str
    share: float


class ClassifierDownloads(Downloads):
    """As `Downloads`, for what an image classifier needs."""

    def folder(self, ref: ModelRef) -> Path | None:
        """The snapshot when all of it is there."""
        snapshot = self.snapshot(ref)
        return snapshot if all((snapshot / name).is_file() for name in _NEEDED) else None

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What is needed, with sizes, as the Hub lists it."""
        listed = within(LIST_SECONDS, lambda until: self._list(ref))
        found = tuple(entry for entry in listed if entry.path in _NEEDED)
        missing = [name for name in _NEEDED if name not in {entry.path for entry in found}]
        if missing and "pickle" in formats_of(entry.path for entry in listed):
            raise UnsafeContentError(
                f"PROVING_IMAGE_CLASSIFIER: the weights of {ref.repo_id} are pickle files, which can run code when they are "
                "loaded. Choose a classifier with safetensors weights."
            )
        if missing:
            raise BackendError(
                f"PROVING_IMAGE_CLASSIFIER: {ref.repo_id} has no {missing[0]}. Choose an image classifier of transformers."
            )
        return found


class PictureClassifier:
    """One classifier for all pictures, loaded when the first is looked at; always on the processor.

    Whatever goes wrong is raised: a picture that could not be looked at is not shown.
    """

    def __init__(
        self,
        model: str,
        *,
        downloads: ClassifierDownloads,
        pin: Callable[[str], ModelRef],
        labels: tuple[str, ...] = (),
        threshold: float = 0.5,
    ) -> None:
        """`model` is `repo_id[@commit]` or a folder; `pin` finds the commit of a name; `labels` are those that block.

        With no labels, all block but those named harmless, "normal" and "safe" among them.
        """
        self.model = model
        self._downloads, self._pin = downloads, pin
        self._labels, self._threshold = labels, threshold
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, Mapping[int, str]] | None = None

    def prepare(self) -> Iterator[Progress]:
        """Fetch it, saying how far it is."""
        if self._folder_given() is None:
            yield from self._downloads.download(self._pin(self.model))

    def verdict(self, picture: Any) -> Verdict:
        """What it says of an RGB picture. Raises `AppError` when it cannot be fetched, loaded or run."""
        with self._lock:
            try:
                if self._loaded is None:
                    folder = self._folder()
                    self._loaded = load_alone(lambda: self._load(folder))
                return self._judge(picture, *self._loaded)
            except AppError:
                raise
            except Exception as error:
                log.warning("the picture classifier failed: %s: %s", type(error).__name__, error)
                raise BackendError(
                    f"The picture classifier of this app ({shown(self.model)}) failed, so the picture is not shown. Whoever "
                    "runs this app finds the reason in its log."
                ) from error

    def _judge(self, picture: Any, model: Any, processor: Any, blocking: Mapping[int, str]) -> Verdict:
        import torch

        with torch.no_grad():
            values = model(**processor(images=picture.convert("RGB"), return_tensors="pt")).logits[0].float()
        if not torch.isfinite(values).all():
            raise ValueError("the classifier's answer is not a number")
        many = model.config.problem_type == "multi_label_classification"
        shares = values.sigmoid() if many else values.softmax(-1)
        mine = {label: float(shares[number]) for number, label in blocking.items()}
        share = max(mine.values()) if many else sum(mine.values())
        return Verdict(share >= self._threshold, max(mine, key=lambda label: mine[label]), share)

    def _load(self, folder: Path) -> tuple[Any, Any, Mapping[int, str]]:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        if not (folder / WEIGHTS).is_file():
            raise UnsafeContentError(f"PROVING_IMAGE_CLASSIFIER: {folder} has no {WEIGHTS}. Choose another classifier.")
        model = AutoModelForImageClassification.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, trust_remote_code=False
        ).eval()
        processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        return model, processor, self._blocking({int(key): str(label) for key, label in model.config.id2label.items()})

    def _blocking(self, known: Mapping[int, str]) -> Mapping[int, str]:
        names = ", ".join(shown(label) for label in list(known.values())[:20])
        if self._labels:
            found = {number: label for number, label in known.items() if label.lower() in self._labels}
            if len(found) < len(self._labels):
                raise BackendError(
                    "PROVING_IMAGE_CLASSIFIER_LABELS names a label that this classifier does not have. It has: "
                    f"{names}. Nothing is drawn until that is corrected."
                )
            return found
        found = {number: label for number, label in known.items() if label.lower() not in _HARMLESS}
        if not found or len(found) == len(known):
            raise BackendError(
                "PROVING_IMAGE_CLASSIFIER_LABELS has to say which labels block, because the labels of this classifier do not "
                f"tell: {names}. Nothing is drawn until that is set."
            )
        return found

    def _folder(self) -> Path:
        given = self._folder_given()
        if given is not None:
            return given
        ref = self._pin(self.model)
        for _ in self._downloads.download(ref):
            pass
        folder = self._downloads.folder(ref)
        if folder is None:
            raise BackendError(f"The picture classifier {ref} is not on this machine. Try again.")
        log.info("pictures are looked at by %s", ref)
        return folder

    def _folder_given(self) -> Path | None:
        path = Path(self.model).expanduser()
        return path if path.is_dir() else None
