"""Card tab: what the author tells at one commit, what was found beside it, and Use this model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from html import escape
from typing import Any

import gradio as gr

from components.card_head import facts_of, head_of, not_opened, snippets_of_card
from components.card_html import outline_of
from components.card_panels import evaluation_panel, tree_panel, verdict_box
from components.errors import shown_to_user
from components.latest import Latest
from core.address import Address, split_card
from core.card_checks import text_unread
from core.card_parts import Children, Sized
from core.catalog import ModelCard
from core.chat_protocols import ChatRouter
from core.errors import AppError, UserInputError
from core.hub_protocols import CardDetails, HubCatalog, RepoDetails
from core.image_protocols import ImageRouter
from core.lineage import parents_of
from core.refs import ModelRef
from core.report import report_of
from pages.card_api import CardApi, opened, rendered
from pages.card_asked import AskedParts, follow, reset
from pages.card_kinds import RepoPages
from pages.card_layout import EMPTY, SAME, CardView, Shown, build_card
from pages.card_record import (
    affordable,
    further_of,
    gathered,
    has_quantised,
    known_of,
    or_sentence,
    parts_of,
    room_for,
    scans_of,
    third_parties,
    with_configs,
)
from pages.card_use import UseModel
from pages.shared import Shared, show_card


class CardPage:
    """Reads one card at one commit: its text first, then what takes longer, each part when it is there."""

    def __init__(
        self,
        catalog: HubCatalog,
        router: ChatRouter,
        endpoint: str,
        images: ImageRouter | None = None,
        details: CardDetails | None = None,
        repos: RepoDetails | None = None,
    ) -> None:
        self.catalog = catalog
        self.repos = RepoPages(repos, endpoint) if repos else None
        self.used = UseModel(catalog, router, images)
        self.endpoint = endpoint
        self.details = details
        self.asked = AskedParts(details) if details else None
        self._latest = Latest()

    def build(self) -> CardView:
        """Layout only."""
        return build_card(self.asked)

    def wire(self, view: CardView, shared: Shared) -> None:
        """Events only."""
        outputs = [
            view.head, view.use, view.progress, view.findings, view.tree, view.evaluation, view.body, view.facts,
            view.code, view.sheet, view.sheet_files, view.further, view.shown, view.preview, view.papers, view.repo,
            view.compare,
        ]  # fmt: skip
        go = [shared.tabs, shared.opened, shared.address]
        gr.on(
            [view.which.submit, view.open.click],
            self.open,
            view.which,
            go,
            api_visibility="private",
            show_progress="hidden",
        )
        if view.asked and self.asked:
            shared.opened.change(
                self.fold, shared.opened, view.asked.parts(), api_visibility="private", show_progress="hidden",
            )  # fmt: skip
            view.shown.change(
                self.fold_open, view.shown, view.asked.parts(), api_visibility="private", show_progress="hidden",
                concurrency_limit=8,
            )  # fmt: skip
            self.asked.wire(view.asked, view.shown, shared)
            view.sheet.click(
                self.asked.sheet, view.shown, view.sheet_files, api_visibility="private", concurrency_limit=4
            )
            view.further.click(
                self.look_further,
                view.shown,
                [view.further, view.findings, view.tree, view.evaluation, view.facts],
                api_visibility="private",
                concurrency_limit=4,
            )
        # A second card may be opened while the first still fills in: the first one stops.
        shared.opened.change(
            self.show,
            shared.opened,
            outputs,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=16,
        )
        for panel in (view.head, view.tree, view.facts, view.papers):
            panel.select(follow, None, go, api_visibility="private", show_progress="hidden")
        if self.repos:
            quiet: dict[str, Any] = {
                "api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8,
            }  # fmt: skip
            view.tree.input(self.repos.rows, view.repo, view.preview, **quiet)
            view.facts.input(self.repos.paper, None, view.papers, **quiet)
        view.use.click(
            self.used.use,
            view.shown,
            [view.progress, view.use, shared.pinned, shared.image_model, shared.tabs, shared.address],
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=4,
        )
        CardApi(self.catalog, self.endpoint, self.details, self.repos).wire()

    def open(self, which: str) -> tuple[gr.Tabs, Address, str]:
        """Show the card that was typed in."""
        with shown_to_user():
            if not which.strip():
                raise UserInputError("Type a name first: owner/name, datasets/owner/name or spaces/owner/name.")
            kind, repo_id, revision = split_card(which, self.endpoint)
            return show_card(repo_id, revision, kind)

    def fold(self, place: Address) -> tuple[Any, ...]:
        """Close what belonged to the card before."""
        return reset(None)

    def fold_open(self, shown: ModelRef | None) -> tuple[Any, ...]:
        """What can be asked for of the card that is on the screen now."""
        with shown_to_user():
            if shown is None or self.details is None:
                return reset(None)
            try:
                return reset(self.details.open(shown.repo_id, shown.revision))
            except AppError:
                # The page itself has said it.
                return reset(None)

    def show(self, place: Address, request: gr.Request) -> Iterator[Shown]:
        """The card at `place`: a skeleton at once, the card's text next, and the rest as it becomes known."""
        visitor = str(request.session_hash)
        ticket = self._latest.enter(visitor)
        whole = SAME
        for step in self._steps(place):
            if self._latest.overtaken(visitor, ticket):
                # The last thing said is said again when a stream ends: it must not be an older card.
                yield SAME
                return
            # Every message holds all that was said: of several that arrive together the browser shows only the last.
            whole = Shown(*(old if new == gr.skip() else new for old, new in zip(whole, step, strict=True)))
            yield whole

    def _steps(self, place: Address) -> Iterator[Shown]:
        hidden = gr.Button(visible=False)
        no_sheet = gr.File(value=None, visible=False)
        if not place.model:
            yield Shown(EMPTY, hidden, "", sheet=hidden, sheet_files=no_sheet, further=hidden, compare=hidden)
            return
        name = f"<h2>{escape(place.model)}</h2>"
        skeleton = '<div class="pg-skeleton" aria-busy="true"><div></div><div></div><div></div><div></div></div>'
        yield Shown(name, hidden, "", skeleton, sheet=hidden, sheet_files=no_sheet, further=hidden, compare=hidden)
        if place.kind != "model":
            if self.repos is None:
                raise UserInputError("Cards of datasets and Spaces are not set up here.")
            yield from self.repos.steps(place)
            return
        try:
            card = opened(self.catalog, self.details, place.model, place.revision)
        except AppError as error:
            yield Shown(name, gr.skip(), "", not_opened(error, place.query()))
            return
        ref = ModelRef(card.repo_id, card.revision)
        report = report_of(card, known_of(card, {}))
        named = bool(parents_of(card.metadata, card.record.tags).parents)
        yield Shown(
            head_of(card, self.endpoint),
            gr.skip(),
            "",
            verdict_box(report, pending=named and self.details is not None),
            tree_panel(card, known_of(card, {}).lineage, None if self.details else Children()),
            evaluation_panel(report.evaluations, None, report.sections),
            f'<h3 class="pg-said">What the author says</h3>{self._body(card)}',
            facts_of(card),
            snippets_of_card(card, self.endpoint),
            gr.Button(visible=self.details is not None),
            shown=ref,
            compare=gr.Button(visible=True),
        )
        use, cost, runs = self.used.button(ref)
        yield SAME._replace(use=use, progress=cost)
        yield from self._rest(card, runs=runs)

    def _rest(self, card: ModelCard, *, runs: bool) -> Iterator[Shown]:
        """Each part when it is there; the tree first, then what only some models need, within the page's requests."""
        if self.details is None:
            return
        details = self.details
        done: dict[str, Any] = {}
        for _ in self._as_they_come(parts_of(card, details), done):
            yield self._panels(card, done, pending="lineage" not in done)
        further = further_of(card, details)
        left, children, sized = room_for(card, done), done.get("children"), None
        compressed = not runs and has_quantised(children)
        if compressed and left and isinstance(children, Children):
            left -= 1
            kept: Children = children
            sized = or_sentence(lambda: details.quantised(kept))
            yield self._panels(card, done, sized=sized)
        chosen = affordable(further, left)
        if len(chosen) < len(further) or (compressed and sized is None):
            yield SAME._replace(further=gr.Button("Look further", visible=True, interactive=True))
        for _ in self._as_they_come({part.name: part.ask for part in chosen}, done):
            yield self._panels(card, done, sized=sized)

    def _as_they_come(self, asked: dict[str, Any], done: dict[str, Any]) -> Iterator[None]:
        """Fill `done` from calls that all run at the same time; a pause after each that came."""
        if not asked:
            return
        pool = ThreadPoolExecutor(len(asked), thread_name_prefix="card-part")
        try:
            # Each with a copy of this context: it names whoever asks, and with whose token.
            running: dict[Future[Any], str] = {
                pool.submit(copy_context().run, or_sentence, ask): name for name, ask in asked.items()
            }
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                done |= {running.pop(future): future.result() for future in finished}
                yield
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _panels(
        self, card: ModelCard, done: dict[str, Any], *, pending: bool = False, sized: Sized | str | None = None
    ) -> Shown:
        card = with_configs(card, done)
        report = report_of(card, known_of(card, done))
        scans = scans_of(done.get("changed"))
        pending = pending and bool(parents_of(card.metadata, card.record.tags).parents)
        return SAME._replace(
            findings=verdict_box(report, pending=pending),
            tree=tree_panel(
                card, known_of(card, done).lineage, done.get("children"), sized if isinstance(sized, Sized) else None
            ),
            evaluation=evaluation_panel(report.evaluations, third_parties(done), report.sections),
            facts=facts_of(card, scans) if scans else gr.skip(),
        )

    def look_further(self, shown: ModelRef | None) -> Iterator[tuple[Any, ...]]:
        """Ask everything that a finding of this page could need."""
        with shown_to_user():
            if shown is None or self.details is None:
                raise UserInputError("Open a card first.")
            details = self.details
            yield gr.Button("Looking …", interactive=False), gr.skip(), gr.skip(), gr.skip(), gr.skip()
            found = gathered(details.open(shown.repo_id, shown.revision), details)
            report, children = found.report, found.children
            sized = None
            if has_quantised(children) and not self.used.button(shown)[2]:
                sized = or_sentence(lambda: details.quantised(children))
            yield (
                gr.Button("Look further", visible=False, interactive=True),
                verdict_box(report),
                tree_panel(found.card, found.known.lineage, children, sized if isinstance(sized, Sized) else None),
                evaluation_panel(report.evaluations, found.known.checks, report.sections),
                facts_of(found.card, scans_of(found.known.changed)),
            )

    def _body(self, card: ModelCard) -> str:
        html = rendered(card, self.endpoint, self.details)
        if html:
            return outline_of(html) + html
        why = "The text was not read; why stands above." if text_unread(card) else "Nothing: the card has no text."
        return f'<p class="pg-meta">{why}</p>'
