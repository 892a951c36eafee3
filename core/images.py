"""What travels between a page and an image engine: settings, what a model can do, steps on the way, and the picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from core.errors import UserInputError
from core.refs import ModelRef

PictureFinish = Literal["done", "stopped"]
AdapterKind = Literal["lora", "controlnet"]
Preprocess = Literal["none", "canny"]

MOST_PROMPT_CHARACTERS = 20_000
MOST_STEPS = 200
MOST_GUIDANCE = 50.0
MOST_BATCH = 16
MOST_LORAS = 8
MOST_LORA_WEIGHT = 10.0
MOST_CONTROL_SCALE = 2.0
MOST_SEED = 2**63 - 1 - MOST_BATCH
DEFAULT_STRENGTH = 0.7


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter on top of the model, and how much of it. `file` is its path in a repository that has several."""

    ref: ModelRef
    weight: float = 1.0
    file: str = ""

    def as_dict(self) -> dict[str, object]:
        """The adapter as recipes and rows name it: `repo_id@commit`, its weight, and its file where that says more."""
        return {"ref": str(self.ref), "weight": self.weight} | ({"file": self.file} if self.file else {})


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet and the picture that steers it, over the part of the steps from `start` to `end` (0 to 1).

    `image` is a picture file's bytes; empty only in a recipe that was read, because files hold its hash alone.
    `preprocess` says what is made of it before the ControlNet sees it.
    """

    ref: ModelRef
    image: bytes = field(default=b"", repr=False)
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    preprocess: Preprocess = "none"

    def as_dict(self) -> dict[str, object]:
        """The ControlNet as recipes and rows name it; the picture by its hash."""
        return {
            "ref": str(self.ref),
            "image": _hash(self.image or None),
            "scale": self.scale,
            "start": self.start,
            "end": self.end,
            "preprocess": self.preprocess,
        }


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA or ControlNet at one commit that fits a base model.

    `file` is a LoRA's path in a repository that has several, `triggers` the words its author trained it on, `size` its
    bytes where known, `note` what to know before using it, as a sentence.
    """

    ref: ModelRef
    kind: AdapterKind
    file: str = ""
    triggers: tuple[str, ...] = ()
    size: int | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """What lists show: the repository's name, and the file where there are several."""
        name = self.ref.repo_id.rpartition("/")[2]
        return f"{name}: {self.file}" if self.file else name

    @property
    def id(self) -> str:
        """`repo_id@commit` or `repo_id@commit:file`: one exact adapter, as `ImageRouter.find_adapter` reads it."""
        return f"{self.ref}:{self.file}" if self.file else str(self.ref)


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What to draw and how. `None` and "" mean the model's own default; a finished picture has every value filled in.

    `image` and `mask` are the bytes of picture files: with `image` alone it is image to image, with both it is inpainting,
    where white in the mask is what may change. `prompt_in_file` False keeps the prompts out of the PNG,
    `previews` False spares the engine what nobody looks at. `style` only names the words that a style put into the prompts.
    """

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str = ""
    seed: int | None = None
    batch: int = 1
    strength: float | None = None
    image: bytes | None = field(default=None, repr=False)
    mask: bytes | None = field(default=None, repr=False)
    loras: tuple[Lora, ...] = ()
    control: Control | None = None
    prompt_in_file: bool = True
    previews: bool = True
    style: str = ""

    def record(self) -> dict[str, object]:
        """Every setting that decides the pixels, as plain values; pictures by their hash."""
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "width": self.width,
            "height": self.height,
            "steps": self.steps,
            "guidance": self.guidance,
            "scheduler": self.scheduler,
            "seed": self.seed,
            "strength": self.strength,
            "image": _hash(self.image),
            "mask": _hash(self.mask),
            "loras": [lora.as_dict() for lora in self.loras],
            "control": self.control.as_dict() if self.control else None,
        }

    def as_json(self) -> str:
        """Keys sorted, so that equal settings are equal strings. The prompt is left out: rows have a column for it."""
        values = {name: value for name, value in self.record().items() if name != "prompt"}
        values |= {"style": self.style} if self.style else {}
        return json.dumps(values, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds a picture waited in the queue (loading included) and seconds it took to draw."""

    waited: float
    drawing: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and everything needed to name what made it; `png` carries its recipe. `notes` says what to know."""

    id: str
    png: bytes = field(repr=False)
    ref: ModelRef
    settings: ImageSettings
    backend: str
    dtype: str
    timings: Timings
    finish: PictureFinish
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """How far a drawing is: `number` of `total` steps over all its pictures.

    `ahead` is how many drawings are before it in the queue. `preview` is the newest one so far (a small PNG). The last step
    has `finish`; `notes` says what was cut, blocked or left out.
    """

    number: int
    total: int
    ahead: int = 0
    preview: bytes | None = field(default=None, repr=False)
    seconds_left: float | None = None
    finish: PictureFinish | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageCapabilities:
    """What an engine can do with one model; the controls on the screen follow it.

    `guidance` None: the model takes none. `why_not` says for each feature that is off ("image_to_image", "inpaint",
    "negative_prompt", "loras", "controlnet", and "controlnet_image_to_image" and "controlnet_inpaint" for a ControlNet
    together with a picture to start from) in one sentence why. `family` names what adapters have to fit: "sd1", "sd2",
    "sdxl", "sd3", "flux", or diffusers' own name of another family; "" when it is not known. `fixed` names the settings
    ("width", "height", "steps", "seed") that a remote engine does not take: they are left to it, and recorded as unknown.
    """

    width: int
    height: int
    least_side: int
    most_side: int
    multiple: int
    steps: int
    guidance: float | None
    schedulers: tuple[str, ...]
    scheduler: str
    most_steps: int = MOST_STEPS
    image_to_image: bool = False
    inpaint: bool = False
    negative_prompt: bool = True
    loras: bool = False
    controlnet: bool = False
    family: str = ""
    safety_checker: bool = False
    max_prompt_tokens: int | None = None
    fixed: tuple[str, ...] = ()
    why_not: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def reason(self, feature: str) -> str:
        """Why `feature` is off, as a sentence."""
        return dict(self.why_not).get(feature, "This model cannot do that.")


def check_image_settings(settings: ImageSettings, can: ImageCapabilities) -> ImageSettings:
    """`settings` with the model's defaults filled in (the seed stays as it is), or `UserInputError` saying what is wrong."""
    if not settings.prompt.strip():
        raise UserInputError("The prompt is empty. Write what to draw.")
    for name, text in (("prompt", settings.prompt), ("negative prompt", settings.negative_prompt)):
        if len(text) > MOST_PROMPT_CHARACTERS:
            raise UserInputError(
                f"The {name} has {len(text):,} characters; at most {MOST_PROMPT_CHARACTERS:,} are read."
            )
    filled = replace(
        settings,
        width=can.width if settings.width is None else settings.width,
        height=can.height if settings.height is None else settings.height,
        steps=can.steps if settings.steps is None else settings.steps,
        guidance=can.guidance if settings.guidance is None else settings.guidance,
        scheduler=settings.scheduler or can.scheduler,
        strength=_strength(settings),
    )
    _within("Width", filled.width, can.least_side, can.most_side)
    _within("Height", filled.height, can.least_side, can.most_side)
    for name, side in (("width", filled.width), ("height", filled.height)):
        if side is not None and side % can.multiple:
            nearest = max(can.least_side, min(can.most_side, round(side / can.multiple) * can.multiple))
            raise UserInputError(
                f"The {name} has to be a multiple of {can.multiple} for this model; it is {side}. The nearest is {nearest}."
            )
    _within("Steps", filled.steps, 1, can.most_steps)
    _within("Guidance", filled.guidance, 0, MOST_GUIDANCE)
    _within("Seed", filled.seed, 0, MOST_SEED)
    _within("Batch", filled.batch, 1, MOST_BATCH)
    _within("Strength", filled.strength, 0.01, 1)
    _check_features(filled, can)
    _check_adapters(filled)
    for name in can.fixed:
        # The page sends what stands on its controls; only another value than that is a wish.
        if getattr(settings, name) not in (None, getattr(can, name, None)):
            raise UserInputError(can.reason(name))
    return left_open(filled, can.fixed)


