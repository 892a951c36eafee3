"""Search over the Hub and this machine: what is here at once, the Hub's rows as they come, and what to do without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from time import monotonic
from typing import Any

from backends.hub.circuit import Circuit
from backends.hub.disk_cache import DiskCache
from backends.hub.kept_cards import ago
from backends.hub.lists import Found, never
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.rows import Row
from core.catalog import MOST_ROWS, ModelSummary, SearchPage, SearchQuery
from core.errors import HubError, HubUnreachable, RateLimited
from core.machine import Machine, assessed
from core.search_filter import Selected, by_sort, marked, select, stems_of, words_in
from core.search_words import understood

HERE = "Showing the models on this machine."
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Places:
    """Where is searched, and what the rows are measured against. `kept` is None: nothing is kept on disk."""

    hub: HubModels
    local: LocalModels
    circuit: Circuit
    machine: Callable[[], Machine]
    kept: DiskCache | None
    seconds: float


def search(places: Places, query: SearchQuery, cancelled: Callable[[], bool] = never) -> Iterator[SearchPage]:
    """Pages of one answer, each replacing the one before; the last one is final. `query` has been checked.

    With `source` auto an unreachable Hub is a notice and no error. Ends early when `cancelled` says so.
    """
    asked, words = understood(query)
    if query.source == "local":
        yield _told(_local_page(places, asked), words.plain)
        return
    if query.source == "hub":
        for found in _ask(places, asked, cancelled):
            yield _told(_page(asked, found, found.rows), words.plain)
        return
    here = _here(places, asked)
    error = places.circuit.reason
    if error is None:
        if here.rows and not query.offset:
            # What is here needs no network; the Hub may take its time, or never answer.
            yield _told(replace(_page_of_local(asked, here), notice="Asking the Hub …", more_coming=True), words.plain)
        try:
            page: SearchPage | None = None
            for found in _ask(places, asked, cancelled):
                page = merged(asked, found, here)
                yield _told(page, words.plain)
            if page is not None and not cancelled():
                _keep(places, asked, page)
            return
        except HubError as failure:
            error = failure
    yield _told(_without_hub(places, asked, here, error), words.plain)


def merged(query: SearchQuery, found: Found, here: Selected) -> SearchPage:
    """Local rows first, then the Hub's, no commit twice; rows with every word before those with some.

    Local rows get half of the first page, a quarter when nothing was typed: a full cache must not hide the Hub.
    """
    by_commit = {(row.summary.repo_id, row.summary.revision): row for row in found.rows}
    room = max(1, query.limit // (2 if query.text else 4), query.limit - len(found.rows))
    first: list[Row] = []
    for row in here.rows[:room]:
        online = by_commit.pop((row.summary.repo_id, row.summary.revision), None)
        # The Hub knows downloads, likes and dates; the folder knows that the model is here.
        first.append(Row(_at_home(online.summary, row.summary), online.tags, online.about) if online else row)
    rest = [row for row in here.rows[room:] if (row.summary.repo_id, row.summary.revision) not in by_commit]
    rows = [*first, *by_commit.values(), *rest]
    stems = stems_of(query.text)
    if len(stems) > 1:
        rows.sort(key=lambda row: words_in(row, stems), reverse=True)
    if query.sort == "params":
        rows = by_sort(rows, query.sort)
    return replace(
        _page(query, found, rows),
        adult_left_out=found.adult_left_out + here.adult_left_out,
        whole=sum(words_in(row, stems) == len(stems) for row in rows),
        local=len(first),
    )


def _at_home(online: ModelSummary, here: ModelSummary) -> ModelSummary:
    return replace(
        online,
        source="local",
        bundled=here.bundled,
        memory_bytes=here.memory_bytes or online.memory_bytes,
        memory_exact=here.memory_exact or online.memory_exact,
        memory_note=here.memory_note or online.memory_note,
    )


def _page(query: SearchQuery, found: Found, rows: Sequence[Row]) -> SearchPage:
    """What of `rows` stands on the page that was asked for, with what the Hub's stream told."""
    end = query.offset + query.limit
    return SearchPage(
        marked(rows[query.offset : end], query.text),
        found.looked_at,
        found.complete and len(rows) <= end,
        hub_reachable=True,
        notice=_cut_short(found),
        found=len(rows),
        exact=found.complete,
        adult_left_out=found.adult_left_out,
        whole=found.whole,
        offset=query.offset,
        more_coming=found.more_coming,
    )


def _cut_short(found: Found) -> str | None:
    return f"{found.failed} What had come before is shown." if found.failed else None


def _here(places: Places, query: SearchQuery) -> Selected:
    if query.kind != "model":
        return Selected((), 0, 0)
    machine = places.machine()
    rows = []
    for row in places.local.rows():
        summary = row.summary
        config = places.local.config(summary.repo_id, summary.revision or "") if summary.revision else None
        rows.append(Row(assessed(summary, machine, config), row.tags, row.about))
    # What came with the app first, then the newest: the local order, unless one is asked for that a folder knows.
    return select(rows, query, ordered=query.sort != "params")


def _page_of_local(query: SearchQuery, here: Selected) -> SearchPage:
    rows, end = here.rows, query.offset + query.limit
    return SearchPage(
        marked(rows[query.offset : end], query.text),
        len(rows),
        len(rows) <= end,
        found=len(rows),
        exact=True,
        adult_left_out=here.adult_left_out,
        whole=here.whole,
        offset=query.offset,
        local=len(rows),
    )


def _local_page(places: Places, query: SearchQuery) -> SearchPage:
    return _page_of_local(query, _here(places, query))


def _ask(places: Places, query: SearchQuery, cancelled: Callable[[], bool]) -> Iterator[Found]:
    """The Hub's rows as they come; remembers whether it was there."""
    started = monotonic()
    machine = places.machine()
    try:
        yield from places.hub.lists.find(
            query, started + _SHARE * places.seconds, lambda summary: assessed(summary, machine), cancelled
        )
    except (HubUnreachable, RateLimited) as error:
        places.circuit.failed(error, monotonic() - started)
        raise
    except HubError:
        places.circuit.answered()
        raise
    places.circuit.answered()


def _without_hub(places: Places, query: SearchQuery, here: Selected, error: HubError) -> SearchPage:
    """What was found the last time, with its age; else what is on this machine."""
    reachable = not isinstance(error, HubUnreachable)
    if places.kept and (known := places.kept.get(_key(query))) and (rows := _rows_of(known[0])):
        notice = f"{error} Showing what was found {ago(known[1])}."
        return SearchPage(rows, len(rows), False, reachable, notice, found=len(rows), offset=query.offset)
    notice = f"{error} {HERE}" if reachable else f"The Hub cannot be reached. {HERE}"
    return replace(_page_of_local(query, here), complete=False, exact=False, hub_reachable=reachable, notice=notice)


def _keep(places: Places, query: SearchQuery, page: SearchPage) -> None:
    if places.kept and page.rows and page.looked_at:
        places.kept.put(_key(query), [asdict(row) for row in page.rows[:MOST_ROWS]])


def _key(query: SearchQuery) -> str:
    return f"search 1 {query!r}"


_FIELDS = {field.name for field in fields(ModelSummary)}


def _rows_of(value: object) -> tuple[ModelSummary, ...]:
    """Rows as they were kept; none of another version of the app."""
    rows: list[ModelSummary] = []
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, dict) or set(item) != _FIELDS:
            return ()
        plain: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in item.items()}
        rows.append(ModelSummary(**plain))
    return tuple(rows)


def _told(page: SearchPage, words: Sequence[str]) -> SearchPage:
    return replace(page, words=tuple(words))
