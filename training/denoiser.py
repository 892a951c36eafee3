"""Trains the UNet and the text encoder together on the latents: v-prediction, plain squared error, captions dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.autoencoder import encoded, whiten
from training.drawings import Drawings
from training.items import Item, items, pictures
from training.networks import BETAS, make_scheduler, make_text_encoder, make_tokenizer, make_unet
from training.presets import Preset
from training.running import Limits, Run, device, dice, precision

if TYPE_CHECKING:
    import torch


def signal_shares() -> torch.Tensor:
    """How much of the picture is left at each of the 1000 noise levels: the cumulative product of the alphas."""
    import torch

    betas = torch.linspace(BETAS["beta_start"], BETAS["beta_end"], BETAS["num_train_timesteps"], dtype=torch.float64)
    return (1 - betas).cumprod(0).float()


def token_rows(tokenizer: Any, captions: list[tuple[str, ...]], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All captions as numbers `[items, most, length]`, and how many captions each item has `[items]`."""
    import torch

    most = max(len(some) for some in captions)
    texts = [some[n % len(some)] for some in captions for n in range(most)]
    rows = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
    return rows.view(len(captions), most, length), torch.tensor([len(some) for some in captions])


class Batches:
    """Draws batches from latents and captions that lie on the device. A step's batch follows from the seed alone."""

    def __init__(self, latents: torch.Tensor, rows: torch.Tensor, counts: torch.Tensor, empty: torch.Tensor, *, drop: float, seed: int, stage: str, where: str) -> None:  # fmt: skip
        self.latents, self.rows, self.empty = latents.to(where), rows.to(where), empty.to(where)
        self.counts, self.shares = counts, signal_shares().to(where)
        self.drop, self.seed, self.stage, self.where = drop, seed, stage, where

    def at(self, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noisy latents, noise levels, caption numbers and the velocity to predict, of one step."""
        import torch

        random = dice(self.seed, self.stage, step)
        chosen = torch.randint(len(self.latents), (size,), generator=random)
        caption = (torch.rand(size, generator=random) * self.counts[chosen]).long()
        # One noise level from each of `size` equal parts: fewer accidents than drawing them freely.
        levels = ((torch.randperm(size, generator=random) + torch.rand(size, generator=random)) / size * 1000).long()
        dropped = (torch.rand(size, generator=random) < self.drop).to(self.where)
        chosen, levels = chosen.to(self.where), levels.clamp(max=999).to(self.where)
        clean = self.latents[chosen]
        on_card = dice(self.seed, self.stage, step, self.where)
        noise = torch.randn(clean.shape, generator=on_card, device=self.where)
        words = torch.where(dropped[:, None], self.empty[None], self.rows[chosen, caption.to(self.where)])
        kept = self.shares[levels][:, None, None, None]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        return noisy, levels, words, kept.sqrt() * noise - (1 - kept).sqrt() * clean


def plain_attention(unet: Any, where: str) -> None:
    """On a processor, attention in plain products: the backward pass of the fused one takes a third of a step there."""
    from diffusers.models.attention_processor import AttnProcessor

    if where == "cpu":
        unet.set_attn_processor(AttnProcessor())


def train_unet(made: Drawings, preset: Preset, vae: Any, folder: Path, seed: int, limits: Limits, *, compiled: bool = False) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """The pipeline's parts as a dictionary, and whether they are trained to the end: a limit may stop it before.

    It resumes from `folder`. `vae` is changed: its latents come out white.
    """
    import torch

    where = device()
    learned = items(made, preset, seed)
    tokenizer = make_tokenizer({caption for item in learned for caption in item.captions}, preset)
    latents = whiten(vae, encoded(vae, pictures(made, learned, 64)))
    rows, counts = token_rows(tokenizer, [item.captions for item in learned], preset.tokens)
    empty = token_rows(tokenizer, [("",)], preset.tokens)[0][0, 0]
    torch.manual_seed(seed + 1)
    text, unet = make_text_encoder(tokenizer, preset).to(where), make_unet(preset).to(where)
    if where == "cuda":
        unet.to(memory_format=torch.channels_last)
    plain_attention(unet, where)
    _note(folder, made, learned, preset, seed, text, unet)
    run = Run(
        "unet", {"text": text, "unet": unet}, folder / "unet.checkpoint.safetensors", total=preset.unet_steps,
        top=preset.unet_rate, warmup=preset.warmup, ema=preset.ema,
    )  # fmt: skip
    run.load()
    batches = Batches(
        latents, rows, counts, empty, drop=preset.empty_captions, seed=seed, stage="unet", where=where
    )  # fmt: skip
    forward = torch.compile(unet) if compiled else unet

    def loss_at(step: int) -> torch.Tensor:
        noisy, levels, words, velocity = batches.at(step, preset.unet_batch)
        with precision(where, preset.bf16):
            said = text(words).last_hidden_state
            guess = forward(noisy, levels, encoder_hidden_states=said).sample
        return (guess.float() - velocity).square().mean()

    done = run.train(loss_at, limits)
    run.take_average()
    parts = {
        "vae": vae, "text_encoder": text.eval(), "tokenizer": tokenizer, "unet": unet.eval(), "scheduler": make_scheduler()
    }  # fmt: skip
    return parts, done


def _note(folder: Path, made: Drawings, learned: list[Item], preset: Preset, seed: int, text: Any, unet: Any) -> None:
    """Write down what is learned: the evaluation asks for exactly these concepts, and the card tells it."""
    subjects = sorted({made.drawings[item.drawing].subject for item in learned})
    record = {
        "preset": preset.name,
        "seed": seed,
        "styles": list(preset.styles),
        "concepts": [made.subjects[n].name for n in subjects],
        "pictures": len(learned),
        "parameters": {
            "unet": sum(weight.numel() for weight in unet.parameters()),
            "text_encoder": sum(weight.numel() for weight in text.parameters()),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "learned.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"unet: {len(subjects)} concepts, {len(learned)} pictures, {record['parameters']}")
