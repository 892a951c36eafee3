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


def make_tiny_controlnet(folder: Path, base: Path, *, seed: int = 0, scale: int = 4) -> Path:
    """A ControlNet for the UNet of a pipeline's folder, with random weights where a new one has zeros.

    `scale` is how many pixels the pipeline has for one latent along a side.
    """
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(base / "unet", local_files_only=True)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 96)[: scale.bit_length()])
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            if not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=random) * 0.2)
    net.save_pretrained(folder)
    return folder


def make_tiny_classifier(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw"), *, sure: str = "") -> Path:
    """A random image classifier of transformers with these labels; with `sure` it always says that one."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
        id2label=dict(enumerate(labels)), label2id={label: number for number, label in enumerate(labels)},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTForImageClassification(config)
    if sure:
        with torch.no_grad():
            model.classifier.bias.copy_(torch.tensor([20.0 if label == sure else 0.0 for label in labels]))
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def add_safety_checker(pipeline: Path, *, flags: bool) -> Path:
    """Give a pipeline's folder a random safety checker that flags every picture, or none."""
    import json

    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=small | {"vocab_size": 20}, vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=768,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        checker = StableDiffusionSafetyChecker(config)
    # A cosine is never over 2, and always over -2.
    checker.concept_embeds_weights.data.fill_(-2.0 if flags else 2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    checker.save_pretrained(pipeline / "safety_checker")
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        pipeline / "feature_extractor"
    )
    index = json.loads((pipeline / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    (pipeline / "model_index.json").write_text(json.dumps(index))
    return pipeline
