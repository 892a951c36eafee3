"""Images tab: the picture to start from, whole (image to image), painted over (inpaint) or extended (outpaint)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import gradio as gr

from components.errors import shown_to_user
from components.sources import ON_PAINT, Extent, extended, mask_from, painter, shown, size_of, source_id, strokes_in
from core.errors import UserInputError
from core.image_protocols import ImageRouter
from core.images import DEFAULT_STRENGTH, ImageCapabilities, ImageSettings, Picture, fitted_size
from core.recipe import Recipe

How = Literal["image", "inpaint", "extend"]
NONE = '<p class="pg-meta">Drop a picture here, or choose one that was drawn and press Start from this picture.</p>'
MOST_EXTENT = 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to start from: the file's own bytes, and the same picture as a checked plain PNG."""

    original: bytes
    plain: bytes


@dataclass(frozen=True)
class SourceView:
    """The panel's components. `source` holds the `Source` or None, `strokes` what is painted over it."""

    panel: gr.Accordion
    file: gr.File
    how: gr.Radio
    picture: gr.HTML
    editor: gr.HTML
    extents: gr.Row
    left: gr.Number
    right: gr.Number
    top: gr.Number
    bottom: gr.Number
    strength: gr.Slider
    remove: gr.Button
    source: gr.State
    strokes: gr.State

    def placed(self) -> list[Any]:
        """What a new picture sets, in the order of `SourcePanel.placed`, before width and height."""
        return [self.source, self.strokes, self.picture, self.editor, self.remove, self.file, self.panel]

    def inputs(self) -> list[Any]:
        """What a drawing needs of this panel, in the order of `SourcePanel.applied`."""
        return [self.source, self.how, self.strokes, self.left, self.right, self.top, self.bottom, self.strength]


