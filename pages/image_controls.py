"""Images tab: the model and its settings, with the bounds and defaults of that model."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.errors import shown_to_user
from components.numbers import bytes_of
from core.catalog import SearchQuery
from core.errors import AppError, UserInputError
from core.fitting import fitting
from core.hub_protocols import HubCatalog
from core.image_protocols import ImageRouter
from core.images import ImageCapabilities, ImageSettings
from core.refs import ModelRef
from core.styles import STYLES, styled
from pages.chat_stream import seed_of
from pages.shared import Shared

OWN_SCHEDULER = ("The model's own", "")
SEED_INFO = "Empty: random, and shown."
NO_STYLE = ("None", "")
# Where the sliders end unless a recipe goes further: what hardly anybody goes beyond.
USUAL_STEPS = 100
USUAL_GUIDANCE = 20.0
# Share of the model's own number of steps.
QUALITY = {"draft": 0.4, "standard": 1.0, "fine": 2.0}


class Controls(NamedTuple):
    """The values of the panel, in the order of `ControlsView.inputs`."""

    style: str = ""
    negative: str = ""
    width: float = 0
    height: float = 0
    steps: float = 0
    guidance: float = 0
    scheduler: str = ""
    seed: str | float | None = ""
    batch: float = 1
    keep_prompt: bool = True
    previews: bool = True


@dataclass(frozen=True)
class ControlsView:
    """The panel's components. `model` is the state with the model's ref; None: the one pinned at start."""

    which: gr.Dropdown
    about: gr.HTML
    quality: gr.Radio
    style: gr.Dropdown
    negative: gr.Textbox
    width: gr.Slider
    height: gr.Slider
    steps: gr.Slider
    guidance: gr.Slider
    scheduler: gr.Dropdown
    seed: gr.Textbox
    batch: gr.Slider
    keep_prompt: gr.Checkbox
    previews: gr.Checkbox
    fitted: gr.State

    def fits(self) -> list[Any]:
        """What a change of model sets, in the order of `ControlsPanel.fitted`."""
        return [
            self.negative, self.width, self.height, self.steps, self.guidance, self.scheduler, self.about, self.which,
            self.fitted, self.quality,
        ]  # fmt: skip

    def inputs(self) -> list[Any]:
        """The components whose values make `Controls`."""
        return [
            self.style, self.negative, self.width, self.height, self.steps, self.guidance, self.scheduler, self.seed,
            self.batch, self.keep_prompt, self.previews,
        ]  # fmt: skip


class ControlsPanel:
    """Fits the settings to the model that was chosen."""

    def __init__(self, router: ImageRouter, catalog: HubCatalog) -> None:
        self.router = router
        self.catalog = catalog

    def build(self) -> ControlsView:
        """Layout only. Bounds and defaults are set by `fit` when the tab is opened: asking for them imports diffusers."""
        which = gr.Dropdown(
            [], label="Image model", allow_custom_value=True, elem_id="image-model", interactive=True,
            info="One of this machine, or owner/name@revision and Enter.",
        )  # fmt: skip
        about = gr.HTML("", elem_id="image-about")
        with gr.Accordion("Settings", open=False, elem_id="image-settings"):
            quality = gr.Radio(
                [("Draft", "draft"), ("Standard", "standard"), ("Fine", "fine")], value="standard", label="Quality",
                elem_id="image-quality",
            )  # fmt: skip
            style = gr.Dropdown(
                [NO_STYLE, *(style.name for style in STYLES)], value="", label="Style", elem_id="image-style",
                info="Adds words to the prompt; the recipe shows them.",
            )  # fmt: skip
            negative = gr.Textbox(label="Negative prompt", lines=1, max_lines=4, elem_id="image-negative")
            width = gr.Slider(8, 2048, value=64, step=8, label="Width (px)")
            height = gr.Slider(8, 2048, value=64, step=8, label="Height (px)")
            steps = gr.Slider(1, USUAL_STEPS, value=20, step=1, label="Steps", elem_id="image-steps")
            guidance = gr.Slider(0, USUAL_GUIDANCE, value=3.5, step=0.1, label="Guidance", elem_id="image-guidance")
            scheduler = gr.Dropdown([OWN_SCHEDULER], value="", label="Scheduler", elem_id="image-scheduler")
            seed = gr.Textbox(label="Seed", info=SEED_INFO, max_lines=1, elem_id="image-seed")
            batch = gr.Slider(1, 4, value=1, step=1, label="Pictures at once", elem_id="image-batch")
            keep_prompt = gr.Checkbox(value=True, label="Write the prompt into the file")
            previews = gr.Checkbox(value=True, label="Preview while drawing")
        return ControlsView(
            which, about, quality, style, negative, width, height, steps, guidance, scheduler, seed, batch, keep_prompt,
            previews, gr.State(None),
        )  # fmt: skip

    def wire(self, view: ControlsView, shared: Shared) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        # Not the tab's own select: a link that opens this tab has to fit the controls too.
        gr.on(
            [shared.address.change, shared.image_model.change],
            self.fit,
            [shared.address, shared.image_model, view.fitted],
            view.fits(),
            **quick,
        )
        view.which.change(self.choose, [view.which, shared.image_model], shared.image_model, **quick)
        view.fitted.change(self.fit_seed, view.fitted, view.seed, **quick)
        view.quality.input(self.speed, [view.quality, shared.image_model], view.steps, **quick)

    def fit(self, query: str, chosen: ModelRef | None, fitted: ModelRef | None) -> tuple[Any, ...]:
        """Bounds and defaults of the model's own, when this tab is opened and whenever the model changes."""
        with shown_to_user():
            ref = (chosen or self.router.start_model()) if query.startswith("tab=images") else fitted
            return (gr.skip(),) * 10 if ref is None or fitted == ref else self.fitted(ref)

    def fitted(self, ref: ModelRef, settings: ImageSettings | None = None) -> tuple[Any, ...]:
        """The outputs of `fit`: the model's bounds, with the values of `settings` where they say something."""
        can = self.router.capabilities(ref)
        wanted = settings or ImageSettings("")
        sides = {"minimum": can.least_side, "maximum": can.most_side, "step": can.multiple}
        guidance = can.guidance if wanted.guidance is None else wanted.guidance
        scheduler = wanted.scheduler if wanted.scheduler in can.schedulers else ""
        return (
            gr.Textbox(**taken("negative_prompt", can), **({"value": wanted.negative_prompt} if settings else {})),
            gr.Slider(**sides, value=wanted.width or can.width, **taken("width", can)),
            gr.Slider(**sides, value=wanted.height or can.height, **taken("height", can)),
            gr.Slider(
                maximum=max(wanted.steps or 0, min(can.most_steps, USUAL_STEPS)),
                value=wanted.steps or can.steps,
                **taken("steps", can),
            ),
            gr.Slider(maximum=max(guidance or 0, USUAL_GUIDANCE), value=guidance or 0, **taken("guidance", can)),
            gr.Dropdown(choices=[(f"The model's own: {can.scheduler}", ""), *can.schedulers], value=scheduler),
            self.about(ref, can.notes),
            gr.Dropdown(choices=self.here(ref), value=ref.asked),
            ref,
            "standard",
        )

    def within(self, settings: ImageSettings, ref: ModelRef) -> tuple[ImageSettings, list[str]]:
        """Settings of a recipe as this model can draw them, and a sentence for each value that had to change."""
        return fitting(settings, self.router.capabilities(ref))

    def about(self, ref: ModelRef, notes: tuple[str, ...] = ()) -> str:
        """What is to know before drawing: engine, commit, and what has to be fetched first."""
        plan = self.router.plan(ref)
        fetched = ""
        if not plan.ready and plan.download_bytes:
            fetched = f" Draw fetches {bytes_of(plan.download_bytes)} first."
        said = f"Draws on {self.router.engine(ref)}.{fetched} {' '.join(notes)}"
        return f'<p class="pg-meta">{escape(said.strip(), quote=False)}</p>'

    def here(self, ref: ModelRef) -> list[tuple[str, str]]:
        """The image models of this machine, and the chosen one wherever it is."""
        refs = {ref: None, self.router.start_model(): None}
        try:
            page = self.catalog.search(SearchQuery(task="text-to-image", source="local", limit=50))
            refs |= {ModelRef(row.repo_id, row.revision): None for row in page.rows if row.revision}
        except AppError:
            # The list is a convenience; any model can be typed.
            refs |= {}
        remote = self.router.remote
        if remote is not None:
            try:
                refs |= dict.fromkeys(remote.models())
            except AppError as error:
                # Said where its models would stand; choosing the line changes nothing.
                return [*((named(found), found.asked) for found in refs), (str(error), "")]
        return [(named(found), found.asked) for found in refs]

    def choose(self, which: str | None, chosen: ModelRef | None) -> Any:
        """Pin the model that was chosen or typed, and check that it can draw."""
        with shown_to_user():
            if not which or (chosen is not None and which == chosen.asked):
                return gr.skip()
            ref = self.router.pin(which)
            self.router.capabilities(ref)
            return gr.skip() if ref == chosen else ref

    def fit_seed(self, fitted: ModelRef | None) -> Any:
        """The seed box, off with its reason where the engine takes none."""
        with shown_to_user():
            if fitted is None:
                return gr.skip()
            can = self.router.capabilities(fitted)
            if "seed" in can.fixed:
                return gr.Textbox(value="", interactive=False, info=can.reason("seed"))
            return gr.Textbox(interactive=True, info=SEED_INFO)

    def speed(self, quality: str, chosen: ModelRef | None) -> Any:
        """Steps for a quality, from the model's own number."""
        with shown_to_user():
            can = self.router.capabilities(chosen or self.router.start_model())
            return max(1, min(can.most_steps, round(can.steps * QUALITY.get(quality, 1.0))))