def left_open(settings: ImageSettings, names: Collection[str]) -> ImageSettings:
    """`settings` without the values of these names ("width", "height", "steps", "guidance", "seed")."""
    return replace(
        settings,
        width=None if "width" in names else settings.width,
        height=None if "height" in names else settings.height,
        steps=None if "steps" in names else settings.steps,
        guidance=None if "guidance" in names else settings.guidance,
        seed=None if "seed" in names else settings.seed,
    )


def fitted_size(width: int, height: int, can: ImageCapabilities) -> tuple[int, int]:
    """The size to draw at for a picture of that size: within the model's bounds, nearly its shape, on the multiple."""
    scale = min(1.0, can.most_side / max(width, height))
    scale = max(scale, min(can.least_side / min(width, height), can.most_side / max(width, height)))

    def side(pixels: int) -> int:
        return max(can.least_side, min(can.most_side, round(pixels * scale / can.multiple) * can.multiple))

    return side(width), side(height)


def _check_features(settings: ImageSettings, can: ImageCapabilities) -> None:
    if settings.scheduler not in can.schedulers:
        raise UserInputError(
            f"This model cannot use the scheduler asked for. Choose one of: {', '.join(can.schedulers)}."
        )
    if settings.guidance is not None and can.guidance is None:
        raise UserInputError("This model takes no guidance. Leave it at the model's default.")
    if settings.negative_prompt.strip() and not can.negative_prompt:
        raise UserInputError(can.reason("negative_prompt"))
    if settings.loras and not can.loras:
        raise UserInputError(can.reason("loras"))
    if settings.control is not None and not can.controlnet:
        raise UserInputError(can.reason("controlnet"))
    start = "" if settings.image is None else "_image_to_image" if settings.mask is None else "_inpaint"
    if settings.control is not None and start and f"controlnet{start}" in dict(can.why_not):
        raise UserInputError(can.reason(f"controlnet{start}"))
    if settings.mask is not None and settings.image is None:
        raise UserInputError("There is a mask but no picture under it. Give the picture to change.")
    if settings.mask is not None and not can.inpaint:
        raise UserInputError(can.reason("inpaint"))
    if settings.image is None:
        return
    if settings.mask is None and not can.image_to_image:
        raise UserInputError(can.reason("image_to_image"))
    if settings.steps and settings.strength and int(settings.steps * settings.strength) < 1:
        raise UserInputError(
            f"With {settings.steps} steps, a strength of {settings.strength:g} leaves none to draw. Use more steps or more "
            "strength."
        )


