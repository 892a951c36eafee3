"""Pictures of the model card: the contact sheet, and samples beside the nearest training picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Four times the size that is drawn.
_CELL, _TEXT, _GAP = 256, 24, 8


def contact_sheet(pictures: Sequence[np.ndarray], labels: Sequence[str], columns: int = 6) -> Image.Image:
    """Pictures (uint8 RGB) enlarged, each over its label."""
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(pictures) // columns)
    width, height = columns * (_CELL + _GAP) + _GAP, rows * (_CELL + _TEXT + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (pixels, label) in enumerate(zip(pictures, labels, strict=True)):
        left = _GAP + number % columns * (_CELL + _GAP)
        top = _GAP + number // columns * (_CELL + _TEXT + _GAP)
        sheet.paste(Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.BICUBIC), (left, top))
        while len(label) > 4 and pen.textlength(label, font) > _CELL:
            label = label[:-2].rstrip("…") + "…"
        pen.text((left + _CELL / 2, top + _CELL + 3), label, "black", font, "ma")
    return sheet


def nearest(picture: np.ndarray, among: np.ndarray) -> tuple[int, float]:
    """Which of `among` `[n, 64, 64, 3]` is most like the picture, and how far it is: root mean square, 0 to 255.

    Both are averaged over 4 by 4 pixels first, so that an edge that is one pixel off does not hide a copy.
    """
    import numpy as np

    def coarse(pixels: np.ndarray) -> np.ndarray:
        return pixels.astype(np.float32).reshape(-1, 16, 4, 16, 4, 3).mean((2, 4)).reshape(-1, 16 * 16 * 3)

    far = np.sqrt(((coarse(among) - coarse(picture[None])) ** 2).mean(1))
    best = int(far.argmin())
    return best, float(far[best])


def nearest_sheet(pictures: Sequence[np.ndarray], labels: Sequence[str], among: np.ndarray) -> Image.Image:
    """Each sample, and right of it the nearest training picture with its distance."""
    cells, words = [], []
    for pixels, label in zip(pictures, labels, strict=True):
        best, far = nearest(pixels, among)
        cells += [pixels, among[best]]
        words += [label, f"nearest, {far:.0f} of 255"]
    return contact_sheet(cells, words)
