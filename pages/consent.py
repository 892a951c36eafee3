"""The consent text above the tabs: shown once to each reviewer, before the first vote."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from core.errors import UserInputError
from core.feedback_protocols import FeedbackStore
from core.identity import pseudonym
from pages.shared import Shared


@dataclass(frozen=True)
class ConsentView:
    """The panel's components."""

    panel: gr.Column
    text: gr.HTML
    agree: gr.Button
    version: gr.State


class ConsentPanel:
    """Asks whoever has not agreed to the text yet, and nobody where the operator set none."""

    def __init__(self, store: FeedbackStore, secret: str) -> None:
        self.store, self.secret = store, secret

    def build(self) -> ConsentView:
        """Layout only."""
        with gr.Column(visible=False, elem_id="consent", elem_classes="pg-consent") as panel:
            text = gr.HTML("", elem_id="consent-text", js_on_load=None)
            agree = gr.Button("I agree", variant="primary", scale=0, min_width=120, elem_id="consent-agree")
        return ConsentView(panel, text, agree, gr.State(""))

    def wire(self, view: ConsentView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        # A new visitor has no name when the page loads; it is given then.
        gr.on(
            [demo.load, shared.visitor.change],
            self.show,
            shared.visitor,
            [view.panel, view.text, view.version],
            # The call for the name must not be left out while the one without it is still on its way.
            **quick,
            trigger_mode="multiple",
        )
        view.agree.click(self.agree, [shared.visitor, view.version], [view.panel, view.text, view.version], **quick)

    def show(self, visitor: str) -> tuple[Any, Any, Any]:
        """The panel for this visitor: open until they have agreed to the text as it is now."""
        with shown_to_user():
            consent = self.store.consent
            if not visitor:
                # Not named yet. Saying nothing: this answer may arrive after the one for the name.
                return gr.skip(), gr.skip(), gr.skip()
            if consent is None or self.store.agreed(pseudonym(self.secret, visitor)):
                return gr.Column(visible=False), "", ""
            text = (
                f'<h3>Before your first vote</h3><div class="pg-consent-text" tabindex="0">{escape(consent.text)}</div>'
                '<p class="pg-meta">You can look at everything without agreeing. Votes, thumbs and captures are saved once '
                "you do; under Feedback you can take them back at any time.</p>"
            )
            return gr.Column(visible=True), text, consent.version

    def agree(self, visitor: str, version: str) -> tuple[Any, Any, Any]:
        """Record the agreement to the text that was shown."""
        with shown_to_user():
            rater = pseudonym(self.secret, visitor)
            if rater is None:
                raise UserInputError("This page does not know you yet. Reload it, then agree.")
            self.store.agree(rater, version)
            return self.show(visitor)