def _check_adapters(settings: ImageSettings) -> None:
    if len(settings.loras) > MOST_LORAS:
        raise UserInputError(f"{len(settings.loras)} LoRAs were asked for; at most {MOST_LORAS} work together.")
    named = [(lora.ref, lora.file) for lora in settings.loras]
    if twice := next((lora for lora in settings.loras if named.count((lora.ref, lora.file)) > 1), None):
        raise UserInputError(f"The LoRA {twice.ref.repo_id} is there twice. Name it once, with the weight you want.")
    for lora in settings.loras:
        _within(f"The weight of {lora.ref.repo_id}", lora.weight, -MOST_LORA_WEIGHT, MOST_LORA_WEIGHT)
    control = settings.control
    if control is None:
        return
    if not control.image:
        raise UserInputError("The ControlNet has no picture to follow. Give it a control picture.")
    _within("The ControlNet's scale", control.scale, 0, MOST_CONTROL_SCALE)
    _within("The ControlNet's start", control.start, 0, 1)
    _within("The ControlNet's end", control.end, 0, 1)
    if control.start >= control.end:
        raise UserInputError(
            f"The ControlNet starts at {control.start:g} and ends at {control.end:g}. Its end has to come after its start."
        )
    if control.preprocess not in ("none", "canny"):
        raise UserInputError("The control picture is used as it is (none) or by its edges (canny). Choose one of them.")


def _strength(settings: ImageSettings) -> float | None:
    if settings.image is None:
        return None
    if settings.strength is None:
        return 1.0 if settings.mask is not None else DEFAULT_STRENGTH
    return settings.strength


def _within(name: str, value: float | None, low: float, high: float) -> None:
    # `not (low <= value)` also refuses NaN, which every comparison answers with False.
    if value is not None and not (low <= value <= high):
        # A seed's bound is too long a number for `:g` to show.
        shown = [f"{bound}" if isinstance(bound, int) else f"{bound:g}" for bound in (low, high)]
        raise UserInputError(f"{name} has to be between {shown[0]} and {shown[1]}; it is {value}.")


def _hash(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
