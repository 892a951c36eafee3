"""Which device and which dtype a model runs in, found out on this machine."""

from __future__ import annotations

import copy
import time
from typing import Any

STEPS = 5
LAYERS = 2

_chosen: dict[str, Any] = {}


def best_device() -> Any:
    """CUDA when there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: Any, config: Any) -> Any:
    """The faster dtype on `device` for a text model of this `config`; weights on disk stay as they are."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    shape = copy.deepcopy(config)
    shape.num_hidden_layers = LAYERS
    key = f"{type(shape).__name__} {shape.hidden_size} {getattr(shape, 'intermediate_size', 0)} {shape.vocab_size}"
    if key not in _chosen:
        _chosen[key] = _faster_on_cpu(shape)
    return _chosen[key]


def _faster_on_cpu(shape: Any) -> Any:
    """bfloat16 or float32, timed decoding tokens through two layers of the model's own shape with random weights.

    Old CPUs emulate bfloat16 and are several times slower in it; on others it is faster, because decoding waits for
    memory. A matrix product alone predicts this badly: which kernels run depends on the whole layer.
    """
    import torch
    import transformers

    # Per-layer lists (layer types, say) have to be as long as the layers that are left.
    for name, value in vars(shape).items():
        if isinstance(value, list) and len(value) > LAYERS and name.startswith("layer"):
            setattr(shape, name, value[:LAYERS])
    models = {}
    for dtype in (torch.bfloat16, torch.float32):
        models[dtype] = transformers.AutoModelForCausalLM.from_config(shape, dtype=dtype).eval()
    caches = {dtype: transformers.DynamicCache(config=shape) for dtype in models}
    token = torch.tensor([[0]])
    best = dict.fromkeys(models, float("inf"))
    with torch.inference_mode():
        for _ in range(STEPS):
            for dtype, model in models.items():
                started = time.perf_counter()
                model(input_ids=token, past_key_values=caches[dtype], use_cache=True)
                best[dtype] = min(best[dtype], time.perf_counter() - started)
    return min(best, key=lambda dtype: best[dtype])
