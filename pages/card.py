"""Card tab: what the author tells at one commit, what was found beside it, and Use this model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.api import expose
from components.card_html import files_table, findings_list, metadata_table, render_card
from components.errors import shown_to_user
from components.numbers import bytes_of
from components.progress import progress_line
from core.address import Address
from core.arguments import check_types
from core.catalog import ModelCard
from core.errors import AppError, UserInputError
from core.protocols import ChatRouter, HubCatalog, ImageRouter
from core.refs import ModelRef, split_model
from pages.shared import Shared, show_card

EMPTY = (
    '<div class="pg-empty"><b>No card is open.</b><p>Choose a model under Search, or type its id above: '
    "owner/name, or owner/name@commit.</p></div>"
)


@dataclass(frozen=True)
class CardView:
    """The tab's components. `shown` is the ref whose card is on the screen."""

    which: gr.Textbox
    open: gr.Button
    head: gr.HTML
    use: gr.Button
    progress: gr.HTML
    findings: gr.HTML
    body: gr.HTML
    facts: gr.HTML
    shown: gr.State


class Shown(NamedTuple):
    """What the card handler puts on the screen, in the order of its outputs."""

    head: Any
    use: Any
    progress: Any
    findings: Any
    body: Any
    facts: Any
    shown: Any


class CardPage:
    """Reads one card at one commit."""

    def __init__(
        self, catalog: HubCatalog, router: ChatRouter, endpoint: str, images: ImageRouter | None = None
    ) -> None:
        self.catalog = catalog
        self.router = router
        self.images = images
        self.endpoint = endpoint

    def build(self) -> CardView:
        """Layout only."""
        with gr.Row(elem_classes="pg-toolbar", equal_height=True):
            which = gr.Textbox(
                label="Model id",
                placeholder="owner/name or owner/name@revision",
                scale=6,
                max_lines=1,
                elem_id="card-which",
            )
            open_button = gr.Button("Open card", scale=0, min_width=120)
        with gr.Row(elem_classes="pg-card-grid"):
            with gr.Column(scale=7, min_width=320):
                head = gr.HTML(EMPTY, elem_id="card-head")
                findings = gr.HTML("", elem_id="card-findings")
                body = gr.HTML("", elem_id="card-body", js_on_load=None)
            with gr.Column(scale=3, min_width=280):
                use = gr.Button("Use this model", variant="primary", visible=False, elem_id="use-model")
                progress = gr.HTML("", elem_id="use-progress")
                facts = gr.HTML("", elem_id="card-facts")
        return CardView(which, open_button, head, use, progress, findings, body, facts, gr.State(None))

    def wire(self, view: CardView, shared: Shared) -> None:
        """Events only."""
        outputs = [view.head, view.use, view.progress, view.findings, view.body, view.facts, view.shown]
        go = [shared.tabs, shared.opened, shared.address]
        gr.on(
            [view.which.submit, view.open.click],
            self.open,
            view.which,
            go,
            api_visibility="private",
            show_progress="hidden",
        )
        shared.opened.change(
            self.show, shared.opened, outputs, api_visibility="private", show_progress="hidden", concurrency_limit=8
        )
        view.use.click(
            self.use,
            view.shown,
            [view.progress, view.use, shared.pinned, shared.image_model, shared.tabs, shared.address],
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=4,
        )
        expose(self.model_card, concurrency_limit=8)

    def open(self, which: str) -> tuple[gr.Tabs, Address, str]:
        """Show the card that was typed in."""
        with shown_to_user():
            if not which.strip():
                raise UserInputError("Type a model id first: owner/name, or owner/name@commit.")
            return show_card(*split_model(which))

    def show(self, place: Address) -> Iterator[Shown]:
        """The card at `place`: a skeleton at once, then everything that is known."""
        if not place.model:
            yield Shown(EMPTY, gr.Button(visible=False), "", "", "", "", None)
            return
        name = escape(place.model)
        skeleton = '<div class="pg-skeleton" aria-busy="true"><div></div><div></div><div></div><div></div></div>'
        yield Shown(f"<h2>{name}</h2>", gr.Button(visible=False), "", skeleton, "", "", None)
        try:
            ref = self.catalog.resolve(place.model, place.revision)
            card = self.catalog.card(ref)
        except AppError as error:
            again = '<p class="pg-meta">Choose Open card to try again.</p>'
            yield Shown(
                f"<h2>{name}</h2>",
                gr.skip(),
                "",
                f'<div class="pg-error">{escape(str(error))}</div>{again}',
                "",
                "",
                None,
            )
            return
        use, cost = self._use_button(ref)
        yield Shown(
            head_of(card, self.endpoint),
            use,
            cost,
            findings_list(card.findings),
            f'<h3 class="pg-said">What the author says</h3>{self._rendered(card)}',
            facts_of(card),
            ref,
        )

    def use(self, shown: ModelRef | None) -> Iterator[tuple[Any, ...]]:
        """Fetch the model if need be, saying the bytes, then pin it and go where it is used: the chat, or Images."""
        with shown_to_user():
            if shown is None:
                raise UserInputError("Open a card first.")
            skip = gr.skip()
            try:
                engine = self._engine(shown)
                for step in engine.prepare(shown):
                    yield progress_line(step), gr.Button(interactive=False), skip, skip, skip, skip
            except AppError as error:
                failed = f'<div class="pg-error">{escape(str(error))}</div>'
                yield failed, gr.Button(interactive=True), skip, skip, skip, skip
                return
            draws = engine is self.images
            tab = "images" if draws else "chat"
            said = "Images are drawn" if draws else "The chat answers"
            yield (
                f'<p class="pg-meta">In use. {said} with exactly this commit.</p>',
                gr.Button(interactive=True),
                skip if draws else shown,
                shown if draws else skip,
                gr.Tabs(selected=tab),
                Address(tab).query(),
            )

    def model_card(self, repo_id: str, revision: str = "main", kind: str = "model") -> dict[str, Any]:
        """Read a model's card at one commit. What is not computed yet is null.

        Args:
            repo_id: owner/name.
            revision: A commit, branch or tag; the answer names the commit it means.
            kind: model. Cards of datasets and Spaces are not supported yet.
        """
        with shown_to_user():
            check_types(text={"repo_id": repo_id, "revision": revision, "kind": kind})
            if kind != "model":
                raise UserInputError("kind has to be model; cards of datasets and Spaces are not supported yet.")
            name, at = split_model(repo_id)
            ref = self.catalog.resolve(name, at or ("" if revision == "main" else revision))
            card = self.catalog.card(ref)
            return {
                "repo_id": card.repo_id,
                "revision": card.revision,
                "metadata": card.metadata,
                "card_html": self._rendered(card),
                "sections": None,
                "findings": [asdict(finding) for finding in card.findings],
                "verdict": None,
                "lineage": None,
                "evaluations": None,
                # Not "path": gradio_client takes any record with that key for a file to download.
                "files": [{"file": entry.path, "size": entry.size} for entry in card.files],
                "gated": card.gated,
                "papers": None,
            }

    def _rendered(self, card: ModelCard) -> str:
        return render_card(card.markdown, repo_id=card.repo_id, revision=card.revision, endpoint=self.endpoint)

    def _engine(self, ref: ModelRef) -> ChatRouter | ImageRouter:
        """Where the model can be used; raises what the chat says of it when neither can, or what Images says of a picture model."""
        try:
            self.router.capabilities(ref)
        except AppError:
            if self.images is None or not self._draws(ref):
                raise
            self.images.capabilities(ref)
            return self.images
        return self.router

    def _draws(self, ref: ModelRef) -> bool:
        """Whether the model's files are a pipeline that draws; only its list of files is read."""
        return any(entry.path == "model_index.json" for entry in self.catalog.card(ref).files)

    def _use_button(self, ref: ModelRef) -> tuple[Any, str]:
        """The button, and under it what using the model would fetch, or why it cannot run here."""
        try:
            plan = self._engine(ref).plan(ref)
        except AppError as error:
            return gr.Button(visible=False), f'<div class="pg-error">{escape(str(error))}</div>'
        if plan.ready or not plan.download_bytes:
            return gr.Button(
                "Use this model", visible=True, interactive=True
            ), '<p class="pg-meta">On this machine.</p>'
        size = bytes_of(plan.download_bytes)
        return (
            gr.Button(f"Download {size} and use", visible=True, interactive=True),
            f'<p class="pg-meta">{plan.files} {"file" if plan.files == 1 else "files"}, {size}, from {escape(plan.source)}. Only what inference needs.</p>',
        )


