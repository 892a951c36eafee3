"""Where the parts of a pipeline wait and whether its pictures are decoded in tiles: decided from sizes, changed by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from backends.hub.safetensors_header import NotSafetensors, parameters_by_dtype

Placement = Literal["whole", "part by part", "layer by layer"]
"""All of it on the device; each part when its turn comes; or each layer, where not even the largest part fits."""

# What a picture takes beside the weights in half precision, measured on SDXL at 1024 x 1024: about 3 GB.
_BYTES_PER_PIXEL = 3_000
_SPARE = 1.1
# From here on the decoder's own activations would be the largest thing in memory. By size alone and not by what is free:
# tiles change pixels a little, and the same recipe has to give the same picture.
TILED_PIXELS = 2048 * 1536


def part_sizes(folder: Path, device: str) -> dict[str, int]:
    """Bytes of each part's weights in the precision they are loaded in, from the headers of its files."""
    each = 4 if device == "cpu" else 2
    sizes = {}
    for part in sorted(folder.iterdir()):
        files = list(part.glob("*.safetensors")) if part.is_dir() else []
        if files:
            sizes[part.name] = sum(_weights(path, each) for path in files)
    return sizes


def work_bytes(width: int, height: int) -> int:
    """What drawing one picture of that size takes beside the weights, roughly, on a GPU."""
    return width * height * _BYTES_PER_PIXEL


def placement(sizes: Mapping[str, int], free: int | None, work: int) -> Placement:
    """The fastest arrangement on a GPU that leaves `work` bytes of `free` for drawing; `free` None: whole."""
    if free is None or sum(sizes.values()) * _SPARE + work <= free:
        return "whole"
    if max(sizes.values(), default=0) * _SPARE + work <= free:
        return "part by part"
    return "layer by layer"


def room_to_make(sizes: Mapping[str, int], device: str, total: int | None, work: int) -> int:
    """Bytes that have to be free before loading: on the processor for all parts, on a GPU for the largest.

    A GPU of `total` bytes that not even the largest part fits into only has to have room for the work.
    """
    if device == "cpu":
        return int(sum(sizes.values()) * _SPARE)
    largest = int(max(sizes.values(), default=0) * _SPARE) + work
    return largest if total is None or largest <= total else work


def in_tiles(width: int, height: int) -> bool:
    """Whether the VAE reads and writes a picture of that size piece by piece."""
    return width * height > TILED_PIXELS


def _weights(path: Path, each: int) -> int:
    try:
        return sum(parameters_by_dtype(path).values()) * each
    except NotSafetensors:
        # Loading it will say what is wrong; until then its size is near enough.
        return path.stat().st_size
