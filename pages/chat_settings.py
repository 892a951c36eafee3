"""Chat settings: how answers are sampled. They start from what the model's author recommends; what a visitor set meanwhile stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from core.address import Address
from core.chat import GenerationSettings
from core.conversation import Conversation
from core.refs import ModelRef, shown
from core.template_kwargs import THINKING
from pages.chat_keeping import told
from pages.chat_stream import Answers
from pages.shared import Shared

USUAL = (0.7, 0.95)
"""Temperature and top-p before a model is pinned, and where a model's author recommends none."""
OWN = "Empty: the model's own."
# Both are called by gradio's page with the controls' values, in the order of `SettingsView.follows`. What differs from how it
# was when the model was pinned was set by the visitor since, and stays. Another adapter on the same model changes nothing.
BEFORE = (
    f"(...now) => {{ window.provingBefore = window.provingBefore ? now : {json.dumps([*USUAL, '', '', '', ''])}; }}"
)
AFTER = """(told, ...now) => {
  const own = JSON.parse(told), before = window.provingBefore || now, stay = {__type__: "update"};
  const same = own.of === window.provingOf;
  window.provingOf = own.of;
  const next = now.map((value, at) => own.lacks[at] ? ""
    : same || own.values[at] === null || (value ?? "") !== (before[at] ?? "") ? stay : own.values[at]);
  window.provingBefore = next.map((value, at) => value === stay ? now[at] : value);
  return next;
}"""


@dataclass(frozen=True)
class SettingsView:
    """The controls. `own` is what the app says the controls that follow the model start from, as JSON."""

    aside: gr.Accordion
    temperature: gr.Slider
    top_p: gr.Slider
    max_new_tokens: gr.Slider
    seed: gr.Textbox
    thinking: gr.Radio
    template: gr.Textbox
    top_k: gr.Textbox
    repetition_penalty: gr.Textbox
    own: gr.Textbox

    @property
    def follows(self) -> list[Any]:
        """The controls that start anew with each model."""
        return [self.temperature, self.top_p, self.top_k, self.repetition_penalty, self.thinking, self.template]


class SettingsPage:
    """The controls of a single answer; a battle's contenders without settings of their own take the first three too."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def build(self) -> SettingsView:
        """Layout only."""
        with gr.Accordion("Settings", open=False, elem_id="chat-settings") as aside:
            temperature = gr.Slider(0, 2, value=USUAL[0], step=0.05, label="Temperature", info="0 is greedy.")
            top_p = gr.Slider(0.05, 1, value=USUAL[1], step=0.01, label="Top-p")
            max_new_tokens = gr.Slider(16, 4096, value=512, step=16, label="Max new tokens")
            # Text boxes: gradio shows an empty number as 0 and sends that.
            seed = gr.Textbox(label="Seed", info="Empty: random, and shown.", max_lines=1, elem_id="chat-seed")
            thinking = gr.Radio(
                [("As the model has it", ""), ("On", "on"), ("Off", "off")],
                value="",
                label="Thinking first",
                info="The switch of this model's own chat template.",
                visible=False,
                elem_id="chat-thinking",
            )
            template = gr.Textbox(
                label="Template options",
                placeholder="name=value, one a line",
                lines=1,
                max_lines=6,
                visible=False,
                elem_id="chat-template",
            )
            with gr.Accordion("Advanced", open=False, elem_id="chat-advanced"):
                top_k = gr.Textbox(
                    label="Top-k",
                    info=f"Only so many of the likeliest tokens; 0 is all of them. {OWN}",
                    max_lines=1,
                    elem_id="chat-top-k",
                )
                repetition_penalty = gr.Textbox(
                    label="Repetition penalty",
                    info=f"Above 1, what was said already becomes less likely. {OWN}",
                    max_lines=1,
                    elem_id="chat-repetition",
                )
        # Not in the fold: what is in a closed one hears no change.
        own = gr.Textbox(visible="hidden", elem_id="chat-own", label="The model's own settings")
        return SettingsView(
            aside, temperature, top_p, max_new_tokens, seed, thinking, template, top_k, repetition_penalty, own
        )

    def wire(self, view: SettingsView, shared: Shared, desk: gr.HTML, conversation: gr.State) -> None:
        """Events only. The last step is the page's own, so that nothing can be typed between its reading and its writing."""
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shared.pinned.change(None, view.follows, None, js=BEFORE, **quick)
        shared.pinned.change(
            self.controls,
            [shared.pinned, conversation, shared.opened],
            [view.own, view.temperature, view.thinking, view.template, desk],
            concurrency_limit=16,
            **quick,
        )
        view.own.change(None, [view.own, *view.follows], view.follows, js=AFTER, **quick)

    def controls(
        self, pinned: ModelRef | None, conversation: Conversation, place: Address
    ) -> tuple[Any, Any, Any, Any, Any]:
        """What the controls start from with this model, and which of them it has. A link's own settings stay."""
        with shown_to_user():
            can = self.answers.abilities(pinned)
            # The switch has a control of its own.
            reads = [name for name in (can.template_kwargs if can else ()) if name not in THINKING]
            linked = place.tab == "chat" and bool(place.chat)
            stated = can.sampling if can else None
            switch = bool(can and can.thinking)
            own = own_settings(pinned, stated, linked=linked, lacks=[False] * 4 + [not switch, not reads])
            said = f"0 is greedy. Starts from {can.sampling_from}." if can and stated and not linked else "0 is greedy."
            info = f"This model's chat template reads {', '.join(shown(name, 60) for name in reads)}."
            return (
                own,
                gr.Slider(info=said),
                gr.Radio(visible=switch),
                gr.Textbox(info=info, visible=bool(reads)),
                gr.skip() if linked else self.answers.bar(conversation, pinned),
            )


def own_settings(
    pinned: ModelRef | None, stated: GenerationSettings | None, *, linked: bool, lacks: Sequence[bool]
) -> str:
    """What the controls of `SettingsView.follows` start from, for the page; null is left as a link has it.

    What a model `lacks` is emptied, whatever a link or the visitor says. `of` says whose the values are, for telling whether
    there is anything to start anew. It is no name: the page holds it while a battle is open.
    """
    one = stated or GenerationSettings()
    values: list[float | str | None] = [
        *start_of(stated),
        "" if one.top_k is None else str(one.top_k),
        "" if one.repetition_penalty is None else f"{one.repetition_penalty:g}",
        "",
        "",
    ]
    model = pinned.published if pinned else None
    of = hashlib.sha256(repr((model, values)).encode()).hexdigest()[:16]
    return told(of=of, values=[None] * len(values) if linked else values, lacks=list(lacks))


def start_of(stated: GenerationSettings | None) -> tuple[float, float]:
    """Temperature and top-p as a model's author recommends them, within what the sliders hold; the usual ones where nobody does."""
    one, (temperature, top_p) = stated or GenerationSettings(), USUAL
    return (
        min(2.0, temperature if one.temperature is None else one.temperature),
        max(0.05, top_p if one.top_p is None else one.top_p),
    )
