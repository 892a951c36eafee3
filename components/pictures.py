"""Pictures on the page: the preview while drawing, the recipe beside a picture, and applying a recipe."""

from __future__ import annotations

import atexit
import base64
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from uuid import uuid4

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from core.images import Picture, Step
from core.png import without_text
from core.recipe import Recipe

MOST_FILES = 2_000


def recipe_of(picture: Picture) -> Recipe:
    """The recipe of a picture that was drawn here."""
    record = picture.settings.record()
    inputs = tuple((name, str(record[name])) for name in ("image", "mask") if record[name])
    return Recipe(
        picture.settings,
        picture.ref,
        backend=picture.backend,
        dtype=picture.dtype,
        finish=picture.finish,
        inputs=inputs,
    )


def preview_html(png: bytes | None) -> str:
    """The newest preview in the place where the picture will be; before the first one, an empty frame."""
    if png is None:
        return '<div class="pg-frame" role="status" aria-label="Waiting for the first preview"></div>'
    data = base64.b64encode(png).decode()
    return f'<div class="pg-frame"><img alt="Preview" src="data:image/png;base64,{data}"></div>'


def drawing_line(step: Step) -> str:
    """How far a drawing is, in steps, with the time left."""
    if step.ahead:
        before = "one drawing is" if step.ahead == 1 else f"{step.ahead} drawings are"
        return f"Waiting: {before} before this one."
    left = f", about {step.seconds_left:.0f} s left" if step.seconds_left is not None and step.seconds_left >= 1 else ""
    return f"Step {step.number} of {step.total}{left}"


def gpu_line(*seconds: int | None) -> str:
    """What drawings take of the visitor's GPU time together, before the click; "" where nothing is counted."""
    if not seconds or any(one is None for one in seconds):
        return ""
    return f'<p class="pg-meta">Needs about {sum(one or 0 for one in seconds)} s of GPU.</p>'


def recipe_table(recipe: Recipe | None) -> str:
    """A recipe as a small table; everything in it may come from a stranger's file, and is escaped."""
    if recipe is None:
        return '<p class="pg-meta">Choose a picture, or drop one, to see what made it.</p>'
    settings = recipe.settings
    size = f"{settings.width} × {settings.height}" if settings.width and settings.height else None
    model = recipe.model
    if recipe.ref:
        model = recipe.ref.repo_id + (f" @ {recipe.ref.revision[:7]}" if recipe.ref.revision else " (commit not known)")
    rows = {
        "Prompt": settings.prompt,
        "Negative prompt": settings.negative_prompt,
        "Model": model,
        "Size": size,
        "Steps": settings.steps,
        "Guidance": settings.guidance,
        "Scheduler": settings.scheduler,
        "Seed": settings.seed,
        "Started from": started(recipe),
        "Strength": settings.strength,
        "LoRA": ", ".join(f"{lora.ref.short} × {lora.weight:g}" for lora in settings.loras),
        "ControlNet": settings.control and f"{settings.control.ref.short} × {settings.control.scale:g}",
        "Made with": " ".join(part for part in (recipe.backend, recipe.dtype) if part),
        "State": "stopped" if recipe.finish == "stopped" else None,
    }
    body = "".join(
        f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value not in (None, "")
    )
    return f'<table class="pg-recipe">{body}</table>'


def started(recipe: Recipe) -> str:
    """What a picture was made from besides words."""
    inputs = dict(recipe.inputs)
    if "image" not in inputs:
        return ""
    part = ", a part of it redrawn" if "mask" in inputs else ""
    return f"picture {inputs['image'][:8]}{part}"


def frame(label: str, png: bytes | None) -> str:
    """One side of a comparison under its letter; the picture without what its file says of its maker."""
    bare = base64.b64encode(without_text(png)).decode() if png else ""
    data = f'<img alt="{escape(label)}" src="data:image/png;base64,{bare}">' if png else ""
    return f'<h4 class="pg-letter">{escape(label)}</h4><div class="pg-frame">{data}</div>'


def blind_file(png: bytes) -> str:
    """A picture as a file that says nothing of its maker, under a random name."""
    return str(_written(f"{uuid4().hex}.png", without_text(png)))


def files_of(pictures: Sequence[Picture]) -> list[tuple[str, str]]:
    """(path, caption) of pictures as files, for gradio to serve with their recipes intact.

    The name is the picture's own random id, in a folder that only this user of the machine may list.
    """
    files = []
    for picture in pictures:
        path = _written(f"{picture.id}.png", picture.png)
        stopped = " · stopped" if picture.finish == "stopped" else ""
        files.append(
            (str(path), f"seed {'not known' if picture.settings.seed is None else picture.settings.seed}{stopped}")
        )
    return files


def served_file(picture: Picture) -> str:
    """A picture in gradio's own cache, which serves it as it is; an API's answer is not moved there by itself."""
    return save_bytes_to_cache(picture.png, f"{picture.id}.png", get_upload_folder())


def _written(name: str, png: bytes) -> Path:
    """The file of that name in this process's folder, the oldest beyond the bound taken out: pages hold fewer than that."""
    path = _folder() / name
    if not path.exists():
        path.write_bytes(png)
        files = sorted(_folder().iterdir(), key=lambda file: file.stat().st_mtime)
        for old in files[:-MOST_FILES]:
            old.unlink(missing_ok=True)
    return path


@cache
def _folder() -> Path:
    """A folder of this process that nobody else may list; gradio serves what lies under the system's temporary one."""
    folder = Path(tempfile.mkdtemp(prefix="proving-pictures-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
