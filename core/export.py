"""What an export holds: views of the rows that TRL trains on, formats, and which half a prompt belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.dataset import COLUMNS, ColumnType, Config, text_of
from core.errors import UserInputError

View = Literal["dpo", "kto", "reward", "sft", "images"]
Format = Literal["parquet", "jsonl", "csv"]
Split = Literal["train", "test"]

SPLITS: tuple[Split, ...] = ("train", "test")
FORMATS: tuple[Format, ...] = ("parquet", "jsonl", "csv")
# What each view is for, as the page says it.
VIEWS: dict[View, str] = {
    "dpo": "Pairs for DPOTrainer: prompt, chosen, rejected",
    "kto": "Single answers for KTOTrainer: prompt, completion, label",
    "reward": "Pairs for RewardTrainer: prompt, chosen, rejected",
    "sft": "Good answers for SFTTrainer: prompt, completion",
    "images": "Pairs of pictures: prompt, chosen, rejected",
}
MOST_TEST = 0.5
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?<![.])")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def _without(config: Config, *names: str) -> dict[str, ColumnType]:
    return {name: kind for name, kind in COLUMNS[config].items() if name not in names}


# Provenance stays beside what is trained on: TRL leaves columns it does not know alone.
VIEW_COLUMNS: dict[View, dict[str, ColumnType]] = {
    "dpo": COLUMNS["preferences"],
    "reward": COLUMNS["preferences"],
    "kto": COLUMNS["ratings"],
    "sft": _without("ratings", "label", "shown_left", "strength"),
    "images": COLUMNS["image_preferences"],
}
# The same of conversations with pictures, where the trainer reads them (RewardTrainer takes text alone).
VISION_COLUMNS: dict[View, dict[str, ColumnType]] = {
    "dpo": COLUMNS["vision_preferences"],
    "kto": COLUMNS["vision_ratings"],
    "sft": _without("vision_ratings", "label", "shown_left", "strength"),
}


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What to export. `test_share` of the prompts goes to the test split, 0 makes none.

    `derived` adds pairs made of one thumb up and one thumb down on answers to the same prompt (dpo, reward). `unpaired`
    adds both answers of every preference as single ones (kto).
    """

    view: View = "dpo"
    format: Format = "parquet"
    test_share: float = 0.1
    derived: bool = False
    unpaired: bool = True

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise UserInputError(f"There is no view “{self.view}”. Choose one of {', '.join(VIEWS)}.")
        if self.format not in FORMATS:
            raise UserInputError(f"There is no format “{self.format}”. Choose one of {', '.join(FORMATS)}.")
        if not 0 <= self.test_share <= MOST_TEST:
            raise UserInputError(f"The share for testing has to be between 0 and {MOST_TEST:.0%}.")
        if self.view == "images" and self.format != "parquet":
            raise UserInputError("Pictures are exported as parquet only: choose parquet.")

    @property
    def takes_pictures(self) -> bool:
        """Whether rows with pictures in the prompt go along, in files of their own."""
        return self.view in VISION_COLUMNS and self.format == "parquet"

    @property
    def why_not(self) -> str:
        """Why rows with pictures in the prompt stay out, and what takes them; "" where they go along."""
        if self.takes_pictures or self.view == "images":
            return ""
        if self.view not in VISION_COLUMNS:
            return "RewardTrainer reads text alone. The pairs for DPOTrainer have them, as parquet."
        return f"{'CSV' if self.format == 'csv' else 'JSON lines'} cannot hold pictures. Choose parquet to take them along."


@dataclass(frozen=True, slots=True)
class Published:
    """An export in a dataset repository: the tag, and the commit it will always name. `fresh` False: it was there before."""

    repo_id: str
    tag: str
    commit: str
    fresh: bool = True

    @property
    def snippet(self) -> str:
        """Python that loads exactly these rows."""
        return f"from datasets import load_dataset\n\ndataset = {loading(self.repo_id, self.tag)}"


@dataclass(frozen=True, slots=True)
class ExportStep:
    """How far an export is, in rows written; `files` when they are, `published` when they are on the Hub too.

    `pictured` of the rows have pictures in the prompt; `left_out` have some and are not in the files.
    """

    rows: int
    files: tuple[Path, ...] = ()
    train: int = 0
    test: int = 0
    published: Published | None = None
    pictured: int = 0
    left_out: int = 0


def loading(where: str, revision: str = "", config: str = "") -> str:
    """The call that loads an export, or one `config` of it."""
    named = f', "{config}"' if config else ""
    at = f', revision="{revision}"' if revision else ""
    return f'load_dataset("{where}"{named}{at}, split="train")'


def vision_config(view: View) -> str:
    """What the config of an export is called that holds the rows with pictures in the prompt."""
    return f"vision_{view}"


def checked_tag(tag: str) -> str:
    """The tag, if git and a person can live with it; raises `UserInputError`. What looks like a commit is refused."""
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith(".lock") or tag == "main" or _COMMIT.fullmatch(tag):
        raise UserInputError(
            "The tag has to begin with a letter or digit and hold only letters, digits, dots, dashes and underscores, 64 at "
            "most, for example v1 or 2026-11-21. It may not be main, nor look like a commit."
        )
    return tag


def split_of(prompt: object, test_share: float, images: Sequence[bytes] = ()) -> Split:
    """The split of a row. It follows from the first user turn alone, so every row of a conversation, and every row that
    is added later, falls on the same side, and a larger share only moves prompts from train to test.

    `images` are those of the whole prompt, in its order.
    """
    number = int.from_bytes(hashlib.sha256(_question(prompt, images)).digest()[:8]) / 2**64
    return "test" if number < test_share else "train"


def _question(prompt: object, images: Sequence[bytes]) -> bytes:
    """The first user turn, without what does not make it another question."""
    text, shown = prompt if isinstance(prompt, str) else "", 0
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        turns = (message for message in prompt if isinstance(message, Mapping) and message.get("role") == "user")
        content = next(turns, {}).get("content")
        text = text_of(content)
        shown = sum(part.get("type") == "image" for part in content) if isinstance(content, list) else 0
    # The same words about another picture are another question.
    seen = b"".join(hashlib.sha256(image).digest() for image in images[:shown])
    return " ".join(text.split()).casefold().encode() + seen