def taken(name: str, can: ImageCapabilities) -> dict[str, Any]:
    """Whether a control can be used; when not, it says why."""
    off = name in can.fixed or (name == "guidance" and can.guidance is None)
    off = off or (name == "negative_prompt" and not can.negative_prompt)
    return {"interactive": not off, "info": can.reason(name) if off else None}


def named(ref: ModelRef) -> str:
    """A model in the list: one of another machine with the host that is sent the prompt."""
    return f"{ref.short}, sent to {ref.host}" if ref.host and ref.revision else ref.short


def settings_of(prompt: str, controls: Controls, *, guided: bool) -> ImageSettings:
    """The controls as settings; the engine checks them against the model. `guided`: whether the model takes guidance."""
    prompt, negative = styled(controls.style or "", prompt, controls.negative or "")
    # A text box: gradio shows an empty number as 0 and sends it.
    seed = seed_of(controls.seed) if isinstance(controls.seed, str) else controls.seed
    try:
        return ImageSettings(
            prompt,
            negative,
            width=int(controls.width),
            height=int(controls.height),
            steps=int(controls.steps),
            guidance=float(controls.guidance) if guided else None,
            scheduler=str(controls.scheduler),
            seed=None if seed is None else int(seed),
            batch=int(controls.batch),
            prompt_in_file=bool(controls.keep_prompt),
            previews=bool(controls.previews),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserInputError("The settings have to be numbers.") from error
