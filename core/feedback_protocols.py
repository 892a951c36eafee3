"""What pages may ask of the feedback store, and the store of a dataset's repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.consent import Consent
from core.dataset import Config, Row
from core.feedback import FeedbackStatus, FoundRows, RowQuery, Saved, StoredRow


class FeedbackStore(Protocol):
    """Keeps what reviewers said. Durable before it returns."""

    @property
    def consent(self) -> Consent | None:
        """What reviewers have to agree to before they are heard; None when nothing is asked."""
        ...

    def agreed(self, rater: str | None) -> bool:
        """Whether this reviewer agreed to the text as it is now; True when nothing is asked."""
        ...

    def agree(self, rater: str, version: str) -> None:
        """Record the agreement; `UserInputError` when the text has changed since it was shown."""
        ...

    def name_of(self, rater: str) -> str:
        """The name this reviewer chose for their rows; "" when none."""
        ...

    def rename(self, rater: str, name: str) -> str:
        """Put a name on this reviewer's rows from now on, "" none; returns it as rows will have it, or `UserInputError`."""
        ...

    def save(self, rows: Sequence[Row], taking_back: Sequence[str] = ()) -> Saved:
        """All rows or none, in one transaction; rows whose id is there already change nothing.

        `taking_back` are rows that are withdrawn in the same transaction. Each row is stamped with the version of the
        consent text. Raises `NotSaved`; `NotConsented` when its rater has not agreed.
        """
        ...

    def withdraw(self, row_id: str) -> None:
        """Take a row back: out of the current view now, out of the dataset with the next upload."""
        ...

    def withdraw_all(self, rater: str) -> int:
        """Take back every row of one reviewer; returns how many they were."""
        ...

    def row(self, row_id: str) -> StoredRow | None:
        """One current row; None when there is no such row, or not any more."""
        ...

    def find(self, query: RowQuery, limit: int = 20) -> FoundRows:
        """Current rows that fit, newest first."""
        ...

    def newest(self, limit: int = 20, config: Config | None = None) -> Sequence[StoredRow]:
        """Current rows, newest first."""
        ...

    def status(self) -> FeedbackStatus:
        """Counts and health, from this machine alone (no network)."""
        ...

    def leaving(self, limit: int = 20) -> Sequence[StoredRow]:
        """The rows that leave with the next upload, oldest first."""
        ...

    def approve(self) -> FeedbackStatus:
        """Agree that what waits, and what follows, goes to a public dataset; the status says how it went."""
        ...

    def upload_now(self) -> FeedbackStatus:
        """Send what waits, now; the status says how it went."""
        ...

    def close(self) -> None:
        """Send what waits within a bound, then stop. What did not leave is sent after the next start."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetHead:
    """The newest state of a dataset repository: its commit and the files in it. Both empty when there is none yet."""

    commit: str | None
    paths: frozenset[str]


class DatasetRepo(Protocol):
    """Where shards go: a folder in the Hub's layout, or a Hub dataset repository."""

    @property
    def name(self) -> str:
        """How the page calls it."""
        ...

    @property
    def shared(self) -> bool:
        """Whether others may write to it too."""
        ...

    def head(self) -> DatasetHead:
        """What is there now; makes nothing."""
        ...

    def has(self, commit: str) -> bool:
        """Whether a commit is in its history."""
        ...

    def read(self, path: str, head: DatasetHead) -> bytes:
        """The bytes of a file of `head`."""
        ...

    def commit(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]] = (),
        numbers: str = "",
    ) -> str:
        """One atomic change; returns the commit id. Doing it again with the same content changes nothing.

        `deletes` names for each path the added one that takes over its rows (None: nothing does), for repositories that
        cannot change two files at once. A path that is not there is no error. The repository keeps its own card.
        `expects` are sets of paths of which at least one each has to be there: else nothing is changed and `ShardsMissing`,
        a `HubError`, is raised. `numbers` is the section of the card that is kept current; "" leaves it as it is.

        Raises `DatasetRejected` when trying again cannot help, `HubError` when it can.
        """
        ...