class SourcePanel:
    """Reads, shows and masks the picture a drawing starts from."""

    def __init__(self, router: ImageRouter) -> None:
        self.router = router

    def build(self) -> SourceView:
        """Layout only."""
        with gr.Accordion("Start from a picture", open=False, elem_id="source-panel") as panel:
            how = gr.Radio(
                [("Change all of it", "image"), ("Paint what may change", "inpaint"), ("Extend it", "extend")],
                value="image",
                show_label=False,
                label="What to do with it",
                elem_id="source-how",
                container=False,
            )
            with gr.Row():
                file = gr.File(
                    label="Picture (PNG, JPEG, WEBP, GIF, BMP)", type="binary", height=120, elem_id="source-file",
                    file_types=[".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"], min_width=240,
                )  # fmt: skip
                picture = gr.HTML(NONE, elem_id="source-picture")
            editor = gr.HTML("", visible=False, elem_id="source-editor", js_on_load=ON_PAINT)
            with gr.Row(visible=False) as extents:
                left, right, top, bottom = (
                    gr.Number(0, label=f"{side} (px)", minimum=0, maximum=MOST_EXTENT, step=8, precision=0, min_width=90,
                              elem_id=f"extend-{side.lower()}")
                    for side in ("Left", "Right", "Top", "Bottom")
                )  # fmt: skip
            strength = gr.Slider(
                0.01, 1, value=DEFAULT_STRENGTH, step=0.01, label="Strength: how far from it", elem_id="strength",
            )  # fmt: skip
            with gr.Row(elem_classes="pg-actions"):
                remove = gr.Button("Remove picture", size="sm", min_width=140, scale=0, visible=False)
        return SourceView(
            panel,
            file,
            how,
            picture,
            editor,
            extents,
            left,
            right,
            top,
            bottom,
            strength,
            remove,
            gr.State(None),
            gr.State(None),
        )

    def wire(self, view: SourceView, width: Any, height: Any, model: Any) -> None:
        """Events only. `width` and `height` follow the picture's shape; `model` is the state with the model's ref."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        placed = [*view.placed(), width, height]
        view.file.upload(self.read, [view.file, view.how, model], placed, **quick)
        view.remove.click(self.removed, None, placed, **quick)
        extent = [view.left, view.right, view.top, view.bottom]
        gr.on(
            [view.how.change, *(side.change for side in extent)],
            self.look,
            [view.source, view.how, view.strokes, *extent],
            [view.picture, view.editor, view.extents, view.strength],
            **quick,
        )
        view.editor.select(self.painted, view.source, [view.strokes, view.picture], **quick)

    def read(self, data: bytes | None, how: How, model: Any) -> tuple[Any, ...]:
        """Take the dropped file as the picture to start from."""
        with shown_to_user():
            if not data:
                raise UserInputError("The file is empty. Choose another picture.")
            return self.placed(data, how, self.router.capabilities(model or self.router.start_model()))

    def placed(self, data: bytes, how: How, can: ImageCapabilities) -> tuple[Any, ...]:
        """The outputs of `wire` for a new picture."""
        source = Source(data, self.router.picture_in(data))
        width, height = fitted_size(*size_of(source.plain), can)
        return (
            source,
            None,
            shown(source.plain),
            gr.HTML(value=painter(source.plain), visible=how == "inpaint"),
            gr.Button(visible=True),
            None,
            gr.Accordion(open=True),
            width,
            height,
        )

    def removed(self) -> tuple[Any, ...]:
        """Draw from words alone again."""
        skip = gr.skip()
        hidden = gr.Button(visible=False)
        return None, None, NONE, gr.HTML(value="", visible=False), hidden, None, skip, skip, skip

    def look(
        self,
        source: Source | None,
        how: How,
        strokes: bytes | None,
        left: float,
        right: float,
        top: float,
        bottom: float,
    ) -> tuple[Any, ...]:
        """Show what this way of starting needs, and what may change."""
        with shown_to_user():
            extent = extent_of(left, right, top, bottom)
            told = NONE
            if source is not None:
                told = shown(source.plain)
                if how == "inpaint" and strokes:
                    told = shown(source.plain, mask_from(source.plain, strokes))
                if how == "extend" and any(extent):
                    told = shown(*extended(source.plain, extent))
            return (
                told,
                gr.HTML(visible=how == "inpaint" and source is not None),
                gr.Row(visible=how == "extend"),
                gr.Slider(visible=how != "extend"),
            )

    def painted(self, source: Source | None, event: gr.EventData) -> tuple[Any, Any]:
        """Take what is painted now, and show the region back."""
        with shown_to_user():
            if source is None:
                raise UserInputError("There is no picture to paint on. Choose one first.")
            if event.source != source_id(source.plain):
                return gr.skip(), gr.skip()  # painted over the picture before this one
            strokes = strokes_in(event.mask)
            return strokes, shown(source.plain, mask_from(source.plain, strokes) if strokes else None)

    @staticmethod
    def applied(
        settings: ImageSettings,
        source: Source | None,
        how: How,
        strokes: bytes | None,
        left: float,
        right: float,
        top: float,
        bottom: float,
        strength: float,
    ) -> ImageSettings:
        """`settings` with the picture, its mask and strength; unchanged without a picture."""
        if source is None:
            return settings
        if how == "inpaint":
            mask = mask_from(source.plain, strokes)
            return replace(settings, image=source.original, mask=mask, strength=float(strength))
        if how == "extend":
            image, mask = extended(source.plain, extent_of(left, right, top, bottom))
            return replace(settings, image=image, mask=mask, strength=1.0)
        return replace(settings, image=source.original, strength=float(strength))


def told(source: Source | None, settings: ImageSettings) -> Any:
    """The picture with what may change tinted, as the drawing that starts now sees it."""
    if source is None:
        return gr.skip()
    if settings.mask is None or settings.image is None:
        return shown(source.plain)
    return shown(source.plain if settings.image is source.original else settings.image, settings.mask)


def extent_of(left: float, right: float, top: float, bottom: float) -> Extent:
    """The four numbers as whole pixels; an empty box is 0."""
    try:
        return Extent(*(int(side or 0) for side in (left, right, top, bottom)))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserInputError("The pixels to add have to be whole numbers.") from error


def source_of(recipe: Recipe, drawn: tuple[Picture, ...]) -> bytes | None:
    """The picture a recipe started from, when it is among this visitor's own; found by its hash."""
    wanted = dict(recipe.inputs).get("image", "")
    return next((picture.png for picture in drawn if same_file(picture.png, wanted)), None)


def same_file(data: bytes, wanted: str) -> bool:
    """Whether a file is the one with that SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest() == wanted
