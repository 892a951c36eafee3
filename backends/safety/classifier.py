"""A text classifier from the Hub that looks at every prompt and every answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.downloads import LIST_SECONDS, Downloads
from backends.hub.deadline import within
from backends.loading_lock import load_alone
from core.catalog import FileEntry
from core.errors import AppError, BackendError, UnsafeContentError
from core.refs import ModelRef, shown
from core.weights import formats_of

log = logging.getLogger(__name__)
WEIGHTS = "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
_TAKEN = (*_NEEDED, "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
# What classifiers call a text that nobody objects to.
_HARMLESS = frozenset(
    {
        "normal",
        "safe",
        "sfw",
        "neutral",
        "clean",
        "ok",
        "non-toxic",
        "not toxic",
        "not_toxic",
        "nontoxic",
        "benign",
        "no",
    }
)
# Windows of a long text that are looked at in one go, and how far one reaches into the next.
_AT_ONCE, _OVERLAP, _MOST_TOKENS = 8, 32, 512


@dataclass(frozen=True)
class TextJudgement:
    """The label that counts most among those that block, and how much all of them do (0 to 1), in the worst window."""

    blocked: bool
    label: str
    share: float


class TextClassifierDownloads(Downloads):
    """As `Downloads`, for what a text classifier needs."""

    def folder(self, ref: ModelRef) -> Path | None:
        """The snapshot when all of it is there."""
        snapshot = self.snapshot(ref)
        return snapshot if all((snapshot / name).is_file() for name in _NEEDED) else None

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What is needed, with sizes, as the Hub lists it."""
        listed = within(LIST_SECONDS, lambda until: self._list(ref))
        found = tuple(entry for entry in listed if entry.path in _TAKEN)
        missing = [name for name in _NEEDED if name not in {entry.path for entry in found}]
        if WEIGHTS in missing and "pickle" in formats_of(entry.path for entry in listed):
            raise UnsafeContentError(
                f"PROVING_TEXT_CLASSIFIER: the weights of {ref.repo_id} are pickle files, which can run code when they are "
                "loaded. Choose a classifier with safetensors weights."
            )
        if missing:
            raise BackendError(
                f"PROVING_TEXT_CLASSIFIER: {ref.repo_id} has no {missing[0]}. Choose a text classifier of transformers."
            )
        return found


class TextClassifier:
    """One classifier for all texts, loaded when the first is looked at; always on the processor."""

    def __init__(
        self,
        model: str,
        *,
        downloads: TextClassifierDownloads,
        pin: Callable[[str], ModelRef],
        labels: tuple[str, ...] = (),
        threshold: float = 0.5,
    ) -> None:
        """`model` is `repo_id[@commit]` or a folder; `pin` finds the commit of a name; `labels` are those that object.

        With no labels, all object but those named harmless, "safe" and "neutral" among them.
        """
        self.model = model
        self._downloads, self._pin = downloads, pin
        self._labels, self._threshold = labels, threshold
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, Mapping[int, str]] | None = None

    def verdict(self, text: str) -> TextJudgement:
        """What it says of a text, all of it: a long one in windows. Raises `AppError` when it cannot be loaded or run."""
        with self._lock:
            try:
                if self._loaded is None:
                    folder = self._folder()
                    self._loaded = load_alone(lambda: self._load(folder))
                return self._judge(text, *self._loaded)
            except AppError:
                raise
            except Exception as error:
                log.warning("the text classifier failed: %s: %s", type(error).__name__, error)
                raise BackendError(
                    f"The text classifier of this app ({shown(self.model)}) failed. Whoever runs this app finds the reason "
                    "in its log."
                ) from error

    def _judge(self, text: str, model: Any, tokenizer: Any, objecting: Mapping[int, str]) -> TextJudgement:
        import torch

        longest = min(_MOST_TOKENS, int(getattr(model.config, "max_position_embeddings", _MOST_TOKENS) or _MOST_TOKENS))
        # Models of RoBERTa's kind count positions from two on.
        longest = max(8, longest - 2)
        read = tokenizer(
            text,
            truncation=True,
            max_length=longest,
            stride=min(_OVERLAP, longest // 4),
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        read.pop("overflow_to_sample_mapping", None)
        many = model.config.problem_type == "multi_label_classification"
        worst = TextJudgement(False, "", -1.0)
        with torch.no_grad():
            for start in range(0, len(read["input_ids"]), _AT_ONCE):
                values = model(**{k: v[start : start + _AT_ONCE] for k, v in read.items()}).logits.float()
                if not torch.isfinite(values).all():
                    raise ValueError("the classifier's answer is not a number")
                for row in values.sigmoid() if many else values.softmax(-1):
                    mine = {label: float(row[number]) for number, label in objecting.items()}
                    share = max(mine.values()) if many else sum(mine.values())
                    if share > worst.share:
                        worst = TextJudgement(share >= self._threshold, max(mine, key=lambda name: mine[name]), share)
        return worst

    def _load(self, folder: Path) -> tuple[Any, Any, Mapping[int, str]]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if not (folder / WEIGHTS).is_file():
            raise UnsafeContentError(f"PROVING_TEXT_CLASSIFIER: {folder} has no {WEIGHTS}. Choose another classifier.")
        model = AutoModelForSequenceClassification.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, trust_remote_code=False
        ).eval()
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        return model, tokenizer, self._objecting({int(key): str(label) for key, label in model.config.id2label.items()})

    def _objecting(self, known: Mapping[int, str]) -> Mapping[int, str]:
        names = ", ".join(shown(label) for label in list(known.values())[:20])
        if self._labels:
            found = {number: label for number, label in known.items() if label.lower() in self._labels}
            if len(found) < len(self._labels):
                raise BackendError(
                    "PROVING_TEXT_CLASSIFIER_LABELS names a label that this classifier does not have. It has: "
                    f"{names}. Correct that and start again."
                )
            return found
        found = {number: label for number, label in known.items() if label.lower() not in _HARMLESS}
        # A classifier of toxicity may have no label for what is not toxic; one of two unnamed labels says nothing.
        unnamed = all(label.lower().startswith("label_") for label in known.values())
        if not found or unnamed or (len(found) == len(known) and len(known) == 2):
            raise BackendError(
                "PROVING_TEXT_CLASSIFIER_LABELS has to say which labels object, because the labels of this classifier do "
                f"not tell: {names}. Set it and start again."
            )
        return found

    def _folder(self) -> Path:
        path = Path(self.model).expanduser()
        if path.is_dir():
            return path
        ref = self._pin(self.model)
        for _ in self._downloads.download(ref):
            pass
        folder = self._downloads.folder(ref)
        if folder is None:
            raise BackendError(f"The text classifier {ref} is not on this machine. Try again.")
        log.info("texts are looked at by %s", ref)
        return folder
