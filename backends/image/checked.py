"""A drawing whose pictures a classifier sees first, whichever engine draws it: what it blocks is said and not shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from backends.image.classifier import PictureClassifier
from backends.image.png import read_picture
from backends.image.preview import coarse
from core.image_protocols import Drawing
from core.images import Picture, Step


class CheckedDrawing:
    """Implements `core.image_protocols.Drawing` around another one."""

    def __init__(self, drawing: Drawing, classifier: PictureClassifier) -> None:
        self._drawing, self._classifier = drawing, classifier
        self._lock = threading.Lock()
        # None: seen, and may be shown. Else the sentence that says why not.
        self._seen: dict[str, str | None] = {}

    @property
    def id(self) -> str:
        """The drawing's own id."""
        return self._drawing.id

    @property
    def done(self) -> bool:
        """Whether the last step is there, or an error."""
        return bool(getattr(self._drawing, "done", True))

    def listen(self) -> Iterator[Step]:
        """As the drawing's own, with coarse previews, and with what was blocked in the notes."""
        small: tuple[bytes, bytes] | None = None
        for step in self._drawing.listen():
            blocked = self._look() if step.finish else ()
            if step.preview is not None:
                if small is None or small[0] is not step.preview:
                    small = (step.preview, coarse(step.preview))
                step = replace(step, preview=None if blocked else small[1])
            yield replace(step, notes=(*step.notes, *blocked))

    def cancel(self) -> None:
        """As the drawing's own."""
        self._drawing.cancel()

    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are ready and may be shown."""
        self._look()
        return tuple(picture for picture in self._drawing.pictures() if self._seen.get(picture.id, "") is None)

    def _look(self) -> tuple[str, ...]:
        """Look at what is new; the sentences of what is blocked."""
        with self._lock:
            for picture in self._drawing.pictures():
                if picture.id not in self._seen:
                    verdict = self._classifier.verdict(read_picture(picture.png))
                    self._seen[picture.id] = (
                        f"The picture classifier of this app blocked a picture as “{verdict.label}” ({verdict.share:.0%}), so "
                        "it is not shown. Change the prompt or the seed."
                        if verdict.blocked
                        else None
                    )
            return tuple(dict.fromkeys(sentence for sentence in self._seen.values() if sentence))
