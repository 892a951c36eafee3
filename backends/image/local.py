"""The image engine in this process, on the processor or a GPU: one drawing at a time, the others wait in line."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from uuid import uuid4

from backends.chat.work import plainly
from backends.image.adapters import Adapters, Attached
from backends.image.files import ImageFiles
from backends.image.loading import LoadedPipeline
from backends.image.png import write_png
from backends.image.running import Line, RunningDrawing
from backends.image.sources import Sources, control_picture, sources_of
from backends.registry import Lease, ModelRegistry, collect
from core import __version__
from core.chat import LoadPlan, Progress
from core.errors import AppError, GenerationFailed, NoBackend, OutOfMemory
from core.images import (
    ImageCapabilities,
    ImageSettings,
    Picture,
    PictureFinish,
    Timings,
    check_image_settings,
    fitted_size,
)
from core.recipe import Recipe, chunks_of
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)
_RANDOM_SEEDS = 2**32


class LocalImages:
    """Implements `core.image_protocols.ImageBackend` with diffusers.

    The pictures of a batch are drawn one after the other: each then comes out the same when its recipe is drawn alone.
    """

    def __init__(
        self,
        files: ImageFiles,
        adapters: Adapters,
        registry: ModelRegistry[LoadedPipeline],
        *,
        device: Callable[[], str],
        name: Callable[[], str],
        free_bytes: Callable[[], int | None],
        orphan_seconds: float,
    ) -> None:
        """`device`, `name` and `free_bytes` are asked when they are needed: finding a GPU may load torch."""
        self._files = files
        self._adapters = adapters
        self._registry = registry
        self._device = device
        self._name = name
        self._free_bytes = free_bytes
        self._orphan_seconds = orphan_seconds
        self._line = Line()
        self._known: dict[ModelRef, ImageCapabilities] = {}

    @property
    def name(self) -> str:
        """CPU, or the GPU's name."""
        return self._name()

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        """What it can do with a model, from its configs and diffusers' signatures; the first call imports diffusers."""
        if ref.adapter is not None:
            raise NoBackend("A LoRA is added beside the model, not in its name. Choose the model without the adapter.")
        if ref not in self._known:
            from backends.image.metadata import capabilities_of

            self._known[ref] = capabilities_of(self._files.describing(ref), ref)
        return self._known[ref]

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model draws."""
        return self._files.plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        if not self._registry.has(ref):
            yield from self._files.fetch(ref)
            yield Progress("load")
            self._lease(ref).release()
        yield Progress("ready")

    def start(self, ref: ModelRef, settings: ImageSettings) -> RunningDrawing:
        """Put a drawing into the queue. What cannot be drawn is refused here, before anything runs."""
        can = self.capabilities(ref)
        self._files.present(ref)
        sources = sources_of(settings)
        control = control_picture(settings)
        shape = sources.picture if sources is not None else control
        if shape is not None and settings.width is None and settings.height is None:
            width, height = fitted_size(shape.width, shape.height, can)
            settings = replace(settings, width=width, height=height)
        settings = check_image_settings(settings, can)
        attached = self._adapters.attached(ref, settings)
        if settings.seed is None:
            settings = replace(settings, seed=secrets.randbelow(_RANDOM_SEEDS))
        steps = max(1, int((settings.steps or 1) * (settings.strength or 1)))
        drawing = RunningDrawing(
            settings,
            total=steps * settings.batch,
            orphan_seconds=self._orphan_seconds,
            leave_line=self._line.leave,
        )
        self._line.add(drawing, lambda: self._run(ref, drawing, sources, attached))
        return drawing

    def _lease(self, ref: ModelRef) -> Lease[LoadedPipeline]:
        from backends.image.loading import load, memory_needed

        device = self._device()
        folder = self._files.present(ref)
        return self._registry.lease(
            ref, lambda: load(ref, folder, device, self._free_bytes()), lambda: memory_needed(folder, device)
        )

    def _run(self, ref: ModelRef, drawing: RunningDrawing, sources: Sources | None, attached: Attached) -> None:
        try:
            if not drawing.stop_wanted:
                lease = self._lease(ref)
                try:
                    draw_all(lease.model, drawing, sources, attached, backend=self.name)
                finally:
                    lease.release()
            drawing.end("stopped" if drawing.stop_wanted else "done")
        except AppError as error:
            log.warning("a drawing failed: %s", error, exc_info=error.__cause__)
            drawing.fail(plainly(error))
            if isinstance(error, OutOfMemory):
                # Only now nothing holds the tensors of the picture that failed.
                collect()
        except Exception:
            log.exception("a drawing failed")
            drawing.fail(GenerationFailed("The engine failed while it was drawing. Try again."))


def draw_all(
    loaded: LoadedPipeline, drawing: RunningDrawing, sources: Sources | None, attached: Attached, *, backend: str
) -> None:
    """Draw the pictures of `drawing` and add each to it, in the name of the engine `backend`."""
    from backends.image.drawing import BLOCKED, cut_from, draw

    for text in (drawing.settings.prompt, drawing.settings.negative_prompt):
        if cut := cut_from(loaded, text):
            drawing.note(f"The model does not read the end of a long prompt. It left out: “{shown(cut, 200)}”")
    for number in range(drawing.settings.batch):
        if drawing.stop_wanted:
            return
        seed = (drawing.settings.seed or 0) + number
        settings = replace(drawing.settings, seed=seed, batch=1)
        started = monotonic()
        drawn = draw(loaded, settings, sources, drawing, attached)
        if drawn.blocked:
            drawing.note(BLOCKED)
            # The last preview is nearly the picture.
            drawing.change(preview=None)
        elif drawn.picture is not None:
            timings = Timings(started - drawing.asked, monotonic() - started)
            notes = drawing.step.notes
            drawing.add(_picture(loaded, drawn.picture, settings, drawn.finish, timings, notes, backend))


def _picture(
    loaded: LoadedPipeline,
    drawn: object,
    settings: ImageSettings,
    finish: PictureFinish,
    timings: Timings,
    notes: tuple[str, ...],
    backend: str,
) -> Picture:
    recipe = Recipe(
        settings,
        loaded.ref,
        backend=backend,
        dtype=loaded.dtype,
        finish=finish,
        versions=(("proving_ground", __version__), *library_versions()),
    )
    png = write_png(drawn, chunks_of(recipe))  # type: ignore[arg-type]  # Pillow is typed only where it is imported
    return Picture(uuid4().hex, png, loaded.ref, settings, backend, loaded.dtype, timings, finish, notes)


@cache
def library_versions() -> tuple[tuple[str, str], ...]:
    """The libraries that decide the pixels, and their versions."""
    found = []
    for package in ("diffusers", "torch", "transformers", "peft"):
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)
