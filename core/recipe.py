"""A picture's recipe: everything needed to draw it again, as JSON and as the `parameters` line other tools read.

Reading is tolerant and bounded: a file from a stranger may hold anything, and what does not fit is left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.errors import AppError
from core.images import (
    MOST_BATCH,
    MOST_CONTROL_SCALE,
    MOST_LORA_WEIGHT,
    MOST_LORAS,
    MOST_PROMPT_CHARACTERS,
    MOST_SEED,
    Control,
    ImageSettings,
    Lora,
    Preprocess,
)
from core.refs import ModelRef

RECIPE_KEY = "proving_ground"
PARAMETERS_KEY = "parameters"
MOST_RECIPE_CHARACTERS = 100_000
SCHEMA = 1
_MOST_LINE = 4_000
_NEGATIVE = "Negative prompt: "
_FIELD = re.compile(r'\s*([A-Za-z][\w /\-]{0,40}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_HASH = re.compile(r"[0-9a-f]{64}")
_PREPROCESS: dict[str, Preprocess] = {"none": "none", "canny": "canny"}
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What made a picture. What a file does not say is None or "". `source` is the text chunk it was read from.

    `inputs` are the pictures it was made from ("image", "mask", "control") and the hashes of their files: whoever draws it
    again has to give them.
    """

    settings: ImageSettings
    ref: ModelRef | None = None
    model: str = ""
    backend: str = ""
    dtype: str = ""
    finish: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    source: str = RECIPE_KEY
    inputs: tuple[tuple[str, str], ...] = ()

    def record(self) -> dict[str, object]:
        """The recipe as plain values, as it stands in the file and in the API."""
        settings = self.settings.record()
        if not self.settings.prompt_in_file:
            del settings["prompt"], settings["negative_prompt"]
        return {
            "schema": SCHEMA,
            **settings,
            "model": self.ref.repo_id if self.ref else self.model or None,
            "revision": (self.ref.revision or None) if self.ref else None,
            "backend": self.backend or None,
            "dtype": self.dtype or None,
            "finish": self.finish or None,
            "versions": dict(self.versions),
        }


def chunks_of(recipe: Recipe) -> dict[str, str]:
    """The text chunks to write into a picture's file."""
    return {
        RECIPE_KEY: json.dumps(recipe.record(), ensure_ascii=False, indent=1),
        PARAMETERS_KEY: parameters_line(recipe),
    }


def recipe_in(chunks: Mapping[str, str]) -> Recipe | None:
    """The recipe in a file's text chunks: our own, else the `parameters` line; None when neither makes sense."""
    return recipe_from_json(chunks.get(RECIPE_KEY, "")) or recipe_from_parameters(chunks.get(PARAMETERS_KEY, ""))


def without_seed(recipe: Recipe) -> Recipe:
    """All but the seed, for another picture of the same kind."""
    return replace(recipe, settings=replace(recipe.settings, seed=None))


def parameters_line(recipe: Recipe) -> str:
    """The text that AUTOMATIC1111's web UI and the tools around it write and read."""
    settings = recipe.settings
    size = f"{settings.width}x{settings.height}" if settings.width and settings.height else None
    fields: dict[str, object] = {
        "Steps": settings.steps,
        "Sampler": settings.scheduler or None,
        "CFG scale": None if settings.guidance is None else f"{settings.guidance:g}",
        "Seed": settings.seed,
        "Size": size,
        "Model hash": (recipe.ref.revision[:10] or None) if recipe.ref else None,
        "Model": recipe.ref.repo_id if recipe.ref else recipe.model or None,
        "Denoising strength": None if settings.strength is None else f"{settings.strength:g}",
        "Lora hashes": ", ".join(f"{lora.ref.repo_id}: {lora.ref.revision[:10]}" for lora in settings.loras) or None,
        "ControlNet 0": _control_line(settings.control),
        "Version": f"Proving Ground {dict(recipe.versions).get('proving_ground', '')}".strip(),
    }
    line = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in fields.items() if value is not None)
    said = [settings.prompt] if settings.prompt_in_file else []
    if settings.prompt_in_file and settings.negative_prompt:
        said.append(_NEGATIVE + settings.negative_prompt)
    return "\n".join([*said, line])


def _control_line(control: Control | None) -> str | None:
    # As the ControlNet extension of that web UI writes it.
    if control is None:
        return None
    return (
        f"Module: {control.preprocess}, Model: {control.ref.repo_id} [{control.ref.revision[:8]}], "
        f"Weight: {control.scale:g}, Guidance Start: {control.start:g}, Guidance End: {control.end:g}"
    )


