"""Whether a LoRA fits a base model, from the names and shapes in its header alone: no weight of either is read."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.hub.safetensors_header import read_header
from backends.image.files import INDEX
from backends.image.metadata import family_name, pipeline_class
from backends.loading_lock import load_alone
from core.errors import UserInputError
from core.refs import shown

log = logging.getLogger(__name__)
Shape = tuple[int, ...]
_MOST_TRIGGERS = 5
# What the header's metadata calls the base model (modelspec.architecture of Stability's standard, ss_base_model_version
# of kohya's trainer), the more exact first.
_ARCHITECTURES = (
    ("stable-diffusion-xl", "sdxl"),
    ("sdxl", "sdxl"),
    ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("sd3", "sd3"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v1", "sd1"),
    ("sd_v1", "sd1"),
    ("sd_1", "sd1"),
    ("flux", "flux"),
    ("qwen", "qwenimage"),
)
# The width of the text that a UNet's cross-attention reads.
_TEXT_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}


@dataclass(frozen=True)
class Base:
    """What a LoRA has to fit: the pipeline's class, and the shape of every weight by component and module."""

    pipeline: str
    shapes: Mapping[str, Mapping[str, Shape]]
    unet: Mapping[str, Any]
    """The UNet's config; {} where there is none."""


@dataclass(frozen=True)
class LoraHeader:
    """The tensors of a file by name with their shapes, and its metadata."""

    shapes: Mapping[str, Shape]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def triggers(self) -> tuple[str, ...]:
        """The words its author says to put into the prompt."""
        said = self.metadata.get("modelspec.trigger_phrase", "")
        words = [shown(word.strip(), 60) for word in said.split(",") if word.strip()]
        return tuple(dict.fromkeys(words))[:_MOST_TRIGGERS]

    @property
    def family(self) -> str:
        """The family it was made for, as `ImageCapabilities.family` names it; "" when nothing tells."""
        said = f"{self.metadata.get('modelspec.architecture', '')} {self.metadata.get('ss_base_model_version', '')}"
        for word, family in _ARCHITECTURES:
            if word in said.lower():
                return family
        names = " ".join(self.shapes)
        if "double_blocks" in names or "single_transformer_blocks" in names:
            return "flux"
        if "joint_blocks" in names or "context_embedder" in names:
            return "sd3"
        for name, shape in self.shapes.items():
            into_text = "attn2" in name and "to_k" in name and ("lora_A" in name or "down" in name)
            if into_text and len(shape) == 2 and shape[1] in _TEXT_WIDTHS:
                return _TEXT_WIDTHS[shape[1]]
        return ""


def lora_header(path: Path) -> LoraHeader:
    """The header of a file on this machine; raises `NotSafetensors` or `OSError`."""
    return header_of(read_header(path))


def header_of(found: Mapping[str, object]) -> LoraHeader:
    """A header as parsed from a file, with everything left out that makes no sense."""
    shapes: dict[str, Shape] = {}
    for name, entry in found.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if name != "__metadata__" and isinstance(shape, list) and all(isinstance(side, int) for side in shape):
            shapes[name] = tuple(shape)
    metadata = found.get("__metadata__")
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return LoraHeader(shapes, {key: value for key, value in pairs if isinstance(value, str)})


def looks_like_lora(header: LoraHeader) -> bool:
    """Whether a file's tensors are named as those of an adapter, whatever its kind."""
    return any(mark in name for name in header.shapes for mark in ("lora", "hada_", "lokr_"))


def base_of(folder: Path) -> Base:
    """What a LoRA may change in the pipeline of a folder.

    Only configs are read. Importing diffusers and building the empty modules takes a second or two.
    """
    return load_alone(lambda: _base_of(folder))


