"""Writes the trained parts as a standard diffusers folder: float16, shards under 9 MB, under 40 MB in all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

MOST_BYTES = 40_000_000
SHARD = "9MB"


def save_pipeline(parts: dict[str, Any], folder: Path) -> int:
    """Write the pipeline to `folder` and return its bytes. Raises `ValueError` when it is larger than it may be.

    The parts are left in float16. A card and a `sheet.png` that are in the folder stay.
    """
    import torch
    from diffusers import StableDiffusionPipeline

    for name in ("vae", "text_encoder", "unet"):
        parts[name].to("cpu", torch.float16)
        if name == "unet":
            parts[name].to(memory_format=torch.contiguous_format)
    pipeline = StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    for name in ("vae", "text_encoder", "unet", "tokenizer", "scheduler"):
        shutil.rmtree(folder / name, ignore_errors=True)
    pipeline.save_pretrained(folder, safe_serialization=True, max_shard_size=SHARD)
    _plain_text_encoder(folder / "text_encoder" / "config.json")
    _older_tokenizer(folder / "tokenizer")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        raise ValueError(
            f"{folder} has {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} are allowed. Train a smaller one."
        )
    return size


def _plain_text_encoder(config: Path) -> None:
    """Have the text encoder load in float32 like the rest: transformers keeps a file's own type where diffusers does not."""
    said = json.loads(config.read_text(encoding="utf-8"))
    said["dtype"] = "float32"
    config.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _older_tokenizer(folder: Path) -> None:
    """`vocab.json` and `merges.txt` beside `tokenizer.json`, for readers that know only these."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
