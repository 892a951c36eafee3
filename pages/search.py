"""Search tab: find a model on the Hub or on this machine, and open its card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from components.api import expose
from components.errors import shown_to_user
from components.results import ON_LOAD, SKELETON, results
from core.address import Address
from core.arguments import check_characters, check_types
from core.catalog import MOST_ROWS, SORTS, SearchQuery, SearchSource, Sort
from core.errors import AppError, UserInputError
from core.protocols import HubCatalog
from core.tasks import TASKS
from pages.shared import Shared, show_card

SOURCES = [("Everywhere", "auto"), ("This machine", "local")]
SORT_LABELS = {
    "trending": "Trending",
    "downloads": "Downloads",
    "likes": "Likes",
    "created": "Newest",
    "updated": "Updated",
}
SOURCE_NAMES: tuple[SearchSource, ...] = ("auto", "hub", "local")


@dataclass(frozen=True)
class SearchView:
    """The tab's components."""

    text: gr.Textbox
    task: gr.Dropdown
    sort: gr.Dropdown
    source: gr.Dropdown
    found: gr.HTML


class SearchPage:
    """One box and its results, from the Hub and from this machine."""

    def __init__(self, catalog: HubCatalog) -> None:
        self.catalog = catalog

    def build(self) -> SearchView:
        """Layout only."""
        with gr.Row(elem_classes="pg-toolbar", equal_height=True):
            text = gr.Textbox(
                label="Search models",
                placeholder="A name, an owner, a task: smollm instruct",
                elem_id="search-text",
                scale=6,
                min_width=240,
                max_lines=1,
            )
            task = gr.Dropdown(
                [("Any task", ""), *((task.replace("-", " "), task) for task in sorted(TASKS))],
                value="text-generation",
                label="Task",
                filterable=True,
                scale=3,
                min_width=180,
            )
            sort = gr.Dropdown(
                [(SORT_LABELS[key], key) for key in SORTS], value="trending", label="Sort", scale=2, min_width=140
            )
            source = gr.Dropdown(SOURCES, value="auto", label="Where", scale=2, min_width=150)
        found = gr.HTML(SKELETON, elem_id="results", js_on_load=ON_LOAD)
        return SearchView(text, task, sort, source, found)

    def wire(self, view: SearchView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        inputs = [view.text, view.task, view.sort, view.source]
        gr.on(
            [demo.load, view.text.submit, view.task.input, view.sort.input, view.source.input],
            self.find,
            inputs,
            view.found,
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=8,
        )
        view.found.select(
            self.open,
            None,
            [shared.tabs, shared.opened, shared.address],
            api_visibility="private",
            show_progress="hidden",
        )
        expose(self.search_models, concurrency_limit=8)

    def find(self, text: str, task: str, sort: str, source: str) -> Iterator[str]:
        """A skeleton at once, then the rows."""
        yield SKELETON
        with shown_to_user():
            try:
                query = query_of(text, task=task, sort=sort, source=source, limit=30)
                filtered = bool(text.strip() or task)
                if query.source == "auto":
                    # What is here needs no network; the Hub may take its time, or never answer.
                    here = self.catalog.search(replace(query, source="local"))
                    if here.rows:
                        yield results(replace(here, notice="Asking the Hub …"), filtered=filtered)
                yield results(self.catalog.search(query), filtered=filtered)
            except Exception as error:
                # A skeleton that stays would promise rows for ever.
                said = str(error) if isinstance(error, AppError) else "The search did not work. Try again."
                yield f'<div class="pg-error">{escape(said)}</div>'
                raise

    def open(self, event: gr.EventData) -> tuple[gr.Tabs, Address, str]:
        """Show the card of the row that was chosen."""
        with shown_to_user():
            # The event comes from the browser: the Card tab checks both values before they reach the Hub.
            return show_card(str(event.repo_id), str(event.revision))

    def search_models(
        self,
        query: str = "",
        kind: str = "model",
        task: str = "",
        library: str = "",
        language: str = "",
        license: str = "",
        license_class: str = "",
        author: str = "",
        base_model: str = "",
        min_params: str = "",
        max_params: str = "",
        min_downloads: int = 0,
        gated: str = "any",
        has_card: bool = False,
        weights_format: str = "",
        runs_here: bool = False,
        sort: str = "trending",
        limit: int = 20,
        source: str = "auto",
    ) -> list[dict[str, Any]]:
        """Find models on the Hub and on this machine. Returns a list of records; a field not known yet is null.

        Args:
            query: Words to look for in the model id.
            kind: model. Datasets and Spaces are not searched yet.
            task: A pipeline_tag such as text-generation.
            library: A library tag such as transformers.
            language: Not supported yet.
            license: Not supported yet.
            license_class: Not supported yet.
            author: A user or an organisation.
            base_model: Not supported yet.
            min_params: Not supported yet.
            max_params: Not supported yet.
            min_downloads: Not supported yet.
            gated: any. Filtering by access is not supported yet.
            has_card: Not supported yet.
            weights_format: Not supported yet.
            runs_here: Not supported yet.
            sort: trending, downloads, likes, created or updated.
            limit: Number of records, 1 to 100.
            source: auto, hub or local.
        """
        with shown_to_user():
            check_types(
                text={
                    "query": query, "kind": kind, "task": task, "library": library, "author": author, "gated": gated,
                    "sort": sort, "source": source,
                },
                whole={"limit": limit},
            )  # fmt: skip
            unbuilt = {
                "language": language,
                "license": license,
                "license_class": license_class,
                "base_model": base_model,
                "min_params": min_params,
                "max_params": max_params,
                "min_downloads": min_downloads,
                "has_card": has_card,
                "weights_format": weights_format,
                "runs_here": runs_here,
            }
            for name, value in unbuilt.items():
                if value:
                    raise UserInputError(f"The filter {name} is not supported yet. Leave it out to search without it.")
            if kind != "model":
                raise UserInputError("kind has to be model; datasets and Spaces cannot be searched yet.")
            if gated != "any":
                raise UserInputError("gated has to be any; filtering by access is not supported yet.")
            page = self.catalog.search(
                query_of(query, task=task, sort=sort, source=source, limit=limit, library=library, author=author)
            )
            extent = {"looked_at": page.looked_at, "complete": page.complete}
            return [{**asdict(row), **extent} for row in page.rows]


def query_of(
    text: str, *, task: str, sort: str, source: str, limit: int, library: str = "", author: str = ""
) -> SearchQuery:
    """A checked query; raises `UserInputError` naming the vocabulary a value is outside of."""
    wanted: Sort | None = next((name for name in SORTS if name == sort), None)
    if wanted is None:
        raise UserInputError(f"sort has to be one of {', '.join(SORTS)}.")
    known: SearchSource | None = next((name for name in SOURCE_NAMES if name == source), None)
    if known is None:
        raise UserInputError("source has to be auto, hub or local.")
    if not 1 <= limit <= MOST_ROWS:
        raise UserInputError(f"limit has to be between 1 and {MOST_ROWS}.")
    check_characters(text, "The search text")
    if len(text) > 500:
        raise UserInputError("The search text is too long. Use a few words, 500 characters at most.")
    return SearchQuery(text.strip(), task, library, author, wanted, limit, known)
