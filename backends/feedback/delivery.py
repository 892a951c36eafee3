"""One delivery: claimed batches become files, the files one commit, the commit is written into the books.

Every step can be the last before the power goes: the next delivery finds the books as they were and offers the same
batch again, at the same path, with the same bytes.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from backends.feedback import durable
from backends.feedback.adoption import reconcile
from backends.feedback.batches import Batch, Batches
from backends.feedback.database import lock
from backends.feedback.errors import ShardConflict, ShardsMissing
from backends.feedback.figures import Biases, Figures
from core.dataset import Config
from core.errors import AppError, FeedbackError
from core.feedback_protocols import DatasetRepo

Delivered = Literal["sent", "nothing", "busy"]
MakeShard = Callable[[Config, Sequence[dict[str, object]]], bytes]
MOST_LOOKS = 3
log = logging.getLogger(__name__)


class Delivery:
    """Sends what waits to one dataset repository. `folder` keeps the bytes of batches that are not confirmed."""

    def __init__(
        self,
        batches: Batches,
        repo: DatasetRepo,
        folder: Path,
        make_shard: MakeShard | None = None,
        biases: Biases = tuple,
    ) -> None:
        self.batches, self.repo, self.folder = batches, repo, folder
        # `biases`: what the evidence has measured so far, for the dataset's card.
        self.numbers = Figures(batches.database, batches.destination, biases)
        self._make_shard = make_shard or _make_shard
        self._looked = False

    def pending(self) -> bool:
        """Whether there is something to do: to send, or to look at what the repository holds, once in every run."""
        return not self._looked or self.batches.pending()

    def send(self) -> Delivered:
        """Send everything claimed in one commit; "busy" when another process is at it. Raises what the repo raises."""
        if not self.pending():
            return "nothing"
        try:
            return self._send_locked()
        except (OSError, sqlite3.Error) as error:
            raise FeedbackError(
                f"The outbox folder {self.folder} cannot be used ({error}). Check its space and permissions. The rows wait "
                "in the feedback database and are sent when it works again."
            ) from error

    def _send_locked(self) -> Delivered:
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "lock.sqlite") as mine:
            if not mine:
                return "busy"
            if not self._my_turn():
                return "busy"
            self._tidy()
            try:
                return self._deliver()
            finally:
                # Whatever became of the delivery: no shard is being made any more.
                self._erase()

    def _my_turn(self) -> bool:
        """Whether no other container sends what the journal holds; what came from others waits here too."""
        journal = self.batches.database.journal
        if journal is None or not self.repo.shared:
            return True
        came = journal.take_turn(self.batches.database)
        if came:
            self.batches.place()
        return came is not None

    def _deliver(self) -> Delivered:
        if not self._looked:
            self._look()
        looks = 0
        while claimed := self.batches.claim():
            if not self._make_all(claimed):
                continue
            try:
                commit = self._commit(claimed)
            except ShardConflict as conflict:
                if not self.batches.refuse(conflict.path, str(conflict)):
                    raise
                log.error("%s", conflict)
                continue
            except ShardsMissing:
                looks += 1
                if looks > MOST_LOOKS:
                    raise
                self._look()
                continue
            self.batches.pushed(claimed, commit)
            self._tidy()
            return "sent"
        return "nothing"

    def _erase(self) -> None:
        try:
            self.batches.erase()
            self.batches.database.tidy()
        except AppError as error:
            # Tried again with the next delivery; what the delivery itself raised must not be hidden.
            log.warning("what was taken back is not erased yet: %s", error)

    def _look(self) -> None:
        reconcile(self.batches, self.repo)
        self._looked = True

    def _make_all(self, claimed: Sequence[Batch]) -> bool:
        """Have every batch's bytes on disk; False when one had to be replaced, and claiming starts anew."""
        for batch in claimed:
            if batch.path is None:
                continue
            file = self._file(batch.id)
            if batch.sha256 and file.is_file() and durable.sha256_of(file) == batch.sha256:
                continue
            content = self._make_shard(batch.config, self.batches.rows(batch))
            made = durable.sha256_of(content)
            if batch.sha256 and made != batch.sha256:
                # The file is lost and another library version writes other bytes: the old path may be taken already.
                self.batches.renew(batch)
                return False
            durable.write(file, content)
            self.batches.record(batch, made)
        return True

    def _commit(self, claimed: Sequence[Batch]) -> str:
        adds: dict[str, Path | bytes] = {batch.path: self._file(batch.id) for batch in claimed if batch.path}
        deletes = {old: batch.path for batch in claimed for old in batch.replaces}
        expected = tuple(self.batches.expected().values())
        return self.repo.commit(adds, deletes, _message(claimed), expected, self._numbers())

    def _numbers(self) -> str:
        counts = self.batches.counts()
        try:
            return self.numbers(counts["waiting"] + counts["pushed"])
        except Exception:
            # Rows leave whatever becomes of the figures beside them.
            log.exception("the dataset's card is not current")
            return ""

    def _tidy(self) -> None:
        kept = self.batches.kept()
        for file in self.folder.iterdir():
            batch = file.name.removesuffix(durable.TEMPORARY).removesuffix(".parquet").removeprefix(".")
            if (file.suffix == ".parquet" and batch not in kept) or file.suffix == durable.TEMPORARY:
                file.unlink(missing_ok=True)

    def _file(self, batch: str) -> Path:
        return self.folder / f"{batch}.parquet"


def _message(claimed: Sequence[Batch]) -> str:
    counts: Counter[str] = Counter()
    for batch in claimed:
        if not batch.replaces:
            counts[batch.config] += batch.rows
    added = ", ".join(f"{count} {config}" for config, count in sorted(counts.items()))
    rewritten = any(batch.replaces for batch in claimed)
    return " and ".join(
        [*([f"Add rows: {added}"] if added else []), *(["take rows back"] if rewritten else [])]
    ).capitalize()


def _make_shard(config: Config, rows: Sequence[dict[str, object]]) -> bytes:
    # pyarrow and datasets take seconds to import: the first row that leaves pays for it, not the start of the app.
    from backends.feedback.parquet import shard

    return shard(config, rows)
