"""Reads the header of a safetensors file on this machine: how many parameters, of which types. No tensor is read."""

from __future__ import annotations

import json
import math
from pathlib import Path

# The format's own limit (safetensors, MAX_HEADER_SIZE).
MOST_HEADER_BYTES = 100_000_000


class NotSafetensors(ValueError):
    """The file is not a whole safetensors file."""


def parameters_by_dtype(path: Path) -> dict[str, int]:
    """The number of parameters by dtype; raises `NotSafetensors` or `OSError`."""
    counts: dict[str, int] = {}
    for name, tensor in read_header(path).items():
        if name == "__metadata__":
            continue
        if not isinstance(tensor, dict):
            raise NotSafetensors(f"{path.name}: {name} is not described")
        dtype, sides = tensor.get("dtype"), _sides(tensor.get("shape"))
        if not isinstance(dtype, str) or sides is None:
            raise NotSafetensors(f"{path.name}: {name} has no dtype or no shape")
        counts[dtype] = counts.get(dtype, 0) + math.prod(sides)
    return counts


def read_header(path: Path) -> dict[str, object]:
    """The header as it stands: each tensor's name with its dtype and shape. Raises `NotSafetensors` or `OSError`."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_HEADER_BYTES, path.stat().st_size - 8):
            raise NotSafetensors(f"{path.name}: the header is longer than the file, or than the format allows")
        content = file.read(length)
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotSafetensors(f"{path.name}: the header is not JSON") from error
    if not isinstance(header, dict):
        raise NotSafetensors(f"{path.name}: the header is not a JSON object")
    return header


def _sides(shape: object) -> list[int] | None:
    if not isinstance(shape, list):
        return None
    sides = [side for side in shape if isinstance(side, int) and 0 <= side < 2**40]
    return sides if len(sides) == len(shape) else None
