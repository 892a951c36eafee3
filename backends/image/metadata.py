"""What a pipeline's own configs and signature say it can do, and what is refused before anything is loaded."""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.bundled.image import IMAGE_GUIDANCE, IMAGE_REF, IMAGE_STEPS
from backends.image import schedulers
from backends.image.files import INDEX
from backends.loading_lock import LOADING
from core.errors import NoBackend, UnsafeContentError
from core.images import MOST_STEPS, ImageCapabilities
from core.refs import ModelRef, shown

_LIBRARIES = ("diffusers", "transformers")
# A model asked for many times the size it was trained at draws patterns, and takes all the memory there is.
_MOST_TIMES = 4
_MOST_SIDE = 4096
_NO_SIDE_GIVEN = 1024
# diffusers' own name of a family to the one adapters are filtered by, and how people call it.
_FAMILIES = {"stable-diffusion-xl": "sdxl", "stable-diffusion-3": "sd3"}
_FAMILY_NAMES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "qwenimage": "Qwen-Image",
}
_SD2_TEXT_WIDTH = 1024
# The class of a ControlNet for each of diffusers' families that takes one here.
CONTROLNETS = {
    "stable-diffusion": "ControlNetModel",
    "stable-diffusion-xl": "ControlNetModel",
    "stable-diffusion-3": "SD3ControlNetModel",
    "flux": "FluxControlNetModel",
    "qwenimage": "QwenImageControlNetModel",
}


@dataclass(frozen=True)
class PipelineFacts:
    """A pipeline's class name, its parameters with their defaults, and the configs of its components."""

    class_name: str
    parameters: Mapping[str, Any]
    configs: Mapping[str, Mapping[str, Any]]

    @property
    def guidance_knob(self) -> str | None:
        """The parameter that guidance goes to; None when the pipeline takes none."""
        if "guidance_scale" in self.parameters and self.parameters["guidance_scale"] is not None:
            return "guidance_scale"
        if "true_cfg_scale" in self.parameters:
            return "true_cfg_scale"
        return "guidance_scale" if "guidance_scale" in self.parameters else None

    @property
    def vae_scale(self) -> int:
        """How many pixels one latent stands for, along a side."""
        vae = self.configs.get("vae", {})
        for key in ("block_out_channels", "encoder_block_out_channels", "down_block_types"):
            if isinstance(vae.get(key), list):
                return int(2 ** (len(vae[key]) - 1))
        return 8


def facts_of(folder: Path, name: str) -> PipelineFacts:
    """Read a folder's configs and its pipeline class; raises `UnsafeContentError` or `NoBackend` with what to do."""
    index = _json(folder / INDEX)
    class_name = index.get("_class_name")
    check_index(index, name)
    import_quietly()
    import diffusers
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    classes = {cls.__name__: cls for cls in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    if not isinstance(class_name, str) or class_name not in classes:
        raise NoBackend(
            f"{name} is a “{shown(str(class_name))}”, which diffusers {diffusers.__version__} does not load as a "
            "text-to-image pipeline. Choose another model."
        )
    parameters = inspect.signature(classes[class_name].__call__).parameters
    return PipelineFacts(
        class_name,
        {key: None if value.default is inspect.Parameter.empty else value.default for key, value in parameters.items()},
        {
            part: _config(folder / part)
            for part, value in index.items()
            if part[:1] != "_" and isinstance(value, list) and all(value)
        },
    )


def pipeline_class(class_name: str) -> Any:
    """The text-to-image pipeline of that name; raises `NoBackend` when diffusers has none."""
    import_quietly()
    import diffusers
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    for cls in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values():
        if cls.__name__ == class_name:
            return cls
    raise NoBackend(f"diffusers {diffusers.__version__} has no text-to-image pipeline “{shown(class_name)}”.")


def family_name(family: str) -> str:
    """A family as people call it."""
    return _FAMILY_NAMES.get(family, family)


def import_quietly() -> None:
    """Import diffusers and torch; two threads doing it at once would meet half-made modules."""
    with LOADING:
        import diffusers.pipelines.auto_pipeline  # noqa: F401  (the import is the point)
        from diffusers.utils import logging as its_logging
        from transformers.utils import logging as their_logging

        its_logging.disable_progress_bar()
        their_logging.disable_progress_bar()
        # A LoRA for the UNet alone is nothing to report to its authors. What of one is left out is said here, before.
        logging.getLogger("diffusers.loaders.lora_base").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)


def check_index(index: Mapping[str, Any], name: str) -> None:
    """Refuse a pipeline that brings code of its own."""
    parts = [value for value in index.values() if isinstance(value, list)]
    foreign = [value for value in parts if len(value) != 2 or (value[0] is not None and value[0] not in _LIBRARIES)]
    # Pipelines of transformers and diffusers name a module of theirs here, "stable_diffusion" for the safety checker.
    foreign = [value for value in foreign if value[:1] != ["stable_diffusion"]]
    if foreign or not isinstance(index.get("_class_name"), str):
        what = shown(str(foreign[0][0])) if foreign and foreign[0] else "its own class"
        raise UnsafeContentError(
            f"{name} needs code that comes with the model ({what}), and loading it would run that code. Choose a model in "
            "the standard classes; there is no override in this version."
        )


