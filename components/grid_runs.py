"""Grids that are being drawn on this server: what Stop and a second page need to know of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from core.image_protocols import Drawing


@dataclass(eq=False)
class GridRun:
    """One run through the missing cells of a grid."""

    stopped: bool = False
    drawing: Drawing | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draws(self, drawing: Drawing) -> None:
        """This is the drawing of the cell that is on; it ends at once when Stop came first."""
        with self._lock:
            self.drawing = drawing
            stopped = self.stopped
        if stopped:
            drawing.cancel()

    def stop(self) -> None:
        """End the cell that is on within one step, and draw no more."""
        with self._lock:
            self.stopped = True
            drawing = self.drawing
        if drawing is not None:
            drawing.cancel()


class GridRuns:
    """The runs by whose grid it is. A visitor draws one grid at a time: a new run ends the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, GridRun] = {}

    def begin(self, owner: str) -> GridRun:
        """A new run; one that is on in another tab, or of a page that is gone, is stopped."""
        run = GridRun()
        with self._lock:
            before = self._runs.get(owner)
            self._runs[owner] = run
        if before is not None:
            before.stop()
        return run

    def stop(self, owner: str) -> bool:
        """Stop the visitor's run; False when there is none."""
        with self._lock:
            run = self._runs.get(owner)
        if run is None:
            return False
        run.stop()
        return True

    def end(self, owner: str, run: GridRun) -> None:
        """Forget a run that is over."""
        with self._lock:
            if self._runs.get(owner) is run:
                del self._runs[owner]

    def on(self, owner: str) -> bool:
        """Whether a grid of this visitor is being drawn."""
        with self._lock:
            return owner in self._runs
