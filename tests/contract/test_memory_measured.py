"""The memory estimate against what the models that come with the app really take: weights, buffers and cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.bundled.constants import FOLDER
from backends.bundled.image import image_folders
from backends.hub.folder import read_folder
from core.memory import estimate, image_estimate

pytestmark = pytest.mark.bundled


def held(tensors: Any) -> int:
    """Bytes of tensors, shared ones once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def test_the_bundled_chat_model(prepared_models: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder, context = prepared_models / FOLDER, 512
    known = read_folder(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.inference_mode():
        cache = model(torch.ones((1, context), dtype=torch.long), use_cache=True, logits_to_keep=1).past_key_values
    measured = held((*model.parameters(), *model.buffers()))
    measured += sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert known.params is not None
    told = estimate(known.params, "bfloat16", known.config, context)
    assert told.cache
    assert abs(told.total - measured) / measured < 0.15


def test_the_bundled_image_model() -> None:
    import torch
    from diffusers import DiffusionPipeline

    (folder,) = image_folders()
    known = read_folder(folder.path)
    pipeline = DiffusionPipeline.from_pretrained(folder.path, torch_dtype=torch.float32)
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    measured = held(tensor for part in parts for tensor in (*part.parameters(), *part.buffers()))
    assert known.params is not None
    assert abs(image_estimate(known.params, "float32").total - measured) / measured < 0.15
