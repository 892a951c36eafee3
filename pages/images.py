"""Images tab: text to image with a live preview, stop, and a recipe in every picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from components.api import expose
from components.errors import shown_to_user
from components.pictures import drawing_line, files_of, preview_html, recipe_of, recipe_table, served_file, used
from components.progress import progress_line
from core.errors import AppError, UserInputError
from core.images import ImageSettings, Picture
from core.protocols import Drawing, ImageRouter
from core.recipe import Recipe
from core.refs import ModelRef
from pages.chat import seed_of
from pages.shared import Shared

OWN_SCHEDULER = ("The model's own", "")
MOST_KEPT = 60
EXAMPLES = ("a red apple", "a yellow star", "a cat face", "a green car", "a rocket")


@dataclass(frozen=True)
class ImagesView:
    """The tab's components. `drawn` holds this visitor's pictures, newest first; `running` the drawing's id."""

    left: gr.Column
    mode: gr.Radio
    single: gr.Column
    prompt: gr.Textbox
    draw: gr.Button
    stop: gr.Button
    status: gr.HTML
    preview: gr.HTML
    stage: gr.Gallery
    strip: gr.Gallery
    clear: gr.Button
    negative: gr.Textbox
    width: gr.Slider
    height: gr.Slider
    steps: gr.Slider
    guidance: gr.Slider
    scheduler: gr.Dropdown
    seed: gr.Textbox
    batch: gr.Slider
    keep_prompt: gr.Checkbox
    recipe: gr.HTML
    use_all: gr.Button
    use_seed: gr.Button
    remix: gr.Button
    dropped: gr.File
    examples: gr.Dataset
    drawn: gr.State
    running: gr.State
    chosen: gr.State
    fitted: gr.State


class Update(NamedTuple):
    """What drawing puts on the screen, in the order of its outputs."""

    status: Any
    preview: Any
    stage: Any
    strip: Any
    drawn: Any
    running: Any
    draw: Any
    stop: Any
    recipe: Any
    chosen: Any


