"""Pictures of messages as files: read safely, held for a while, kept with a conversation, gone with the last one."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from backends.attached import AttachedFiles
from core.attached import MOST_SIDE, Attached
from core.errors import UserInputError
from tests.fakes import png


@pytest.fixture
def files(tmp_path: Path) -> AttachedFiles:
    return AttachedFiles(tmp_path / "attached")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def encoded(picture: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_what_a_camera_wrote_is_not_kept_and_the_picture_stands_upright(files: AttachedFiles) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "taken at home"
    taken = files.take(encoded(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif))
    assert (taken.width, taken.height) == (20, 40)
    data = files.png(taken)
    assert b"taken at home" not in data and not opened(data).getexif() and not opened(data).info
    assert files.png(files.take(png(1, text="a secret"))) == files.png(files.take(png(1)))


def test_the_same_pixels_are_the_same_file_and_its_name_is_its_hash(files: AttachedFiles) -> None:
    first, again, other = files.take(png(1)), files.take(png(1)), files.take(png(2))
    assert first == again != other
    assert hashlib.sha256(files.png(first)).hexdigest() == first.sha256


def test_a_large_picture_is_made_smaller_and_a_bomb_is_never_opened(files: AttachedFiles) -> None:
    wide = files.take(encoded(Image.new("L", (3000, 300)), "PNG"))
    assert (wide.width, wide.height) == (MOST_SIDE, 154)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(UserInputError, match="million pixels"):
        files.take(bomb)
    for broken in (b"", b"<svg/>", png(1)[:60]):
        with pytest.raises(UserInputError, match="picture"):
            files.take(broken)


def test_what_is_not_kept_ends_with_the_app_and_what_is_kept_does_not(files: AttachedFiles, tmp_path: Path) -> None:
    passing, kept = files.take(png(1)), files.take(png(2))
    files.keep("ann", [kept])
    assert files.png(passing) and not list((tmp_path / "attached").glob(f"{passing.sha256}*"))
    again = AttachedFiles(tmp_path / "attached")
    assert again.png(kept) == files.png(kept)
    with pytest.raises(UserInputError, match="attach it again"):
        again.png(passing)
    assert again.small(passing) == "" and again.small(kept).startswith("data:image/webp;base64,")
    assert oct((tmp_path / "attached").stat().st_mode & 0o777) == "0o700"


def test_a_picture_goes_when_the_last_who_keeps_it_deletes_it(files: AttachedFiles) -> None:
    shared = files.take(png(1))
    files.keep("ann", [shared])
    files.keep("bob", [shared])
    files.drop("eve", [shared])
    files.drop("ann", [shared])
    files.drop("ann", [shared])
    assert files.png(shared)
    files.drop("bob", [shared])
    with pytest.raises(UserInputError, match="not kept here"):
        files.png(shared)


def test_what_one_deletes_stays_with_another_who_has_just_attached_it(files: AttachedFiles) -> None:
    files.keep("ann", [files.take(png(1))])
    waiting = files.take(png(1))
    files.drop("ann", [waiting])
    assert files.png(waiting)
    files.keep("bob", [waiting])
    assert files.png(waiting)
    files.drop("bob", [waiting])
    with pytest.raises(UserInputError):
        files.png(waiting)


def test_a_name_that_is_no_hash_reaches_no_file(files: AttachedFiles, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(3))
    files.keep("ann", [files.take(png(1))])
    for name in ("../secret", "../../secret", str(tmp_path / "secret"), ""):
        with pytest.raises(UserInputError):
            files.png(Attached(name, 1, 1))
        files.drop("ann", [Attached(name, 1, 1)])
        files.keep("ann", [Attached(name, 1, 1)])
    assert (tmp_path / "secret.png").exists()


def test_a_damaged_file_is_not_shown_as_what_it_was(files: AttachedFiles, tmp_path: Path) -> None:
    kept = files.take(png(1))
    files.keep("ann", [kept])
    (tmp_path / "attached" / f"{kept.sha256}.png").write_bytes(png(2))
    with pytest.raises(UserInputError, match="not kept here"):
        files.png(kept)


def test_the_oldest_make_room(files: AttachedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr("backends.attached.MOST_KEPT_BYTES", 2 * len(png(1)) + 20)
    kept = [files.take(png(colour)) for colour in (1, 2, 3)]
    for number, one in enumerate(kept[:2]):
        files.keep("ann", [one])
        os.utime(tmp_path / "attached" / f"{one.sha256}.png", (number, number))
    files.png(kept[0])
    files.keep("ann", kept[2:])
    assert files.png(kept[0]) and files.png(kept[2])
    with pytest.raises(UserInputError):
        files.png(kept[1])
