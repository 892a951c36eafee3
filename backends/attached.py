"""Pictures of messages on disk: PNG files named by their content, held for this run until their conversation is kept."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.feedback import durable
from backends.image.png import read_picture, write_png
from core.attached import MOST_SIDE, Attached, gone
from core.errors import ConversationError, UserInputError

log = logging.getLogger(__name__)
MOST_PASSING_BYTES = 1_000_000_000
MOST_KEPT_BYTES = 10_000_000_000
"""Of all visitors together; beyond it those that were used least lately go."""
SMALL_SIDE = 360
MOST_SMALL = 500
_NAME = re.compile(r"[0-9a-f]{64}")


class AttachedFiles:
    """Implements `core.attached.AttachedPictures`. Folders are made with the first picture; no other user may list them."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where those of kept conversations lie."""
        self._kept = folder
        self._lock = threading.Lock()
        self._passing: tempfile.TemporaryDirectory[str] | None = None
        self._small: OrderedDict[str, str] = OrderedDict()

    def take(self, data: bytes, name: str = "picture") -> Attached:
        """Read a picture from a stranger, and hold it for this run of the app. Raises `UserInputError`."""
        from PIL import Image

        picture = read_picture(data, name)
        picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
        png = write_png(picture, {})
        attached = Attached(hashlib.sha256(png).hexdigest(), *picture.size)
        with self._errors(), self._lock:
            if self._passing is None:
                self._passing = tempfile.TemporaryDirectory(prefix="proving-attached-")
            held = Path(self._passing.name) / f"{attached.sha256}.png"
            # Also when somebody else keeps the same one: they may delete it before this one is kept.
            if not held.is_file():
                durable.write(held, png)
                _bound(held.parent, MOST_PASSING_BYTES)
        return attached

    def keep(self, owner: str, pictures: Iterable[Attached]) -> None:
        """Keep these for `owner` beyond this run of the app. One that is gone already stays gone."""
        with self._errors(), self._lock:
            written = False
            for picture in pictures:
                path = self._path(picture)
                if path is None:
                    continue
                target = self._kept / f"{picture.sha256}.png"
                if path != target:
                    self._kept.mkdir(parents=True, exist_ok=True, mode=0o700)
                    durable.write(target, path.read_bytes())
                    written = True
                if self._passing is not None:
                    (Path(self._passing.name) / target.name).unlink(missing_ok=True)
                mark = self._mark(owner, picture)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            if written:
                _bound(self._kept, MOST_KEPT_BYTES)

    def drop(self, owner: str, pictures: Iterable[Attached]) -> None:
        """`owner` keeps these no longer; a file that nobody keeps is deleted."""
        with self._errors(), self._lock:
            for picture in pictures:
                path = self._path(picture)
                mark = self._mark(owner, picture)
                if path is None or not mark.exists():
                    continue
                mark.unlink()
                if not any(mark.parents[1].glob(f"*/{picture.sha256}")):
                    (self._kept / f"{picture.sha256}.png").unlink(missing_ok=True)
                    self._small.pop(picture.sha256, None)

    def png(self, picture: Attached) -> bytes:
        """The file, checked against its name. Raises `UserInputError` when it is not here any more."""
        with self._errors(), self._lock:
            path = self._path(picture)
            data = path.read_bytes() if path is not None else b""
            if path is not None:
                # What is looked at goes last.
                os.utime(path)
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            if data:
                log.warning("the file of picture %s is damaged", picture.sha256[:8])
            raise UserInputError(gone(picture))
        return data

    def small(self, picture: Attached) -> str:
        """A small copy as a `data:` URI; "" when the picture is not here any more."""
        with self._lock:
            found = self._small.get(picture.sha256)
            if found is not None:
                self._small.move_to_end(picture.sha256)
                return found
        try:
            made = _reduced(self.png(picture))
        except UserInputError:
            # Said in its place on the page, and in words when a model is asked to look at it.
            return ""
        with self._lock:
            self._small[picture.sha256] = made
            while len(self._small) > MOST_SMALL:
                self._small.popitem(last=False)
        return made

    def _mark(self, owner: str, picture: Attached) -> Path:
        """An empty file that says who keeps a picture, so that nobody deletes what is another's too."""
        return self._kept / "of" / hashlib.sha256(owner.encode()).hexdigest()[:32] / picture.sha256

    def _path(self, picture: Attached) -> Path | None:
        if not _NAME.fullmatch(picture.sha256):
            return None
        folders = [self._kept, *([Path(self._passing.name)] if self._passing else [])]
        return next((path for folder in folders if (path := folder / f"{picture.sha256}.png").is_file()), None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConversationError(
                f"The picture could not be kept or read ({error.strerror}). Check the space and the permissions of "
                f"{self._kept}, then try again."
            ) from error


def _bound(folder: Path, most: int) -> None:
    files = [(entry.stat().st_mtime, entry.stat().st_size, entry) for entry in folder.glob("*.png")]
    over = sum(size for _, size, _ in files) - most
    for _, size, path in sorted(files):
        if over <= 0:
            return
        log.warning("picture %s makes room for newer ones", path.stem[:8])
        path.unlink(missing_ok=True)
        over -= size


def _reduced(png: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
