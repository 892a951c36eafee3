"""Small copies of pictures for cards, as data URIs: the page need not fetch twenty full pictures to show twenty rows."""

from __future__ import annotations

import base64
import hashlib
import io

from core.errors import UserInputError

SIDE = 240
MOST_KEPT = 500
MOST_SIDE = 4_096
MOST_BYTES = 20_000_000


_made: dict[str, str] = {}


def thumbnail(png: bytes) -> str:
    """A `data:` URI at most `SIDE` pixels wide and high; made once for each picture while it is shown often."""
    # By hash: a cache with the pictures themselves as keys would keep all of them in memory.
    name = hashlib.sha256(png).hexdigest()
    if name not in _made:
        if len(_made) >= MOST_KEPT:
            _made.clear()
        _made[name] = _small(png)
    return _made.get(name) or _small(png)


def _small(png: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def png_of(content: bytes, name: str) -> bytes:
    """An uploaded picture as the PNG a row keeps, without what else the file said (place, camera); `UserInputError` if none."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(content) > MOST_BYTES:
        raise UserInputError(f"The {name} has more than {MOST_BYTES // 1_000_000} MB. Use a smaller one.")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if max(picture.size) > MOST_SIDE:
                raise UserInputError(f"The {name} is larger than {MOST_SIDE} pixels on a side. Make it smaller first.")
            upright = ImageOps.exif_transpose(picture)
            plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserInputError(f"The {name} cannot be read as a picture. Use a PNG, JPEG or WebP file.") from error
    plain.info = {}
    out = io.BytesIO()
    plain.save(out, "PNG")
    return out.getvalue()
