"""Models side by side in the Search tab, under a link that shows the same commits to everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import gradio as gr

from components.errors import shown_to_user
from components.model_table import model_table
from components.numbers import age_since
from core.address import Address, read_compared, search_part
from core.card_parts import Lineage
from core.catalog import SearchQuery
from core.errors import AppError, UserInputError
from core.hub_protocols import CardDetails, HubCatalog
from core.model_comparison import FEWEST, MOST, Compared, lines_of
from core.refs import ModelRef
from core.shortlist import read_kept
from pages.battle import BattleView
from pages.card_layout import CardView
from pages.chat import ChatView
from pages.image_battle import ImageBattleView
from pages.images import ImagesView
from pages.search import SearchView
from pages.search_shortlist import ShortlistView
from pages.shared import Shared

_IMAGES = ("text-to-image", "image-to-image", "unconditional-image-generation")


@dataclass(frozen=True)
class CompareView:
    """The comparison's components. `refs` are the models in it."""

    group: gr.Column
    back: gr.Button
    copy: gr.HTML
    table: gr.HTML
    battle: gr.Button
    draw: gr.Button
    pair: gr.Dropdown
    refs: gr.State


class Comparison(NamedTuple):
    """What comparing puts on the screen, in the order of its outputs."""

    main: Any
    group: Any
    table: Any
    pair: Any
    battle: Any
    draw: Any
    refs: Any
    searched: Any
    address: Any


