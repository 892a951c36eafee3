"""Which device and which dtype a model runs in, found out on this machine."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

REPEATS = 12


def best_device() -> Any:
    """CUDA when there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: Any, hidden: int, inner: int) -> Any:
    """The faster dtype on `device` for a model of these sizes; weights on disk stay as they are."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return _faster_on_cpu(hidden, inner)


@cache
def _faster_on_cpu(hidden: int, inner: int) -> Any:
    """bfloat16 or float32, timed on one token through a layer of the model's own size.

    Old CPUs emulate bfloat16 and are several times slower in it; new ones are faster, since decoding waits for memory.
    """
    import torch

    seconds = {}
    for dtype in (torch.bfloat16, torch.float32):
        # Enough different weights that they do not all stay in the processor's cache, as in a real model.
        layers = [torch.ones(inner, hidden, dtype=dtype) for _ in range(REPEATS)]
        token = torch.ones(1, hidden, dtype=dtype)
        best = float("inf")
        with torch.inference_mode():
            for _ in range(3):
                started = time.perf_counter()
                for weight in layers:
                    torch.nn.functional.linear(token, weight)
                best = min(best, time.perf_counter() - started)
        seconds[dtype] = best
    return min(seconds, key=lambda dtype: seconds[dtype])
