"""Trains a LoRA for the exported model: one emoji style more, in the file that `load_lora_weights` takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.autoencoder import encoded
from training.captions import captions
from training.colours import on_background
from training.denoiser import Batches, plain_attention, token_rows
from training.drawings import Drawings
from training.running import Limits, Run, device

if TYPE_CHECKING:
    import torch

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
FILE = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class LoraPlan:
    """How a LoRA is trained. `style` is one of the prepared drawings' and also the word that asks for it."""

    style: str
    steps: int = 600
    batch: int = 16
    rank: int = 8
    top: float = 1e-3


def train_lora(base: Path, made: Drawings, plan: LoraPlan, folder: Path, seed: int, limits: Limits) -> Path | None:
    """The LoRA's file in `folder`, or `None` when a limit stopped it first. The base model's files are only read."""
    import numpy as np
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    where = device()
    pipeline = StableDiffusionPipeline.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    pipeline.to(where)
    plain_attention(pipeline.unet, where)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    torch.manual_seed(seed)
    # Alpha twice the rank is what makes so few steps show.
    pipeline.unet.add_adapter(LoraConfig(r=plan.rank, lora_alpha=plan.rank * 2, target_modules=TARGETS))
    wanted = made.of([plan.style], _learned(base, made))
    if not wanted:
        known = sorted({one.style for one in made.drawings})
        raise ValueError(f"There are no drawings in the style {plan.style}. There are: {', '.join(known)}.")
    pixels = np.stack([on_background(made.pixels[n]) for n in wanted])
    latents = encoded(pipeline.vae, (pixels[n : n + 64] for n in range(0, len(pixels), 64)))
    latents = latents * pipeline.vae.config.scaling_factor
    length = pipeline.tokenizer.model_max_length
    said = [captions(made.subjects[made.drawings[n].subject], plan.style) for n in wanted]
    rows, counts = token_rows(pipeline.tokenizer, said, length)
    empty = token_rows(pipeline.tokenizer, [("",)], length)[0][0, 0]
    batches = Batches(latents, rows, counts, empty, drop=0.08, seed=seed, stage="lora", where=where)
    run = Run(
        "lora", {"unet": pipeline.unet}, folder / "lora.checkpoint.safetensors", total=plan.steps, top=plan.top,
        warmup=20, ema=0.98,
    )  # fmt: skip
    run.load()

    def loss_at(step: int) -> torch.Tensor:
        noisy, levels, words, velocity = batches.at(step, plan.batch)
        with torch.no_grad():
            text = pipeline.text_encoder(words)[0]
        return (pipeline.unet(noisy, levels, encoder_hidden_states=text).sample - velocity).square().mean()

    if not run.train(loss_at, limits):
        return None
    run.take_average()
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    adapter = pipeline.unet.peft_config
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=layers, weight_name=FILE, unet_lora_adapter_metadata=adapter["default"].to_dict()
    )
    _say_trigger(folder / FILE, f"{plan.style} style")
    return folder / FILE


def _say_trigger(file: Path, words: str) -> None:
    """Write the words that ask for the style into the file's header, where pages that load LoRAs look for them."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(file, "pt") as opened:
        said = opened.metadata() or {}
    save_file(load_file(file), file, {**said, "modelspec.trigger_phrase": words})


def _learned(base: Path, made: Drawings) -> list[int] | None:
    """The subjects that the base model knows, when it says so: a style is learned on things it can draw."""
    record = base / "learned.json"
    if not record.is_file():
        return None
    names = set(json.loads(record.read_text(encoding="utf-8"))["concepts"])
    return [n for n, subject in enumerate(made.subjects) if subject.name in names]
