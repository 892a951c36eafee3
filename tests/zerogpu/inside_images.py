"""The image engine on ZeroGPU: the local engine's pictures out of a forked worker, with its progress, previews and Stop."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from backends.bundled.image import image_folders, image_path
from backends.image import loading, memory
from backends.image import zerogpu as engine
from backends.image.adapters import Attached
from backends.image.build import ImageRouter, build_images
from backends.image.files import ImageFiles
from backends.image.png import text_chunks
from backends.image.zerogpu import Job, seconds_needed
from core.errors import GenerationFailed, OutOfMemory, QuotaExceeded, UserInputError
from core.image_protocols import Drawing
from core.images import ImageSettings, Picture, Step
from core.recipe import recipe_in
from tests.zerogpu import violations
from tests.zerogpu.crossing import check_plain, crossing
from tests.zerogpu.device_api import DeviceApi, Refusal
from tests.zerogpu.emulation import by_a_handler, launched, token_of

FAST = ImageSettings("a red apple", seed=7, steps=3)


@pytest.fixture(autouse=True, scope="module")
def _float32() -> Iterator[None]:
    """As on the processor, so that pictures can be compared; on a GPU it is bfloat16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "best_dtype", lambda device: "float32")
        yield


@pytest.fixture(scope="module")
def images(_float32: None, tmp_path_factory: pytest.TempPathFactory) -> ImageRouter:
    """The router with the bundled model placed, as after the launch of a page."""
    images = build_images(data_dir=tmp_path_factory.mktemp("images"), endpoint="http://127.0.0.1:9", zero_gpu=True)
    images.place(images.start_model())
    launched()
    return images


@pytest.fixture
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def finished(drawing: Drawing, finish: str = "done") -> tuple[Picture, ...]:
    assert list(drawing.listen())[-1].finish == finish
    return drawing.pictures()


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGBA").tobytes()


