"""The picture a drawing starts from: its view for painting, the mask that was painted, and a canvas to extend it on.

Every function takes plain PNG bytes that `ImageRouter.picture_in` made: checked, upright, RGB or RGBA.
"""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import UserInputError

if TYPE_CHECKING:
    from PIL.Image import Image

ON_PAINT = (Path(__file__).parent / "painter.js").read_text(encoding="utf-8")
LEAST_VIEW = 448
MOST_VIEW = 1024
MOST_EXTENDED = 4_096
MOST_STROKES = 4_000_000
# The colour of a mask over a picture, with how much of it shows.
_TINT = (15, 118, 110, 140)


class Extent(NamedTuple):
    """How many pixels are added on each side."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0


def painter(png: bytes) -> str:
    """The picture with a surface to paint the mask on, for a `gr.HTML` with `ON_PAINT`."""
    picture = view_of(png)
    data = base64.b64encode(_png(picture)).decode()
    width, height = picture.size
    return (
        f'<div class="pg-painter" data-source="{source_id(png)}" data-width="{width}" data-height="{height}">'
        '<div class="pg-tools">'
        '<label>Brush <input type="range" data-size min="1" max="40" value="9" aria-label="Size of the brush"></label>'
        '<button class="pg-copy" data-erase aria-pressed="false">Eraser</button>'
        '<button class="pg-copy" data-undo>Undo</button><button class="pg-copy" data-clear>Clear mask</button>'
        '<span class="pg-meta">By keyboard: arrows, Space, + and −</span></div>'
        f'<div class="pg-surface" style="aspect-ratio:{width}/{height};--pg-shape:{width / height:.4f}">'
        f'<img alt="Paint over what may change" src="data:image/png;base64,{data}" draggable="false"></div></div>'
    )


def source_id(png: bytes) -> str:
    """Which picture a painter is for, so that a late stroke is not taken for one on the next picture."""
    return hashlib.sha256(png).hexdigest()[:16]


def view_of(png: bytes) -> Image:
    """The picture at a size one can paint on: small ones enlarged by a whole factor, large ones made smaller."""
    from PIL import Image

    picture = _opened(png).convert("RGBA")
    longest = max(picture.size)
    if longest < LEAST_VIEW:
        factor = -(-LEAST_VIEW // longest)
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    if longest > MOST_VIEW:
        picture.thumbnail((MOST_VIEW, MOST_VIEW))
    return picture


def strokes_in(data_url: Any) -> bytes | None:
    """The PNG that a painter sent; None when it holds no paint. Raises `UserInputError` when it is something else."""
    text = data_url if isinstance(data_url, str) else ""
    kind, _, content = text.partition(",")
    from PIL.Image import DecompressionBombError

    try:
        if kind != "data:image/png;base64" or len(content) > MOST_STROKES:
            raise ValueError(kind[:40])
        data = base64.b64decode(content, validate=True)
        layer = _opened(data)
        if max(layer.size) > MOST_VIEW:
            raise ValueError(layer.size)
        empty = layer.convert("RGBA").getchannel("A").getbbox() is None
    except (ValueError, OSError, SyntaxError, DecompressionBombError) as error:
        raise UserInputError("The mask could not be read. Paint it again.") from error
    return None if empty else data


def mask_from(png: bytes, strokes: bytes | None) -> bytes:
    """The mask of what was painted over the view, as a PNG of the picture's own size: white may change.

    `strokes` is what `strokes_in` returned. Raises `UserInputError` when nothing is painted.
    """
    from PIL import Image

    painted = None
    if strokes:
        # The alpha says where the brush was; colours under alpha 0 are arbitrary.
        alpha = _opened(strokes).convert("RGBA").getchannel("A").point(lambda value: 255 if value >= 128 else 0)
        painted = alpha.resize(_opened(png).size, Image.Resampling.BOX).point(lambda value: 255 if value >= 128 else 0)
    if painted is None or painted.getbbox() is None:
        raise UserInputError("Nothing is painted yet, so nothing may change. Paint over the part to draw anew.")
    return _png(painted)


def extended(png: bytes, extent: Extent) -> tuple[bytes, bytes]:
    """The picture on a larger canvas, and the mask of what was added.

    What is added starts as the picture's edge, blurred: a start the model can grow out of.
    """
    from PIL import Image, ImageFilter

    picture = _opened(png).convert("RGB")
    if not any(extent):
        raise UserInputError("Nothing is added on any side. Say how many pixels to add.")
    if min(extent) < 0:
        raise UserInputError("A side cannot be extended by less than nothing.")
    width = picture.width + extent.left + extent.right
    height = picture.height + extent.top + extent.bottom
    if max(width, height) > MOST_EXTENDED:
        raise UserInputError(f"The extended picture would be {width} × {height}; at most {MOST_EXTENDED} a side.")
    box = (extent.left, extent.top)
    canvas = Image.new("RGB", (width, height))
    # Each side is the nearest edge of the picture, drawn out.
    for side, size, at in (
        (picture.crop((0, 0, 1, picture.height)), (extent.left, picture.height), (0, extent.top)),
        (
            picture.crop((picture.width - 1, 0, picture.width, picture.height)),
            (extent.right, picture.height),
            (extent.left + picture.width, extent.top),
        ),
    ):
        if size[0]:
            canvas.paste(side.resize(size), at)
    canvas.paste(picture, box)
    if extent.top:
        row = canvas.crop((0, extent.top, width, extent.top + 1))
        canvas.paste(row.resize((width, extent.top)), (0, 0))
    if extent.bottom:
        row = canvas.crop((0, extent.top + picture.height - 1, width, extent.top + picture.height))
        canvas.paste(row.resize((width, extent.bottom)), (0, extent.top + picture.height))
    canvas = canvas.filter(ImageFilter.GaussianBlur(max(2, max(extent) // 8)))
    canvas.paste(picture, box)
    mask = Image.new("L", (width, height), 255)
    mask.paste(0, (*box, extent.left + picture.width, extent.top + picture.height))
    return _png(canvas), _png(mask)


def shown(png: bytes, mask: bytes | None = None, alt: str = "The picture to start from") -> str:
    """The picture as HTML, with what may change tinted where there is a mask, and its share in words."""
    from PIL import Image

    picture = _opened(png).convert("RGBA")
    line = f"{picture.width} × {picture.height} px"
    if mask is not None:
        painted = _opened(mask).convert("L")
        share = painted.histogram()[255] / (painted.width * painted.height)
        picture.alpha_composite(
            Image.composite(Image.new("RGBA", picture.size, _TINT), Image.new("RGBA", picture.size), painted)
        )
        line += f" · {max(1, round(share * 100))} % may change, the rest stays as it is, byte for byte"
    picture.thumbnail((MOST_VIEW // 2, MOST_VIEW // 2))
    data = base64.b64encode(_png(picture)).decode()
    return (
        f'<figure class="pg-source"><img alt="{alt}" src="data:image/png;base64,{data}">'
        f'<figcaption role="status">{line}</figcaption></figure>'
    )


def size_of(png: bytes) -> tuple[int, int]:
    """(width, height) in pixels."""
    width, height = _opened(png).size
    return width, height


def _opened(png: bytes) -> Image:
    from PIL import Image

    return Image.open(io.BytesIO(png), formats=("PNG",))


def _png(picture: Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()
