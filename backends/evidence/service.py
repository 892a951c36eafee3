"""Evidence for the page and the command line: computed when asked, remembered until a vote changes."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from backends.evidence import board
from backends.evidence.agreement import agreement
from backends.evidence.export import export
from backends.evidence.frames import tables_of
from backends.evidence.publish import HubExports
from core.errors import UserInputError
from core.evidence import Agreement, Choices, Facts, Kind, Leaderboard, Merge, RowSource, VoteFilter, Votes
from core.export import ExportOrder, ExportStep, View, checked_tag

T = TypeVar("T")
REMEMBERED = 32


def _together(measured: Facts, known: Facts) -> Facts:
    """What was measured of the answers, and what is known of the model beside them."""
    return replace(measured, parameters=known.parameters, memory_bytes=known.memory_bytes, price=known.price)


def _nothing_known(model: str, revision: str | None) -> Facts:
    return Facts()


class EvidenceOf:
    """`core.evidence.Evidence` of one source. `dataset` says (name, newest commit) for lock files, `facts` what is known of
    a model at a commit without asking anybody far away."""

    def __init__(
        self,
        source: RowSource,
        dataset: Callable[[], tuple[str, str | None]],
        facts: Callable[[str, str | None], Facts] = _nothing_known,
        *,
        hub: HubExports | None = None,
        destination: Callable[[View], str | None] = lambda view: None,
    ) -> None:
        self._source, self._dataset, self._facts = source, dataset, facts
        self._hub, self._destination = hub, destination
        self._remembered: OrderedDict[object, tuple[object, object]] = OrderedDict()
        self._lock = threading.Lock()
        # One computation of a kind at a time: the second visitor finds what the first one waited for, and a quick one does
        # not stand in line behind a slow one.
        self._quick, self._slow = threading.Lock(), threading.Lock()

    def leaderboard(
        self,
        wanted: VoteFilter,
        merge: Merge,
        *,
        style: bool = False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Leaderboard:
        """Who is ahead, with what is known of each contender beside it."""

        def compute(votes: Votes) -> Leaderboard:
            found = board.leaderboard(votes, wanted, merge, style=style, progress=progress)
            return replace(
                found,
                standings=tuple(
                    replace(row, facts=_together(row.facts, self._facts(row.model, row.revision))) if row.model else row
                    for row in found.standings
                ),
            )

        return self._once(("leaderboard", wanted, merge, style), compute, self._slow if style else self._quick)

    def agreement(self, wanted: VoteFilter) -> Agreement:
        """Whether the votes can be trusted."""
        return self._once(("agreement", wanted), lambda votes: agreement(votes, wanted), self._slow)

    def choices(self, kind: Kind) -> Choices:
        """Values that occur, for the filters."""

        def compute(votes: Votes) -> Choices:
            models = sorted({maker.model for maker in votes.contenders().values() if maker.model})
            raters, campaigns = votes.people(kind)
            return Choices(tuple(models), tuple(raters), tuple(campaigns))

        return self._once(("choices", kind), compute, self._quick)

    def tables(self, found: Leaderboard | Agreement) -> dict[str, str]:
        """What was found as CSV, by the table's name; every row of it, also those a page leaves out."""
        return tables_of(found)

    def export(self, order: ExportOrder, folder: Path) -> Iterator[ExportStep]:
        """Write files into `folder`, saying how far it is; the last step has the files."""
        name, commit = self._dataset()
        return export(self._source, order, folder, dataset=name, commit=commit)

    def destination(self, view: View) -> str | None:
        """Where an export of this view is pushed to; None when no Hub is set."""
        return self._destination(view) if self._hub is not None else None

    def publish(self, order: ExportOrder, tag: str) -> Iterator[ExportStep]:
        """Export to the Hub at a tag; the last step says where it is. Raises what the Hub's errors are translated to."""
        tag, repo_id = checked_tag(tag.strip()), self.destination(order.view)
        if self._hub is None or repo_id is None:
            raise UserInputError("No dataset on the Hub is set, so there is nowhere to push to. Set PROVING_DATASET.")
        name, commit = self._dataset()
        with tempfile.TemporaryDirectory(prefix="proving-export-") as made:
            folder, last = Path(made), ExportStep(0)
            for last in export(self._source, order, folder, dataset=name, commit=commit, where=repo_id, revision=tag):
                yield replace(last, files=())
            files = {file.name: file for file in last.files}
            yield replace(last, files=(), published=self._hub.push(files, repo_id, tag))

    def _once(self, key: object, compute: Callable[[Votes], T], computing: threading.Lock) -> T:
        votes = self._source.votes()
        stamp = votes.stamp()
        found = self._recall(key, stamp)
        if found is None:
            with computing:
                found = self._recall(key, stamp)
                if found is None:
                    found = compute(votes)
                    self._remember(key, stamp, found)
        return found  # type: ignore[return-value]  # what is kept under a key is what was computed for it

    def _recall(self, key: object, stamp: object) -> object:
        with self._lock:
            kept = self._remembered.get(key)
            if kept is None or kept[0] != stamp:
                return None
            self._remembered.move_to_end(key)
            return kept[1]

    def _remember(self, key: object, stamp: object, found: object) -> None:
        with self._lock:
            self._remembered[key] = (stamp, found)
            self._remembered.move_to_end(key)
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
