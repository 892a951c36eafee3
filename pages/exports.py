"""Feedback tab, rows taken away: files that train, or a private dataset on the Hub at a tag."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import gradio as gr

from components.background import bar
from components.boards import pictured_html, published_html
from components.errors import shown_to_user
from core.errors import AppError
from core.evidence import Evidence
from core.export import VIEWS, ExportOrder, ExportStep, Format, View, checked_tag

NOTHING_YET = (
    '<div class="pg-empty"><b>Files to train on.</b><p>Choose what for, then Export. load_dataset opens them as they are; '
    "models.lock.json names the dataset's and every model's commit.</p></div>"
)
FEW_PROMPTS = (
    '<p class="pg-meta">No prompt fell into the test part: each goes there by its own hash, and they are few.</p>'
)
FORMAT_CHOICES = [("Parquet", "parquet"), ("JSON lines", "jsonl"), ("CSV", "csv")]


@dataclass(frozen=True)
class ExportView:
    """The panel's components."""

    view: gr.Radio
    format: gr.Radio
    test_share: gr.Slider
    more: gr.CheckboxGroup
    export: gr.Button
    tag: gr.Textbox
    push: gr.Button
    exported: gr.HTML
    files: gr.File


class ExportPage:
    """Makes files of the rows. Who may is in pages/roles.py."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def build(self) -> ExportView:
        """Layout only, one tab inside the tabs of Feedback."""
        with gr.Tab("Export", id="export"), gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=5, min_width=320):
                view = gr.Radio(
                    [(text, name) for name, text in VIEWS.items()], value="dpo", label="What for", elem_id="export-view"
                )
                format_ = gr.Radio(FORMAT_CHOICES, value="parquet", label="Format", elem_id="export-format")
                test_share = gr.Slider(
                    0, 50, 10, step=1, label="Prompts kept for testing, %",
                    info="Chosen by a hash of the prompt: none is in both halves, and none moves as votes are added.",
                )  # fmt: skip
                more = gr.CheckboxGroup(
                    [
                        ("Pairs from one thumb up and one down on the same prompt", "derived"),
                        ("Both answers of each pair as single answers (KTO)", "unpaired"),
                    ],
                    value=["unpaired"],
                    label="Also",
                )
                export = gr.Button("Export files", variant="primary", elem_id="export-button")
                tag, push = self._push_box()
            with gr.Column(scale=5, min_width=320):
                exported = gr.HTML(NOTHING_YET, elem_id="exported")
                files = gr.File(
                    label="Download", file_count="multiple", interactive=False, visible=False, elem_id="files"
                )
        return ExportView(view, format_, test_share, more, export, tag, push, exported, files)

    def _push_box(self) -> tuple[gr.Textbox, gr.Button]:
        where = self.evidence.destination("dpo")
        with gr.Column(elem_id="push-box", elem_classes="pg-plain pg-push"):
            told = (
                f"Or push it to <code>{escape(where.removesuffix('-dpo'))}-…</code>, a private dataset of its own for each of "
                "the views above, under a tag that never moves."
                if where
                else "Set PROVING_DATASET, and exports can also be pushed to a private dataset on the Hub, at a tag."
            )
            gr.HTML(f'<p class="pg-meta">{told}</p>')
            with gr.Row(visible=where is not None, equal_height=True):
                tag = gr.Textbox(
                    label="Tag", placeholder="v1", max_lines=1, max_length=64, min_width=120, elem_id="push-tag"
                )
                push = gr.Button("Push to the Hub", scale=0, min_width=160, elem_id="push-button")
        return tag, push

    def wire(self, view: ExportView) -> None:
        """Events only."""
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 4}
        view.export.click(
            self.export,
            [view.view, view.format, view.test_share, view.more],
            [view.exported, view.files],
            trigger_mode="once",
            **quiet,
        )
        gr.on(
            [view.push.click, view.tag.submit],
            self.push,
            [view.view, view.format, view.test_share, view.more, view.tag],
            [view.exported, view.files],
            trigger_mode="once",
            **quiet,
        )

    def export(self, view: str, format: str, test_percent: float, more: Sequence[str]) -> Iterator[tuple[Any, Any]]:
        """Make the files and offer them; what is on the server's disk meanwhile is deleted again."""
        with shown_to_user():
            folder = Path(tempfile.mkdtemp(prefix="proving-export-"))
            try:
                order = _order(view, format, test_percent, more)
                yield bar("Reading rows"), gr.File(visible=False, value=None)
                for step in self.evidence.export(order, folder):
                    if step.files:
                        yield _exported(step, order), gr.File([str(file) for file in step.files], visible=True)
                    else:
                        yield bar(f"{step.rows:,} rows written"), gr.skip()
            except Exception as error:
                # The bar would stand there for ever, or files that are not what was asked for.
                yield _failed(error), gr.File(visible=False, value=None)
                raise
            finally:
                # gradio has copied what it offers by the time it asks for the next step.
                shutil.rmtree(folder, ignore_errors=True)

    def push(
        self, view: str, format: str, test_percent: float, more: Sequence[str], tag: str
    ) -> Iterator[tuple[Any, Any]]:
        """Put the export on the Hub at a tag, and show how it is loaded from there."""
        with shown_to_user():
            try:
                order = _order(view, format, test_percent, more)
                checked_tag(tag.strip())
                yield bar("Reading rows"), gr.File(visible=False, value=None)
                for step in self.evidence.publish(order, tag):
                    if step.published:
                        yield published_html(step, order), gr.skip()
                    else:
                        yield bar(f"{step.rows:,} rows, on their way to the Hub"), gr.skip()
            except Exception as error:
                yield _failed(error), gr.File(visible=False, value=None)
                raise


def _order(view: str, format: str, test_percent: float, more: Sequence[str]) -> ExportOrder:
    return ExportOrder(
        cast(View, view), cast(Format, format), test_percent / 100, "derived" in more, "unpaired" in more
    )


def _failed(error: Exception) -> str:
    """The message passes; what to do next stays where the files would be."""
    return f'<div class="pg-error">{escape(str(error))}</div>' if isinstance(error, AppError) else NOTHING_YET


def _exported(step: ExportStep, order: ExportOrder) -> str:
    rows = f"{step.rows:,} {'row' if step.rows == 1 else 'rows'}"
    return (
        f'<p class="pg-lead">{rows}: {step.train:,} to train on, {step.test:,} to test on.</p>'
        '<p class="pg-meta">Put the files into one folder; README.md in it says how to load and train.</p>'
        + pictured_html(step, order)
        + (FEW_PROMPTS if order.test_share and not step.test else "")
    )
