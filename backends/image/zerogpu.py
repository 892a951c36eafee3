"""The image engine on ZeroGPU: pipelines wait in this module, and a decorated generator draws in a forked GPU worker.

Only plain data crosses: settings and names of files into the worker, numbers and bytes of PNG files out of it.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import spaces

from backends import zerogpu
from backends.chat.work import plainly
from backends.image import memory
from backends.image.adapters import Adapters, Attached
from backends.image.files import ImageFiles
from backends.image.loading import LoadedPipeline, load
from backends.image.local import LocalImages, draw_all
from backends.image.running import Line, RunningDrawing
from backends.image.sources import Sources, sources_of
from backends.registry import ModelRegistry
from backends.zerogpu import BATCH_SECONDS, StopFlag
from core.chat import LoadPlan, Progress
from core.errors import AppError
from core.images import ImageSettings, check_image_settings
from core.refs import ModelRef

log = logging.getLogger(__name__)
Sizes = tuple[tuple[str, int], ...]
News = tuple[str, Any]
NAME = "ZeroGPU"
LESS = "fewer steps, a smaller size or fewer pictures"
# Estimates for half an RTX Pro 6000: the least a step takes, what it computes in a second, and what a U-Net leaves out
# of the work of a transformer of its size, because most of its weights see a smaller picture.
_STEP_SECONDS = 0.03
_OPERATIONS = 1e14
_UNET_SHARE = 0.35
_PIXELS_PER_TOKEN = 256
_ENCODE_SECONDS = 0.4
_DECODE_SECONDS_PER_PIXEL = 4e-7
# Pipelines that were chosen after the launch are kept in the processor's memory, so many of them.
_MOST_WAITING = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A drawing as it crosses into the worker. `asked` is monotonic time, which the processes of a machine share.

    `sizes` are the bytes of the model's parts; `placed`: it was put on the GPU before the launch.
    """

    repo_id: str
    revision: str
    folder: str
    settings: ImageSettings
    attached: Attached
    asked: float
    total: int
    sizes: Sizes
    placed: bool
    stop: str


def _loaded(ref: ModelRef, folder: Path) -> LoadedPipeline:
    """The pipeline in the processor's memory, in the dtype of the device it will be moved to."""
    return load(ref, folder, zerogpu.device(), None, move=False)


def _moved(loaded: LoadedPipeline) -> LoadedPipeline:
    device = zerogpu.device()
    return LoadedPipeline(loaded.ref, loaded.base.to(device), loaded.facts, loaded.dtype, device)


_PIPELINES: zerogpu.Models[LoadedPipeline, Sizes] = zerogpu.Models(_loaded, _moved, _MOST_WAITING)


def place(ref: ModelRef, folder: Path) -> None:
    """Put a pipeline on the GPU for every worker to inherit. On ZeroGPU only before the launch, in the main thread."""
    _PIPELINES.place(ref, folder, _sizes(folder))


def seconds_needed(job: Job) -> int:
    """The GPU time to ask for, from the model's size, the steps, the picture's size and the batch, with a margin."""
    sizes, settings = dict(job.sizes), job.settings
    pixels = (settings.width or 0) * (settings.height or 0)
    name = next((name for name in ("transformer", "unet") if name in sizes), max(sizes, key=lambda n: sizes[n]))
    # Two bytes a parameter, a multiplication and an addition for each; twice where guidance draws without the prompt too.
    operations = sizes[name] * pixels / _PIXELS_PER_TOKEN * (2 if (settings.guidance or 0) > 1 else 1)
    step = max(_STEP_SECONDS, operations * (_UNET_SHARE if name == "unet" else 1) / _OPERATIONS)
    steps = max(1, int((settings.steps or 1) * (settings.strength or 1)))
    picture = _ENCODE_SECONDS + steps * step + pixels * _DECODE_SECONDS_PER_PIXEL
    moving = zerogpu.moving_seconds(sum(sizes.values()), job.placed)
    work = (moving + picture * settings.batch) * zerogpu.MARGIN
    return min(zerogpu.MOST_SECONDS, math.ceil(zerogpu.STARTUP_SECONDS + work))


