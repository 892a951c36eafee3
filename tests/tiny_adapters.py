"""Random adapters and checkers for image tests, made by the libraries that make the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LORA_FILE = "pytorch_lora_weights.safetensors"


def make_tiny_lora(
    file: Path,
    base: Path,
    *,
    seed: int = 0,
    kohya: bool = False,
    text: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A LoRA for the UNet of a pipeline's folder (and its text encoder with `text`), and return its file.

    peft makes it and diffusers writes it; with `kohya` its tensors get the names and alphas that kohya's trainer writes.
    """
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file
    from transformers import CLIPTextModel

    file.parent.mkdir(parents=True, exist_ok=True)
    unet = UNet2DConditionModel.from_pretrained(base / "unet", local_files_only=True)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    layers: dict[str, Any] = {"unet_lora_layers": get_peft_model_state_dict(unet)}
    if text:
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder", local_files_only=True)
        encoder.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["q_proj", "k_proj", "v_proj", "out_proj"]))
        layers["text_encoder_lora_layers"] = get_peft_model_state_dict(encoder)
    random = torch.Generator().manual_seed(seed)
    for tensors in layers.values():
        for name in tensors:
            # peft starts the second matrix at zero, and such a LoRA changes nothing.
            tensors[name] = torch.randn(tensors[name].shape, generator=random) * 0.3
    if not kohya:
        layers = {part: convert_state_dict_to_diffusers(tensors) for part, tensors in layers.items()}
        StableDiffusionPipeline.save_lora_weights(file.parent, weight_name=file.name, **layers)
    else:
        # This pair of functions is how diffusers' own training scripts write the format.
        whole = {f"unet.{name}": value for name, value in layers["unet_lora_layers"].items()}
        whole |= {
            f"text_encoder.text_model.{name}": value
            for name, value in layers.get("text_encoder_lora_layers", {}).items()
        }
        named = convert_state_dict_to_kohya(whole)
        named = {name.replace("lora_unet.", "lora_unet_"): value.contiguous() for name, value in named.items()}
        save_file(named, file, metadata)
    return file


def make_tiny_controlnet(folder: Path, base: Path, *, seed: int = 0) -> Path:
    """A ControlNet for the UNet of a pipeline's folder, with random weights where a new one has zeros."""
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(base / "unet", local_files_only=True)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 96))
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            if not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=random) * 0.2)
    net.save_pretrained(folder)
    return folder
