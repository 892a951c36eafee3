"""Pictures that a classifier has not seen: coarse previews, nothing of what is blocked, and the reason in the notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from backends.image.checked import CheckedDrawing
from backends.image.classifier import Verdict
from backends.image.preview import coarse
from core.errors import BackendError
from core.images import ImageSettings, Picture, Step, Timings
from tests.fakes import REF, png


def stripes() -> bytes:
    """Black and white lines of two pixels: with few colours nothing but grey is left of them."""
    picture = Image.new("L", (64, 48))
    for x in range(0, 64, 4):
        picture.paste(255, (x, 0, x + 2, 48))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


class TwoPictures:
    """A drawing with a preview and two pictures, the second red."""

    id = "drawing"
    done = True
    cancelled = False

    def listen(self) -> Iterator[Step]:
        step = Step(1, 2, preview=stripes())
        yield step
        yield replace(step, number=2, finish="done", notes=("a note",))

    def cancel(self) -> None:
        self.cancelled = True

    def pictures(self) -> tuple[Picture, ...]:
        made = [("first", png(0)), ("second", png(255))]
        return tuple(
            Picture(name, data, REF, ImageSettings("x"), "CPU", "float32", Timings(0, 1), "done") for name, data in made
        )


class BlocksRed:
    """Blocks red pictures, and counts what it sees."""

    def __init__(self) -> None:
        self.seen = 0
        self.broken = False

    def verdict(self, picture: Image.Image) -> Verdict:
        if self.broken:
            raise BackendError("It failed.")
        self.seen += 1
        red = picture.getpixel((0, 0))[0] / 255
        return Verdict(red > 0.5, "red", red)


def test_previews_show_nothing_that_can_be_made_out() -> None:
    few = Image.open(io.BytesIO(coarse(stripes())))
    low, high = few.convert("L").getextrema()
    assert few.size == (64, 48) and high - low < 20
    assert coarse(png(3)) == png(3), "sixteen pixels wide is coarse as it is"


def test_what_is_blocked_is_gone_and_said() -> None:
    judge = BlocksRed()
    checked = CheckedDrawing(TwoPictures(), judge)  # type: ignore[arg-type]
    first, last = checked.listen()
    assert first.preview not in (None, stripes()) and last.preview is None
    assert last.notes[0] == "a note" and "blocked a picture as “red” (100%)" in last.notes[1]
    assert [picture.id for picture in checked.pictures()] == ["first"]
    assert judge.seen == 2, "each picture once"
    checked.cancel()
    assert checked._drawing.cancelled and (checked.id, checked.done) == ("drawing", True)  # type: ignore[attr-defined]


def test_nothing_is_shown_when_it_cannot_be_looked_at() -> None:
    judge = BlocksRed()
    judge.broken = True
    checked = CheckedDrawing(TwoPictures(), judge)  # type: ignore[arg-type]
    with pytest.raises(BackendError):
        list(checked.listen())
    with pytest.raises(BackendError):
        checked.pictures()
