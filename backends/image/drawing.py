"""Draws one picture: calls the pipeline, reports its steps, stops it, and says what went wrong as a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from backends.chat.decoding import out_of_memory
from backends.image import schedulers
from backends.image.adapters import NOTHING_ATTACHED, Attached
from backends.image.loading import LoadedPipeline, Task
from backends.image.memory import in_tiles
from backends.image.metadata import least_side
from backends.image.preview import Previews, decoded, to_picture, unpacked
from backends.image.running import RunningDrawing
from backends.image.sources import Sources, control_picture, steering
from core.errors import AppError, GenerationFailed, OutOfMemory
from core.images import ImageSettings, PictureFinish

log = logging.getLogger(__name__)
BLOCKED = "The model's own safety checker blocked a picture, so it is not shown. Change the prompt or the seed."


@dataclass(frozen=True)
class Drawn:
    """A picture as it came out; None when it was blocked, or stopped before there was anything to see."""

    picture: Any
    finish: PictureFinish
    blocked: bool = False


class _Stopped(Exception):
    """Ends a pipeline from inside a step; `latents` are what the finished picture would have been from there."""

    def __init__(self, latents: Any) -> None:
        super().__init__("stopped")
        self.latents = latents


def draw(
    loaded: LoadedPipeline,
    settings: ImageSettings,
    sources: Sources | None,
    drawing: RunningDrawing,
    attached: Attached = NOTHING_ATTACHED,
) -> Drawn:
    """Draw the picture of `settings`, every field of which is filled in; raises `BackendError` with what to do.

    `attached` are the files of the settings' LoRAs and ControlNet.
    """
    task: Task = "text" if sources is None else "image" if sources.mask is None else "inpaint"
    try:
        pipe = loaded.pipeline(task, settings.scheduler, attached)
        drawn = _draw(loaded, pipe, settings, sources, drawing)
    except AppError:
        raise
    except Exception as error:
        raise translated(error, loaded, settings) from error
    if sources is None or drawn.picture is None:
        return drawn
    return Drawn(sources.composited(drawn.picture), drawn.finish)


def translated(error: Exception, loaded: LoadedPipeline, settings: ImageSettings) -> AppError:
    """The sentence for what a pipeline raised; the engine goes on."""
    if out_of_memory(error):
        if loaded.device != "cpu":
            import torch

            torch.cuda.empty_cache()
        return OutOfMemory(
            f"There is not enough memory for {settings.width} × {settings.height} with this model. "
            f"{_what_would_fit(loaded, settings)}, or wait until other work has ended."
        )
    log.warning("%s failed to draw: %s: %s", loaded.ref, type(error).__name__, error)
    return GenerationFailed(
        "The model stopped with an error while it was drawing. Try again; if it happens again, choose another scheduler or "
        "model."
    )


def _what_would_fit(loaded: LoadedPipeline, settings: ImageSettings) -> str:
    least, multiple = least_side(loaded.facts)
    width, height = (max(least, (side or 0) // 2 // multiple * multiple) for side in (settings.width, settings.height))
    if (width, height) != (settings.width, settings.height):
        # A quarter of the pixels takes a quarter of the memory that is not the model's own.
        return f"Try {width} × {height}"
    if settings.control is not None or settings.loras:
        return "It is the smallest size already. Try without the ControlNet and the LoRAs"
    return "It is the smallest size already. Try a smaller model"


def cut_from(loaded: LoadedPipeline, prompt: str) -> str:
    """What the text encoder will not read of a prompt, as text; "" when all of it is read."""
    longest = loaded.facts.parameters.get("max_sequence_length")
    names = ("tokenizer_3", "tokenizer_2", "tokenizer") if longest else ("tokenizer",)
    tokenizer = next((found for name in names if (found := getattr(loaded.base, name, None)) is not None), None)
    if tokenizer is None:
        return ""
    most = int(longest or tokenizer.model_max_length)
    tokens = tokenizer(prompt, truncation=False, verbose=False)["input_ids"]
    if len(tokens) <= most:
        return ""
    return str(tokenizer.decode(tokens[most - 1 : -1], skip_special_tokens=True)).strip()


def _draw(
    loaded: LoadedPipeline, pipe: Any, settings: ImageSettings, sources: Sources | None, drawing: RunningDrawing
) -> Drawn:
    import torch

    watch = _Watch(drawing, pipe, Previews(loaded, pipe, settings.width or 0, settings.height or 0))
    schedulers.Watched(pipe.scheduler, watch.step)
    _tile(pipe.vae, settings)
    # Weights that move between devices meanwhile must stay ordinary tensors.
    mode = torch.inference_mode if loaded.placement == "whole" else torch.no_grad
    try:
        with mode():
            result = pipe(**_arguments(loaded, pipe, settings, sources))
    except _Stopped as stopped:
        return _stopped(pipe, stopped.latents, settings)
    flagged = getattr(result, "nsfw_content_detected", None)
    if flagged and flagged[0]:
        return Drawn(None, "done", blocked=True)
    return Drawn(result.images[0], "done")


def _stopped(pipe: Any, latents: Any, settings: ImageSettings) -> Drawn:
    plain = unpacked(pipe, latents, settings.width or 0, settings.height or 0)
    if plain is None:
        return Drawn(None, "stopped")
    pixels = decoded(pipe, plain)
    if getattr(pipe, "safety_checker", None) is not None:
        _, flagged = pipe.run_safety_checker(pixels, pixels.device, pixels.dtype)
        if flagged and flagged[0]:
            return Drawn(None, "stopped", blocked=True)
    return Drawn(to_picture(pixels), "stopped")


def _arguments(loaded: LoadedPipeline, pipe: Any, settings: ImageSettings, sources: Sources | None) -> dict[str, Any]:
    import inspect

    import torch

    takes = inspect.signature(pipe.__call__).parameters
    # On the processor whatever the device: the same seed then starts from the same noise everywhere.
    generator = torch.Generator("cpu").manual_seed(settings.seed or 0)
    given: dict[str, Any] = {
        "prompt": settings.prompt,
        "num_inference_steps": settings.steps,
        "generator": generator,
        "width": settings.width,
        "height": settings.height,
    }
    knob = loaded.facts.guidance_knob
    if knob is not None and settings.guidance is not None:
        given[knob] = float(settings.guidance)
    if settings.negative_prompt or knob == "true_cfg_scale":
        # These pipelines guide only when there is a negative prompt, be it one space.
        given["negative_prompt"] = settings.negative_prompt or " "
    if settings.control is not None:
        control = settings.control
        # In text-to-image some families call it `image`, which is free there.
        given["control_image" if "control_image" in takes else "image"] = steering(
            control, control_picture(settings), settings.width or 0, settings.height or 0
        )
        given |= {
            "controlnet_conditioning_scale": float(control.scale),
            "control_guidance_start": float(control.start),
            "control_guidance_end": float(control.end),
        }
    if sources is not None:
        given["image"], mask = sources.at(settings.width or 0, settings.height or 0)
        given |= {"strength": settings.strength} | ({} if mask is None else {"mask_image": mask})
    return {name: value for name, value in given.items() if name in takes}


def _tile(vae: Any, settings: ImageSettings) -> None:
    # The VAE is shared by all requests, so it is said every time. Slicing is not: pictures are drawn one at a time.
    if hasattr(vae, "enable_tiling"):
        vae.enable_tiling() if in_tiles(settings.width or 0, settings.height or 0) else vae.disable_tiling()


class _Watch:
    """Reports every step of one picture, with the time left over all pictures of the drawing."""

    def __init__(self, drawing: RunningDrawing, pipe: Any, previews: Previews) -> None:
        self._drawing, self._pipe, self._previews = drawing, pipe, previews
        self._before = drawing.step.number
        self._started = monotonic()
        self._number = 0

    def step(self, latents: Any, finished: Callable[[], Any]) -> None:
        """Called after every step; raises to stop the pipeline."""
        self._number += 1
        mine = getattr(self._pipe, "num_timesteps", None) or len(self._pipe.scheduler.timesteps)
        pictures = self._drawing.settings.batch
        # Some schedulers take two evaluations for a step, and strength leaves steps out: count what really runs.
        total = mine * pictures
        number = min(self._before + self._number, total)
        each = (monotonic() - self._started) / self._number
        changes: dict[str, Any] = {"number": number, "total": total, "seconds_left": each * (total - number)}
        if self._drawing.stop_wanted:
            self._drawing.change(**changes)
            raise _Stopped(finished())
        wanted = self._drawing.settings.previews and self._number < mine
        preview = self._previews.due(finished) if wanted else None
        if preview is not None:
            changes["preview"] = preview
        self._drawing.change(**changes)
