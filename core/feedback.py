"""What the feedback store tells about itself: states of rows, health of the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.dataset import Config

RowState = Literal["waiting", "pushed", "refused", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Saved:
    """The outcome of a save: rows of these ids are on disk. `fresh` is False when they were there before (a second click).

    `same` is False when what was there before says something else: then the rows given were not kept.
    """

    ids: tuple[str, ...]
    fresh: bool
    same: bool = True


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as the store holds it now: its columns, and how far it has travelled."""

    id: str
    config: Config
    columns: dict[str, object]
    state: RowState
    shard: str | None = None


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Which current rows to show. Empty means any; `text` is looked for in what people wrote and in models' names."""

    config: Config | None = None
    rater: str | None = None
    source: str = ""
    outcome: str = ""
    text: str = ""
    comparison_id: str = ""


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows for a query, newest first. `more`: there are others. `looked_at` is None when every row was looked at."""

    rows: tuple[StoredRow, ...]
    more: bool = False
    looked_at: int | None = None


@dataclass(frozen=True, slots=True)
class FeedbackStatus:
    """Health of the outbox. Counts are rows: `saved` is every current row, the others say where they are.

    `dataset` names where rows go (a folder or a Hub repo), `account` who sends them, `warnings` what the operator
    should know (a token that can write everywhere, say). Ages in seconds. `needs_approval`: the dataset is public, and
    somebody has to look at the first rows before they leave.
    """

    saved: int
    waiting: int
    pushed: int
    refused: int
    dataset: str
    last_commit: str | None = None
    last_error: str | None = None
    oldest_waiting_s: float | None = None
    account: str | None = None
    warnings: tuple[str, ...] = ()
    needs_approval: bool = False


def saved_sentence(status: FeedbackStatus) -> str:
    """What the screen says after a save that is on disk."""
    return f"Saved. {status.waiting} waiting to upload." if status.waiting else "Saved and uploaded."
