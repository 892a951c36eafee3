"""Evidence for the page and the command line: computed when asked, remembered until a vote changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from backends.evidence import board
from backends.evidence.agreement import agreement
from backends.evidence.export import export
from core.evidence import Agreement, Choices, Facts, Kind, Leaderboard, Merge, RowSource, VoteFilter, Votes
from core.export import ExportOrder, ExportStep

T = TypeVar("T")
REMEMBERED = 32


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
    ) -> None:
        self._source, self._dataset, self._facts = source, dataset, facts
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
                    replace(row, facts=self._facts(row.model, row.revision)) if row.model else row
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

    def export(self, order: ExportOrder, folder: Path) -> Iterator[ExportStep]:
        """Write files into `folder`, saying how far it is; the last step has the files."""
        name, commit = self._dataset()
        return export(self._source, order, folder, dataset=name, commit=commit)

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
