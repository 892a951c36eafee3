"""Images tab: drawing with a live preview, a queue, stop, and a recipe in every picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from components.easel import MOST_WAITING, ON_CANCEL, Easel, Easels, Waiting, queue_html
from components.errors import shown_to_user
from components.pictures import gpu_line
from components.progress import progress_line
from core.address import IMAGE_MODES, Address, read_address
from core.errors import AppError, UserInputError
from core.hub_protocols import HubCatalog
from core.image_protocols import Drawing, ImageRouter
from core.images import ImageSettings, Picture
from core.refs import ModelRef
from pages.image_adapters import AdaptersPanel, AdaptersView
from pages.image_controls import Controls, ControlsPanel, ControlsView, settings_of
from pages.image_recipe import Lookup, RecipePanel, RecipeView, nothing_found, picked_of
from pages.image_screen import Screen, Update, busy, cleared, finished, rested
from pages.image_source import SourcePanel, SourceView, told
from pages.shared import Shared

Keep = Callable[[str, Sequence[Picture]], str]
MODES = {"draw": "Draw", "compare": "Compare blind", "gallery": "Gallery", "grid": "Grid"}
EXAMPLES = ("a red apple", "a yellow star", "a cat face", "a green car", "a rocket")


def nothing_kept(visitor: str, pictures: Sequence[Picture]) -> str:
    """Where there is no gallery."""
    return ""


@dataclass(frozen=True)
class ImagesView:
    """The tab's components. `drawn` holds this page's pictures, newest first; `last` those of the newest drawing."""

    left: gr.Column
    mode: gr.Radio
    single: gr.Column
    prompt: gr.Textbox
    draw: gr.Button
    stop: gr.Button
    status: gr.HTML
    queue: gr.HTML
    cost: gr.HTML
    canvas: gr.Column
    preview: gr.HTML
    stage: gr.Gallery
    after_stage: gr.Column
    start_from: gr.Button
    clear: gr.Button
    examples: gr.Dataset
    source: SourceView
    strip: gr.Gallery
    controls: ControlsView
    adapters: AdaptersView
    recipe: RecipeView
    drawn: gr.State
    last: gr.State

    def outputs(self) -> list[Any]:
        """What drawing puts on the screen, in the order of `Update`."""
        return [
            self.status, self.queue, self.preview, self.stage, self.strip, self.drawn, self.last, self.stop,
            self.start_from, *self.recipe.choice(), self.source.picture,
        ]  # fmt: skip

    def settings(self) -> list[Any]:
        """Everything that decides the picture besides the prompt and the model, in the order of `ImagesPage.settings`."""
        return [*self.controls.inputs(), *self.source.inputs(), *self.adapters.inputs()]


class ImagesPage:
    """Draws with the visitor's image model. The page listens to drawings; the engine owns them."""

    def __init__(
        self,
        router: ImageRouter,
        catalog: HubCatalog,
        keep: Keep = nothing_kept,
        lookup: Lookup = nothing_found,
        modes: Sequence[str] = IMAGE_MODES[:2],
    ) -> None:
        """`keep` puts a visitor's finished pictures into the gallery and returns what is to say of it; `lookup` finds one.

        `modes` are those whose pages are built; all of them need a gallery.
        """
        self.router = router
        self.controls = ControlsPanel(router, catalog)
        self.source = SourcePanel(router)
        self.adapters = AdaptersPanel(router)
        self.recipe = RecipePanel(router, self.controls, self.source, self.adapters, lookup)
        self.easels = Easels()
        self.keep = keep
        self.modes = modes

    def build(self) -> ImagesView:
        """Layout only."""
        with gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=7, min_width=320) as left:
                mode = gr.Radio(
                    [(MODES[mode], mode) for mode in self.modes], value="draw", show_label=False, label="Mode",
                    elem_id="images-mode", container=False,
                )  # fmt: skip
                with gr.Column() as single:
                    with gr.Column(elem_classes="pg-composer"):
                        prompt = gr.Textbox(
                            placeholder="What to draw. Enter draws, Shift+Enter starts a new line.", label="Prompt",
                            show_label=False, lines=1, max_lines=6, elem_id="image-prompt",
                        )  # fmt: skip
                        with gr.Row(elem_classes="pg-actions"):
                            status = gr.HTML("", elem_id="image-status")
                            stop = gr.Button(
                                "Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="image-stop"
                            )
                            draw = gr.Button("Draw", variant="primary", min_width=90, scale=0, elem_id="draw")
                    cost = gr.HTML("", elem_id="image-cost")
                    queue = gr.HTML("", elem_id="image-queue", js_on_load=ON_CANCEL)
                # All of it goes with the mode: a drawing that ends while another mode is open shows nothing there.
                with gr.Column(elem_id="canvas") as canvas:
                    preview = gr.HTML("", elem_id="preview")
                    stage = gr.Gallery(
                        label="Picture", show_label=False, format="png", columns=4, height=420, object_fit="contain",
                        preview=True, elem_id="stage", visible=False, interactive=False, buttons=["download", "fullscreen"],
                    )  # fmt: skip
                    after_stage = gr.Column()
                    with gr.Row(elem_classes="pg-actions"):
                        start_from = gr.Button(
                            "Start from this picture", size="sm", min_width=160, scale=0, visible=False, elem_id="start-from",
                        )  # fmt: skip
                        clear = gr.Button("Clear pictures", size="sm", min_width=130, scale=0, visible=False)
                    examples = gr.Dataset(
                        components=[gr.Textbox(visible=False)], samples=[[text] for text in EXAMPLES], label="Try"
                    )
                    source = self.source.build()
                    strip = gr.Gallery(
                        label="Earlier pictures", show_label=False, format="png", columns=8, height=150,
                        object_fit="contain", allow_preview=False, elem_id="strip", visible=False, interactive=False,
                    )  # fmt: skip
            with gr.Column(scale=3, min_width=260):
                controls = self.controls.build()
                adapters = self.adapters.build()
                recipe = self.recipe.build()
        return ImagesView(
            left, mode, single, prompt, draw, stop, status, queue, cost, canvas, preview, stage, after_stage, start_from,
            clear, examples, source, strip, controls, adapters, recipe, gr.State(()), gr.State(()),
        )  # fmt: skip

    def wire(self, view: ImagesView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        controls, source, outputs = view.controls, view.source, view.outputs()
        # "multiple": a second click queues a second drawing.
        stream = {
            "api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"
        }  # fmt: skip
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        self.controls.wire(controls, shared)
        self.source.wire(source, controls.width, controls.height, shared.image_model)
        self.adapters.wire(view.adapters, controls.fitted, shared)
        panels = (controls, source, view.adapters)
        self.recipe.wire(view.recipe, view.prompt, view.drawn, (view.stage, view.strip), panels, shared)
        inputs = [view.prompt, shared.image_model, shared.visitor, *view.settings()]
        gr.on([view.prompt.submit, view.draw.click], self.draw, inputs, outputs, **stream)
        view.examples.click(
            self.example, view.examples, view.prompt, api_visibility="private", show_progress="hidden"
        ).then(self.draw, inputs, outputs, **stream)
        view.stop.click(self.stop, None, view.stop, **quick)
        view.queue.select(self.cancel, None, view.queue, **quick)
        view.clear.click(self.clear, None, outputs, **quick)
        view.drawn.change(lambda drawn: gr.Button(visible=bool(drawn)), view.drawn, view.clear, **quick)
        view.start_from.click(
            self.start_from,
            [view.recipe.picked, view.drawn, source.how, shared.image_model],
            [*source.placed(), controls.width, controls.height],
            **quick,
        )
        counted = [controls.width, controls.height, controls.steps, controls.batch]
        gr.on(
            [controls.fitted.change, *(one.change for one in counted)],
            self.price,
            [controls.fitted, *counted],
            view.cost,
            trigger_mode="always_last",
            **quick,
        )
        shared.address.change(self.follow, [shared.address, view.mode], view.mode, **quick)
        view.mode.change(self.place, view.mode, shared.address, **quick)
        demo.unload(self.leave)

    def follow(self, query: str, mode: str) -> Any:
        """The mode that the address names, when it is an address of this tab."""
        place = read_address(dict(parse_qsl(query or "")))
        return (
            gr.skip()
            if place.tab != "images" or (place.mode or IMAGE_MODES[0]) == mode
            else place.mode or IMAGE_MODES[0]
        )

    def place(self, mode: str) -> str:
        """The address of a mode."""
        return Address("images", mode=mode).query()

    def price(self, ref: ModelRef | None, width: float, height: float, steps: float, batch: float) -> str:
        """What a drawing takes of the visitor's GPU quota, where that is counted."""
        if ref is None:
            return ""
        try:
            settings = ImageSettings("", width=int(width), height=int(height), steps=int(steps), batch=int(batch))
            return gpu_line(self.router.gpu_seconds(ref, settings))
        except (AppError, TypeError, ValueError, OverflowError):
            # What is wrong is said when it is drawn.
            return ""

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
        screen = Screen()
        try:
            for step in drawing.listen():
                said = step.notes or said
                if step.finish is None:
                    yield from screen.follow(step, queue_html(easel.waiting), first=easel.first(drawing))
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
        return finished(pictures, kept, status, waiting) if pictures else rested(status, waiting, kept)

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
        return cleared()

    def leave(self, request: gr.Request) -> None:
        """Forget a page that was closed."""
        self.easels.drop(request.session_hash)

    def start_from(
        self, picked: str | None, drawn: tuple[Picture, ...], how: Any, model: ModelRef | None
    ) -> tuple[Any, ...]:
        """Make the chosen picture the one the next drawing starts from."""
        with shown_to_user():
            can = self.router.capabilities(model or self.router.start_model())
            return self.source.placed(picked_of(picked, drawn).png, how, can)


def ready_of(drawing: Drawing) -> tuple[Picture, ...]:
    """What was ready when a drawing failed; nothing where looking at it fails too, because that error is told already."""
    try:
        return drawing.pictures()
    except AppError:
        return ()


def source_in(values: Sequence[Any]) -> Any:
    """The picture to start from among the values of a drawing; None without one."""
    many = len(Controls._fields)
    return values[many] if len(values) > many else None
