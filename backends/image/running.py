"""A drawing as pages see it, and the line it waits in: one drawing at a time, the others know how many are ahead."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from uuid import uuid4

from backends.chat.answers import BATCH_SECONDS, FIRST_LISTENER_SECONDS, MOST_KEPT
from core.errors import AppError
from core.image_protocols import Drawing
from core.images import ImageSettings, Picture, PictureFinish, Step


class RunningDrawing:
    """Implements `core.image_protocols.Drawing`. The engine's worker fills it; `stop_wanted` tells the worker to stop."""

    def __init__(
        self,
        settings: ImageSettings,
        *,
        total: int,
        orphan_seconds: float,
        leave_line: Callable[[RunningDrawing], bool],
    ) -> None:
        """`leave_line` takes it out of the queue and says whether it was still waiting there."""
        self._id = uuid4().hex
        self.settings = settings
        self.asked = monotonic()
        self._leave_line = leave_line
        self._orphan_seconds = orphan_seconds
        self._changed = threading.Condition()
        self._step = Step(0, total)
        self._version = 0
        self._pictures: tuple[Picture, ...] = ()
        self._error: AppError | None = None
        self._stop = False
        self._listeners = 0
        self._orphaned: threading.Timer | None = None
        self._leave_alone(max(orphan_seconds, FIRST_LISTENER_SECONDS))

    @property
    def id(self) -> str:
        """A random id that names this drawing and nothing else."""
        return self._id

    @property
    def stop_wanted(self) -> bool:
        """Whether the engine should end within this step."""
        return self._stop

    @property
    def done(self) -> bool:
        """Whether the last step is there, or an error."""
        return self._step.finish is not None or self._error is not None

    # For pages.

    def listen(self) -> Iterator[Step]:
        """The step it is at, then those to come; ends after the one with `finish`."""
        self._join()
        seen, next_look = -1, 0.0
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda last=seen: self.done or self._version != last)  # type: ignore[misc]
                    self._changed.wait_for(lambda: self.done, max(0.0, next_look - monotonic()))
                    step, seen, error = self._step, self._version, self._error
                if error:
                    # A stored error collects a traceback with every raise.
                    raise error.with_traceback(None)
                yield step
                if step.finish:
                    return
                next_look = monotonic() + BATCH_SECONDS
        finally:
            self._leave()

    def cancel(self) -> None:
        """End it at once while it waits, else within one step. Idempotent."""
        self._stop = True
        if self._leave_line(self):
            self.end("stopped")

    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are ready, in the order of their seeds."""
        with self._changed:
            return self._pictures

    # For engines.

    def change(self, **changes: object) -> None:
        """Change fields of the step listeners see; after the end nothing changes."""
        with self._changed:
            if not self.done:
                self._step = replace(self._step, **changes)  # type: ignore[arg-type]
                self._version += 1
                self._changed.notify_all()

    def note(self, sentence: str) -> None:
        """Add something to know to the steps from here on."""
        if sentence and sentence not in self._step.notes:
            self.change(notes=(*self._step.notes, sentence))

    @property
    def step(self) -> Step:
        """The step as listeners see it now."""
        return self._step

    def add(self, picture: Picture) -> None:
        """Add a picture that is ready."""
        with self._changed:
            if not self.done:
                self._pictures = (*self._pictures, picture)

    def end(self, finish: PictureFinish) -> None:
        """Say that the engine is finished."""
        with self._changed:
            self.change(finish=finish, ahead=0, seconds_left=0.0 if finish == "done" else None)
            self._stop_timer()

    def fail(self, error: AppError) -> None:
        """Say that the engine failed; pictures that were ready stay."""
        with self._changed:
            if not self.done:
                self._error = error
                self._stop_timer()
                self._changed.notify_all()

    def _join(self) -> None:
        with self._changed:
            self._listeners += 1
            self._stop_timer()

    def _leave(self) -> None:
        with self._changed:
            self._listeners -= 1
            if self._listeners == 0 and not self.done:
                self._leave_alone(self._orphan_seconds)

    def _leave_alone(self, seconds: float) -> None:
        self._orphaned = threading.Timer(seconds, self._give_up)
        self._orphaned.daemon = True
        self._orphaned.start()

    def _give_up(self) -> None:
        with self._changed:
            # A listener may have come between the timer's end and this lock.
            left = self._listeners == 0
        if left:
            self.cancel()

    def _stop_timer(self) -> None:
        if self._orphaned is not None:
            self._orphaned.cancel()
            self._orphaned = None


class Line:
    """Drawings of one engine, first come, first served; a worker thread lives while there is something to draw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[RunningDrawing, Callable[[], None]]] = deque()
        self._working = False

    def add(self, drawing: RunningDrawing, job: Callable[[], None]) -> None:
        """Put a drawing at the end; `job` draws it, reports to it and never raises."""
        with self._lock:
            self._waiting.append((drawing, job))
            self._tell()
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="drawing", daemon=True).start()

    def leave(self, drawing: RunningDrawing) -> bool:
        """Take a drawing out; False when it is being drawn or was."""
        with self._lock:
            for entry in self._waiting:
                if entry[0] is drawing:
                    self._waiting.remove(entry)
                    self._tell()
                    return True
        return False

    def _tell(self) -> None:
        for ahead, (drawing, _) in enumerate(self._waiting, int(self._working)):
            drawing.change(ahead=ahead)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return
                drawing, job = self._waiting.popleft()
                drawing.change(ahead=0)
                self._tell()
            job()


class DrawingDesk:
    """Keeps running and recent drawings by id, for a page that comes back."""

    def __init__(self, most: int = MOST_KEPT // 4) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._drawings: OrderedDict[str, Drawing] = OrderedDict()

    def keep(self, drawing: Drawing) -> Drawing:
        """Remember a drawing and forget the oldest finished ones beyond the bound."""
        with self._lock:
            self._drawings[drawing.id] = drawing
            finished = [key for key, kept in self._drawings.items() if getattr(kept, "done", True)]
            for key in finished[: max(0, len(self._drawings) - self._most)]:
                del self._drawings[key]
        return drawing

    def get(self, drawing_id: str) -> Drawing | None:
        """The drawing of that id; None when it is forgotten or never was."""
        with self._lock:
            return self._drawings.get(drawing_id)
