"""Images tab: LoRAs with their weights, and a ControlNet with its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from components.progress import progress_line
from core.errors import UserInputError
from core.image_protocols import ImageRouter
from core.images import (
    MOST_CONTROL_SCALE,
    Adapter,
    AdapterKind,
    Control,
    ImageCapabilities,
    ImageSettings,
    Lora,
)
from core.recipe import Recipe
from core.refs import ModelRef
from pages.image_source import Source
from pages.shared import Shared

ROWS = 4
NONE = ("None", "")
MOST_WEIGHT = 2.0


@dataclass(frozen=True)
class AdaptersView:
    """The panel's components. `known` maps an adapter's id to it, for the model the panel was fitted to."""

    panel: gr.Accordion
    lora_note: gr.HTML
    loras: tuple[gr.Dropdown, ...]
    weights: tuple[gr.Slider, ...]
    control_note: gr.HTML
    control: gr.Dropdown
    control_group: gr.Column
    control_file: gr.File
    preprocess: gr.Radio
    scale: gr.Slider
    start: gr.Slider
    end: gr.Slider
    kind: gr.Radio
    wanted: gr.Textbox
    add: gr.Button
    progress: gr.HTML
    known: gr.State

    def used(self) -> list[Any]:
        """What a recipe sets, in the order of `AdaptersPanel.used`."""
        return [
            self.known, *self.loras, *self.weights, self.control, self.preprocess, self.scale, self.start, self.end,
        ]  # fmt: skip

    def inputs(self) -> list[Any]:
        """What a drawing needs of this panel, in the order of `AdaptersPanel.applied`."""
        return [
            self.known, self.control, self.control_file, self.preprocess, self.scale, self.start, self.end, *self.loras,
            *self.weights,
        ]  # fmt: skip


class AdaptersPanel:
    """Offers what fits the model, fetches what is asked for, and says why when the model cannot take it."""

    def __init__(self, router: ImageRouter) -> None:
        self.router = router

    def build(self) -> AdaptersView:
        """Layout only."""
        with gr.Accordion("LoRA and ControlNet", open=False, elem_id="adapters-panel") as panel:
            lora_note = gr.HTML("", elem_id="lora-note")
            loras, weights = [], []
            for row in range(ROWS):
                lora = gr.Dropdown(
                    [NONE], value="", label="LoRA" if row == 0 else f"LoRA {row + 1}", visible=row == 0, elem_id=f"lora-{row}"
                )  # fmt: skip
                weight = gr.Slider(
                    -1, MOST_WEIGHT, value=1, step=0.05, label="Weight", visible=False, elem_id=f"lora-weight-{row}"
                )
                loras.append(lora)
                weights.append(weight)
            control_note = gr.HTML("", elem_id="control-note")
            control = gr.Dropdown([NONE], value="", label="ControlNet", elem_id="controlnet")
            with gr.Column(visible=False) as control_group:
                control_file = gr.File(
                    label="Control picture; empty: the picture to start from", type="binary", height=110,
                    file_types=[".png", ".jpg", ".jpeg", ".webp"], elem_id="control-file",
                )  # fmt: skip
                preprocess = gr.Radio(
                    [("Edges of the picture (canny)", "canny"), ("As it is", "none")],
                    value="canny",
                    label="Made from it",
                )
                scale = gr.Slider(0, MOST_CONTROL_SCALE, value=1, step=0.05, label="Scale")
                start = gr.Slider(0, 1, value=0, step=0.05, label="From (share of the steps)")
                end = gr.Slider(0, 1, value=1, step=0.05, label="To (share of the steps)")
            kind = gr.Radio([("LoRA", "lora"), ("ControlNet", "controlnet")], value="lora", label="Add from the Hub")
            wanted = gr.Textbox(
                label="Add from the Hub", show_label=False, placeholder="owner/name, owner/name@revision, owner/name:file",
                max_lines=1, elem_id="adapter-wanted",
            )  # fmt: skip
            add = gr.Button("Check and add", size="sm", elem_id="adapter-add")
            progress = gr.HTML("", elem_id="adapter-progress")
        return AdaptersView(
            panel, lora_note, tuple(loras), tuple(weights), control_note, control, control_group, control_file,
            preprocess, scale, start, end, kind, wanted, add, progress, gr.State({}),
        )  # fmt: skip

    def wire(self, view: AdaptersView, fitted: gr.State, shared: Shared) -> None:
        """Events only. `fitted` is the model the settings were fitted to."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        offered = [
            view.known, view.lora_note, *view.loras, view.control_note, view.control, view.kind, view.wanted, view.add,
        ]  # fmt: skip
        fitted.change(self.offer, [fitted, view.control, *view.loras], offered, **quick)
        gr.on(
            [lora.change for lora in view.loras],
            self.rows,
            list(view.loras),
            [*view.loras, *view.weights],
            **quick,
        )
        view.control.change(lambda chosen: gr.Column(visible=bool(chosen)), view.control, view.control_group, **quick)
        gr.on(
            [view.add.click, view.wanted.submit],
            self.add,
            [view.wanted, view.kind, fitted, *view.loras],
            [view.progress, view.wanted, view.known, *view.loras, view.control],
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=4,
        )

    def offer(self, ref: ModelRef | None, control: str = "", *chosen: str) -> tuple[Any, ...]:
        """What fits the model, and why nothing does where it takes none. What is chosen and still fits stays."""
        with shown_to_user():
            if ref is None:
                return (gr.skip(),) * (ROWS + 7)
            can = self.router.capabilities(ref)
            known = {adapter.id: adapter for adapter in self.router.adapters(ref)}
            loras = [NONE, *names(known, "lora")]
            controls = [NONE, *names(known, "controlnet")]
            return (
                known,
                note(can, "loras", can.loras, len(loras) > 1),
                *(
                    gr.Dropdown(choices=loras, value=kept, visible=row == 0 or bool(kept), interactive=can.loras)
                    for row, kept in enumerate([*(key if key in known else "" for key in chosen), *[""] * ROWS][:ROWS])
                ),
                note(can, "controlnet", can.controlnet, len(controls) > 1),
                gr.Dropdown(choices=controls, value=control if control in known else "", interactive=can.controlnet),
                gr.Radio(visible=can.loras or can.controlnet),
                gr.Textbox(visible=can.loras or can.controlnet),
                gr.Button(visible=can.loras or can.controlnet),
            )

    def rows(self, *chosen: str) -> tuple[Any, ...]:
        """Show a weight beside every LoRA that is chosen, and one more row to choose."""
        used = sum(1 for row in chosen if row)
        return (
            *(gr.Dropdown(visible=bool(row) or place <= used) for place, row in enumerate(chosen)),
            *(gr.Slider(visible=bool(row)) for row in chosen),
        )

    def add(self, wanted: str, kind: AdapterKind, ref: ModelRef | None, *chosen: str) -> Iterator[tuple[Any, ...]]:
        """Check an adapter of the Hub against the model, fetch it, and choose it."""
        skips = (gr.skip(),) * (ROWS + 1)
        with shown_to_user():
            if not wanted.strip():
                raise UserInputError("Type the adapter's name first: owner/name, or owner/name@revision:file.")
            ref = ref or self.router.start_model()
            yield '<p class="pg-meta" role="status">Looking at it…</p>', gr.skip(), gr.skip(), *skips
            try:
                adapter = self.router.find_adapter(ref, wanted.strip(), kind)
                for step in self.router.prepare_adapter(ref, adapter):
                    yield progress_line(step), gr.skip(), gr.skip(), *skips
            except Exception:
                yield "", gr.skip(), gr.skip(), *skips
                raise
            known = {found.id: found for found in self.router.adapters(ref)} | {adapter.id: adapter}
            free = next((place for place, row in enumerate(chosen) if not row), ROWS - 1)
            loras = [NONE, *names(known, "lora")]
            rows = [
                gr.Dropdown(choices=loras, value=adapter.id if kind == "lora" and place == free else row)
                for place, row in enumerate(chosen)
            ]
            control = gr.Dropdown(
                choices=[NONE, *names(known, "controlnet")], **({"value": adapter.id} if kind == "controlnet" else {})
            )
            triggers = f" It listens to: {', '.join(adapter.triggers)}." if adapter.triggers else ""
            yield plain(f"Added at {adapter.ref.revision[:7]}.{triggers}"), "", known, *rows, control

    def used(self, recipe: Recipe, ref: ModelRef) -> tuple[Any, ...]:
        """The LoRAs, their weights and the ControlNet as a recipe has them. Refuses one that is not on this machine."""
        known = {adapter.id: adapter for adapter in self.router.adapters(ref)}
        wanted = [(f"{lora.ref}:{lora.file}" if lora.file else str(lora.ref), lora) for lora in recipe.settings.loras]
        control = recipe.settings.control
        steered = "" if control is None else str(control.ref)
        missing = [key for key in (*(key for key, _ in wanted), *filter(None, [steered])) if key not in known]
        if missing:
            raise UserInputError(
                f"This picture was drawn with {missing[0]}. Add it from the Hub first, then use the recipe."
            )
        if len(wanted) > ROWS:
            raise UserInputError(f"This picture was drawn with {len(wanted)} LoRAs; this page takes at most {ROWS}.")
        rows = [key for key, _ in wanted] + [""] * (ROWS - len(wanted))
        weights = [lora.weight for _, lora in wanted] + [1.0] * (ROWS - len(wanted))
        if control is not None:
            gr.Warning(
                "This picture followed a control picture, which is not in its file. Drop it under “LoRA and ControlNet” to "
                "draw the same again.",
                title="One part is missing",
            )
        choices = [NONE, *names(known, "lora")]
        skips = (gr.skip(),) * 4
        return (
            known,
            *(gr.Dropdown(choices=choices, value=row, visible=place <= len(wanted)) for place, row in enumerate(rows)),
            *(
                gr.Slider(minimum=min(-1, weight), maximum=max(MOST_WEIGHT, weight), value=weight, visible=bool(row))
                for row, weight in zip(rows, weights, strict=True)
            ),
            gr.Dropdown(choices=[NONE, *names(known, "controlnet")], value=steered),
            *((control.preprocess, control.scale, control.start, control.end) if control else skips),
        )

    @staticmethod
    def applied(
        settings: ImageSettings,
        source: Source | None,
        known: dict[str, Adapter],
        control: str,
        control_file: bytes | None,
        preprocess: str,
        scale: float,
        start: float,
        end: float,
        *rows: Any,
    ) -> ImageSettings:
        """`settings` with the LoRAs and the ControlNet that are chosen; `rows` are the LoRAs, then their weights."""
        loras = tuple(
            Lora(adapter.ref, float(weight), adapter.file)
            for chosen, weight in zip(rows[:ROWS], rows[ROWS:], strict=True)
            if chosen and (adapter := found(known, chosen))
        )
        if len({(lora.ref, lora.file) for lora in loras}) < len(loras):
            raise UserInputError("One LoRA is chosen twice. Give it one weight.")
        steered = None
        if control:
            picture = control_file or (source.original if source else None)
            if not picture:
                raise UserInputError(
                    "A ControlNet needs a picture. Drop one in its field, or choose one to start from."
                )
            steered = Control(
                found(known, control).ref, picture, float(scale), float(start), float(end),
                "none" if preprocess == "none" else "canny",
            )  # fmt: skip
        return replace(settings, loras=loras, control=steered)


def found(known: dict[str, Adapter], chosen: str) -> Adapter:
    """The adapter of that id; refuses one that does not belong to the model."""
    if chosen not in known:
        raise UserInputError("That LoRA or ControlNet does not belong to this model. Choose it again.")
    return known[chosen]


def names(known: dict[str, Adapter], kind: AdapterKind) -> list[tuple[str, str]]:
    """(name with commit, id) of the adapters of one kind."""
    return [(f"{a.name} @ {a.ref.revision[:7]}", key) for key, a in known.items() if a.kind == kind]


def note(can: ImageCapabilities, feature: str, able: bool, some: bool) -> str:
    """Why the model takes none, or where to get one; nothing when there is something to choose."""
    if not able:
        return plain(can.reason(feature))
    what = "LoRA" if feature == "loras" else "ControlNet"
    return "" if some else plain(f"No {what} for this model is on this machine yet. Add one from the Hub below.")


def plain(text: str) -> str:
    """A quiet line; the text may come from a stranger's file."""
    return f'<p class="pg-meta">{escape(text)}</p>'
