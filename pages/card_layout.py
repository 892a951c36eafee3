"""The Card tab's components, and what one message of a card that fills in puts into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from components.card_html import COPIES_CODE
from components.card_panels import OPENS
from components.repo_panels import ASKS
from pages.card_asked import AskedParts, AskedView

EMPTY = (
    '<div class="pg-empty"><b>No card is open.</b><p>Choose a model under Search, or type its id above: '
    "owner/name, owner/name@commit, datasets/owner/name or spaces/owner/name.</p></div>"
)


@dataclass(frozen=True)
class CardView:
    """The tab's components. `shown` is the model whose card is on the screen, `repo` the dataset or Space."""

    which: gr.Textbox
    open: gr.Button
    head: gr.HTML
    use: gr.Button
    progress: gr.HTML
    findings: gr.HTML
    tree: gr.HTML
    evaluation: gr.HTML
    body: gr.HTML
    facts: gr.HTML
    code: gr.HTML
    sheet: gr.Button
    sheet_files: gr.File
    further: gr.Button
    shown: gr.State
    preview: gr.HTML
    papers: gr.HTML
    repo: gr.State
    compare: gr.Button
    asked: AskedView | None


class Shown(NamedTuple):
    """What the card handler puts on the screen, in the order of its outputs."""

    head: Any
    use: Any
    progress: Any
    findings: Any = ""
    tree: Any = ""
    evaluation: Any = ""
    body: Any = ""
    facts: Any = ""
    code: Any = ""
    sheet: Any = gr.skip()
    sheet_files: Any = gr.skip()
    further: Any = gr.skip()
    shown: Any = None
    preview: Any = ""
    papers: Any = ""
    repo: Any = None
    compare: Any = gr.skip()


SAME = Shown(*[gr.skip()] * len(Shown._fields))


def build_card(asked_parts: AskedParts | None) -> CardView:
    """Layout only."""
    with gr.Row(elem_classes="pg-toolbar", equal_height=True):
        which = gr.Textbox(
            label="Model, dataset or Space",
            placeholder="owner/name or owner/name@revision; datasets/owner/name; spaces/owner/name; or a link",
            scale=6,
            max_lines=1,
            elem_id="card-which",
        )
        open_button = gr.Button("Open card", scale=0, min_width=120)
    with gr.Row(elem_classes="pg-card-grid"):
        with gr.Column(scale=7, min_width=320):
            head = gr.HTML(EMPTY, elem_id="card-head", js_on_load=OPENS)
            findings = gr.HTML("", elem_id="card-findings", js_on_load=None)
            further = gr.Button("Look further", visible=False, size="sm", elem_id="card-further")
            tree = gr.HTML("", elem_id="card-tree", js_on_load=ASKS)
            preview = gr.HTML("", elem_id="card-preview", js_on_load=None)
            evaluation = gr.HTML("", elem_id="card-evaluation", js_on_load=None)
            asked = asked_parts.build() if asked_parts else None
            body = gr.HTML("", elem_id="card-body", js_on_load=COPIES_CODE)
        with gr.Column(scale=3, min_width=280, elem_classes="pg-card-side"):
            use = gr.Button("Use this model", variant="primary", visible=False, elem_id="use-model")
            progress = gr.HTML("", elem_id="use-progress")
            compare = gr.Button("Compare", visible=False, elem_id="card-side-by-side")
            facts = gr.HTML("", elem_id="card-facts", js_on_load=ASKS)
            papers = gr.HTML("", elem_id="card-papers", js_on_load=OPENS)
            code = gr.HTML("", elem_id="card-code", js_on_load=None)
            sheet = gr.Button("Make a fact sheet", visible=False, elem_id="card-sheet")
            sheet_files = gr.File(
                label="Fact sheet: the page prints as it is, the JSON is the same for programs",
                visible=False,
                interactive=False,
                elem_id="card-sheet-files",
            )
    return CardView(
        which, open_button, head, use, progress, findings, tree, evaluation, body, facts, code, sheet, sheet_files,
        further, gr.State(None), preview, papers, gr.State(None), compare, asked,
    )  # fmt: skip
