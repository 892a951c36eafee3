"""Reads the Hub's lists as streams: several words at once, page by page, filtered here until enough is found."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from time import monotonic
from typing import Any

from backends.hub.deadline import start
from backends.hub.errors import About
from backends.hub.list_query import PATHS, filtered_here, filtered_there, is_past, list_params
from backends.hub.rows import row_of
from backends.hub.session import HubSession, Params
from core.catalog import LOOK_AT, ModelSummary, SearchQuery
from core.errors import HubError, HubUnreachable
from core.search_filter import Row, Selected, select
from core.search_words import stem

OVERSAMPLED_PAGE = 200
MOST_WORDS = 4
"""How many words are asked of the Hub, the longest first; the others are looked for in what comes."""
KEPT_PAGES = 200
KEPT_SECONDS = 120.0
_POLL_SECONDS = 0.2

Assess = Callable[[ModelSummary], ModelSummary]


def never() -> bool:
    """The search nobody gives up."""
    return False


@dataclass(frozen=True, slots=True)
class Found:
    """The Hub's rows that match so far, and how far its lists were read for them. `failed` is why they were cut short."""

    rows: tuple[Row, ...]
    looked_at: int
    complete: bool
    whole: int = 0
    adult_left_out: int = 0
    failed: HubError | None = None
    more_coming: bool = False


@dataclass(frozen=True, slots=True)
class _Page:
    stream: int
    entries: Sequence[object]
    last: bool
    """Whether the stream was read to its end with it."""
    error: BaseException | None = None
    closed: bool = False


