"""Use this model: fetched if need be, pinned, and where it is used; or why it cannot run here."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from components.numbers import bytes_of
from components.progress import progress_line
from core.address import Address
from core.caller import note
from core.chat_protocols import ChatRouter
from core.errors import AppError, UserInputError
from core.files import PICKLED
from core.hub_protocols import HubCatalog
from core.image_protocols import ImageRouter
from core.refs import ModelRef


class UseModel:
    """The button of a card page, and what happens when it is chosen."""

    def __init__(self, catalog: HubCatalog, router: ChatRouter, images: ImageRouter | None = None) -> None:
        self.catalog = catalog
        self.router = router
        self.images = images

    def use(self, shown: ModelRef | None) -> Iterator[tuple[Any, ...]]:
        """Fetch the model if need be, saying the bytes, then pin it and go where it is used: the chat, or Images."""
        with shown_to_user():
            if shown is None:
                raise UserInputError("Open a card first.")
            skip = gr.skip()
            try:
                engine = self.engine(shown)
                for step in engine.prepare(shown):
                    yield progress_line(step), gr.Button(interactive=False), skip, skip, skip, skip
            except AppError as error:
                failed = f'<div class="pg-error">{escape(str(error))}</div>'
                yield failed, gr.Button(interactive=True), skip, skip, skip, skip
                return
            draws = engine is self.images
            # Here and not in the table of roles: what was refused, or did not arrive, was not pinned.
            note("pinned", str(shown))
            if not draws and PICKLED in self.router.capabilities(shown).notes:
                note("overrode a finding", f"{shown}: its weights are pickle")
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

    def engine(self, ref: ModelRef) -> ChatRouter | ImageRouter:
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

    def button(self, ref: ModelRef) -> tuple[Any, str, bool]:
        """The button, under it what using the model would fetch or why it cannot run here, and whether it runs."""
        try:
            plan = self.engine(ref).plan(ref)
        except AppError as error:
            return gr.Button(visible=False), f'<div class="pg-error">{escape(str(error))}</div>', False
        if plan.ready or not plan.download_bytes:
            here = '<p class="pg-meta">On this machine.</p>'
            return gr.Button("Use this model", visible=True, interactive=True), here, True
        size = bytes_of(plan.download_bytes)
        files = f"{plan.files} {'file' if plan.files == 1 else 'files'}"
        return (
            gr.Button(f"Download {size} and use", visible=True, interactive=True),
            f'<p class="pg-meta">{files}, {size}, from {escape(plan.source)}. Only what inference needs.</p>',
            True,
        )