class ComparePage:
    """Two to four models in one table."""

    def __init__(self, catalog: HubCatalog, details: CardDetails | None) -> None:
        self.catalog = catalog
        self.details = details

    def build(self) -> CompareView:
        """Layout only."""
        with gr.Column(visible=False, elem_id="compare-models") as group:
            with gr.Row(elem_classes="pg-wraps pg-short-bar"):
                back = gr.Button("Back to the search", size="sm", elem_id="compare-back")
                copy = gr.HTML('<button class="pg-copy" data-copy-link>Copy link</button>', js_on_load=_COPY)
                pair = gr.Dropdown(
                    [], label="The two", container=False, visible=False, min_width=300, elem_id="compare-pair"
                )
                battle = gr.Button("Battle these two", size="sm", visible=False, elem_id="compare-battle")
                draw = gr.Button("Battle these two in pictures", size="sm", visible=False, elem_id="compare-draw")
            table = gr.HTML("", elem_id="compare-table", js_on_load=None)
        return CompareView(group, back, copy, table, battle, draw, pair, gr.State(()))

    def wire(
        self,
        view: CompareView,
        search: SearchView,
        shortlist: ShortlistView,
        chat: ChatView,
        contenders: BattleView,
        shared: Shared,
        demo: gr.Blocks,
    ) -> None:
        """Events only."""
        own: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 8}
        outputs = [
            search.main, view.group, view.table, view.pair, view.battle, view.draw, view.refs, shared.searched,
            shared.address,
        ]  # fmt: skip
        shortlist.panel.submit(self.compare, [shared.shortlist, search.query], outputs, **own)
        search.linked.change(self.arrive, search.linked, outputs, **own)
        shared.brand.select(self.follow, None, outputs, **own)
        view.back.click(self.leave, search.query, outputs, **own)
        view.battle.click(
            self.hand_over,
            [view.pair, view.refs],
            [shared.tabs, chat.mode, contenders.first_model, contenders.second_model, contenders.setup, shared.address],
            **own,
        )

    def wire_card(self, view: CompareView, search: SearchView, card: CardView, shared: Shared) -> None:
        """The card's Compare button: its model beside those of the shortlist."""
        outputs = [
            search.main, view.group, view.table, view.pair, view.battle, view.draw, view.refs, shared.searched,
            shared.address, shared.tabs,
        ]  # fmt: skip
        card.compare.click(
            self.compare_card,
            [card.shown, shared.shortlist, search.query],
            outputs,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=8,
        )

    def wire_images(self, view: CompareView, images: ImagesView, contenders: ImageBattleView, shared: Shared) -> None:
        """Where pictures are drawn, two image models can be handed to the Images tab."""
        both = contenders.contenders
        view.draw.click(
            self.hand_to_images,
            [view.pair, view.refs],
            [shared.tabs, images.mode, both.first.model, both.second.model, shared.address],
            show_progress="hidden",
            api_visibility="private",
        )

    def compare(self, event: gr.EventData, stored: Any, query: SearchQuery) -> Iterator[Comparison]:
        """The models that are marked in the shortlist, else its first ones."""
        with shown_to_user():
            wanted = [str(key) for key in event.keys] if isinstance(event.keys, list) else []
            refs = [entry.ref for entry in read_kept(stored) if entry.key in wanted][:MOST]
            if len(refs) < FEWEST:
                raise UserInputError("Mark at least two models of the shortlist to compare them.")
            searched = search_part(query, refs)
            address = Address("search", search=searched).query()
            for shown in self._shown(refs):
                yield shown._replace(searched=searched, address=address)

    def compare_card(self, shown: ModelRef | None, stored: Any, query: SearchQuery) -> Iterator[tuple[Any, ...]]:
        """The model of the open card first, then those of the shortlist that nobody rejected."""
        with shown_to_user():
            if shown is None:
                raise UserInputError("Open a card first.")
            others = [each.ref for each in read_kept(stored) if each.status != "rejected" and each.ref != shown]
            if not others:
                raise UserInputError(
                    "There is nothing to compare it with yet. Put other models into the shortlist: the star of a row under "
                    "Search, then choose Compare again."
                )
            refs = [shown, *others][:MOST]
            searched = search_part(query, refs)
            address = Address("search", search=searched).query()
            tabs: Any = gr.Tabs(selected="search")
            for table in self._shown(refs):
                yield (*table._replace(searched=searched, address=address), tabs)
                tabs = gr.skip()

    def arrive(self, link: str) -> Iterator[Comparison]:
        """The comparison a link asks for; `link` is its query part."""
        with shown_to_user():
            yield from self._opened(dict(parse_qsl(link)))

    def follow(self, event: gr.EventData) -> Iterator[Comparison]:
        """Back and forward."""
        with shown_to_user():
            params = dict(parse_qsl(str(event.query)))
            if params.get("tab", "search") == "search":
                yield from self._opened(params)

    def leave(self, query: SearchQuery) -> Comparison:
        """Back to the search."""
        searched = search_part(query)
        address = Address("search", search=searched).query()
        return _CLOSED._replace(searched=searched, address=address)

    def hand_over(self, pair: str, refs: Sequence[ModelRef]) -> tuple[Any, ...]:
        """Open the blind comparison of the Chat tab on two of the models, at their commits."""
        with shown_to_user():
            first, second = _two(pair, refs)
            return (
                gr.Tabs(selected="chat"), "compare", first, second, gr.Accordion(open=True), Address("chat").query(),
            )  # fmt: skip

    def hand_to_images(self, pair: str, refs: Sequence[ModelRef]) -> tuple[Any, ...]:
        """Open the blind comparison of the Images tab on two of the models, at their commits."""
        with shown_to_user():
            first, second = _two(pair, refs)
            return gr.Tabs(selected="images"), "compare", first, second, Address("images").query()

    def _opened(self, params: dict[str, str]) -> Iterator[Comparison]:
        refs = read_compared(params)
        if len(refs) < FEWEST:
            yield _CLOSED
            return
        yield from self._shown(refs)

    def _shown(self, refs: Sequence[ModelRef]) -> Iterator[Comparison]:
        """The table, again whenever another card was read."""
        models = {ref: Compared(ref) for ref in refs}
        yield self._table(list(models.values()))
        with ThreadPoolExecutor(len(refs) * 2) as pool:
            cards = {pool.submit(copy_context().run, self._card, ref): ref for ref in refs}
            left: set[Any] = set(cards)
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    model: Compared = future.result()
                    models[model.ref] = model
                    if model.card is not None and model.lineage is None:
                        left.add(pool.submit(copy_context().run, self._chain, model))
                yield self._table(list(models.values()))

    def _card(self, ref: ModelRef) -> Compared:
        try:
            return Compared(ref, self.catalog.card(ref))
        except AppError as error:
            return Compared(ref, problem=str(error))

    def _chain(self, model: Compared) -> Compared:
        if self.details is None or model.card is None:
            return replace(model, lineage=Lineage())
        try:
            return replace(model, lineage=self.details.lineage(model.card))
        except AppError as error:
            return replace(model, lineage=Lineage(problem=str(error)))

    def _table(self, models: Sequence[Compared]) -> Comparison:
        table = model_table(models, lines_of(models, _age))
        pairs = [
            (f"{_name(first.ref)} and {_name(second.ref)}", f"{first.ref} {second.ref}")
            for at, first in enumerate(models)
            for second in models[at + 1 :]
            if first.card is not None and second.card is not None and _draws(first) == _draws(second)
        ]
        drawn = [_draws(model) for model in models if model.card is not None]
        return Comparison(
            gr.Column(visible=False),
            gr.Column(visible=True),
            table,
            gr.Dropdown(pairs, value=pairs[0][1] if pairs else None, visible=len(pairs) > 1),
            gr.Button(visible=drawn.count(False) > 1),
            gr.Button(visible=drawn.count(True) > 1),
            tuple(model.ref for model in models),
            gr.skip(),
            gr.skip(),
        )


_CLOSED = Comparison(
    gr.Column(visible=True),
    gr.Column(visible=False),
    gr.skip(),
    gr.skip(),
    gr.skip(),
    gr.skip(),
    (),
    gr.skip(),
    gr.skip(),
)
_COPY = """
element.addEventListener('click', (e) => {
  const button = e.target.closest('[data-copy-link]');
  if (!button) return;
  navigator.clipboard?.writeText(window.location.href).then(() => {
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy link'; }, 1200);
  });
});
"""


def _draws(model: Compared) -> bool:
    """Whether the Images tab is the place to compare it blind."""
    return model.card is not None and model.card.summary.task in _IMAGES


def _two(pair: str, refs: Sequence[ModelRef]) -> tuple[str, str]:
    chosen = [str(ref) for ref in refs if str(ref) in (pair or "").split(" ")]
    if len(chosen) != FEWEST:
        raise UserInputError("Choose which two models to compare blind.")
    return chosen[0], chosen[1]


def _name(ref: ModelRef) -> str:
    return ref.repo_id.rpartition("/")[2]


def _age(moment: str | None) -> str:
    said = age_since(moment)
    return said if said == "–" else f"{said} ago"
