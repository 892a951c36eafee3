"""Compare pictures blind: what each of the two contenders draws with, on the page and as settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import gradio as gr

from components.errors import shown_to_user
from components.pictures import gpu_line
from core.errors import AppError, UserInputError
from core.image_protocols import ImageRouter
from core.images import Adapter, ImageSettings, Lora
from core.refs import ModelRef
from core.styles import STYLES
from pages.image_adapters import MOST_WEIGHT, names
from pages.image_controls import NO_STYLE, USUAL_GUIDANCE, USUAL_STEPS, Controls, ControlsView, settings_of
from pages.shared import Shared

AS_SET = ("As in Settings", "")


class TabSettings(NamedTuple):
    """What the tab's own settings say, the same for both contenders."""

    model: ModelRef | None = None
    negative: str = ""
    width: float = 0
    height: float = 0
    scheduler: str = ""
    keep_prompt: bool = True


class Contender(NamedTuple):
    """What one side draws with, in the order of its controls. "" is what the tab's own settings say."""

    model: str = ""
    steps: float = 20
    guidance: float = 3.5
    scheduler: str = ""
    style: str = ""
    loras: Sequence[str] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class ContenderView:
    """The controls of one contender."""

    model: gr.Textbox
    steps: gr.Slider
    guidance: gr.Slider
    scheduler: gr.Dropdown
    style: gr.Dropdown
    loras: gr.Dropdown
    weight: gr.Slider

    def inputs(self) -> list[Any]:
        """What makes a `Contender`."""
        return [self.model, self.steps, self.guidance, self.scheduler, self.style, self.loras, self.weight]


@dataclass(frozen=True)
class ContendersView:
    """Both contenders, and what they cost."""

    first: ContenderView
    second: ContenderView
    cost: gr.HTML


class ContendersPanel:
    """Offers each contender what the tab's model can do, and makes their settings."""

    def __init__(self, router: ImageRouter) -> None:
        self.router = router

    def build(self) -> ContendersView:
        """Layout only."""
        with gr.Accordion("Contenders", open=False, elem_id="image-contenders"), gr.Row():
            first, second = contender("First", 4), contender("Second", 20)
        cost = gr.HTML("", elem_id="image-battle-cost")
        return ContendersView(first, second, cost)

    def wire(self, view: ContendersView, controls: ControlsView, known: gr.State, shared: Shared) -> list[Any]:
        """Events only; returns the components whose values `both` takes. `known` are the adapters the tab knows of."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        sides = [*view.first.inputs(), *view.second.inputs()]
        tab = [
            shared.image_model, controls.negative, controls.width, controls.height, controls.scheduler,
            controls.keep_prompt,
        ]  # fmt: skip
        controls.fitted.change(self.offer, controls.fitted, [view.first.scheduler, view.second.scheduler], **quick)
        loras = [view.first.loras, view.first.weight, view.second.loras, view.second.weight]
        known.change(self.offer_loras, known, loras, **quick)
        gr.on(
            [controls.fitted.change, *(part.change for part in (controls.width, controls.height, *sides))],
            self.price, [*tab, *sides], view.cost, trigger_mode="always_last", **quick,
        )  # fmt: skip
        return [*tab, *sides]

    def offer(self, ref: ModelRef | None) -> tuple[Any, Any]:
        """The schedulers this tab's model can use, for each contender."""
        with shown_to_user():
            able = () if ref is None else self.router.capabilities(ref).schedulers
            first, second = (gr.Dropdown(choices=[AS_SET, *able], value="") for _ in range(2))
            return first, second

    def offer_loras(self, known: dict[str, Adapter]) -> tuple[Any, ...]:
        """The LoRAs of this machine that fit the tab's model, for each contender; what was chosen is let go."""
        choices = names(known, "lora")
        lists = (gr.Dropdown(choices=choices, value=[], visible=bool(choices)), gr.Slider(visible=bool(choices)))
        return (*lists, *lists)

    def price(self, *values: Any) -> str:
        """What both drawings take of the visitor's GPU quota, where that is counted."""
        try:
            if any(side.model.strip() for side in sides_of(values)):
                return ""  # finding out which model that is may ask the Hub
            both = self.both("-", 0, values)
            return gpu_line(*(self.router.gpu_seconds(ref, settings) for ref, settings in both))
        except (AppError, AttributeError, TypeError, ValueError, OverflowError):
            # What is wrong is said when they are drawn.
            return ""

    def both(self, prompt: str, seed: int, values: Sequence[Any]) -> list[tuple[ModelRef, ImageSettings]]:
        """Model and settings of both contenders, who share the prompt and the seed."""
        tab = TabSettings(*values[: len(TabSettings._fields)])
        found = []
        for side in sides_of(values):
            typed = side.model or ""
            ref = self.router.pin(typed) if typed.strip() else tab.model or self.router.start_model()
            guided = self.router.capabilities(ref).guidance is not None
            own = Controls(
                side.style, tab.negative, tab.width, tab.height, side.steps, side.guidance,
                side.scheduler or tab.scheduler or "", seed, 1, tab.keep_prompt,
            )  # fmt: skip
            settings = settings_of(prompt, own, guided=guided)
            found.append((ref, replace(settings, style=side.style or "", loras=self._loras(ref, side))))
        return found

    def _loras(self, ref: ModelRef, side: Contender) -> tuple[Lora, ...]:
        here = {adapter.id: adapter for adapter in self.router.adapters(ref)} if side.loras else {}
        if missing := next((chosen for chosen in side.loras or () if chosen not in here), None):
            raise UserInputError(f"The LoRA {missing} does not fit {ref.short}. Choose another one for that side.")
        return tuple(Lora(here[one].ref, float(side.weight), here[one].file) for one in side.loras or ())


def contender(name: str, steps: int) -> ContenderView:
    """The controls of one contender, in a column of their own."""
    with gr.Column(min_width=240):
        return ContenderView(
            gr.Textbox(label=f"{name} model", placeholder="Empty: the model of this tab"),
            gr.Slider(1, USUAL_STEPS, value=steps, step=1, label=f"{name} steps"),
            gr.Slider(0, USUAL_GUIDANCE, value=3.5, step=0.1, label=f"{name} guidance"),
            gr.Dropdown([AS_SET], value="", label=f"{name} scheduler", elem_id=f"{name.lower()}-scheduler"),
            gr.Dropdown([NO_STYLE, *(style.name for style in STYLES)], value="", label=f"{name} style"),
            gr.Dropdown([], value=[], multiselect=True, label=f"{name} LoRAs", visible=False),
            gr.Slider(-1, MOST_WEIGHT, value=1, step=0.05, label=f"{name} LoRA weight", visible=False),
        )


def sides_of(values: Sequence[Any]) -> tuple[Contender, Contender]:
    """The two contenders among the values that `ContendersPanel.wire` names."""
    at, many = len(TabSettings._fields), len(Contender._fields)
    return Contender(*values[at : at + many]), Contender(*values[at + many :])
