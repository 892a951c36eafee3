"""Images tab: drawing with a live preview, a queue, stop, and a recipe in every picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from components.easel import MOST_WAITING, ON_CANCEL, Easel, Easels, Waiting, queue_html
from components.errors import shown_to_user
from components.pictures import drawing_line, files_of, preview_html, recipe_of, recipe_table
from components.progress import progress_line
from core.errors import AppError, UserInputError
from core.images import ImageSettings, Picture
from core.protocols import Drawing, HubCatalog, ImageRouter
from core.recipe import Recipe
from core.refs import ModelRef
from pages.image_adapters import AdaptersPanel, AdaptersView
from pages.image_controls import Controls, ControlsPanel, ControlsView, settings_of
from pages.image_source import Source, SourcePanel, SourceView, same_file, source_of, told
from pages.shared import Shared

Keep = Callable[[str, Sequence[Picture]], str]
EXAMPLES = ("a red apple", "a yellow star", "a cat face", "a green car", "a rocket")


def nothing_kept(visitor: str, pictures: Sequence[Picture]) -> str:
    """Where there is no gallery."""
    return ""


@dataclass(frozen=True)
class ImagesView:
    """The tab's components. `drawn` holds this page's pictures, newest first; `last` those of the newest drawing.

    `chosen` is the recipe beside the pictures, `picked` the id of the picture it belongs to; None: of a dropped file.
    """

    left: gr.Column
    mode: gr.Radio
    single: gr.Column
    prompt: gr.Textbox
    draw: gr.Button
    stop: gr.Button
    status: gr.HTML
    queue: gr.HTML
    preview: gr.HTML
    stage: gr.Gallery
    strip: gr.Gallery
    clear: gr.Button
    start_from: gr.Button
    after_stage: gr.Column
    tools: gr.Row
    below: gr.Column
    controls: ControlsView
    source: SourceView
    adapters: AdaptersView
    recipe: gr.HTML
    use_all: gr.Button
    use_seed: gr.Button
    remix: gr.Button
    dropped: gr.File
    examples: gr.Dataset
    drawn: gr.State
    last: gr.State
    chosen: gr.State
    picked: gr.State


class Update(NamedTuple):
    """What drawing puts on the screen, in the order of its outputs."""

    status: Any
    queue: Any
    preview: Any
    stage: Any
    strip: Any
    drawn: Any
    last: Any
    stop: Any
    start_from: Any
    recipe: Any
    chosen: Any
    picked: Any
    source: Any


class ImagesPage:
    """Draws with the visitor's image model. The page listens to drawings; the engine owns them."""

    def __init__(self, router: ImageRouter, catalog: HubCatalog, keep: Keep = nothing_kept) -> None:
        """`keep` puts a visitor's finished pictures into the gallery, and returns what is to say of it."""
        self.router = router
        self.controls = ControlsPanel(router, catalog)
        self.source = SourcePanel(router)
        self.adapters = AdaptersPanel(router)
        self.easels = Easels()
        self.keep = keep

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
                with gr.Column() as single:
                    with gr.Column(elem_classes="pg-composer"):
                        prompt = gr.Textbox(
                            label="Prompt",
                            show_label=False,
                            placeholder="What to draw. Enter draws, Shift+Enter starts a new line.",
                            lines=1,
                            max_lines=6,
                            elem_id="image-prompt",
                        )
                        with gr.Row(elem_classes="pg-actions"):
                            status = gr.HTML("", elem_id="image-status")
                            stop = gr.Button(
                                "Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="image-stop"
                            )
                            draw = gr.Button("Draw", variant="primary", min_width=90, scale=0, elem_id="draw")
                    queue = gr.HTML("", elem_id="image-queue", js_on_load=ON_CANCEL)
                preview = gr.HTML("", elem_id="preview")
                stage = gr.Gallery(
                    label="Picture", show_label=False, format="png", columns=4, height=420, object_fit="contain",
                    preview=True, elem_id="stage", visible=False, interactive=False, buttons=["download", "fullscreen"],
                )  # fmt: skip
                after_stage = gr.Column()
                with gr.Row(elem_classes="pg-actions") as tools:
                    start_from = gr.Button(
                        "Start from this picture",
                        size="sm",
                        min_width=160,
                        scale=0,
                        visible=False,
                        elem_id="start-from",
                    )
                    clear = gr.Button("Clear pictures", size="sm", min_width=130, scale=0, visible=False)
                examples = gr.Dataset(
                    components=[gr.Textbox(visible=False)], samples=[[text] for text in EXAMPLES], label="Try"
                )
                with gr.Column() as below:
                    source = self.source.build()
                strip = gr.Gallery(
                    label="Earlier pictures", show_label=False, format="png", columns=8, height=150, object_fit="contain",
                    allow_preview=False, elem_id="strip", visible=False, interactive=False,
                )  # fmt: skip
            with gr.Column(scale=3, min_width=260):
                controls = self.controls.build()
                adapters = self.adapters.build()
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
            left, mode, single, prompt, draw, stop, status, queue, preview, stage, strip, clear, start_from, after_stage, tools, below, controls,
            source, adapters, recipe, use_all, use_seed, remix, dropped, examples, gr.State(()), gr.State(()),
            gr.State(None), gr.State(None),
        )  # fmt: skip

    def wire(self, view: ImagesView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        controls, source = view.controls, view.source
        outputs = [
            view.status, view.queue, view.preview, view.stage, view.strip, view.drawn, view.last, view.stop,
            view.start_from, view.recipe, view.chosen, view.picked,
            view.source.picture,
        ]  # fmt: skip
        # "multiple": a second click queues a second drawing.
        stream = {
            "api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"
        }  # fmt: skip
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        self.controls.wire(controls, shared)
        self.source.wire(source, controls.width, controls.height, shared.image_model)
        self.adapters.wire(view.adapters, controls.fitted, shared)
        inputs = [
            view.prompt,
            shared.image_model,
            shared.visitor,
            *controls.inputs(),
            *source.inputs(),
            *view.adapters.inputs(),
        ]
        gr.on([view.prompt.submit, view.draw.click], self.draw, inputs, outputs, **stream)
        view.examples.click(
            self.example, view.examples, view.prompt, api_visibility="private", show_progress="hidden"
        ).then(self.draw, inputs, outputs, **stream)
        view.stop.click(self.stop, None, view.stop, **quick)
        view.queue.select(self.cancel, None, view.queue, **quick)
        view.clear.click(self.clear, None, outputs, **quick)
        view.drawn.change(lambda drawn: gr.Button(visible=bool(drawn)), view.drawn, view.clear, **quick)
        for gallery in (view.stage, view.strip):
            gallery.select(self.choose, view.drawn, [view.recipe, view.chosen, view.picked], **quick)
        view.dropped.upload(self.read, view.dropped, [view.recipe, view.chosen, view.picked], **quick)
        placed = [*source.placed(), controls.width, controls.height]
        view.start_from.click(
            self.start_from, [view.picked, view.drawn, source.how, shared.image_model], placed, **quick
        )
        applied = [
            view.prompt, controls.style, controls.seed, controls.batch, shared.image_model, *controls.fits(),
            *view.adapters.used(),
        ]  # fmt: skip
        for button, apply in ((view.use_all, self.use_all), (view.remix, self.remix)):
            button.click(apply, [view.chosen, shared.image_model], applied, **quick).success(
                self.use_source,
                [view.chosen, view.drawn, source.source, shared.image_model],
                [*source.placed(), source.how, source.strength],
                **quick,
            )
        view.use_seed.click(self.use_seed, view.chosen, controls.seed, **quick)
        demo.unload(self.leave)

    def example(self, row: list[str]) -> str:
        """Put an example into the prompt."""
        return row[0]

    def draw(
        self, request: gr.Request, prompt: str, model: ModelRef | None, visitor: str, *values: Any
    ) -> Iterator[Update]:
        """Draw, showing every preview that arrives; what is stopped is kept and marked so.

        `values` are those of the settings, the source and the adapters, in the order of their `inputs()`. A second call
        while the first one draws waits behind it.
        """
        easel = self.easels.of(request.session_hash)
        with shown_to_user():
            if easel.full:
                raise UserInputError(
                    f"{MOST_WAITING} drawings wait already. Cancel one, or wait until one is finished."
                )
            ref = model or self.router.start_model()
            settings = self.settings(prompt, ref, values)
            alone = not easel.waiting
            easel.expect()
            try:
                if alone:
                    yield busy("Waiting for the model", source=told(source_in(values), settings))
                for step in self.router.prepare(ref):
                    if step.stage != "ready" and alone:
                        yield busy(progress_line(step))
                drawing = self.router.start(ref, settings)
            except Exception:
                if not easel.waiting:
                    yield rested("", (), easel.pictures)
                raise
            finally:
                easel.expect(-1)
            easel.add(Waiting(drawing, settings.prompt, settings.batch))
            yield from self._follow(drawing, easel, visitor)

    def settings(self, prompt: str, ref: ModelRef, values: Sequence[Any]) -> ImageSettings:
        """Everything on the page that decides the picture."""
        many = len(Controls._fields)
        controls, rest = Controls(*values[:many]), values[many:]
        settings = settings_of(prompt, controls, guided=self.router.capabilities(ref).guidance is not None)
        source, rest = rest[:8], rest[8:]
        settings = self.source.applied(settings, *source) if source else settings
        return self.adapters.applied(settings, source[0], *rest) if rest else settings

    def _follow(self, drawing: Drawing, easel: Easel, visitor: str) -> Iterator[Update]:
        said: tuple[str, ...] = ()
        queue = None
        try:
            for step in drawing.listen():
                said = step.notes or said
                shown, before = queue_html(easel.waiting), queue
                queue = shown
                if step.finish is not None:
                    continue
                if easel.first(drawing):
                    yield busy(drawing_line(step), step.preview, shown, running=True)
                elif shown != before:
                    yield waits(shown)
            pictures = drawing.pictures()
        except Exception:
            yield self._ended(drawing, easel, visitor, ready_of(drawing), said, failed=True)
            raise
        finally:
            # A page that is gone leaves no place taken; after the end this changes nothing.
            easel.finish(drawing)
        yield self._ended(drawing, easel, visitor, pictures, said)

    def _ended(
        self,
        drawing: Drawing,
        easel: Easel,
        visitor: str,
        pictures: tuple[Picture, ...],
        said: tuple[str, ...],
        *,
        failed: bool = False,
    ) -> Update:
        kept = easel.finish(drawing, pictures)
        stopped = not failed and (not pictures or any(picture.finish == "stopped" for picture in pictures))
        told = [*said, *filter(None, [self.keep(visitor, pictures)])]
        # What is said may quote a prompt, and a prompt may come from a stranger's file.
        status, waiting = escape(" ".join([*(["Stopped."] if stopped else []), *told]), quote=False), easel.waiting
        if waiting and told:
            gr.Info(status)  # the line belongs to the next drawing already
        return self._shown(pictures, kept, status, waiting) if pictures else rested(status, waiting, kept)

    def _shown(
        self, pictures: Sequence[Picture], kept: tuple[Picture, ...], status: str, waiting: Sequence[Waiting]
    ) -> Update:
        first = pictures[0]
        return Update(
            status,
            queue_html(waiting),
            "" if not waiting else gr.skip(),
            gr.Gallery(value=files_of(pictures), visible=not waiting, selected_index=0),
            gr.Gallery(value=files_of(kept), visible=len(kept) > len(pictures)),
            kept,
            tuple(pictures),
            gr.Button(visible=bool(waiting), interactive=True),
            gr.Button(visible=not waiting),
            recipe_table(recipe_of(first)),
            recipe_of(first),
            first.id,
            gr.skip(),
        )

    def stop(self, request: gr.Request) -> Any:
        """End the drawing that is drawn within one step; the last preview is kept."""
        with shown_to_user():
            self.easels.of(request.session_hash).cancel()
            return gr.Button(interactive=False)

    def cancel(self, event: gr.EventData, request: gr.Request) -> str:
        """Take one waiting drawing of this page out of the queue."""
        with shown_to_user():
            easel = self.easels.of(request.session_hash)
            if not easel.cancel(str(event.id)):
                raise UserInputError("That drawing is finished or gone already.")
            return queue_html(easel.waiting)

    def clear(self, request: gr.Request) -> Update:
        """Forget the pictures on this page; what is on its way goes on."""
        self.easels.of(request.session_hash).clear()
        skip = gr.skip()
        return Update(
            "", skip, "", gr.Gallery(value=[], visible=False), gr.Gallery(value=[], visible=False), (), (), skip,
            gr.Button(visible=False), recipe_table(None), None, None, skip,
        )  # fmt: skip

    def leave(self, request: gr.Request) -> None:
        """Forget a page that was closed."""
        self.easels.drop(request.session_hash)

    def choose(self, drawn: tuple[Picture, ...], event: gr.SelectData) -> tuple[str, Recipe, str]:
        """Show the recipe of the picture that was chosen."""
        with shown_to_user():
            name = Path(str(event.value["image"]["path"])).stem if isinstance(event.value, dict) else ""
            picture = picked_of(name, drawn)
            return recipe_table(recipe_of(picture)), recipe_of(picture), picture.id

    def read(self, data: bytes | None) -> tuple[str, Recipe, None]:
        """Show the recipe inside a dropped picture; the settings stay as they are."""
        with shown_to_user():
            recipe = self.router.recipe_in(data or b"")
            return recipe_table(recipe), recipe, None

    def start_from(
        self, picked: str | None, drawn: tuple[Picture, ...], how: Any, model: ModelRef | None
    ) -> tuple[Any, ...]:
        """Make the chosen picture the one the next drawing starts from."""
        with shown_to_user():
            return self._placed(picked_of(picked, drawn).png, how, model)

    def use_source(
        self, recipe: Recipe | None, drawn: tuple[Picture, ...], source: Source | None, model: ModelRef | None
    ) -> tuple[Any, ...]:
        """After a recipe was applied: the picture it started from and how, or none where it started from words alone.

        A picture that is neither here nor on this page is asked for, and so is the mask: files hold their hashes alone.
        """
        with shown_to_user():
            inputs = {} if recipe is None else dict(recipe.inputs)
            if recipe is None or "image" not in inputs:
                return *self.source.removed()[:-2], gr.skip(), gr.skip()
            how = "inpaint" if "mask" in inputs else "image"
            placed: tuple[Any, ...] = (gr.skip(),) * 7
            missing = []
            data = source_of(recipe, drawn)
            if data is not None:
                placed = self._placed(data, how, model)[:-2]
            elif source is None or not same_file(source.original, inputs["image"]):
                missing.append(
                    "Drop the picture it was drawn from under “Start from a picture”: its file does not have it."
                )
            if how == "inpaint":
                missing.append("Paint again what may change: the mask is not in the file.")
            if missing:
                gr.Warning(" ".join(missing), title="One part is missing")
            strength = recipe.settings.strength
            return *placed, how, gr.skip() if strength is None else strength

    def _placed(self, data: bytes, how: Any, model: ModelRef | None) -> tuple[Any, ...]:
        return self.source.placed(data, how, self.router.capabilities(model or self.router.start_model()))

    def use_all(self, recipe: Recipe | None, model: ModelRef | None) -> tuple[Any, ...]:
        """Apply a recipe to the controls, its model and LoRAs too."""
        with shown_to_user():
            return self._applied(recipe, model, seed="" if recipe is None else str(recipe.settings.seed or 0))

    def remix(self, recipe: Recipe | None, model: ModelRef | None) -> tuple[Any, ...]:
        """Apply a recipe, all but its seed."""
        with shown_to_user():
            return self._applied(recipe, model, seed="")

    def use_seed(self, recipe: Recipe | None) -> Any:
        """Apply a recipe's seed alone."""
        with shown_to_user():
            seed = chosen_of(recipe).settings.seed
            return gr.skip() if seed is None else str(seed)

    def _applied(self, recipe: Recipe | None, model: ModelRef | None, *, seed: str) -> tuple[Any, ...]:
        recipe = chosen_of(recipe)
        settings = recipe.settings
        ref = self._model_of(recipe, model)
        if settings.seed is None and seed:
            seed = ""
        return (
            settings.prompt or gr.skip(),
            "",
            seed,
            1,
            ref,
            *self.controls.fitted(ref, settings),
            *self.adapters.used(recipe, ref),
        )

    def _model_of(self, recipe: Recipe, model: ModelRef | None) -> ModelRef:
        """The recipe's model where it can be used here, else the present one, which is said."""
        present = model or self.router.start_model()
        if recipe.ref is None or recipe.ref == present:
            return present
        try:
            self.router.capabilities(recipe.ref)
        except AppError as error:
            gr.Warning(f"{error} The settings go to {present.short}.", title="Another model")
            return present
        return recipe.ref


def ready_of(drawing: Drawing) -> tuple[Picture, ...]:
    """What was ready when a drawing failed; nothing where looking at it fails too, because that error is told already."""
    try:
        return drawing.pictures()
    except AppError:
        return ()


def picked_of(picked: str | None, drawn: Sequence[Picture]) -> Picture:
    """The picture of that id; refuses one that is gone, or none."""
    if not picked:
        raise UserInputError("Choose one of the pictures first.")
    picture = next((picture for picture in drawn if picture.id == picked), None)
    if picture is None:
        raise UserInputError("That picture is no longer here.")
    return picture


def chosen_of(recipe: Recipe | None) -> Recipe:
    """The recipe to apply; refuses none."""
    if recipe is None:
        raise UserInputError("Choose a picture first, or drop one, then apply its recipe.")
    return recipe


def source_in(values: Sequence[Any]) -> Any:
    """The picture to start from among the values of a drawing; None without one."""
    many = len(Controls._fields)
    return values[many] if len(values) > many else None


def busy(
    status: str, preview: bytes | None = None, queue: Any = None, *, running: bool = False, source: Any = None
) -> Update:
    """The screen while drawing: a preview in the place of the picture, nothing jumps."""
    skip = gr.skip()
    return Update(
        status, skip if queue is None else queue, preview_html(preview), gr.Gallery(visible=False), skip, skip, skip,
        gr.Button(visible=True, interactive=running), gr.Button(visible=False), skip, skip, skip,
        skip if source is None else source,
    )  # fmt: skip


def waits(queue: str) -> Update:
    """The screen of a drawing that waits behind another: only the queue changes."""
    return Update(gr.skip(), queue, *(gr.skip(),) * 11)


def rested(status: str, waiting: Sequence[Waiting], kept: Sequence[Picture]) -> Update:
    """The screen when a drawing ends without a picture: those that were there before come back."""
    skip, still = gr.skip(), bool(waiting)
    back = bool(kept) and not still
    return Update(
        skip if still else status, queue_html(waiting), skip if still else "", gr.Gallery(visible=back), skip, skip, skip,
        gr.Button(visible=still, interactive=True), gr.Button(visible=back), skip, skip, skip, skip,
    )  # fmt: skip
