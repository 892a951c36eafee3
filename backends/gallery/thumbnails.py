"""Small pictures for the gallery's sheet."""

from __future__ import annotations

import io

SIDE = 320


def thumbnail(png: bytes) -> tuple[bytes, int, int]:
    """(WebP of at most 320 px a side, width, height of the picture). Pictures that small already stay exact.

    `png` is a file the app wrote itself. Raises `ValueError` when it is not a picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
            opened.load()
            width, height = opened.size
            small = max(opened.size) <= SIDE
            picture = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            picture.save(out, "WEBP", lossless=small, quality=80)
            return out.getvalue(), width, height
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ValueError("not a picture") from error