@spaces.GPU(duration=seconds_needed)  # type: ignore[untyped-decorator]
def draw(job: Job) -> Iterator[tuple[News, ...]]:
    """Draw a job's pictures: batches of ("step", changed fields) and ("picture", Picture), last ("end", None) or ("error", …).

    It yields even when there is nothing new, because a worker hears of a closed generator only between yields.
    """
    zerogpu.begin_in_worker()
    drawing = _Told(job)
    thread = threading.Thread(target=_work, args=(job, drawing), daemon=True)
    thread.start()
    try:
        while True:
            batch = drawing.gathered()
            yield batch
            if batch and batch[-1][0] in ("end", "error"):
                return
    finally:
        drawing.closed = True
        thread.join()
        drawing.end("stopped")


class _Told(RunningDrawing):
    """The drawing inside a worker: what happens to it is told to the generator."""

    def __init__(self, job: Job) -> None:
        self.closed = False
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._flag = job.stop
        # It has no listeners here; who waits for it is the other process's affair.
        super().__init__(job.settings, total=job.total, orphan_seconds=86_400, leave_line=lambda drawing: False)
        self.asked = job.asked

    @property
    def stop_wanted(self) -> bool:
        """Whether the page or the generator wants the end."""
        return self.closed or zerogpu.stop_wanted(self._flag)

    def change(self, **changes: object) -> None:
        super().change(**changes)
        self.news.put(("step", changes))

    def add(self, picture: Any) -> None:
        super().add(picture)
        self.news.put(("picture", picture))

    def gathered(self) -> tuple[News, ...]:
        """What happened in one batch time, all steps as one; at once when it ends."""
        until = monotonic() + BATCH_SECONDS
        step: dict[str, object] = {}
        rest: list[News] = []
        while True:
            try:
                kind, value = self.news.get(timeout=max(0.0, until - monotonic()))
            except queue.Empty:
                return (*([("step", step)] if step else ()), *rest)
            if kind == "step":
                step |= value
            else:
                rest.append((kind, value))
            if kind in ("end", "error"):
                return (*([("step", step)] if step else ()), *rest)


def _work(job: Job, drawing: _Told) -> None:
    try:
        loaded = _PIPELINES.in_worker(ModelRef(job.repo_id, job.revision), Path(job.folder))
        draw_all(loaded, drawing, sources_of(job.settings), job.attached, backend=NAME)
        drawing.news.put(("end", None))
    except AppError as error:
        # What it came from stays here, so it is told here; by name, because an exception would reach the other process
        # as "worker error" only.
        log.warning("a drawing failed: %s", error, exc_info=error.__cause__)
        drawing.news.put(("error", zerogpu.named(error)))
    except Exception:
        log.exception("a drawing failed")
        drawing.news.put(("error", "GenerationFailed: The engine failed while it was drawing. Try again."))


