"""Edges after Canny: thin, closed, whole, and none where there is nothing."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from backends.image.canny import edges


def white(picture: Image.Image) -> set[tuple[int, int]]:
    found = edges(picture)
    assert (found.mode, found.size) == ("RGB", picture.size)
    assert found.getextrema()[0] == found.getextrema()[1] == found.getextrema()[2]
    grey = found.convert("L").load()
    return {(x, y) for x in range(picture.width) for y in range(picture.height) if grey[x, y]}


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (64, 64)])
def test_a_plain_picture_has_none(size: tuple[int, int]) -> None:
    assert white(Image.new("RGB", size, "red")) == set()


def test_a_box_is_a_line_of_one_pixel_on_each_side() -> None:
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).rectangle((16, 20, 47, 43), fill=255)
    found = white(picture)
    rows = [sorted(x for x, y in found if y == row) for row in range(24, 40)]
    assert all(row == rows[0] and len(row) == 2 for row in rows)
    assert abs(rows[0][0] - 16) <= 1 and abs(rows[0][1] - 47) <= 1
    columns = [sorted(y for x, y in found if x == column) for column in range(20, 44)]
    assert all(column == columns[0] and len(column) == 2 for column in columns)


def test_a_circle_is_closed() -> None:
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).ellipse((12, 12, 52, 52), fill=255)
    found = white(picture)
    # From the middle nothing gets out, not even between two pixels that touch at their corners.
    seen, front = {(32, 32)}, [(32, 32)]
    while front:
        x, y = front.pop()
        for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if near not in seen and near not in found:
                seen.add(near)
                front.append(near)
        assert len(seen) < 2000
    assert all(10 <= x <= 54 and 10 <= y <= 54 for x, y in found)


def test_a_faint_line_shows_only_where_it_goes_on_from_a_strong_one() -> None:
    """Grey 30 against black is between the thresholds: on its own it is noise, joined to the white part it is the edge."""
    joined, alone = Image.new("L", (64, 64)), Image.new("L", (64, 64))
    ImageDraw.Draw(joined).rectangle((0, 32, 31, 63), fill=255)
    for picture in (joined, alone):
        ImageDraw.Draw(picture).rectangle((32, 32, 63, 63), fill=30)
    assert white(alone) == set()
    assert {x for x, y in white(joined) if 30 <= y <= 33} >= set(range(1, 60))
