"""What a card page reads when it is asked for: history and differences, headers of files, template, people, fact sheet."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from components.card_history import difference_panel, header_panel, history_list, people_panel, template_panel
from components.card_panels import OPENS
from components.errors import shown_to_user
from components.fact_sheet import fact_sheet
from core.card_parts import History
from core.catalog import ModelCard
from core.errors import AppError, UserInputError
from core.hub_protocols import CardDetails
from core.refs import ModelRef, check_repo_id, check_revision
from core.repo_cards import check_kind
from core.weights import file_format
from pages.card_record import gathered, or_sentence, record_of
from pages.shared import Shared, show_card

CARD_FIRST = "Open a card first."


@dataclass(frozen=True)
class AskedView:
    """The folds below a card's findings, closed until somebody opens them."""

    history_fold: gr.Accordion
    history: gr.HTML
    compare: gr.Dropdown
    difference: gr.HTML
    weights_fold: gr.Accordion
    file: gr.Dropdown
    header: gr.HTML
    template_fold: gr.Accordion
    template: gr.HTML
    people_fold: gr.Accordion
    people: gr.HTML

    def parts(self) -> list[Any]:
        """The components that a new card resets, in the order of `reset`."""
        return [
            self.history_fold,
            self.history,
            self.compare,
            self.difference,
            self.weights_fold,
            self.file,
            self.header,
            self.template_fold,
            self.template,
            self.people_fold,
            self.people,
        ]


def reset(card: ModelCard | None) -> tuple[Any, ...]:
    """Closed and empty folds for a card; none of them is there before a card is."""
    files = [entry.path for entry in card.files if file_format(entry.path) in ("safetensors", "gguf")] if card else []
    there = card is not None
    names = {entry.path for entry in card.files} if card else set()
    speaks = bool(names & {"tokenizer_config.json", "chat_template.jinja"}) or any(
        name.endswith(".gguf") for name in names
    )
    return (
        gr.Accordion(open=False, visible=there),
        "",
        gr.Dropdown(choices=[], value=None, visible=False),
        "",
        gr.Accordion(open=False, visible=bool(files)),
        gr.Dropdown(choices=files, value=files[0] if files else None),
        "",
        gr.Accordion(open=False, visible=speaks),
        "",
        gr.Accordion(open=False, visible=there and not card.summary.bundled) if card else gr.Accordion(visible=False),
        "",
    )