def head_of(card: ModelCard, endpoint: str) -> str:
    """Name, commit, access, and anything that has to be known first."""
    notices = list(card.notices)
    if card.metadata_error:
        notices.append(card.metadata_error)
    if card.main_moved:
        notices.append(f"main has moved on to {card.main_moved[:7]} since this commit.")
    lines = "".join(f'<p class="pg-notice">{escape(notice)}</p>' for notice in notices)
    if card.gated_link:
        lines += (
            '<p class="pg-notice">The owner asks for access first. '
            f'<a href="{escape(card.gated_link, quote=True)}" target="_blank" rel="noopener noreferrer">'
            "Ask for access on the Hub</a>, then open the card again.</p>"
        )
    where = "On this machine" if card.source == "local" else escape(endpoint.partition("//")[2])
    return (
        f"<h2>{escape(card.repo_id)}</h2>"
        f'<p class="pg-meta">{where} · commit <code>{card.revision}</code> '
        f'<button class="pg-copy" data-copy="{card.revision}">Copy commit</button></p>{lines}'
    )


def facts_of(card: ModelCard) -> str:
    """The card's metadata and files, folded where they are long."""
    return (
        f"<details open><summary>Metadata</summary>{metadata_table(card.metadata)}</details>"
        f"<details open><summary>Files ({len(card.files)})</summary>{files_table(card.files)}</details>"
    )
