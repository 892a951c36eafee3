"""Chat settings: a LoRA on top of the pinned model, and its weights in fewer bits; both are pinned with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.errors import shown_to_user
from components.numbers import bytes_of
from components.progress import progress_line
from core.chat_protocols import ChatRouter
from core.errors import AppError
from core.refs import ModelRef
from pages.shared import Shared

NONE = "None"
PUBLISHED = "As published"
INFO = "A LoRA made for the pinned model: one of this list, or owner/name of the Hub."


@dataclass(frozen=True)
class AdapterView:
    """The choosers. `wanted` is the adapter that was named and is not here yet, as it is asked for again."""

    adapter: gr.Dropdown
    weights: gr.Dropdown
    fetch: gr.Button
    status: gr.HTML
    wanted: gr.State


class Choice(NamedTuple):
    """What a handler puts on the screen, in the order of its outputs."""

    pinned: Any
    adapter: Any
    weights: Any
    fetch: Any
    status: Any
    wanted: Any


class AdapterPage:
    """Both are part of the pin: whatever answers, is compared or is voted on names them."""

    def __init__(self, router: ChatRouter) -> None:
        self.router = router

    def build(self) -> AdapterView:
        """Layout only; inside the settings of Chat."""
        adapter = gr.Dropdown(
            [(NONE, "")], value="", label="Adapter", info=INFO, allow_custom_value=True, elem_id="chat-adapter"
        )
        weights = gr.Dropdown([(PUBLISHED, "")], value="", label="Weights", elem_id="chat-weights")
        fetch = gr.Button("Download and use", size="sm", visible=False, elem_id="chat-adapter-fetch")
        status = gr.HTML("", elem_id="chat-adapter-status")
        return AdapterView(adapter, weights, fetch, status, gr.State(""))

    def wire(self, view: AdapterView, aside: gr.Accordion, shared: Shared) -> None:
        """Events only. Opening the settings (`aside`) looks again at what is here by now."""
        quiet = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        shown = [view.adapter, view.weights, view.fetch, view.status, view.wanted]
        outputs = [shared.pinned, *shown]
        # `input`, not `change`: the value also follows a pin that was made elsewhere.
        view.adapter.input(self.choose, [view.adapter, shared.pinned], outputs, **quiet)
        view.fetch.click(self.fetch, [view.wanted, shared.pinned], outputs, **quiet)
        view.weights.input(self.hold, [view.weights, shared.pinned], outputs, **quiet)
        gr.on([shared.pinned.change, aside.expand], self.follow, shared.pinned, shown, **quiet)

    def choose(self, text: str | None, pinned: ModelRef | None) -> Iterator[Choice]:
        """Pin the model with this adapter; one that is not here is described first, with its size."""
        with shown_to_user():
            if pinned is None:
                yield self._as_it_is(pinned)
                return
            try:
                yield _saying("Looking at the adapter")
                ref = self.router.find_adapter(pinned, (text or "").strip())
                plan = self.router.plan(ref)
                if ref.adapter is not None and not plan.ready:
                    said = f"{ref.adapter.short} fits this model. {bytes_of(plan.download_bytes)} to download."
                    yield _saying(escape(said))._replace(fetch=gr.Button(visible=True), wanted=str(ref.adapter))
                    return
                yield from self._use(ref)
            except Exception:
                yield self._as_it_is(pinned)
                raise

    def fetch(self, wanted: str, pinned: ModelRef | None) -> Iterator[Choice]:
        """Download the adapter that was described, then pin the model with it."""
        with shown_to_user():
            if pinned is None or not wanted:
                yield self._as_it_is(pinned)
                return
            try:
                yield from self._use(self.router.find_adapter(pinned, wanted))
            except Exception:
                yield self._as_it_is(pinned)
                raise

    def hold(self, kind: str | None, pinned: ModelRef | None) -> Iterator[Choice]:
        """Pin the model with its weights held that way, and load it so."""
        with shown_to_user():
            if pinned is None:
                yield self._as_it_is(pinned)
                return
            try:
                yield from self._use(self.router.held(pinned, kind or ""))
            except Exception:
                yield self._as_it_is(pinned)
                raise

    def follow(self, pinned: ModelRef | None) -> tuple[Any, Any, Any, Any, Any]:
        """The choosers for what is pinned: its adapters and weights as they are, or why there is no choice."""
        value = str(pinned.adapter) if pinned is not None and pinned.adapter else ""
        found: tuple[str, ...] = ()
        why = ""
        if pinned is not None:
            try:
                why = dict(self.router.capabilities(pinned).why_not).get("adapters", "")
                found = () if why else self.router.adapters(pinned)
            except AppError as error:
                # The chip says it too.
                why = str(error)
        names = dict.fromkeys([*found, *([value] if value else [])])
        choices = [(NONE, ""), *((_label(name), name) for name in names)]
        box = gr.Dropdown(choices=choices, value=value, interactive=not why, info=why or INFO)
        return box, self._weights(pinned), gr.Button(visible=False), "", ""

    def _weights(self, pinned: ModelRef | None) -> Any:
        try:
            offers = self.router.weights(pinned) if pinned is not None else ()
        except AppError:
            # The chip says why the model cannot run.
            offers = ()
        choices = [(PUBLISHED, "")]
        choices += [
            (f"{offer.label}: saves {bytes_of(offer.saves_bytes)} against 16", offer.kind)
            for offer in offers
            if not offer.why_not
        ]
        value = pinned.weights if pinned is not None else ""
        # What is not possible here is said, not hidden: the reasons of all, each once.
        info = " ".join(dict.fromkeys(offer.why_not for offer in offers if offer.why_not))
        return gr.Dropdown(choices=choices, value=value, interactive=len(choices) > 1 or bool(value), info=info or None)

    def _use(self, ref: ModelRef) -> Iterator[Choice]:
        for step in self.router.prepare(ref):
            if step.stage != "ready":
                yield _saying(progress_line(step))._replace(fetch=gr.Button(visible=False))
        yield Choice(ref, *self.follow(ref))

    def _as_it_is(self, pinned: ModelRef | None) -> Choice:
        """The pin stays what it was, and the chooser shows that."""
        return Choice(gr.skip(), *self.follow(pinned))


def _saying(text: str) -> Choice:
    """Only the status line changes."""
    skip = gr.skip()
    return Choice(skip, skip, skip, skip, text, skip)


def _label(name: str) -> str:
    repo_id, _, revision = name.partition("@")
    return f"{repo_id} @ {revision[:7]}" if revision else repo_id