def picture(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def half_mask() -> bytes:
    mask = Image.new("L", (64, 64), "black")
    mask.paste(255, (0, 0, 32, 64))
    out = io.BytesIO()
    mask.save(out, "PNG")
    return out.getvalue()


def test_the_same_recipe_gives_the_local_engines_pixels(images: ImageRouter, one_thread: None, tmp_path: Path) -> None:
    local = build_images(data_dir=tmp_path / "local", endpoint="http://127.0.0.1:9")
    asked = [
        replace(FAST, batch=2),
        replace(
            FAST, width=48, height=64, guidance=3.0, scheduler=images.capabilities(images.start_model()).schedulers[-1]
        ),
        replace(FAST, image=picture("green"), strength=0.7, steps=4),
        replace(FAST, image=picture("green"), mask=half_mask(), steps=4),
    ]
    for settings in asked:
        here = finished(local.start(local.start_model(), settings))
        there = finished(images.start(images.start_model(), settings))
        assert [pixels(drawn.png) for drawn in there] == [pixels(drawn.png) for drawn in here], settings
        for drawn, same in zip(there, here, strict=True):
            recipe, other = recipe_in(text_chunks(drawn.png)), recipe_in(text_chunks(same.png))
            assert recipe is not None and other is not None
            assert (drawn.backend, recipe.backend, drawn.dtype) == ("ZeroGPU", "ZeroGPU", "float32")
            assert replace(recipe, backend=other.backend) == other


def test_what_is_placed_needs_no_files_any_more(images: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """`spaces` deletes the files in the Hub's cache whose tensors it has packed."""

    def gone(*_: object) -> None:
        raise FileNotFoundError("deleted after packing")

    for name in ("describing", "plan", "present", "fetch"):
        monkeypatch.setattr(ImageFiles, name, gone)
    monkeypatch.setattr(memory, "part_sizes", gone)
    model = images.start_model()
    assert images.plan(model).ready and images.gpu_seconds(model, FAST)
    assert len(finished(images.start(model, FAST))) == 1


def test_progress_and_previews_reach_the_page(images: ImageRouter, device_api: DeviceApi) -> None:
    drawing = images.start(images.start_model(), replace(FAST, steps=8, batch=2))
    steps: list[Step] = list(drawing.listen())
    numbers = [step.number for step in steps]
    assert numbers == sorted(numbers) and len(set(numbers)) > 2 and numbers[-1] == steps[-1].total == 16
    previews = {step.preview for step in steps if step.preview is not None}
    assert previews and all(Image.open(io.BytesIO(preview)).format == "PNG" for preview in previews)
    assert any(step.seconds_left for step in steps)
    assert [drawn.settings.seed for drawn in drawing.pictures()] == [7, 8]
    device_api.wait_released()
    assert not device_api.grants[0].failed


def test_stop_ends_it_and_keeps_what_is_there(images: ImageRouter, device_api: DeviceApi) -> None:
    drawing = images.start(images.start_model(), replace(FAST, steps=200, batch=4))
    listener = drawing.listen()
    while (step := next(listener)).preview is None:
        assert step.finish is None
    drawing.cancel()
    last = list(listener)[-1]
    assert last.finish == "stopped" and last.number < 800
    assert drawing.pictures()[-1].finish == "stopped"
    device_api.wait_released()
    assert not device_api.grants[0].failed
    assert len(finished(images.start(images.start_model(), FAST))) == 1


def test_stop_ends_a_drawing_that_waits_for_a_gpu_at_once(images: ImageRouter, device_api: DeviceApi) -> None:
    held = [violations.numbers(2) for _ in range(device_api.gpus)]
    for stream in held:
        next(stream)
    drawing = images.start(images.start_model(), FAST)
    drawing.cancel()
    assert finished(drawing, "stopped") == ()
    for stream in held:
        list(stream)
    device_api.wait_released()
    assert len(finished(images.start(images.start_model(), FAST))) == 1


def test_the_visitor_is_asked_for_the_time_that_is_told_before(images: ImageRouter, device_api: DeviceApi) -> None:
    told = images.gpu_seconds(images.start_model(), FAST)
    finished(images.start(images.start_model(), FAST))
    assert told is not None and abs(device_api.grants[0].asked_seconds - told) <= 1


def test_the_time_follows_from_steps_size_and_batch() -> None:
    sdxl = (("text_encoder", 250_000_000), ("unet", 5_100_000_000), ("vae", 170_000_000))
    flux = (("text_encoder_2", 9_500_000_000), ("transformer", 23_800_000_000), ("vae", 170_000_000))

    def needed(sizes: tuple[tuple[str, int], ...] = sdxl, placed: bool = True, **changes: object) -> int:
        settings = replace(ImageSettings("x", width=1024, height=1024, steps=30, guidance=5.0), **changes)  # type: ignore[arg-type]
        return seconds_needed(Job("a", "b", "c", settings, Attached(), 0.0, 1, sizes, placed, ""))

    base = needed()
    assert needed(steps=60) > base and needed(batch=2) > base and needed(placed=False) > base
    assert needed(width=512, height=512) < base
    assert needed(guidance=1.0) < base
    assert needed(image=b"x", strength=0.3) < base
    assert needed(flux, steps=20, guidance=3.5) > base
    assert 8 <= base <= 30, "one SDXL picture asks for seconds, not for the default minute"


def test_what_crosses_is_plain(images: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    crossed = crossing(engine, "draw", monkeypatch)
    finished(images.start(images.start_model(), replace(FAST, image=picture("green"), strength=0.9)))
    check_plain(crossed)


def test_a_quota_that_is_used_up_is_said_with_what_to_change(images: ImageRouter, device_api: DeviceApi) -> None:
    device_api.refuse = lambda seconds: Refusal(wait_seconds=-1, result="illegal-duration")
    with pytest.raises(QuotaExceeded, match="fewer steps, a smaller size or fewer pictures"):
        finished(images.start(images.start_model(), FAST))
    device_api.refuse = lambda seconds: None
    assert len(finished(images.start(images.start_model(), FAST))) == 1


def test_a_handler_that_knows_no_gpu_draws_in_its_visitors_name(images: ImageRouter, device_api: DeviceApi) -> None:
    """With the visitor's token, which is how the page on a Space calls; whose quota it is crosses the engine's own threads."""
    model = images.start_model()

    def draw() -> Drawing:
        assert [step.stage for step in images.prepare(model)] == ["ready"]
        assert images.gpu_seconds(model, FAST)
        return images.start(model, FAST)

    device_api.refuse = lambda seconds: Refusal(left=4, wait_seconds=3 * 3600 + 120, auth="regular")
    drawing = by_a_handler(draw, token_of("ada"))
    with pytest.raises(QuotaExceeded, match=r"4 s are left.*fewer steps.*3 h 2 min") as raised:
        finished(drawing)  # type: ignore[arg-type]
    assert raised.value.retry_after == 3 * 3600 + 120
    device_api.refuse = lambda seconds: None
    for user in ("ada", "bob"):
        assert len(finished(by_a_handler(draw, token_of(user)))) == 1  # type: ignore[arg-type]
        assert device_api.grants[-1].token == token_of(user), "the quota is the visitor's, not the page's"


def test_an_error_in_the_worker_comes_as_its_sentence(images: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.image import drawing

    parent = os.getpid()

    def broken(*_: object, **__: object) -> None:
        assert os.getpid() != parent
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(drawing, "_draw", broken)
    with pytest.raises(OutOfMemory, match="There is not enough memory for"):
        finished(images.start(images.start_model(), FAST))


def test_a_worker_that_is_killed_is_said_and_the_next_drawing_comes(images: ImageRouter, device_api: DeviceApi) -> None:
    drawing = images.start(images.start_model(), replace(FAST, steps=200, batch=4))
    listener = drawing.listen()
    while next(listener).number < 2:
        pass
    device_api.end_workers()
    with pytest.raises(GenerationFailed, match="ended before the drawing"):
        list(listener)
    assert len(finished(images.start(images.start_model(), FAST))) == 1


def test_what_cannot_be_drawn_takes_no_gpu_time(images: ImageRouter, device_api: DeviceApi) -> None:
    with pytest.raises(UserInputError, match="Steps"):
        images.start(images.start_model(), replace(FAST, steps=10_000))
    assert device_api.grants == []


def test_a_model_chosen_after_the_launch_is_drawn_in_a_worker_that_is_older(
    images: ImageRouter, tmp_path: Path
) -> None:
    finished(images.start(images.start_model(), FAST))
    shutil.copytree(image_path(), tmp_path / "own")
    other = build_images(
        data_dir=tmp_path / "other", image_model=str(tmp_path / "own"), endpoint="http://127.0.0.1:9", zero_gpu=True
    )
    assert other.start_model() != image_folders()[0].ref
    ref = other.start_model()
    assert [step.stage for step in other.prepare(ref)][-1] == "ready"
    assert len(finished(other.start(ref, FAST))) == 1
    # The worker has it on its GPU; nothing of that comes back, and here there is none.
    assert engine._PIPELINES.models[(ref.repo_id, ref.revision)].device == "cpu"
