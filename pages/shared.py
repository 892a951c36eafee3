"""What the tabs share: the pinned model, the card that is open, the address, and how to move between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import gradio as gr

from components.chip import chip
from components.errors import shown_to_user
from core.address import TABS, Address, read_address
from core.catalog import Kind
from core.chat_protocols import ChatRouter
from core.errors import AppError, UserInputError
from core.feedback_protocols import FeedbackStore
from core.presets import read_setup
from core.refs import ModelRef


@dataclass(frozen=True)
class Shared:
    """Components every page may read or drive. `opened` is the address of the card to show.

    `searched` is the Search tab's part of the link, `shortlist` what this browser keeps of core.shortlist.

    `image_model` is the ref that the Images tab draws with; None: the one pinned at start. `images_mode` is the tab's mode.
    """

    tabs: gr.Tabs
    pinned: gr.State
    opened: gr.State
    visitor: gr.BrowserState
    chip: gr.HTML
    notice: gr.HTML
    outbox: gr.HTML
    address: gr.Textbox
    brand: gr.HTML
    image_model: gr.State
    images_mode: gr.Radio | gr.State
    searched: gr.State
    shortlist: gr.BrowserState


# Back and forward reach Python through the brand's own element: a hidden textbox hears no scripted input.
ON_POPSTATE = """
window.addEventListener('popstate', () => trigger('select', {query: window.location.search.replace(/^[?]/, '')}));
"""


# What was said of a save stays true: its count follows the badge's, which the server keeps current.
ON_WAITING = r"""
const follow = () => {
  const waiting = element.textContent.trim();
  const now = `Saved. ${waiting || 'Nothing is waiting to upload'}.`;
  for (const said of document.querySelectorAll('#capture-said, #chat-status, #battle-status, #image-battle-status, #best-said')) {
    const texts = document.createTreeWalker(said, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.data;
      const kept = text.replace(/Saved\. (\d+ waiting|Nothing is waiting) to upload\./, now);
      if (kept !== text) texts.currentNode.data = kept;
    }
  }
};
watch('value', () => setTimeout(follow));
"""


class Frame:
    """The header above the tabs and the movement between them."""

    def __init__(self, router: ChatRouter, store: FeedbackStore) -> None:
        self.router = router
        self.store = store

    def wire(self, demo: gr.Blocks, shared: Shared) -> None:
        """First load, tab changes, back and forward, and the chip that follows the pin."""
        demo.load(
            self.arrive,
            shared.visitor,
            [shared.tabs, shared.opened, shared.pinned, shared.visitor, shared.address],
            api_visibility="private",
            show_progress="hidden",
        )
        demo.load(self.news, None, shared.notice, api_visibility="private", show_progress="hidden")
        demo.load(self.outbox_line, None, shared.outbox, api_visibility="private", show_progress="hidden")
        shared.tabs.select(
            self.leave_for,
            [shared.opened, shared.searched, shared.images_mode],
            shared.address,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        shared.brand.select(
            self.go_back,
            None,
            [shared.tabs, shared.opened, shared.address],
            api_visibility="private",
            show_progress="hidden",
        )
        shared.pinned.change(
            self.describe, shared.pinned, shared.chip, api_visibility="private", show_progress="hidden"
        )
        shared.address.change(
            None, shared.address, None, js="(query) => window.provingAddress(query)", api_visibility="private"
        )

    def arrive(self, visitor: str, request: gr.Request) -> tuple[Any, Address, ModelRef | None, str, str]:
        """Open what the link names, pin the start model, and give a new visitor a random id."""
        place = read_address(dict(request.query_params))
        try:
            asked = read_setup(place.chat).model if place.chat else ""
        except UserInputError:
            # The Chat tab says what is wrong with the link; the model that is here can be asked all the same.
            asked = ""
        try:
            pinned: ModelRef | None = self.router.pin(asked) if asked else self.router.start_model()
        except AppError as error:
            pinned = None
            gr.Warning(str(error), title="No model at start")
        # The page begins on Search: whoever has gone elsewhere by now is not called back.
        tab = gr.skip() if place.tab == Address().tab else gr.Tabs(selected=place.tab)
        return tab, place, pinned, visitor or uuid4().hex, place.query()

    def leave_for(self, opened: Address, searched: str, mode: str, event: gr.SelectData) -> str:
        """The address of the tab that was chosen."""
        tab = TABS[event.index] if isinstance(event.index, int) and event.index < len(TABS) else TABS[0]
        return replace(opened, tab=tab, search=searched, mode=mode).query()

    def go_back(self, event: gr.EventData) -> tuple[gr.Tabs, Address, str]:
        """Follow the browser's back and forward buttons."""
        place = read_address(dict(parse_qsl(str(event.query))))
        return gr.Tabs(selected=place.tab), place, place.query()

    def describe(self, pinned: ModelRef | None) -> str:
        """The chip for the pinned model, with what is known of it."""
        with shown_to_user():
            if pinned is None:
                return chip(None)
            notes = []
            engine = ""
            try:
                engine = self.router.engine(pinned)
                abilities = self.router.capabilities(pinned)
                notes += list(abilities.notes)
                if abilities.max_context:
                    notes.append(f"Context {abilities.max_context:,} tokens.")
            except AppError as error:
                notes.append(str(error))
            notes.append(self.router.text_checks())
            return chip(pinned, engine=engine, notes=tuple(notes))

    def news(self) -> str:
        """What has changed at the start model's repository since it was pinned; nothing when the Hub is out of reach."""
        with shown_to_user():
            try:
                moved = self.router.main_moved()
                pinned = self.router.start_model() if moved else None
            except AppError:
                # `arrive` has said already that there is no model at start.
                return ""
            if moved is None or pinned is None:
                return ""
            return (
                f'<p class="pg-notice">main of {escape(pinned.repo_id)} has moved to {escape(moved[:7])} since it was '
                f"pinned here at {pinned.revision[:7]}. Open its card and choose Use this model to follow it.</p>"
            )

    def outbox_line(self) -> str:
        """How many rows wait, for the header."""
        with shown_to_user():
            return waiting_badge(self.store.status().waiting)


def waiting_badge(waiting: int) -> str:
    """The header's outbox badge; nothing waiting shows nothing."""
    return f'<span class="pg-tag">{waiting} waiting to upload</span>' if waiting else ""


def show_card(repo_id: str, revision: str, kind: Kind = "model") -> tuple[gr.Tabs, Address, str]:
    """Tabs, opened and address for the card of `repo_id`."""
    place = Address("card", repo_id, revision, kind=kind)
    return gr.Tabs(selected="card"), place, place.query()
