"""Pipelines on a CUDA device: the same picture wherever the parts wait, with LoRAs and ControlNets on them."""

from __future__ import annotations

import pytest

from backends.bundled.image import IMAGE_REF, image_path
from backends.image.adapters import Attached
from backends.image.loading import LoadedPipeline, load, put
from backends.image.memory import Placement
from tests.contract.test_image_placement import attached, pixels

__all__ = ["attached"]
pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("place", ["part by part", "layer by layer"])
def test_the_picture_on_cuda_does_not_depend_on_where_the_parts_wait(
    attached: tuple[Attached, ...],
    place: Placement,
) -> None:
    whole = load(IMAGE_REF, image_path(), "cuda", None)
    other = load(IMAGE_REF, image_path(), "cuda", None, move=False)
    put(other.base, place, "cuda")
    moved = LoadedPipeline(IMAGE_REF, other.base, other.facts, other.dtype, "cuda", place)
    for one in attached:
        wanted, found = pixels(whole, one), pixels(moved, one)
        apart = sum(abs(a - b) for a, b in zip(wanted, found, strict=True)) / len(wanted)
        # Half precision may round another way where a kernel is chosen anew.
        assert apart < 3, (place, one)
    assert pixels(whole, attached[0]) != pixels(whole, attached[1])