class ZeroGpuImages(LocalImages):
    """Implements `core.image_protocols.ImageBackend` around `draw`: what is drawn and how is the local engine's own."""

    def __init__(self, files: ImageFiles, adapters: Adapters, *, orphan_seconds: float) -> None:
        super().__init__(
            _PlacedFiles(files),
            adapters,
            ModelRegistry(),
            device=zerogpu.device,
            name=lambda: NAME,
            free_bytes=lambda: None,
            orphan_seconds=orphan_seconds,
        )
        self._line: _AtOnce = _AtOnce()

    def place(self, ref: ModelRef) -> None:
        """Fetch the pipeline and put it on the GPU; before the launch, in the main thread."""
        for _ in self._files.fetch(ref):
            pass
        self.capabilities(ref)
        place(ref, self._files.present(ref))

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        if not _PIPELINES.has(ref):
            yield from self._files.fetch(ref)
            yield Progress("load")
            _PIPELINES.here(ref, self._files.present(ref))
        yield Progress("ready")

    def gpu_seconds(self, ref: ModelRef, settings: ImageSettings) -> int | None:
        """The GPU time that this drawing would be charged at most; None while the model is not here."""
        if not self._files.plan(ref).ready:
            return None
        settings = check_image_settings(replace(settings, prompt=settings.prompt or "-"), self.capabilities(ref))
        return zerogpu.charged(seconds_needed(self._job(ref, settings, Attached(), 0.0, 1, "")))

    def _run(self, ref: ModelRef, drawing: RunningDrawing, sources: Sources | None, attached: Attached) -> None:
        flag = self._line.flag(drawing)
        try:
            if not drawing.stop_wanted:
                _PIPELINES.here(ref, self._files.present(ref))
                total = drawing.step.total
                job = self._job(ref, drawing.settings, attached, drawing.asked, total, flag.path)
                self._follow(job, drawing)
            drawing.end("stopped" if drawing.stop_wanted else "done")
        except AppError as error:
            log.warning("a drawing failed: %s", error, exc_info=error.__cause__)
            drawing.fail(plainly(error))
        except Exception as error:
            log.exception("a drawing failed")
            drawing.fail(plainly(zerogpu.translated(error, LESS, "drawing")))
        finally:
            self._line.forget(drawing)
            flag.close()

    def _follow(self, job: Job, drawing: RunningDrawing) -> None:
        failed: AppError | None = None
        # To its own end: closing a generator that is just ending could stop the call that has its worker next.
        for batch in draw(job):
            self._line.begun(drawing)
            for kind, value in batch:
                if kind == "step":
                    drawing.change(**value)
                elif kind == "picture":
                    drawing.add(value)
                elif kind == "error":
                    failed = zerogpu.error_named(value)
        if failed is not None:
            raise failed

    def _job(
        self, ref: ModelRef, settings: ImageSettings, attached: Attached, asked: float, total: int, stop: str
    ) -> Job:
        folder = self._files.present(ref)
        placed = _PIPELINES.placed(ref)
        sizes = placed[1] if placed else _sizes(folder)
        return Job(
            ref.repo_id, ref.revision, str(folder), settings, attached, asked, total, sizes, placed is not None, stop
        )


class _PlacedFiles(ImageFiles):
    """The files of every model; of one that is placed it does not matter whether they are still there."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files

    def describing(self, ref: ModelRef) -> Path:
        return self._placed(ref) or self._files.describing(ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        folder = self._placed(ref)
        return LoadPlan(ref, ready=True, source=str(folder)) if folder else self._files.plan(ref)

    def fetch(self, ref: ModelRef) -> Iterator[Progress]:
        if self._placed(ref) is None:
            yield from self._files.fetch(ref)

    def present(self, ref: ModelRef) -> Path:
        return self._placed(ref) or self._files.present(ref)

    def _placed(self, ref: ModelRef) -> Path | None:
        placed = _PIPELINES.placed(ref)
        return placed[0] if placed else None


class _AtOnce(Line):
    """No line: who waits for a GPU, and for how long, is for ZeroGPU to say. Stop reaches the worker from here."""

    def __init__(self) -> None:
        super().__init__()
        self._flags: dict[str, StopFlag] = {}
        self._begun: set[str] = set()

    def add(self, drawing: RunningDrawing, job: Any) -> None:
        """Draw at once, in the visitor's name."""
        self._flags[drawing.id] = StopFlag()
        zerogpu.in_visitors_name(job, f"drawing-{drawing.id[:8]}")

    def leave(self, drawing: RunningDrawing) -> bool:
        """Tell the worker to stop; True while there is none yet, so that nobody waits for a GPU in order to stop."""
        flag = self._flags.get(drawing.id)
        if flag is not None:
            flag.set()
        return drawing.id not in self._begun

    def flag(self, drawing: RunningDrawing) -> StopFlag:
        """The flag of a drawing."""
        return self._flags[drawing.id]

    def begun(self, drawing: RunningDrawing) -> None:
        """A worker draws it."""
        self._begun.add(drawing.id)

    def forget(self, drawing: RunningDrawing) -> None:
        """It is over."""
        del self._flags[drawing.id]
        self._begun.discard(drawing.id)


def _sizes(folder: Path) -> Sizes:
    return tuple(sorted(memory.part_sizes(folder, "cuda").items()))
