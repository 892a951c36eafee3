"""Sizes and lengths of a training run: `gpu` for one large card, `cpu` for hours on two cores, `tiny` for tests."""

from __future__ import annotations

from dataclasses import dataclass

from training.common import COMMON
from training.packages import BASE_STYLES


@dataclass(frozen=True)
class Preset:
    """What a run learns, how large it is, and for how long. Steps are optimizer steps; sizes are in pixels."""

    name: str
    # The concepts by name; none means every one that was prepared.
    concepts: tuple[str, ...]
    # What the VAE sees, and what the UNet learns to draw.
    vae_styles: tuple[str, ...]
    styles: tuple[str, ...]
    # Other colours of each drawing, at most; and whether it also comes on coloured backgrounds and twice.
    variants: int
    scenes: bool
    vae_channels: tuple[int, ...]
    vae_layers: int
    vae_steps: int
    vae_batch: int
    vae_rate: float
    vae_crop: int
    unet_channels: tuple[int, ...]
    unet_layers: int
    unet_steps: int
    unet_batch: int
    unet_rate: float
    ema: float
    text_width: int
    text_layers: int
    vocabulary: int
    size: int = 64
    warmup: int = 200
    empty_captions: float = 0.08
    tokens: int = 32
    # bfloat16 autocast; the weights and the optimizer stay float32.
    bf16: bool = True


PRESETS = {
    "gpu": Preset(
        name="gpu",
        concepts=(),
        vae_styles=BASE_STYLES,
        styles=BASE_STYLES,
        variants=6,
        scenes=True,
        vae_channels=(24, 48, 96),
        vae_layers=1,
        vae_steps=12_000,
        vae_batch=128,
        vae_rate=1e-3,
        vae_crop=64,
        unet_channels=(96, 160, 192),
        unet_layers=1,
        unet_steps=30_000,
        unet_batch=768,
        unet_rate=8e-4,
        ema=0.9995,
        text_width=160,
        text_layers=4,
        vocabulary=4096,
        warmup=1000,
    ),
    "cpu": Preset(
        name="cpu",
        concepts=COMMON,
        vae_styles=BASE_STYLES[:2],
        # One style: so few pictures can be seen often enough in the time there is. A LoRA brings another.
        styles=BASE_STYLES[:1],
        variants=4,
        scenes=False,
        vae_channels=(16, 32, 64),
        vae_layers=1,
        vae_steps=6_000,
        vae_batch=16,
        vae_rate=1e-3,
        vae_crop=32,
        unet_channels=(64, 128, 192),
        unet_layers=1,
        unet_steps=8_000,
        unet_batch=32,
        unet_rate=8e-4,
        ema=0.998,
        text_width=128,
        text_layers=3,
        vocabulary=3072,
    ),
    "tiny": Preset(
        name="tiny",
        concepts=(),
        vae_styles=BASE_STYLES,
        styles=BASE_STYLES,
        variants=2,
        scenes=True,
        vae_channels=(8, 8, 16),
        vae_layers=1,
        vae_steps=6,
        vae_batch=4,
        vae_rate=1e-3,
        vae_crop=64,
        unet_channels=(16, 16, 32),
        unet_layers=1,
        unet_steps=6,
        unet_batch=4,
        unet_rate=1e-3,
        ema=0.9,
        text_width=32,
        text_layers=1,
        vocabulary=600,
        warmup=2,
        bf16=False,
    ),
}
