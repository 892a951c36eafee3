"""The axes of a grid on the page: what changes along each, its values, and the plan they make with the tab's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from core.axes import AXIS_NAMES, Axis, Names, read_axis, split_values
from core.errors import UserInputError
from core.grid import LETTERS, GridPlan, plan_of
from core.image_protocols import ImageRouter
from core.images import ImageSettings, Lora
from core.refs import ModelRef
from pages.image_controls import Controls, settings_of
from pages.images import ImagesPage

NOTHING = ("Nothing", "")
# Axes whose values are chosen from a list; all others are typed.
CHOSEN = ("model", "scheduler")
HINTS: dict[str, str] = {
    "": "",
    "lora": "0-1:0.25, or owner/name = 0, 0.5, 1",
    "steps": "5, 10, 20, or 10-30:5, or 1..4",
    "guidance": "1, 3.5, 7, or 1-7:2",
    "seed": "1..4, or 7, 42",
    "prompt": "apple, pear, banana (the first is replaced)",
    "size": "64, 96x64, or 64-128:32",
}
# A first visit has something to draw at once.
FIRST = (("steps", "2, 5, 20"), ("seed", "1..3"), ("", ""))


@dataclass(frozen=True)
class AxesView:
    """The rows' components: for each axis what changes, the values as typed, and the values as chosen from a list."""

    kinds: tuple[gr.Dropdown, ...]
    texts: tuple[gr.Textbox, ...]
    picks: tuple[gr.Dropdown, ...]

    def inputs(self) -> list[Any]:
        """The first of the values that `AxesPanel.plan` reads; the settings and the adapters follow."""
        return [*self.kinds, *self.texts, *self.picks]


class AxesPanel:
    """Reads the axes and says what they would draw."""

    def __init__(self, images: ImagesPage, router: ImageRouter) -> None:
        self.images = images
        self.router = router

    def build(self) -> AxesView:
        """Layout only."""
        kinds, texts, picks = [], [], []
        choices = [NOTHING, *((name, kind) for kind, name in AXIS_NAMES.items())]
        for letter, (kind, text) in zip(LETTERS, FIRST, strict=True):
            end = letter.lower()
            with gr.Row(elem_classes="pg-axis"):
                kinds.append(
                    gr.Dropdown(
                        choices, value=kind, label=f"{letter} axis", scale=2, min_width=130, elem_id=f"grid-kind-{end}"
                    )
                )
                texts.append(
                    gr.Textbox(
                        value=text, label="Values", placeholder=HINTS[kind], max_lines=1, scale=5, min_width=160,
                        visible=bool(kind), elem_id=f"grid-values-{end}",
                    )
                )  # fmt: skip
                picks.append(
                    gr.Dropdown(
                        [], value=[], multiselect=True, allow_custom_value=True, label="Values", scale=5, min_width=160,
                        visible=False, elem_id=f"grid-picks-{end}",
                    )
                )  # fmt: skip
        return AxesView(tuple(kinds), tuple(texts), tuple(picks))

    def wire(self, view: AxesView, image_model: gr.State) -> None:
        """Events only."""
        for kind, text, picks in zip(view.kinds, view.texts, view.picks, strict=True):
            kind.input(
                self.choose_kind, [kind, image_model], [text, picks],
                api_visibility="private", show_progress="hidden", concurrency_limit=16,
            )  # fmt: skip

    def choose_kind(self, kind: str, model: ModelRef | None) -> tuple[Any, Any]:
        """Offer a list for what can be chosen, a field with a hint for what is typed."""
        with shown_to_user():
            if kind not in CHOSEN:
                typed = gr.Textbox(value="", placeholder=HINTS[kind], visible=bool(kind))
                return typed, gr.Dropdown(value=[], visible=False)
            ref = model or self.router.start_model()
            choices: Sequence[Any] = (
                self.images.controls.here(ref) if kind == "model" else self.router.capabilities(ref).schedulers
            )
            return gr.Textbox(value="", visible=False), gr.Dropdown(choices=list(choices), value=[], visible=True)

    def restored(self, plan: GridPlan) -> tuple[Any, ...]:
        """The prompt and the axes that made a plan, in the order of the prompt's field and `AxesView.inputs`."""
        kinds: list[Any] = [""] * len(LETTERS)
        texts: list[Any] = [gr.Textbox(value="", visible=False)] * len(LETTERS)
        picks: list[Any] = [gr.Dropdown(value=[], visible=False)] * len(LETTERS)
        for number, axis in enumerate(plan.axes):
            kind = next((kind for kind, name in AXIS_NAMES.items() if name == axis.name), None)
            if kind is None:
                continue
            kinds[number] = kind
            if kind in CHOSEN:
                chosen = list(split_values(axis.text))
                labels = [(label, value) for label, value in zip(axis.labels, chosen, strict=False)]
                picks[number] = gr.Dropdown(choices=labels, value=chosen, visible=True)
            else:
                texts[number] = gr.Textbox(value=axis.text, placeholder=HINTS[kind], visible=True)
        # The first cell stands where every replacement is still the text it replaces.
        return plan.cells[0].settings.prompt, *kinds, *texts, *picks

    def plan(self, prompt: str, model: ModelRef | None, values: Sequence[Any], *, seed: int) -> GridPlan:
        """Every cell. `values` are those of the axes, the settings and the adapters; `seed` stands in for an empty one."""
        count = len(LETTERS)
        kinds, texts, picks = (values[count * part : count * (part + 1)] for part in range(3))
        rest = values[3 * count :]
        controls, adapters = Controls(*rest[: len(Controls._fields)]), rest[len(Controls._fields) :]
        ref = model or self.router.start_model()
        base = settings_of(prompt, controls, guided=self.router.capabilities(ref).guidance is not None)
        base = self._with_loras(base, adapters)
        base = replace(base, seed=seed if base.seed is None else base.seed, batch=1)
        names = Names(self._model, lambda text: self._lora(ref, text))
        axes = [
            self._axis(kind, text or "", chosen or [], base, names)
            for kind, text, chosen in zip(kinds, texts, picks, strict=True)
            if kind
        ]
        return plan_of(base, ref, axes, self.router.capabilities)

    def _axis(self, kind: str, text: str, chosen: Sequence[str], base: ImageSettings, names: Names) -> Axis:
        if kind not in AXIS_NAMES:
            raise UserInputError("Choose for each axis what changes along it, or Nothing.")
        if kind in CHOSEN:
            text = ", ".join('"' + str(one).replace('"', '""') + '"' for one in chosen)
        return read_axis(kind, text, base, names)

    def _with_loras(self, base: ImageSettings, adapters: Sequence[Any]) -> ImageSettings:
        if not adapters:
            return base
        known, control, *rest = adapters
        if control:
            raise UserInputError("A grid draws from the prompt alone. Choose None as the ControlNet.")
        return self.images.adapters.applied(base, None, known, "", *rest)

    def _model(self, text: str) -> ModelRef:
        ref = self.router.pin(text)
        if not self.router.plan(ref).ready:
            raise UserInputError(
                f"{ref.short} is not on this machine. Draw one picture with it first, which fetches it."
            )
        return ref

    def _lora(self, ref: ModelRef, text: str) -> Lora:
        adapter = self.router.find_adapter(ref, text, "lora")
        if adapter.id not in {here.id for here in self.router.adapters(ref)}:
            raise UserInputError(
                f"The LoRA {adapter.name} is not on this machine. Add it under LoRA and ControlNet first."
            )
        return Lora(adapter.ref, 1.0, adapter.file)
