"""On a GPU: pictures per second and peak memory of an SDXL-sized pipeline with random weights, against the bare pipeline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

STEPS = 20
RUNS = 5
SIDE = 1024
PROMPT = "a red apple"
# stabilityai/stable-diffusion-xl-base-1.0, as its configs say.
SDXL: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 128, "block_out_channels": (320, 640, 1280), "transformer_layers_per_block": (1, 2, 10),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048, "use_linear_projection": True,
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    },
    "vae": {
        "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4, "latent_channels": 4, "layers_per_block": 2, "sample_size": 1024,
        "scaling_factor": 0.13025, "force_upcast": False,
    },
    "text_encoder": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "projection_dim": 768,
    },
    "text_encoder_2": {
        "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
        "projection_dim": 1280, "hidden_act": "gelu",
    },
}  # fmt: skip


def make(folder: Path, configs: dict[str, dict[str, Any]], tokenizer: Path) -> Path:
    """A whole pipeline of these configs with random weights in `folder`; its words are those of another model's tokenizer."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    torch.manual_seed(0)
    words = CLIPTokenizer.from_pretrained(tokenizer)
    about = {
        "vocab_size": len(words),
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "max_position_embeddings": words.model_max_length,
    }
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(**configs["vae"]),
        text_encoder=CLIPTextModel(CLIPTextConfig(**configs["text_encoder"], **about)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"], **about)),
        tokenizer=words,
        tokenizer_2=words,
        unet=UNet2DConditionModel(**configs["unet"]),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    )
    pipeline.to(dtype=torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    return folder


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows; none where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return []
    from benchmarks.pictures import MODEL

    with tempfile.TemporaryDirectory() as folder:
        return measured(make(Path(folder), SDXL, MODEL / "tokenizer"), "cuda", SIDE)


def measured(folder: Path, device: str, side: int) -> list[tuple[str, str, str]]:
    """The engine and the bare pipeline in turns, on the same weights and in the same type."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    from backends.image.adapters import NOTHING_ATTACHED
    from backends.image.loading import load
    from backends.image.local import draw_all
    from backends.image.running import RunningDrawing
    from core.images import ImageSettings
    from core.refs import ModelRef

    loaded = load(ModelRef("bench/sdxl-sized", "0" * 40), folder, device, None)
    bare = StableDiffusionXLPipeline.from_pretrained(folder, dtype=getattr(torch, loaded.dtype), use_safetensors=True)
    bare.set_progress_bar_config(disable=True)

    def ours() -> None:
        settings = ImageSettings(PROMPT, "", side, side, STEPS, 5.0, "Euler", 1, previews=False)
        drawing = RunningDrawing(settings, total=STEPS, orphan_seconds=600, leave_line=lambda _: False)
        draw_all(loaded, drawing, None, NOTHING_ATTACHED, backend="bench")
        drawing.end("done")
        if not drawing.pictures():
            raise RuntimeError("the engine drew nothing")

    def theirs() -> None:
        bare(
            PROMPT, width=side, height=side, num_inference_steps=STEPS, guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(1),
        )  # fmt: skip

    mine = _timed(ours, device)
    # One of the two in memory at a time, or each would count the other's weights.
    loaded.base.to("cpu")
    bare.to(device)
    peer = _timed(theirs, device)
    return [
        (
            f"SDXL-sized, {side} × {side}, {STEPS} steps, {loaded.dtype}",
            f"{1 / mine[0]:.3f} pictures a second",
            f"bare pipeline {1 / peer[0]:.3f}: {mine[0] / peer[0]:.2f} times its seconds",
        ),
        ("Its peak memory", f"{mine[1] / 1e9:.1f} GB", f"bare pipeline {peer[1] / 1e9:.1f} GB"),
    ]


def _timed(draw: Callable[[], None], device: str) -> tuple[float, int]:
    """(median seconds, peak bytes on the device) after one picture that is not counted."""
    import torch

    cuda = device == "cuda"
    draw()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(RUNS):
        if cuda:
            torch.cuda.synchronize()
        started = time.monotonic()
        draw()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - started)
    return median(seconds), int(torch.cuda.max_memory_allocated()) if cuda else 0