def check_fit(header: LoraHeader, base: Base, name: str) -> str:
    """Raise `UserInputError` when the LoRA is none, or of another family; else what to know of it, mostly "".

    `name` is what the sentence calls the LoRA.
    """
    if not looks_like_lora(header):
        raise UserInputError(
            f"{name} is not a LoRA: none of its {len(header.shapes)} tensors is named like one. Choose another file."
        )
    for mark, kind in (("hada_", "LoHa"), ("lokr_", "LoKr"), ("dora_scale", "DoRA")):
        if any(mark in key for key in header.shapes):
            raise UserInputError(
                f"{name} is a {kind} adapter, which diffusers does not load in full for this model. Choose a plain LoRA."
            )
    parts = _parts(header, base, name)
    fits = sum(_fits(into, base.shapes.get(component, {}).get(module)) for (component, module), into in parts.items())
    there = sum(module in base.shapes.get(component, {}) for component, module in parts)
    if fits and fits == there:
        left = len(parts) - fits
        return f"{left} of its {len(parts)} parts do not exist in this model and are left out." if left else ""
    made_for = f"was made for {family_name(header.family)}" if header.family else "was made for another family"
    raise UserInputError(
        f"{name} {made_for} and does not fit this model: {fits} of its {len(parts)} parts do. Choose a LoRA of this "
        "model's own family."
    )


def _fits(into: Mapping[str, Shape], weight: Shape | None) -> bool:
    down, up = into.get("A"), into.get("B")
    if weight is None or down is None or up is None or len(weight) < 2:
        return False
    return (len(down), down[1], up[0]) == (len(weight), weight[1], weight[0]) and down[0] == up[1]


def _parts(header: LoraHeader, base: Base, name: str) -> dict[tuple[str, str], dict[str, Shape]]:
    """The LoRA's two matrices for each module, under diffusers' own names for it."""
    parts: dict[tuple[str, str], dict[str, Shape]] = {}
    for key, tensor in load_alone(lambda: _converted(header, base, name)).items():
        component, _, rest = key.partition(".")
        module, _, half = rest.removesuffix(".weight").rpartition(".lora_")
        # What is named otherwise is left out by the loader as well; it counts as a part that does not exist.
        parts.setdefault((component, module.removeprefix("text_model.") or rest), {})[half] = tuple(tensor.shape)
    return parts


def _converted(header: LoraHeader, base: Base, name: str) -> dict[str, Any]:
    import torch
    from diffusers.configuration_utils import FrozenDict
    from diffusers.utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    cls = pipeline_class(base.pipeline)
    # Only this one's loader maps the names of Stability's own UNet, and needs its config for that.
    extra = {"unet_config": FrozenDict(base.unet)} if base.pipeline.startswith("StableDiffusionXL") else {}
    # One number seen as a tensor of any shape: diffusers' own conversion runs on it, and no memory is taken.
    one = torch.ones(())
    tensors = {key: one.expand(shape) for key, shape in header.shapes.items()}
    try:
        found = cls.lora_state_dict(tensors, **extra)
        state = dict(found[0] if isinstance(found, tuple) else found)
        text = {key: value for key, value in state.items() if key.startswith("text_encoder")}
        rest = {key: value for key, value in state.items() if key not in text}
        if rest and "lora_A" not in next(iter(rest)):
            rest = convert_unet_state_dict_to_peft(rest)
        return rest | (convert_state_dict_to_peft(convert_state_dict_to_diffusers(text)) if text else {})
    except Exception as error:
        # The converters of a dozen formats, each with its own way of failing on what is none of them.
        log.info("a LoRA was not converted for %s: %s: %s", base.pipeline, type(error).__name__, shown(str(error), 300))
        made_for = f" It was made for {family_name(header.family)}." if header.family else ""
        raise UserInputError(
            f"{name} is not a LoRA that diffusers reads for this model.{made_for} Choose a LoRA of this model's own family."
        ) from error


def _base_of(folder: Path) -> Base:
    import diffusers
    import torch
    import transformers

    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    found: dict[str, dict[str, Shape]] = {}
    unet: Mapping[str, Any] = {}
    for part in getattr(pipeline_class(index["_class_name"]), "_lora_loadable_modules", ()):
        library, name = index.get(part) or (None, None)
        if not isinstance(name, str):
            continue
        # Not accelerate's `init_empty_weights`: it changes torch for every thread.
        with torch.device("meta"):
            if library == "diffusers":
                kind = getattr(diffusers, name)
                config = kind.load_config(str(folder / part))
                unet = config if part == "unet" else unet
                model = kind.from_config(config)
            else:
                settings = transformers.AutoConfig.from_pretrained(str(folder / part), local_files_only=True)
                model = getattr(transformers, name)(settings)
        found[part] = {
            key.removesuffix(".weight").removeprefix("text_model."): tuple(value.shape)
            for key, value in model.state_dict().items()
            if key.endswith(".weight")
        }
    return Base(index["_class_name"], found, unet)