class ImagesPage:
    """Draws with the image model pinned at start. The page listens to a drawing; the engine owns it."""

    def __init__(self, router: ImageRouter) -> None:
        self.router = router

    def build(self) -> ImagesView:
        """Layout only."""
        with gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=7, min_width=320) as left:
                mode = gr.Radio(
                    [("Draw", "draw"), ("Compare blind", "compare")],
                    value="draw",
                    show_label=False,
                    label="Mode",
                    elem_id="images-mode",
                    container=False,
                )
                with gr.Column(elem_classes="pg-composer") as single:
                    prompt = gr.Textbox(
                        label="Prompt",
                        show_label=False,
                        placeholder="What to draw. Enter draws, Shift+Enter starts a new line.",
                        lines=1,
                        max_lines=6,
                        elem_id="image-prompt",
                    )
                    with gr.Row(elem_classes="pg-actions"):
                        clear = gr.Button("Clear pictures", size="sm", min_width=130, scale=0)
                        status = gr.HTML("", elem_id="image-status")
                        stop = gr.Button(
                            "Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="image-stop"
                        )
                        draw = gr.Button("Draw", variant="primary", min_width=90, scale=0, elem_id="draw")
                preview = gr.HTML("", elem_id="preview")
                stage = gr.Gallery(
                    label="Picture", show_label=False, format="png", columns=4, height=420, object_fit="contain",
                    preview=True, elem_id="stage", visible=False, interactive=False, buttons=["download", "fullscreen"],
                )  # fmt: skip
                examples = gr.Dataset(
                    components=[gr.Textbox(visible=False)], samples=[[text] for text in EXAMPLES], label="Try"
                )
                strip = gr.Gallery(
                    label="Earlier pictures", format="png", columns=8, height=150, object_fit="contain",
                    allow_preview=False, elem_id="strip", visible=False, interactive=False,
                )  # fmt: skip
            with gr.Column(scale=3, min_width=260):
                with gr.Accordion("Settings", open=False, elem_id="image-settings"):
                    # Bounds and defaults are the model's own; `fit` sets them when the tab is opened, because asking
                    # imports diffusers.
                    negative = gr.Textbox(label="Negative prompt", lines=1, max_lines=4, elem_id="image-negative")
                    width = gr.Slider(8, 2048, value=64, step=8, label="Width (px)")
                    height = gr.Slider(8, 2048, value=64, step=8, label="Height (px)")
                    steps = gr.Slider(1, 100, value=20, step=1, label="Steps", elem_id="image-steps")
                    guidance = gr.Slider(0, 20, value=3.5, step=0.1, label="Guidance", elem_id="image-guidance")
                    scheduler = gr.Dropdown([OWN_SCHEDULER], value="", label="Scheduler", elem_id="image-scheduler")
                    seed = gr.Textbox(label="Seed", info="Empty: random, and shown.", max_lines=1, elem_id="image-seed")
                    batch = gr.Slider(1, 4, value=1, step=1, label="Pictures at once")
                    keep_prompt = gr.Checkbox(value=True, label="Write the prompt into the file")
                with gr.Accordion("Recipe", open=True, elem_id="recipe-panel"):
                    recipe = gr.HTML(recipe_table(None), elem_id="recipe")
                    with gr.Row(elem_classes="pg-actions"):
                        use_all = gr.Button("Use all", size="sm", min_width=70, elem_id="use-all")
                        use_seed = gr.Button("Use seed", size="sm", min_width=70)
                        remix = gr.Button("Remix", size="sm", min_width=70, elem_id="remix")
                    dropped = gr.File(
                        label="Drop a picture to read its recipe", file_types=[".png"], type="binary", height=130,
                        elem_id="dropped",
                    )  # fmt: skip
        return ImagesView(
            left, mode, single, prompt, draw, stop, status, preview, stage, strip, clear, negative, width, height,
            steps, guidance, scheduler, seed, batch, keep_prompt, recipe, use_all, use_seed, remix, dropped, examples,
            gr.State(()), gr.State(None), gr.State(None), gr.State(None),
        )  # fmt: skip

    def wire(self, view: ImagesView, shared: Shared) -> None:
        """Events only."""
        settings = [
            view.negative, view.width, view.height, view.steps, view.guidance, view.scheduler, view.seed, view.batch,
            view.keep_prompt,
        ]  # fmt: skip
        outputs = [
            view.status, view.preview, view.stage, view.strip, view.drawn, view.running, view.draw, view.stop,
            view.recipe, view.chosen,
        ]  # fmt: skip
        stream = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        inputs = [view.prompt, *settings, view.drawn]
        # Not the tab's own select: a link that opens this tab has to fit the controls too.
        shared.address.change(
            self.fit,
            [shared.address, view.fitted],
            [
                view.negative,
                view.width,
                view.height,
                view.steps,
                view.guidance,
                view.scheduler,
                view.status,
                view.fitted,
            ],
            **quick,
        )
        gr.on([view.prompt.submit, view.draw.click], self.draw, inputs, outputs, **stream)
        view.examples.click(
            self.example, view.examples, view.prompt, api_visibility="private", show_progress="hidden"
        ).then(self.draw, inputs, outputs, **stream)
        view.stop.click(self.stop, view.running, view.stop, **quick)
        view.clear.click(self.clear, None, outputs, **quick)
        for gallery in (view.stage, view.strip):
            gallery.select(self.choose, view.drawn, [view.recipe, view.chosen], **quick)
        view.dropped.upload(self.read, view.dropped, [view.recipe, view.chosen], **quick)
        controls = [view.prompt, *settings]
        for button, what in ((view.use_all, "all"), (view.use_seed, "seed"), (view.remix, "remix")):
            button.click(self.use, [gr.State(what), view.chosen], controls, **quick)
        expose(self.generate_image, concurrency_limit=None)

    def fit(self, query: str, fitted: ModelRef | None) -> tuple[Any, ...]:
        """Bounds and defaults of the model's own, once per visit, when this tab is opened."""
        with shown_to_user():
            ref = self.router.start_model() if query.startswith("tab=images") else fitted
            if ref is None or fitted == ref:
                return (gr.skip(),) * 8
            can = self.router.capabilities(ref)
            sides = {"minimum": can.least_side, "maximum": can.most_side, "step": can.multiple}
            known = f"{ref.short} · {self.router.engine(ref)}"
            return (
                gr.Textbox(interactive=can.negative_prompt),
                gr.Slider(**sides, value=can.width),
                gr.Slider(**sides, value=can.height),
                gr.Slider(maximum=min(can.most_steps, 100), value=can.steps),
                gr.Slider(value=can.guidance or 0, interactive=can.guidance is not None),
                gr.Dropdown(choices=[(f"The model's own: {can.scheduler}", ""), *can.schedulers], value=""),
                known,
                ref,
            )

    def example(self, row: list[str]) -> str:
        """Put an example into the prompt."""
        return row[0]

    def draw(
        self,
        prompt: str,
        negative: str,
        width: float,
        height: float,
        steps: float,
        guidance: float,
        scheduler: str,
        seed: str | float | None,
        batch: float,
        keep_prompt: bool,
        drawn: tuple[Picture, ...],
    ) -> Iterator[Update]:
        """Draw, showing every preview that arrives; what is stopped is kept and marked so."""
        with shown_to_user():
            ref = self.router.start_model()
            settings = settings_of(
                prompt, negative, width, height, steps, guidance, scheduler, seed, batch, keep_prompt,
                guided=self.router.capabilities(ref).guidance is not None,
            )  # fmt: skip
            yield busy("Waiting for the model")
            try:
                for step in self.router.prepare(ref):
                    if step.stage != "ready":
                        yield busy(progress_line(step))
                yield from self._follow(self.router.start(ref, settings), drawn)
            except AppError:
                yield idle("", drawn)
                raise

    def _follow(self, drawing: Drawing, drawn: tuple[Picture, ...]) -> Iterator[Update]:
        said: tuple[str, ...] = ()
        for step in drawing.listen():
            said = step.notes or said
            if step.finish is None:
                yield busy(drawing_line(step), step.preview, drawing.id)
        pictures = drawing.pictures()
        kept = (*pictures, *drawn)[:MOST_KEPT]
        stopped = any(picture.finish == "stopped" for picture in pictures)
        notes = [*(["Stopped."] if stopped or not pictures else []), *said]
        yield self._shown(pictures, kept, " ".join(notes))

    def _shown(self, pictures: Sequence[Picture], kept: tuple[Picture, ...], status: str) -> Update:
        first = pictures[0] if pictures else None
        return Update(
            status,
            "",
            gr.Gallery(value=files_of(pictures), visible=bool(pictures), selected_index=0 if pictures else None),
            gr.Gallery(value=files_of(kept), visible=len(kept) > len(pictures)),
            kept,
            None,
            gr.Button(visible=True),
            gr.Button(visible=False),
            recipe_table(recipe_of(first)) if first else gr.skip(),
            recipe_of(first) if first else gr.skip(),
        )

    def stop(self, running: str | None) -> Any:
        """End the drawing within one step; the last preview is kept."""
        with shown_to_user():
            drawing = self.router.drawing(running) if running else None
            if drawing is not None:
                drawing.cancel()
            return gr.Button(interactive=False)

    def clear(self) -> Update:
        """Forget this visitor's pictures."""
        return Update(
            "", "", gr.Gallery(value=[], visible=False), gr.Gallery(value=[], visible=False), (), None,
            gr.Button(visible=True), gr.Button(visible=False), recipe_table(None), None,
        )  # fmt: skip

    def choose(self, drawn: tuple[Picture, ...], event: gr.SelectData) -> tuple[str, Any]:
        """Show the recipe of the picture that was chosen."""
        with shown_to_user():
            name = Path(str(event.value["image"]["path"])).stem if isinstance(event.value, dict) else ""
            picture = next((picture for picture in drawn if picture.id == name), None)
            if picture is None:
                raise UserInputError("That picture is no longer here.")
            return recipe_table(recipe_of(picture)), recipe_of(picture)

    def read(self, data: bytes | None) -> tuple[str, Recipe]:
        """Show the recipe inside a dropped picture; the settings stay as they are."""
        with shown_to_user():
            recipe = self.router.recipe_in(data or b"")
            return recipe_table(recipe), recipe

    def use(self, what: str, recipe: Recipe | None) -> tuple[Any, ...]:
        """Apply a recipe to the controls: all of it, its seed, or all but its seed."""
        with shown_to_user():
            if recipe is None:
                raise UserInputError("Choose a picture first, or drop one, then apply its recipe.")
            return used(recipe, what)

    def generate_image(
        self,
        prompt: str,
        negative_prompt: str = "",
        model: str = "",
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance: float = -1,
        scheduler: str = "",
        seed: int = -1,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Draw a picture. Returns a PNG file with its recipe inside, and the recipe as a record.

        Args:
            prompt: What to draw.
            negative_prompt: What to keep out.
            model: repo_id or repo_id@revision on this machine; empty is the image model pinned at start.
            width: Pixels; 0 is the model's own default.
            height: Pixels; 0 is the model's own default.
            steps: Denoising steps; 0 is the model's own default.
            guidance: -1 is the model's own default.
            scheduler: Empty is the model's own default.
            seed: -1 is random.
        """
        with shown_to_user():
            ref = self.router.pin(model)
            if not self.router.plan(ref).ready:
                raise UserInputError(f"{ref} is not on this machine. Use it on the page first, then call again.")
            settings = ImageSettings(
                prompt,
                negative_prompt,
                width=width or None,
                height=height or None,
                steps=steps or None,
                guidance=None if guidance == -1 else guidance,
                scheduler=scheduler,
                seed=None if seed == -1 else seed,
            )
            drawing = self.router.start(ref, settings)
            try:
                for _ in drawing.listen():
                    pass
                (picture,) = drawing.pictures()
            finally:
                # A caller that disconnects stops it; after the end this changes nothing.
                drawing.cancel()
            recipe = recipe_of(picture)
            return gr.FileData(path=served_file(picture), mime_type="image/png"), recipe.record()


def busy(status: str, preview: bytes | None = None, running: str | None = None) -> Update:
    """The screen while drawing: a preview in the place of the picture, nothing jumps."""
    skip = gr.skip()
    return Update(
        status, preview_html(preview), gr.Gallery(visible=False), skip, skip, running, gr.Button(visible=False),
        gr.Button(visible=True, interactive=running is not None), skip, skip,
    )  # fmt: skip


def idle(status: str, drawn: tuple[Picture, ...]) -> Update:
    """The screen when a drawing could not be made."""
    skip = gr.skip()
    return Update(
        status, "", skip, skip, drawn, None, gr.Button(visible=True), gr.Button(visible=False), skip, skip
    )  # fmt: skip


def settings_of(
    prompt: str,
    negative: str,
    width: float,
    height: float,
    steps: float,
    guidance: float,
    scheduler: str,
    seed: str | float | None,
    batch: float,
    keep_prompt: bool,
    *,
    guided: bool,
) -> ImageSettings:
    """The controls as settings; the engine checks them against the model."""
    # A text box: gradio shows an empty number as 0 and sends it.
    seed = seed_of(seed) if isinstance(seed, str) else seed
    try:
        return ImageSettings(
            prompt,
            negative or "",
            width=int(width),
            height=int(height),
            steps=int(steps),
            guidance=float(guidance) if guided else None,
            scheduler=str(scheduler),
            seed=None if seed is None else int(seed),
            batch=int(batch),
            prompt_in_file=bool(keep_prompt),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserInputError("The settings have to be numbers.") from error
