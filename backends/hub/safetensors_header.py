"""Reads the header of a safetensors file: how many parameters, of which types. No tensor is read."""

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
    for _, dtype, shape in described(read_header(path)):
        counts[dtype] = counts.get(dtype, 0) + math.prod(shape)
    return counts


def described(header: dict[str, object]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, dtype and shape of every tensor; raises `NotSafetensors`."""
    found = []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(tensor, dict):
            raise NotSafetensors(f"{name} is not described")
        dtype, sides = tensor.get("dtype"), _sides(tensor.get("shape"))
        if not isinstance(dtype, str) or sides is None:
            raise NotSafetensors(f"{name} has no dtype or no shape")
        found.append((name, dtype, tuple(sides)))
    return found


def read_header(path: Path) -> dict[str, object]:
    """The header as it stands: each tensor's name with its dtype and shape. Raises `NotSafetensors` or `OSError`."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_HEADER_BYTES, path.stat().st_size - 8):
            raise NotSafetensors(f"{path.name}: the header is longer than the file, or than the format allows")
        content = file.read(length)
    return parsed(content)


def parsed(content: bytes) -> dict[str, object]:
    """The JSON of a header; raises `NotSafetensors`."""
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotSafetensors("the header is not JSON") from error
    if not isinstance(header, dict):
        raise NotSafetensors("the header is not a JSON object")
    return header


def _sides(shape: object) -> list[int] | None:
    if not isinstance(shape, list):
        return None
    sides = [side for side in shape if isinstance(side, int) and 0 <= side < 2**40]
    return sides if len(sides) == len(shape) else None
