"""Picture files from strangers, and text chunks written and read."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile
from PIL.PngImagePlugin import PngInfo

from backends.image.png import MOST_TEXT_BYTES, read_picture, text_chunks, write_png
from core.errors import UserInputError


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunks(*chunks: bytes) -> bytes:
    plain = saved(Image.new("RGB", (4, 4)))
    return plain[:33] + b"".join(chunks) + plain[33:]


SMALL = Image.effect_noise((40, 30), 50).convert("RGB")
HUGE = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (HUGE + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""), "more than 40 million pixels"),
        (saved(Image.new("1", (9_000, 9_000))), "more than 40 million pixels"),
        (saved(SMALL, "JPEG")[:400], "damaged or cut off"),
        (saved(SMALL)[:200], "damaged or cut off"),
        (b"", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0" * 50_000_001, "at most 50 MB"),
        (with_chunks(chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 90_000_000))), "damaged"),
    ],
    ids=["20000x20000", "bomb", "jpeg", "png", "empty", "svg", "eps", "large", "text bomb"],
)
def test_what_cannot_be_used_is_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        read_picture(data)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    found = read_picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (found.mode, found.getpixel((0, 0))) == ("RGB", (255, 0, 0))


def test_transparency_and_sixteen_bits_survive_as_eight() -> None:
    assert read_picture(saved(Image.new("RGBA", (4, 4), (9, 8, 7, 6)))).getpixel((0, 0)) == (9, 8, 7, 6)
    deep = Image.new("I;16", (4, 4), 65_535 // 2)
    assert read_picture(saved(deep)).getpixel((0, 0))[0] in (126, 127, 128)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_text_chunks_round_trip_and_nothing_else_of_the_source_is_kept(kind: str) -> None:
    said = Image.Exif()
    said[0x010F] = "a camera"
    text = PngInfo()
    text.add_text("Comment", "a comment")
    more = {"pnginfo": text} if kind == "PNG" else {"comment": b"a comment"} if kind == "JPEG" else {"lossless": True}
    profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
    source = saved(SMALL, kind, exif=said, icc_profile=profile, xmp=b"<x>a place</x>", **more)
    read = read_picture(source)
    assert {"exif", "icc_profile"} <= set(read.info), "it is there to be left out"
    chunks = {"proving_ground": '{"a": "🍎"}', "parameters": "x\ny"}
    data = write_png(read, chunks)
    assert text_chunks(data) == chunks
    assert Image.open(io.BytesIO(data)).text == chunks
    assert kinds_of(data) <= {b"IHDR", b"iTXt", b"IDAT", b"IEND"}
    assert read_picture(data).tobytes() == read.tobytes()
    assert kind == "JPEG" or read.tobytes() == SMALL.tobytes()


def kinds_of(png: bytes) -> set[bytes]:
    """Which chunks a PNG file has."""
    found, at = set(), 8
    while at < len(png):
        found.add(png[at + 4 : at + 8])
        at += 12 + struct.unpack(">I", png[at : at + 4])[0]
    return found


def test_hostile_chunks_are_left_out() -> None:
    bomb = zlib.compress(b"x" * 90_000_000)
    data = with_chunks(
        chunk(b"zTXt", b"bomb\0\0" + bomb),
        chunk(b"iTXt", b"bomb2\0\1\0\0\0" + bomb),
        chunk(b"iTXt", b"short\0"),
        chunk(b"tEXt", b"no separator"),
        chunk(b"tEXt", b"large\0" + b"x" * (MOST_TEXT_BYTES + 1)),
        chunk(b"iTXt", b"broken\0\0\0en\0key\0\xff\xfe"),
        chunk(b"tEXt", b"good\0fine"),
        chunk(b"tEXt", b"good\0second"),
        struct.pack(">I", 2**32 - 1) + b"tEXt",
    )
    assert text_chunks(data) == {"no separator": "", "broken": "\ufffd\ufffd", "good": "fine"}
    assert text_chunks(b"\xff\xd8jpeg") == {} == text_chunks(b"")
