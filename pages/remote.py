"""Choosing a model that another machine runs: the names its host lists, and the host, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.contender_sheet import options
from components.errors import shown_to_user
from components.progress import progress_line
from core.chat_protocols import ChatRouter, RemoteModels
from core.errors import AppError
from core.refs import REMOTE, ModelRef
from pages.battle import BASE_OF_PINNED, PINNED, BattleView
from pages.chat import ChatView
from pages.shared import Shared

HERE = "This machine"
SEED_INFO = "Empty: random, and shown."


@dataclass(frozen=True)
class RemoteView:
    """The chooser above the conversation. Its value is the name the host serves a model under; "" is this machine."""

    model: gr.Dropdown
    status: gr.HTML


class RemotePage:
    """Nothing goes to the host unless its model was chosen here, in a comparison, or in an API call by name."""

    def __init__(self, router: ChatRouter, remote: RemoteModels, local_models: tuple[str, ...]) -> None:
        self.router = router
        self.remote = remote
        self.local_models = local_models

    def build(self) -> RemoteView:
        """Layout only."""
        with gr.Row(elem_classes="pg-actions", elem_id="remote"):
            model = gr.Dropdown(
                [(HERE, "")],
                value="",
                label="Answers come from",
                info=f"Models on {self.remote.host} are sent what you write.",
                allow_custom_value=True,
                filterable=True,
                elem_id="remote-model",
                min_width=280,
            )
            status = gr.HTML("", elem_id="remote-status")
        return RemoteView(model, status)

    def wire(self, view: RemoteView, chat: ChatView, battle: BattleView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        quiet = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        demo.load(self.offer, None, [view.model, battle.models, view.status], **quiet)
        # `input`, not `change`: the value also follows a pin that was made elsewhere.
        view.model.input(
            self.choose,
            [view.model, shared.pinned],
            [shared.pinned, view.model, view.status, chat.settings.seed],
            **quiet,
        )
        shared.pinned.change(self.follow, shared.pinned, [view.model, chat.settings.seed], **quiet)

    def offer(self) -> tuple[Any, str, str]:
        """The models the host lists now, here and in comparisons; a host that does not answer is said in a line."""
        with shown_to_user():
            try:
                refs, said = self.remote.models(), ""
            except AppError as error:
                refs, said = (), str(error)
            listed = [(name_of(ref), served_name(ref)) for ref in refs]
            here = [(name, "") for name in (PINNED, BASE_OF_PINNED, *self.local_models)]
            contenders = [*here, *((REMOTE + name, label) for label, name in listed)]
            return gr.Dropdown(choices=[(HERE, ""), *listed]), options(contenders), said

    def choose(self, name: str | None, pinned: ModelRef | None) -> Iterator[tuple[Any, Any, str, Any]]:
        """Pin the model of that name, after finding out what its host can do with it."""
        with shown_to_user():
            skip = gr.skip()
            if not name:
                ref = pinned if pinned is not None and not pinned.host else self.router.start_model()
                yield (ref, *self.follow(ref)[:1], "", self.follow(ref)[1])
                return
            try:
                ref = self.router.pin(REMOTE + name)
                for step in self.router.prepare(ref):
                    if step.stage != "ready":
                        yield skip, skip, f"Asking {ref.host} what it can do. {progress_line(step)}", skip
            except AppError:
                # The pin stays what it was, and the chooser shows that.
                yield (skip, *self.follow(pinned)[:1], "", skip)
                raise
            box, seed = self.follow(ref)
            yield ref, box, "", seed

    def follow(self, pinned: ModelRef | None) -> tuple[Any, Any]:
        """The chooser and the seed box for what is pinned; a seed that the engine cannot keep to is not asked for."""
        value = served_name(pinned) if pinned is not None and pinned.host else ""
        try:
            can = self.router.capabilities(pinned) if pinned is not None else None
        except AppError:
            # The chip says why the model cannot run.
            can = None
        if can is None or can.seed:
            return gr.Dropdown(value=value), gr.Textbox(interactive=True, info=SEED_INFO)
        return gr.Dropdown(value=value), gr.Textbox(value="", interactive=False, info=can.reason("seed"))


def served_name(ref: ModelRef) -> str:
    """What `remote:` is followed by to name this model again."""
    return f"{ref.repo_id}@{ref.revision}" if ref.revision else ref.repo_id


def name_of(ref: ModelRef) -> str:
    """A model with its host, as a list shows it."""
    commit = f" @ {ref.revision[:7]}" if ref.revision else ""
    return f"{ref.repo_id}{commit} on {ref.host}"