class AskedParts:
    """Handlers of the folds. Each ends in its own panel: an error of one leaves the others as they are."""

    def __init__(self, details: CardDetails) -> None:
        self.details = details

    def build(self) -> AskedView:
        """Layout only."""
        with gr.Accordion("History and differences", open=False, visible=False, elem_id="card-history") as history_fold:
            history = gr.HTML("", elem_id="card-commits", js_on_load=OPENS)
            compare = gr.Dropdown(
                label="Show what changed between this commit and",
                choices=[],
                value=None,
                visible=False,
                elem_id="card-compare",
                allow_custom_value=False,
            )
            difference = gr.HTML("", elem_id="card-difference", js_on_load=None)
        with gr.Accordion("Inside the weights", open=False, visible=False, elem_id="card-weights") as weights_fold:
            file = gr.Dropdown(label="File", choices=[], value=None, elem_id="card-file")
            header = gr.HTML("", elem_id="card-header", js_on_load=None)
        with gr.Accordion("Chat template", open=False, visible=False, elem_id="card-template") as template_fold:
            template = gr.HTML("", elem_id="card-template-text", js_on_load=None)
        with gr.Accordion("Publisher and discussions", open=False, visible=False, elem_id="card-people") as people_fold:
            people = gr.HTML("", elem_id="card-people-list", js_on_load=None)
        return AskedView(
            history_fold,
            history,
            compare,
            difference,
            weights_fold,
            file,
            header,
            template_fold,
            template,
            people_fold,
            people,
        )

    def wire(self, view: AskedView, shown: gr.State, shared: Shared) -> None:
        """Events only."""

        def on(event: Callable[..., Any], handler: Callable[..., Any], inputs: Any, outputs: Any) -> None:
            event(
                handler, inputs, outputs, api_visibility="private", show_progress="minimal", concurrency_limit=8,
            )  # fmt: skip

        on(view.history_fold.expand, self.history, shown, [view.history, view.compare])
        on(view.compare.input, self.difference, [shown, view.compare], view.difference)
        on(view.weights_fold.expand, self.header, [shown, view.file], view.header)
        on(view.file.input, self.header, [shown, view.file], view.header)
        on(view.template_fold.expand, self.template, shown, view.template)
        on(view.people_fold.expand, self.people, shown, view.people)
        go = [shared.tabs, shared.opened, shared.address]
        on(view.history.select, follow, None, go)

    def history(self, shown: ModelRef | None) -> tuple[str, Any]:
        """The commits with the shown one marked, and those to compare it with."""
        with shown_to_user():
            ref = _there(shown)
            try:
                card = self.details.open(ref.repo_id, ref.revision)
                found = self._history(ref, card)
            except AppError as error:
                return _failed(error), gr.Dropdown(visible=False)
            refs = card.record.refs or ()
            named = {commit: name for name, commit in reversed(refs)}
            choices = [
                (" · ".join(filter(None, (each.id[:7], named.get(each.id), each.title[:60]))), each.id)
                for each in found.commits
                if each.id != ref.revision
            ]
            known = {commit for _, commit in choices}
            choices += [
                (f"{commit[:7]} · {name}", commit) for name, commit in refs if commit not in known | {ref.revision}
            ]
            listed = history_list(found, refs, ref.repo_id, ref.revision)
            return listed, gr.Dropdown(choices=choices, value=None, visible=bool(choices))

    def _history(self, ref: ModelRef, card: ModelCard) -> History:
        """The commits of main where the shown one is among them, else of its own branch, else those that led to it."""
        found = self.details.history(ref)
        if not found.commits or any(each.id == ref.revision for each in found.commits):
            return found
        branch = next((name for name, commit in card.record.refs or () if commit == ref.revision), ref.revision)
        return self.details.history(ref, branch)

    def difference(self, shown: ModelRef | None, other: str | None) -> str:
        """What changed from the older of the two commits to the newer one."""
        with shown_to_user():
            ref = _there(shown)
            if not other:
                return ""
            try:
                card = self.details.open(ref.repo_id, ref.revision)
                listed = [each.id for each in self._history(ref, card).commits]
                older_first = [other, ref.revision]
                # The list is newest first: a smaller place is newer. A commit that is not in it counts as older.
                if other in listed and (ref.revision not in listed or listed.index(other) < listed.index(ref.revision)):
                    older_first = [ref.revision, other]
                return difference_panel(self.details.difference(ref.repo_id, *older_first))
            except AppError as error:
                return _failed(error)

    def header(self, shown: ModelRef | None, file: str | None) -> str:
        """The header of one file of weights."""
        with shown_to_user():
            ref = _there(shown)
            if not file:
                return ""
            try:
                return header_panel(self.details.header(ref, file))
            except AppError as error:
                return _failed(error)

    def template(self, shown: ModelRef | None) -> str:
        """The chat template and the example as the model reads it."""
        with shown_to_user():
            ref = _there(shown)
            try:
                return template_panel(self.details.template(self.details.open(ref.repo_id, ref.revision)))
            except AppError as error:
                return _failed(error)

    def people(self, shown: ModelRef | None) -> str:
        """Publisher and open discussions, each with its own error."""
        with shown_to_user():
            ref = _there(shown)
            who = or_sentence(lambda: self.details.publisher(ref.repo_id))
            return people_panel(who, or_sentence(lambda: self.details.discussions(ref.repo_id)))

    def sheet(self, shown: ModelRef | None) -> Any:
        """The fact sheet as HTML that prints on a page, and as JSON; both name the commit and the date."""
        with shown_to_user():
            ref = _there(shown)
            card = self.details.open(ref.repo_id, ref.revision)
            record = record_of(gathered(card, self.details), "")
            record.pop("card_html")
            folder = Path(tempfile.mkdtemp(prefix="proving-sheet-"))
            name = f"{ref.repo_id.replace('/', '--')}-{ref.revision[:7]}"
            page, data = folder / f"{name}.html", folder / f"{name}.json"
            page.write_text(fact_sheet(record), encoding="utf-8")
            data.write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
            return gr.File(value=[str(page), str(data)], visible=True)


def follow(event: gr.EventData) -> tuple[Any, ...]:
    """Open the card of a link in a panel. What the link holds came back from the browser, and is checked."""
    with shown_to_user():
        repo_id, revision, kind = event.repo_id, event.revision or "", event.kind or "model"
        if not isinstance(repo_id, str) or not isinstance(revision, str) or not isinstance(kind, str):
            raise UserInputError("This link names no model. Type its id above instead.")
        check_repo_id(repo_id)
        if revision:
            check_revision(revision)
        return show_card(repo_id, revision, check_kind(kind))


def _there(shown: ModelRef | None) -> ModelRef:
    if shown is None:
        raise UserInputError(CARD_FIRST)
    return shown


def _failed(error: AppError) -> str:
    return f'<div class="pg-error">{escape(str(error))}</div><p class="pg-meta">Close this part and open it to try again.</p>'
