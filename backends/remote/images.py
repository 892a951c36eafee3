"""Pictures drawn on another machine: an Inference Endpoint the operator named, or a provider; one thread per drawing."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from backends.chat.work import plainly
from backends.image.png import FORMATS, MOST_PIXELS, write_png
from backends.image.running import RunningDrawing
from backends.remote.call import Call
from backends.remote.engine import RemoteEngine
from backends.remote.models import ServedModels
from backends.remote.target import Target
from core import __version__
from core.chat import LoadPlan, Progress
from core.errors import AppError, GenerationFailed, NoBackend
from core.images import ImageCapabilities, ImageSettings, Picture, Timings, check_image_settings, left_open
from core.recipe import Recipe, chunks_of
from core.refs import ModelRef

if TYPE_CHECKING:
    from PIL.Image import Image

    from backends.remote.connection import Connection

log = logging.getLogger(__name__)

SILENCE_SECONDS = 300.0
PATIENCE = (1.0, 4.0)
_SEEDS = 2**31
# What an endpoint that keeps no list is called.
ALONE = "endpoint"
_EVERYTHING = frozenset({"size", "steps", "guidance", "negative_prompt", "scheduler", "seed"})
# What each provider's own API has under the names InferenceClient sends (huggingface_hub/inference/_providers): what is
# not here would be dropped on the way or refused. Where it depends on the model, it counts as not taken.
_TAKES: dict[str, frozenset[str]] = {
    "hf-inference": _EVERYTHING,
    "fal-ai": frozenset({"size", "steps", "guidance", "seed"}),
    "together": frozenset({"size", "steps", "guidance", "negative_prompt", "seed"}),
    "replicate": frozenset({"guidance", "seed"}),
    "wavespeed": frozenset({"guidance", "steps", "seed"}),
    "nscale": frozenset({"size"}),
    "zai-org": frozenset({"size"}),
}
_SAYS = {
    "width": "a size",
    "height": "a size",
    "steps": "a number of steps",
    "guidance": "guidance",
    "negative_prompt": "a negative prompt",
    "scheduler": "a scheduler",
    "seed": "a seed",
}
_NOT_REMOTE = ("image_to_image", "inpaint", "loras", "controlnet")


class RemoteImages(RemoteEngine):
    """Implements `core.image_protocols.ImageBackend` with `InferenceClient.text_to_image`, for refs with its host alone."""

    def __init__(
        self,
        target: Target,
        *,
        endpoint: str,
        orphan_seconds: float,
        silence_seconds: float = SILENCE_SECONDS,
        patience: tuple[float, ...] = PATIENCE,
    ) -> None:
        """`endpoint` is the Hub, which is asked for a provider's models. Asks no network yet."""
        super().__init__(
            target,
            ServedModels(target, endpoint, "text-to-image", alone=ALONE),
            orphan_seconds,
            silence_seconds,
            patience,
        )

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        """What the host takes; nothing is asked for it. The defaults are this app's: a host does not tell its own."""
        if ref.host != self.host:
            raise NoBackend(f"{ref} is not a model of {self.host}. Choose it again where its engine is listed.")
        takes = _EVERYTHING if self._target.url else _TAKES.get(self._target.provider, frozenset())
        fixed = (*(() if "size" in takes else ("width", "height")), *(n for n in ("steps", "seed") if n not in takes))
        off = (*fixed, *(name for name in ("guidance", "negative_prompt", "scheduler") if name not in takes))
        return ImageCapabilities(
            width=1024,
            height=1024,
            least_side=64,
            most_side=2048,
            multiple=8,
            steps=4 if any(word in ref.repo_id.lower() for word in ("schnell", "turbo", "lightning")) else 28,
            guidance=3.5 if "guidance" in takes else None,
            # The names of an endpoint's schedulers are not known here, so its own is used.
            schedulers=("",),
            scheduler="",
            most_steps=100,
            negative_prompt="negative_prompt" in takes,
            fixed=fixed,
            why_not=(
                *((name, f"{self.host} does not take {_SAYS[name]}, at least not for every model.") for name in off),
                *(
                    (name, f"{self.host} only draws from text here. Choose a model of this machine.")
                    for name in _NOT_REMOTE
                ),
            ),
            notes=(
                f"Prompts are sent to {self.host}.",
                "There is no preview: the host sends only the finished picture.",
            ),
        )

    def plan(self, ref: ModelRef) -> LoadPlan:
        """Nothing has to be fetched: the model is on the host."""
        self.capabilities(ref)
        return LoadPlan(ref, ready=True, source=self.host)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """See that the host still serves the model. It is not tried out: every try is a picture."""
        self.capabilities(ref)
        self._models.current(ref)
        yield Progress("ready")

    def start(self, ref: ModelRef, settings: ImageSettings) -> RunningDrawing:
        """Begin a drawing. What the host does not take is refused here, before anything is sent."""
        asked = check_image_settings(settings, can := self.capabilities(ref))
        served = self._models.current(ref)
        # What was left open is left to the host, whose defaults are not known here.
        left = [name for name in ("width", "height", "steps", "guidance") if getattr(settings, name) is None]
        asked = left_open(asked, left)
        if asked.seed is None and "seed" not in can.fixed:
            asked = replace(asked, seed=secrets.randbelow(_SEEDS))
        call = Call()

        def stop(_: RunningDrawing) -> bool:
            call.end()
            return True

        drawing = RunningDrawing(asked, total=asked.batch, orphan_seconds=self._orphan_seconds, leave_line=stop)
        threading.Thread(
            target=self._run, args=(ref, served.name, drawing, call), name=f"drawing-{drawing.id[:8]}", daemon=True
        ).start()
        return drawing

    def _run(self, ref: ModelRef, model: str, drawing: RunningDrawing, call: Call) -> None:
        try:
            for number in range(drawing.settings.batch):
                if drawing.stop_wanted:
                    break
                first = drawing.settings.seed
                settings = replace(drawing.settings, seed=None if first is None else first + number, batch=1)
                started = monotonic()
                drawn = self._drawn(model, settings, drawing, call)
                if drawn is None:
                    break
                timings = Timings(started - drawing.asked, monotonic() - started)
                drawing.add(self._picture(ref, drawn, settings, timings))
                drawing.change(number=number + 1)
            drawing.end("stopped" if drawing.stop_wanted else "done")
        except AppError as error:
            log.warning("a drawing failed: %s", error, exc_info=error.__cause__)
            drawing.fail(plainly(error))
        except Exception:
            log.exception("a drawing failed")
            drawing.fail(GenerationFailed("The engine failed while it was drawing. Try again."))

    def _drawn(self, model: str, settings: ImageSettings, drawing: RunningDrawing, call: Call) -> Image | None:
        """The host's picture; None when the drawing was stopped meanwhile."""
        from backends.remote.connection import Connection
        from backends.remote.errors import passing, sentence

        waits = list(self._patience)
        while not drawing.stop_wanted:
            with Connection(self._target, seconds=self._silence) as connection:
                call.use(connection)
                try:
                    return _opened(connection, None if self._target.url else model, _parameters(settings))
                except Exception as error:
                    if drawing.stop_wanted:
                        break
                    seconds, sent = self._silence, connection.sent
                    told = sentence(error, self._target, model, seconds=seconds, began=False, sent=sent)
                    if not waits or not passing(error):
                        raise told from error
            call.over.wait(waits.pop(0))
        return None

    def _picture(self, ref: ModelRef, drawn: Image, settings: ImageSettings, timings: Timings) -> Picture:
        # A host rounds sizes as it likes; the picture itself says what it is.
        settings = replace(settings, width=drawn.width, height=drawn.height)
        recipe = Recipe(
            settings,
            ref,
            backend=self.name,
            finish="done",
            versions=(("proving_ground", __version__), ("huggingface_hub", version("huggingface_hub"))),
        )
        png = write_png(drawn, chunks_of(recipe))
        return Picture(uuid4().hex, png, ref, settings, self.name, "", timings, "done")


def _parameters(settings: ImageSettings) -> dict[str, Any]:
    return {
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt or None,
        "width": settings.width,
        "height": settings.height,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance,
        "scheduler": settings.scheduler or None,
        "seed": settings.seed,
    }


def _opened(connection: Connection, model: str | None, parameters: dict[str, Any]) -> Image:
    """The picture as 8-bit RGB or RGBA. Raises `Broken` for anything else; large ones are never decoded."""
    from PIL import Image, UnidentifiedImageError

    from backends.remote.connection import Broken

    try:
        found = connection.text_to_image(model=model, **parameters)
        if found.format not in FORMATS or found.width * found.height > MOST_PIXELS:
            raise Broken("no picture, or one that is too large")
        found.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, EOFError) as error:
        if _from_transport(error):
            raise
        raise Broken("not a picture") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Broken("not the answer of a provider") from error
    transparent = "A" in found.getbands() or "transparency" in found.info
    return found.convert("RGBA" if transparent else "RGB")


def _from_transport(error: BaseException) -> bool:
    # huggingface_hub's HTTP errors are OSErrors too.
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError)
