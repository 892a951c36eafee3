"""The bundled image model's folder in diffusers' own pipelines: every one loads it and draws the same twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.bundled.image import image_path
from backends.image.lora_fit import lora_header
from tests.synthetic_drawings import synthetic
from training.lora import LoraPlan, train_lora
from training.running import Limits

PIPELINES = (
    "StableDiffusionPipeline", "AutoPipelineForText2Image", "AutoPipelineForImage2Image", "AutoPipelineForInpainting"
)  # fmt: skip


def load(kind: str) -> Any:
    import diffusers

    pipeline = getattr(diffusers, kind).from_pretrained(image_path(), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(pipeline: Any, **more: Any) -> np.ndarray:
    import torch

    noise = torch.Generator().manual_seed(5)
    asked = {"num_inference_steps": 4, "guidance_scale": 3.5, "generator": noise, "output_type": "np"} | more
    return pipeline("a red apple", **asked).images[0]


@pytest.mark.parametrize("kind", PIPELINES)
def test_the_folder_loads_and_draws_the_same_twice(kind: str) -> None:
    from PIL import Image

    pipeline = load(kind)
    start, mask = Image.new("RGB", (64, 64), "blue"), Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    more: dict[str, Any] = {}
    if "Image2Image" in kind:
        more = {"image": start, "strength": 0.75}
    elif "Inpainting" in kind:
        more = {"image": start, "mask_image": mask, "strength": 1.0, "height": 64, "width": 64}
    first, second = drawn(pipeline, **more), drawn(pipeline, **more)
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, second)
    assert first.std() > 0.02


def test_it_is_small_and_in_pieces() -> None:
    sizes = {file: file.stat().st_size for file in Path(image_path()).rglob("*") if file.is_file()}
    assert sum(sizes.values()) <= 40_000_000
    assert max(sizes.values()) <= 9_000_000


def test_a_lora_of_a_few_steps_changes_what_it_draws(tmp_path: Path) -> None:
    file = train_lora(image_path(), synthetic(), LoraPlan("twemoji", steps=3, batch=2, top=0.02), tmp_path, 0, Limits())
    assert file is not None
    assert lora_header(file).triggers == ("twemoji style",)
    pipeline = load("StableDiffusionPipeline")
    before = drawn(pipeline)
    pipeline.load_lora_weights(tmp_path, weight_name=file.name)
    after = drawn(pipeline)
    assert np.abs(before - after).mean() > 0.002
    pipeline.unload_lora_weights()
    assert np.array_equal(before, drawn(pipeline))