class HubLists:
    """The lists of one Hub. Every method ends by `until` (monotonic seconds)."""

    def __init__(self, endpoint: str, token: str | bool | None = None) -> None:
        self._session = HubSession(endpoint, token)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[tuple[str, str], ...], tuple[float, list[object], Params | None]] = OrderedDict()

    def find(
        self, query: SearchQuery, until: float, assess: Assess, cancelled: Callable[[], bool] = never
    ) -> Iterator[Found]:
        """What matches, again after every page that arrives; the last one is final.

        The Hub looks for one substring of the id, so each word of the text is asked for by itself, and where that finds
        too little, as a tag and in everything the other filters leave. Raises `HubError` when nothing came at all.
        """
        reading = _Reading(query, assess)
        words = sorted(query.text.lower().split(), key=len, reverse=True)[:MOST_WORDS]
        searches: list[Params] = [[("search", stem(word))] for word in words] or [[]]
        yield from self._round(reading, searches, until, cancelled)
        if words and reading.whole < reading.wanted and reading.failed is None and not cancelled():
            further: list[Params] = [[("filter", word)] for word in words]
            if len(words) > 1 and filtered_there(query):
                further.append([])
            yield from self._round(reading, further, until, cancelled)
        yield reading.found(more_coming=False)

    def _round(
        self, reading: _Reading, streams: Sequence[Params], until: float, cancelled: Callable[[], bool]
    ) -> Iterator[Found]:
        """Read some streams at the same time, and tell what was found after each page."""
        query, pages = reading.query, Queue[_Page]()
        alone = len(streams) == 1 and not reading.ranked
        size = OVERSAMPLED_PAGE if not alone or filtered_here(query) else query.limit
        budget = max(1, query.look_at // len(streams))
        done = threading.Event()
        for number, extra in enumerate(streams):
            params = list_params(query, extra, size)
            start(partial(self._pump, number, params, query, budget, until, pages, done, cancelled), until)
        reading.ordered = alone and reading.rounds == 0 and query.sort != "params"
        reading.rounds += 1
        left = len(streams)
        try:
            while left:
                page = self._next(pages, until, cancelled)
                if page is None:
                    reading.cut_short(None if cancelled() else _late())
                    return
                if page.closed:
                    left -= 1
                    reading.closed(page.last, page.error)
                    continue
                reading.add(page.entries)
                enough = alone and query.sort != "params" and len(reading.selected.rows) >= reading.wanted
                if enough and not page.last:
                    reading.closed(False, None)
                    return
                yield reading.found(more_coming=True)
        finally:
            done.set()

    def _next(self, pages: Queue[_Page], until: float, cancelled: Callable[[], bool]) -> _Page | None:
        while not cancelled():
            left = until - monotonic()
            try:
                return pages.get(timeout=max(0.0, min(_POLL_SECONDS, left)))
            except Empty:
                if left <= 0:
                    return None
        return None

    def _pump(
        self,
        number: int,
        params: Params | None,
        query: SearchQuery,
        budget: int,
        until: float,
        pages: Queue[_Page],
        done: threading.Event,
        cancelled: Callable[[], bool],
    ) -> None:
        """Put one stream's pages into `pages`, and at last that it is closed."""
        looked_at, last = 0, False
        error: BaseException | None = None
        try:
            while params is not None and looked_at < budget and not done.is_set() and not cancelled():
                entries, params = self._page(query, params, until)
                looked_at += len(entries)
                last = params is None or (bool(entries) and is_past(query, entries[-1]))
                pages.put(_Page(number, entries, last))
                if last:
                    break
        except BaseException as failure:  # noqa: BLE001  (raised again where the pages are read)
            error = failure
        pages.put(_Page(number, (), last and error is None, error, closed=True))

    def _page(self, query: SearchQuery, params: Params, until: float) -> tuple[list[object], Params | None]:
        """One page; a search that goes on does not ask again for the pages it has seen."""
        key = (("kind", query.kind), *params)
        with self._lock:
            known = self._kept.get(key)
        if known and (query.offset or query.look_at > LOOK_AT) and monotonic() - known[0] < KEPT_SECONDS:
            return known[1], known[2]
        about = About(self._session.endpoint)
        answer = self._session.get_json(PATHS[query.kind], params, about=about, until=until)
        data: Any = answer.data
        if not isinstance(data, list):
            raise HubUnreachable(
                "What answered is not a Hub. Check HF_ENDPOINT, and whether the network wants a login first."
            )
        with self._lock:
            self._kept[key] = (monotonic(), data, answer.next_params)
            while len(self._kept) > KEPT_PAGES:
                self._kept.popitem(last=False)
        return data, answer.next_params


class _Reading:
    """What one search has read so far."""

    def __init__(self, query: SearchQuery, assess: Assess) -> None:
        self.query = query
        self.assess = assess
        self.rows: dict[str, Row] = {}
        self.looked_at = 0
        self.complete = True
        self.failed: HubError | None = None
        self.ordered = False
        self.rounds = 0
        self.ranked = len(query.text.split()) > 1
        self.wanted = query.offset + query.limit
        self.selected = Selected((), 0, 0)
        self._seen: set[str] = set()

    @property
    def whole(self) -> int:
        """How many rows have every word."""
        return self.selected.whole

    def add(self, entries: Sequence[object]) -> None:
        """Look at one page."""
        for raw in entries:
            row = row_of(raw, self.query.kind)
            if row is None:
                # It was looked at all the same: the Hub listed it.
                self.looked_at += 1
            elif row.summary.repo_id not in self._seen:
                self._seen.add(row.summary.repo_id)
                self.looked_at += 1
                self.rows[row.summary.repo_id] = Row(self.assess(row.summary), row.tags, row.about)
        self.selected = select(self.rows.values(), self.query, ordered=self.ordered)

    def closed(self, last: bool, error: BaseException | None) -> None:
        """One stream has ended."""
        if error is not None and not isinstance(error, HubError):
            raise error
        if error is not None and not self.looked_at:
            raise error
        self.failed = self.failed or error
        self.complete = self.complete and last

    def cut_short(self, error: HubError | None) -> None:
        """The time is up, or nobody waits any more."""
        if error is not None and not self.looked_at:
            raise error
        self.complete = False

    def found(self, *, more_coming: bool) -> Found:
        """What is known now."""
        return Found(
            self.selected.rows,
            self.looked_at,
            self.complete and not more_coming,
            self.selected.whole,
            self.selected.adult_left_out,
            self.failed,
            more_coming,
        )


def _late() -> HubUnreachable:
    return HubUnreachable("The Hub does not answer in time. Check the network, or try again in a moment.")
