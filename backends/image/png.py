"""Pictures from strangers read safely, and PNG files written with text chunks and read back."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from core.errors import UserInputError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_FILE_BYTES = 50_000_000
MOST_PIXELS = 40_000_000
MOST_CHUNKS = 5_000
MOST_TEXT_BYTES = 400_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_picture(data: bytes, name: str = "picture") -> Image:
    """The picture of a file as 8-bit RGB, or RGBA where it is transparent; of an animation the first frame.

    Raises `UserInputError` for anything that is too large, damaged or not a picture; large ones are never decoded.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(data) > MOST_FILE_BYTES:
        raise UserInputError(
            f"The {name} has {len(data) / 1e6:.0f} MB; at most {MOST_FILE_BYTES // 1_000_000} MB are read. Save it smaller."
        )
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        if opened.width * opened.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        opened.seek(0)
        opened.load()
        found = ImageOps.exif_transpose(opened)
    except Image.DecompressionBombError as error:
        raise UserInputError(
            f"The {name} has more than {MOST_PIXELS // 1_000_000} million pixels and was not opened. Make it smaller first."
        ) from error
    except UnidentifiedImageError as error:
        raise UserInputError(
            f"The {name} is not a picture this app reads. Give a {', '.join(FORMATS)} file."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise UserInputError(
            f"The {name} is damaged or cut off and cannot be read. Save it again and retry."
        ) from error
    if found.mode.startswith("I"):
        # Sixteen bits a pixel: Pillow would clip instead of scaling.
        found = found.convert("I").point(lambda value: value / 257).convert("L")
    transparent = "A" in found.getbands() or "transparency" in found.info
    return found.convert("RGBA" if transparent else "RGB")


def write_png(picture: Image, chunks: Mapping[str, str], compress_level: int = 4) -> bytes:
    """The picture as a PNG file with these text chunks and nothing else of what its source carried."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in chunks.items():
        info.add_itxt(key, text)
    out = io.BytesIO()
    # Pillow would put the source's colour profile in by itself, and those name devices and people.
    picture.save(out, "PNG", pnginfo=info, compress_level=compress_level, icc_profile=None)
    return out.getvalue()


def text_chunks(data: bytes) -> dict[str, str]:
    """The text chunks of a PNG file, without decoding its pixels; {} for other files, broken chunks left out."""
    found: dict[str, str] = {}
    left = MOST_TEXT_BYTES
    for kind, content in _chunks(data):
        key, _, rest = content.partition(b"\0")
        if not 0 < len(key) < 80:
            continue
        text = _READERS[kind](rest, left)
        if text is not None:
            left -= len(text)
            found.setdefault(key.decode("latin-1"), text)
        if left <= 0:
            break
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        return
    at = len(_SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if size > len(data) - at - 12:
            return
        if kind in _READERS and size <= MOST_TEXT_BYTES:
            yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _plain(rest: bytes, most: int) -> str | None:
    return rest.decode("latin-1") if len(rest) <= most else None


def _compressed(rest: bytes, most: int) -> str | None:
    inflated = _inflated(rest[1:], most)
    return None if inflated is None else inflated.decode("latin-1")


def _international(rest: bytes, most: int) -> str | None:
    if len(rest) < 4:
        return None
    content = rest[2:].split(b"\0", 2)[-1]
    inflated = _inflated(content, most) if rest[0] else content
    if inflated is None or len(inflated) > most:
        return None
    return inflated.decode("utf-8", "replace")


def _inflated(data: bytes, most: int) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, most + 1)
    except zlib.error:
        return None
    return found if len(found) <= most else None


_READERS = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}