def capabilities_of(folder: Path, ref: ModelRef) -> ImageCapabilities:
    """What the engine in this process can do with the pipeline of a folder."""
    facts = facts_of(folder, str(ref))
    from diffusers.pipelines import auto_pipeline as auto

    family = next(
        key for key, cls in auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.items() if cls.__name__ == facts.class_name
    )
    side, multiple = _sides(facts)
    config = facts.configs.get("scheduler", {})
    steps, guidance = _defaults(facts, ref)
    can_change = family in auto.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING
    can_inpaint = family in auto.AUTO_INPAINT_PIPELINES_MAPPING
    negative = "negative_prompt" in facts.parameters and not _distilled_guidance(facts)
    loras = _takes_loras(facts)
    controlnet = f"{family}-controlnet" in auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING and family in CONTROLNETS
    why_not = {}
    if not loras:
        why_not["loras"] = f"diffusers loads no LoRA into this model's family ({family}). Draw without one."
    if not controlnet:
        why_not["controlnet"] = f"There is no ControlNet here for this model's family ({family}). Draw without one."
    for start, mapping, said in (
        ("image_to_image", auto.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, "another picture"),
        ("inpaint", auto.AUTO_INPAINT_PIPELINES_MAPPING, "a masked picture"),
    ):
        # Stable Diffusion 3 has one for inpainting, made for ControlNets that read the mask as well.
        if controlnet and (f"{family}-controlnet" not in mapping or family == "stable-diffusion-3"):
            why_not[f"controlnet_{start}"] = (
                f"With this model's family ({family}) a ControlNet cannot start from {said}. Leave one of them out."
            )
    if not can_change:
        why_not["image_to_image"] = f"diffusers has no image-to-image pipeline for this model's family ({family})."
    if not can_inpaint:
        why_not["inpaint"] = f"diffusers has no inpainting pipeline for this model's family ({family})."
    if not negative:
        why_not["negative_prompt"] = (
            "This model has its guidance built in and takes no negative prompt. Leave it empty."
        )
    return ImageCapabilities(
        width=side,
        height=side,
        least_side=least_side(facts)[0],
        most_side=min(_MOST_SIDE, side * _MOST_TIMES),
        multiple=multiple,
        steps=steps,
        guidance=guidance,
        schedulers=tuple(schedulers.offered(config, facts.class_name)),
        scheduler=schedulers.own_name(config),
        most_steps=min(MOST_STEPS, int(config.get("num_train_timesteps", MOST_STEPS))),
        image_to_image=can_change,
        inpaint=can_inpaint,
        negative_prompt=negative,
        loras=loras,
        controlnet=controlnet,
        family=_family(facts, family),
        safety_checker="safety_checker" in facts.configs,
        max_prompt_tokens=_prompt_tokens(facts, folder),
        why_not=tuple(why_not.items()),
    )


def _family(facts: PipelineFacts, family: str) -> str:
    if family == "stable-diffusion":
        return "sd2" if facts.configs.get("unet", {}).get("cross_attention_dim") == _SD2_TEXT_WIDTH else "sd1"
    return _FAMILIES.get(family, family)


def _takes_loras(facts: PipelineFacts) -> bool:
    from importlib.util import find_spec

    return hasattr(pipeline_class(facts.class_name), "load_lora_weights") and find_spec("peft") is not None


def least_side(facts: PipelineFacts) -> tuple[int, int]:
    """The smallest side in pixels that is drawn, and the number every side is a multiple of."""
    side, multiple = _sides(facts)
    return max(multiple, side // 4 // multiple * multiple), multiple


def default_side(folder: Path) -> int:
    """The side in pixels of the pictures a pipeline was trained on, from its configs alone."""
    return _sides(facts_of(folder, folder.name))[0]


def _defaults(facts: PipelineFacts, ref: ModelRef) -> tuple[int, float | None]:
    if ref == IMAGE_REF:
        return IMAGE_STEPS, IMAGE_GUIDANCE
    if facts.class_name == "FluxPipeline" and facts.configs.get("transformer", {}).get("guidance_embeds") is False:
        # The distilled one, by its authors' advice.
        return 4, 0.0
    knob = facts.guidance_knob
    default = facts.parameters.get(knob) if knob else None
    steps = facts.parameters.get("num_inference_steps")
    return int(steps or 50), None if knob is None else float(default if default is not None else 5.0)


def _distilled_guidance(facts: PipelineFacts) -> bool:
    return facts.guidance_knob == "guidance_scale" and "true_cfg_scale" in facts.parameters


def _sides(facts: PipelineFacts) -> tuple[int, int]:
    net = facts.configs.get("unet") or facts.configs.get("transformer") or {}
    size, scale = net.get("sample_size"), facts.vae_scale
    side = size * scale if isinstance(size, int) else _NO_SIDE_GIVEN
    multiple = max(8, scale) if "unet" in facts.configs else max(16, scale)
    return max(multiple, side // multiple * multiple), multiple


def _prompt_tokens(facts: PipelineFacts, folder: Path) -> int | None:
    longest = facts.parameters.get("max_sequence_length")
    if isinstance(longest, int):
        return longest
    found = _json(folder / "tokenizer" / "tokenizer_config.json").get("model_max_length")
    # Tokenizers without a limit say a number with thirty digits.
    return found if isinstance(found, int) and found < 100_000 else None


def _config(folder: Path) -> Mapping[str, Any]:
    for name in ("config.json", "scheduler_config.json"):
        if (folder / name).is_file():
            return _json(folder / name)
    return {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise NoBackend(
            f"{path.name} of this model cannot be read. Download it again, or choose another model."
        ) from error
    return found if isinstance(found, dict) else {}
