"""The picture a drawing starts from: masks, extended canvases, and what is refused."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image, ImageDraw

from components.sources import Extent, extended, mask_from, size_of, source_id, strokes_in, view_of
from core.errors import UserInputError
from core.images import ImageCapabilities, ImageSettings
from pages.image_source import NONE, Source, SourcePanel, extent_of
from tests.fakes import FakeImages, png

CAN = ImageCapabilities(64, 64, 8, 512, 8, 20, 3.5, ("DDIM",), "DDIM", image_to_image=True, inpaint=True)


def picture(width: int = 40, height: int = 24) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", (width, height), "navy")
    ImageDraw.Draw(image).rectangle((0, 0, 9, 9), fill="red")
    image.save(out, "PNG")
    return out.getvalue()


def painted(source: bytes, box: tuple[int, int, int, int] | None) -> str:
    """What the page sends after a brush stroke over `box`, in the view's pixels."""
    layer = Image.new("RGBA", view_of(source).size)
    if box:
        ImageDraw.Draw(layer).rectangle(box, fill=(15, 118, 110, 255))
    out = io.BytesIO()
    layer.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def strokes(source: bytes, box: tuple[int, int, int, int]) -> bytes | None:
    return strokes_in(painted(source, box))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_small_picture_is_painted_on_enlarged_and_the_mask_is_its_own_size() -> None:
    source = picture()
    view = view_of(source)
    factor = view.width // 40
    assert view.size == (40 * factor, 24 * factor)
    assert view.width >= 448
    mask = opened(mask_from(source, strokes(source, (0, 0, 10 * factor - 1, 5 * factor - 1))))
    assert mask.size == (40, 24)
    assert mask.getbbox() == (0, 0, 10, 5)


def test_a_large_picture_is_painted_on_smaller() -> None:
    source = picture(3000, 1000)
    assert max(view_of(source).size) == 1024
    assert opened(mask_from(source, strokes(source, (0, 0, 200, 200)))).size == (3000, 1000)


def test_an_empty_mask_is_refused() -> None:
    assert strokes_in(painted(picture(), None)) is None
    with pytest.raises(UserInputError, match="Nothing is painted"):
        mask_from(picture(), None)


@pytest.mark.parametrize("sent", [None, "", "data:image/png;base64,@@", "data:text/html;base64,AAAA", "x" * 50, 7])
def test_strokes_that_are_no_picture_are_refused(sent: Any) -> None:
    with pytest.raises(UserInputError, match="Paint it again"):
        strokes_in(sent)


def test_strokes_larger_than_any_view_are_not_decoded() -> None:
    # The second is one that Pillow itself would still open.
    for side in (20_000, 5_000):
        out = io.BytesIO()
        Image.new("1", (side, side)).save(out, "PNG")
        with pytest.raises(UserInputError, match="Paint it again"):
            strokes_in("data:image/png;base64," + base64.b64encode(out.getvalue()).decode())


def test_extending_keeps_every_pixel_of_the_picture_and_masks_only_what_was_added() -> None:
    source = picture()
    canvas, mask = map(opened, extended(source, Extent(8, 16, 0, 24)))
    assert canvas.size == mask.size == (64, 48)
    assert canvas.crop((8, 0, 48, 24)).tobytes() == opened(source).convert("RGB").tobytes()
    assert mask.crop((8, 0, 48, 24)).getextrema() == (0, 0)
    assert sum(mask.histogram()[1:255]) == 0
    assert mask.histogram()[255] == 64 * 48 - 40 * 24
    # What was added begins as the nearest edge, not black.
    assert canvas.getpixel((60, 40))[2] > 80


@pytest.mark.parametrize(
    ("extent", "says"), [(Extent(), "Nothing is added"), (Extent(-8), "less than nothing"), (Extent(9000), "at most")]
)
def test_extents_that_make_no_sense_are_refused(extent: Extent, says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        extended(picture(), extent)
    with pytest.raises(UserInputError, match="whole numbers"):
        extent_of("wide", 0, 0, 0)  # type: ignore[arg-type]


def test_the_masked_region_is_shown_back_with_its_share() -> None:
    source = picture()
    event: Any = SimpleNamespace(
        mask=painted(source, (0, 0, view_of(source).width // 2 - 1, view_of(source).height - 1)),
        source=source_id(source),
    )
    kept, html = SourcePanel(FakeImages()).painted(Source(source, source), event)
    assert kept
    assert "50 % may change" in html
    assert size_of(source) == (40, 24)
    # A stroke that comes late, over the picture before this one, masks nothing here.
    event.source = source_id(b"another picture")
    assert SourcePanel(FakeImages()).painted(Source(source, source), event) == (gr.skip(), gr.skip())


def test_what_the_page_hands_to_the_engine() -> None:
    panel = SourcePanel(FakeImages())
    given = panel.placed(picture(), "image", CAN)
    source = given[0]
    assert given[-2:] == (40, 24)
    plain = ImageSettings("a star")
    assert panel.applied(plain, None, "image", None, 0, 0, 0, 0, 0.5) == plain
    whole = panel.applied(plain, source, "image", None, 0, 0, 0, 0, 0.5)
    assert (whole.image, whole.mask, whole.strength) == (picture(), None, 0.5)
    part = panel.applied(plain, source, "inpaint", strokes(picture(), (0, 0, 50, 50)), 0, 0, 0, 0, 0.9)
    assert part.mask is not None
    assert part.strength == 0.9
    wider = panel.applied(plain, source, "extend", None, 0, 24, 0, 0, 0.5)
    assert wider.image is not None
    assert size_of(wider.image) == (64, 24)
    assert wider.strength == 1.0


def test_a_file_that_is_no_picture_is_refused_and_leaves_the_page_as_it_was() -> None:
    panel = SourcePanel(FakeImages())
    for data in (b"", b"GIF89a", png()[:40]):
        with pytest.raises(gr.Error, match=r"empty|damaged|not a picture"):
            panel.read(data, "image", None)


def test_removing_the_picture_empties_each_part_of_the_panel_and_hides_only_what_belongs_to_it() -> None:
    """Every value under its own component: a shifted tuple made words the mask and hid the place for the next picture."""
    panel = SourcePanel(FakeImages())
    with gr.Blocks():
        view = panel.build()
    removed = dict(zip([part.elem_id or part for part in view.placed()], panel.removed()[:-2], strict=True))
    assert removed[view.source] is None
    assert removed[view.strokes] is None
    assert removed["source-picture"] == NONE
    assert (removed["source-editor"].value, removed["source-editor"].visible) == ("", False)
    assert isinstance(removed[view.remove], gr.Button)
    assert removed[view.remove].visible is False
    assert removed["source-file"] is None