def recipe_from_json(text: str) -> Recipe | None:
    """Read what `chunks_of` wrote; None when it is not a recipe. Values that make no sense are left out."""
    if not text or len(text) > MOST_RECIPE_CHARACTERS:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("schema"), int):
        return None
    versions = found.get("versions")
    pairs = versions.items() if isinstance(versions, dict) else ()
    return Recipe(
        settings=ImageSettings(
            prompt=_text(found.get("prompt"), MOST_PROMPT_CHARACTERS),
            negative_prompt=_text(found.get("negative_prompt"), MOST_PROMPT_CHARACTERS),
            width=_whole(found.get("width"), 1, 100_000),
            height=_whole(found.get("height"), 1, 100_000),
            steps=_whole(found.get("steps"), 1, 10_000),
            guidance=_real(found.get("guidance"), 0, 1_000),
            scheduler=_text(found.get("scheduler"), 60),
            seed=_whole(found.get("seed"), 0, MOST_SEED + MOST_BATCH),
            strength=_real(found.get("strength"), 0, 1),
            loras=_loras(found.get("loras")),
            control=_control(found.get("control")),
            prompt_in_file="prompt" in found,
        ),
        ref=_ref(found.get("model"), found.get("revision")),
        model=_text(found.get("model"), 200),
        backend=_text(found.get("backend"), 100),
        dtype=_text(found.get("dtype"), 30),
        finish=_text(found.get("finish"), 20),
        versions=tuple((_text(name, 40), _text(value, 40)) for name, value in list(pairs)[:20]),
        inputs=_inputs(found),
    )


def recipe_from_parameters(text: str) -> Recipe | None:
    """Read a `parameters` text as far as it makes sense; None when there is no line of settings in it."""
    if not text or len(text) > MOST_RECIPE_CHARACTERS:
        return None
    before, _, last = text.strip().rpartition("\n")
    fields = _fields(last)
    if "Steps" not in fields or len(fields) < 3:
        return None
    prompt, _, negative = before.partition("\n" + _NEGATIVE)
    if before.startswith(_NEGATIVE):
        prompt, negative = "", before.removeprefix(_NEGATIVE)
    size = _SIZE.fullmatch(fields.get("Size", ""))
    scheduler = fields.get("Sampler", "")
    if fields.get("Schedule type") == "Karras" and "Karras" not in scheduler:
        scheduler += " Karras"
    return Recipe(
        settings=ImageSettings(
            prompt=_text(prompt, MOST_PROMPT_CHARACTERS),
            negative_prompt=_text(negative, MOST_PROMPT_CHARACTERS),
            width=_whole(_number(size[1]), 1, 100_000) if size else None,
            height=_whole(_number(size[2]), 1, 100_000) if size else None,
            steps=_whole(_number(fields["Steps"]), 1, 10_000),
            guidance=_real(_number(fields.get("CFG scale", "")), 0, 1_000),
            scheduler=_text(scheduler, 60),
            seed=_whole(_number(fields.get("Seed", "")), 0, MOST_SEED + MOST_BATCH),
            strength=_real(_number(fields.get("Denoising strength", "")), 0, 1),
            prompt_in_file=bool(before),
        ),
        model=_text(fields.get("Model"), 200),
        versions=(("software", _text(fields.get("Version"), 40)),) if fields.get("Version") else (),
        source=PARAMETERS_KEY,
    )


def _fields(line: str) -> dict[str, str]:
    if len(line) > _MOST_LINE:
        return {}
    return {name.strip(): _unquoted(value.strip()) for name, value in _FIELD.findall(line)}


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:\n"') else value


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _text(value: object, most: int) -> str:
    # Half of a character pair cannot be written anywhere again.
    return value[:most].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _number(text: str) -> float | int | None:
    try:
        # Whole numbers by `int`: a seed has more digits than a float keeps.
        return int(text) if text.isdecimal() and len(text) < 25 else float(text)
    except ValueError:
        return None


def _whole(value: object, low: int, high: int) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return int(value) if fits and isinstance(value, int) else None


def _real(value: object, low: float, high: float) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # Compared before `float`, which refuses integers of hundreds of digits.
    return float(value) if low <= value <= high and math.isfinite(value) else None


def _ref(model: object, revision: object) -> ModelRef | None:
    if not isinstance(model, str) or not isinstance(revision, str) or len(model) > 200:
        return None
    try:
        return ModelRef(model, revision)
    except AppError:
        return None


def _loras(value: object) -> tuple[Lora, ...]:
    found = []
    for entry in value[:MOST_LORAS] if isinstance(value, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("ref"), str):
            repo_id, _, revision = entry["ref"].partition("@")
            ref, weight = _ref(repo_id, revision), _real(entry.get("weight"), -MOST_LORA_WEIGHT, MOST_LORA_WEIGHT)
            if ref is not None and weight is not None:
                found.append(Lora(ref, weight, _text(entry.get("file"), 250)))
    return tuple(found)


def _control(value: object) -> Control | None:
    if not isinstance(value, dict) or not isinstance(value.get("ref"), str):
        return None
    repo_id, _, revision = value["ref"].partition("@")
    ref, preprocess = _ref(repo_id, revision), _PREPROCESS.get(str(value.get("preprocess")))
    scale = _real(value.get("scale"), 0, MOST_CONTROL_SCALE)
    start, end = _real(value.get("start"), 0, 1), _real(value.get("end"), 0, 1)
    if ref is None or preprocess is None or scale is None or start is None or end is None:
        return None
    return Control(ref, b"", scale, start, end, preprocess)


def _inputs(found: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    control = found.get("control")
    given = {
        "image": found.get("image"),
        "mask": found.get("mask"),
        "control": control.get("image") if isinstance(control, dict) else None,
    }
    return tuple((name, value) for name, value in given.items() if isinstance(value, str) and _HASH.fullmatch(value))
