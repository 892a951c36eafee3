"""Search tab: find a model on the Hub or on this machine, and open its card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from components.errors import shown_to_user
from components.latest import Latest
from components.results import ON_FILL, ON_LOAD, SKELETON, fills, results
from components.search_chips import ON_LOAD as ON_CHIPS
from components.search_chips import chips
from core.address import Address, read_compared, search_part
from core.catalog import LOOK_AT, MOST_LOOKED_AT, ModelSummary, SearchQuery
from core.errors import AppError
from core.hub_protocols import HubCatalog
from core.repo_cards import check_kind
from core.search_address import read_link, read_search
from core.search_words import without_chip
from core.shortlist import read_kept
from pages.search_filters import NAMES, FilterView, active, build_filters, query_of, values_of, without
from pages.shared import Shared, show_card

BUSY = '<p class="pg-busy" role="status">Searching …</p>'


@dataclass(frozen=True)
class SearchView:
    """The tab's components. `rows` are the summaries on screen, `query` the search they belong to.

    `linked` is the query part of the link the page was opened with, where it asks for more than the first search.
    """

    filters: FilterView
    chips: gr.HTML
    status: gr.HTML
    found: gr.HTML
    fill: gr.HTML
    rows: gr.State
    query: gr.State
    linked: gr.State
    main: gr.Column
    below: gr.Column


class Listing(NamedTuple):
    """What a search puts on the screen, in the order of its outputs."""

    chips: Any
    status: Any
    found: Any
    rows: Any
    query: Any
    searched: Any
    address: Any


UNCHANGED = [gr.skip()] * len(NAMES)


class SearchPage:
    """Filters that combine, and what they find, from the Hub and from this machine."""

    def __init__(self, catalog: HubCatalog) -> None:
        self.catalog = catalog
        self.latest = Latest()

    def build(self) -> SearchView:
        """Layout only. `below` is for what follows the rows, `main` is all that a comparison takes the place of."""
        with gr.Column() as main:
            filters = build_filters()
            said = gr.HTML("", elem_id="search-chips", js_on_load=ON_CHIPS)
            status = gr.HTML("", elem_id="search-status", js_on_load=None)
            found = gr.HTML(SKELETON, elem_id="results", js_on_load=ON_LOAD)
            fill = gr.HTML("", elem_id="search-fill", js_on_load=ON_FILL)
            below = gr.Column()
        return SearchView(
            filters, said, status, found, fill, gr.State(()), gr.State(SearchQuery()), gr.State(""), main, below
        )

    def wire(self, view: SearchView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        controls = view.filters.all
        listing = [view.chips, view.status, view.found, view.rows, view.query, shared.searched, shared.address]
        own: dict[str, Any] = {
            "trigger_mode": "multiple", "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 16,
        }  # fmt: skip
        texts = (
            "text",
            "library",
            "author",
            "base_model",
            "dataset",
            "paper",
            "updated_since",
            "min_downloads",
            "min_likes",
        )
        changed = [
            getattr(view.filters, name).submit if name in texts else getattr(view.filters, name).input for name in NAMES
        ]
        asked = [
            gr.on(changed, self.find, [shared.shortlist, *controls], listing, **own),
            view.found.input(self.go_on, [shared.shortlist, view.query], listing, **own),
            view.chips.select(self.drop, [shared.shortlist, view.query], [*controls, *listing], **own),
            demo.load(self.arrive, shared.shortlist, listing, **own),
            shared.brand.select(self.follow, shared.shortlist, [*controls, *listing], **own),
        ]
        # Every output of an event that comes with the page keeps it from being usable for a while, and most links set no
        # filter: what only some of them change waits for one that does.
        demo.load(self.linked, None, view.linked, **own)
        view.linked.change(self.fill_in, view.linked, controls, **own)
        for event in asked:
            event.then(
                self.measure,
                view.rows,
                view.fill,
                show_progress="hidden",
                api_visibility="private",
                concurrency_limit=16,
            )
        view.found.select(
            self.open,
            None,
            [shared.tabs, shared.opened, shared.address],
            api_visibility="private",
            show_progress="hidden",
        )

    def find(self, request: gr.Request, kept: Any, *values: Any) -> Iterator[Listing]:
        """Search for what the controls say."""
        with shown_to_user():
            try:
                query = query_of(values)
            except AppError as error:
                yield _failed(error)
                raise
            yield from self._listed(query, kept, request)

    def go_on(self, event: gr.EventData, request: gr.Request, kept: Any, query: SearchQuery) -> Iterator[Listing]:
        """Another page of the rows, or look further than before."""
        with shown_to_user():
            if event.do == "page":
                further = replace(query, offset=min(max(0, int(event.offset)), MOST_LOOKED_AT))
            else:
                further = replace(query, look_at=min(query.look_at * 4, MOST_LOOKED_AT))
            yield from self._listed(further, kept, request)

    def drop(
        self, event: gr.EventData, request: gr.Request, kept: Any, query: SearchQuery
    ) -> Iterator[tuple[Any, ...]]:
        """Take one filter away, or all of them."""
        with shown_to_user():
            field, words = str(event.field), str(event.words)
            start = replace(query, offset=0, look_at=LOOK_AT)
            if field == "all":
                left = SearchQuery(limit=query.limit, sort=query.sort, source=query.source)
            elif field == "words":
                left = replace(start, text=without_chip(query.text, words))
            elif field == "exclude":
                cut = re.sub(rf'(?<!\S)-"?{re.escape(words)}"?(?!\S)', "", query.text, flags=re.IGNORECASE)
                exclude = tuple(word for word in query.exclude if word != words)
                left = replace(start, text=" ".join(cut.split()), exclude=exclude)
            else:
                left = without(start, field) if field in NAMES else start
            yield from self._with_controls(left, kept, request)

    def arrive(self, request: gr.Request, kept: Any) -> Iterator[Listing]:
        """What the search of a link finds, or the first one."""
        with shown_to_user():
            query = replace(read_search(dict(request.query_params)), limit=30)
            for listing in self._listed(query, kept, request):
                # The address is what brought the visitor here.
                yield listing._replace(address=gr.skip())

    def linked(self, request: gr.Request) -> Any:
        """The query part of a link that sets filters or compares models."""
        params = dict(request.query_params)
        return urlencode(params) if search_part(read_search(params), read_compared(params)) else gr.skip()

    def fill_in(self, link: str) -> list[Any]:
        """The filters as a link sets them."""
        return list(values_of(replace(read_link(link), limit=30)))

    def follow(self, event: gr.EventData, request: gr.Request, kept: Any) -> Iterator[tuple[Any, ...]]:
        """Back and forward: the search that was there, where the place is in this tab."""
        with shown_to_user():
            params = dict(parse_qsl(str(event.query)))
            if params.get("tab", "search") == "search":
                yield from self._opened(params, kept, request)
            else:
                yield (*UNCHANGED, *[gr.skip()] * len(Listing._fields))

    def measure(self, rows: Sequence[ModelSummary]) -> Iterator[str]:
        """Make the memory of the rows on screen exact, a few at a time."""
        with shown_to_user():
            known: list[ModelSummary] = []
            for row in self.catalog.measure(rows):
                known.append(row)
                yield fills(known)

    def open(self, event: gr.EventData) -> tuple[gr.Tabs, Address, str]:
        """Show the card of the row that was chosen."""
        with shown_to_user():
            # The event comes from the browser: the Card tab checks the names before they reach the Hub.
            return show_card(str(event.repo_id), str(event.revision), check_kind(str(event.kind)))

    def _opened(self, params: dict[str, str], kept: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        query = replace(read_search(params), limit=30)
        for update in self._with_controls(query, kept, request):
            # The address is what brought the visitor here.
            yield (*update[:-1], gr.skip())

    def _with_controls(self, query: SearchQuery, kept: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        controls: Sequence[Any] = values_of(query)
        for listing in self._listed(query, kept, request):
            yield (*controls, *listing)
            controls = UNCHANGED

    def _listed(self, query: SearchQuery, kept: Any, request: gr.Request) -> Iterator[Listing]:
        """What there is at once, then the rows as they arrive; what was on the screen stays until then."""
        session = str(getattr(request, "session_hash", ""))
        ticket = self.latest.enter(session)

        def cancelled() -> bool:
            return self.latest.overtaken(session, ticket)

        searched = search_part(query)
        said = chips(active(query))
        yield Listing(said, BUSY, gr.skip(), gr.skip(), query, searched, Address("search", search=searched).query())
        pinned = {entry.key for entry in read_kept(kept)}
        try:
            for page in self.catalog.pages(query, cancelled):
                if cancelled():
                    return
                busy = BUSY if page.more_coming else ""
                table = results(page, query, pinned)
                yield Listing(gr.skip(), busy, table, page.rows, gr.skip(), gr.skip(), gr.skip())
        except Exception as error:
            yield _failed(error)
            raise


def _failed(error: Exception) -> Listing:
    said = str(error) if isinstance(error, AppError) else "The search did not work. Try again."
    line = f'<div class="pg-error" role="alert">{escape(said)}</div>'
    return Listing(gr.skip(), line, gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip())
