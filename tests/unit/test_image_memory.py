"""Where a pipeline's parts wait, from sizes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.bundled.image import image_path
from backends.image.memory import Placement, in_tiles, part_sizes, placement, room_to_make, work_bytes

GB = 10**9
SDXL = {"unet": int(5.1 * GB), "text_encoder_2": int(1.4 * GB), "text_encoder": GB // 4, "vae": GB // 6}
FLUX = {"transformer": 24 * GB, "text_encoder_2": int(9.5 * GB), "vae": GB // 6}
WORK = work_bytes(1024, 1024)


@pytest.mark.parametrize(
    ("sizes", "free", "place"),
    [
        (SDXL, None, "whole"),
        (SDXL, 24 * GB, "whole"),
        (SDXL, 10 * GB, "part by part"),
        (SDXL, 6 * GB, "layer by layer"),
        (FLUX, 80 * GB, "whole"),
        (FLUX, 32 * GB, "part by part"),
        (FLUX, 16 * GB, "layer by layer"),
        ({}, 0, "layer by layer"),
    ],
)
def test_the_fastest_placement_that_leaves_room_for_the_work(
    sizes: dict[str, int], free: int | None, place: Placement
) -> None:
    assert placement(sizes, free, WORK) == place


def test_room_is_made_for_the_largest_part_if_the_device_can_ever_hold_it() -> None:
    assert room_to_make(SDXL, "cuda", 24 * GB, WORK) == int(5.1 * GB * 1.1) + WORK
    assert room_to_make(FLUX, "cuda", 16 * GB, WORK) == WORK
    assert room_to_make(SDXL, "cpu", None, 0) == int(sum(SDXL.values()) * 1.1)


def test_sizes_are_those_of_the_precision_that_is_loaded(tmp_path: Path) -> None:
    """The bundled model's files are half precision: on the processor they take twice their size."""
    on_disk = {part.name: sum(f.stat().st_size for f in part.glob("*.safetensors")) for part in image_path().iterdir()}
    gpu, cpu = part_sizes(image_path(), "cuda"), part_sizes(image_path(), "cpu")
    assert gpu.keys() == cpu.keys() == {"unet", "vae", "text_encoder"}
    assert all(cpu[part] == 2 * gpu[part] for part in gpu)
    assert all(0.9 < gpu[part] / on_disk[part] < 2.2 for part in gpu)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.safetensors").write_bytes(b"broken!" * 10)
    assert part_sizes(tmp_path, "cpu") == {"unet": 70}


def test_tiles_are_a_matter_of_size_alone() -> None:
    assert not in_tiles(1024, 1024) and not in_tiles(1536, 2048)
    assert in_tiles(2048, 2048) and in_tiles(4096, 1024)
