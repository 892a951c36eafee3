"""The local image engine on the bundled model: pixels, stop, previews, many at once, masks, and what it refuses."""

from __future__ import annotations

import io
import json
import logging
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from backends.bundled.image import IMAGE_REF, IMAGE_REVISION, image_folders, image_path
from backends.image.build import ImageRouter, build_images
from backends.image.png import text_chunks, write_png
from backends.image.revision import pipeline_revision
from core.errors import GenerationFailed, NoBackend, OutOfMemory, UnsafeContentError, UserInputError
from core.images import Control, ImageSettings, Picture
from core.recipe import recipe_in

ROOT = Path(__file__).parents[2]
FAST = ImageSettings("a red apple", seed=7, steps=3)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageRouter:
    return build_images(data_dir=tmp_path_factory.mktemp("images"), endpoint="http://127.0.0.1:9")


def drawn(images: ImageRouter, settings: ImageSettings) -> tuple[Picture, ...]:
    drawing = images.start(images.start_model(), settings)
    assert list(drawing.listen())[-1].finish == "done"
    return drawing.pictures()


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGBA").tobytes()


def changed(settings: ImageSettings, **changes: object) -> ImageSettings:
    from dataclasses import replace

    return replace(settings, **changes)


def test_the_bundled_model_is_the_one_that_is_named() -> None:
    assert pipeline_revision(image_path()) == IMAGE_REVISION
    (folder,) = image_folders()
    assert folder.ready and folder.bundled and folder.ref == IMAGE_REF


def test_search_and_card_find_it() -> None:
    from backends.hub.local import LocalModels
    from core.catalog import SearchQuery

    models = LocalModels(image_folders(), ROOT / "no-cache")
    (row,) = models.find(SearchQuery("emoji", task="text-to-image"))
    assert (
        row.summary.library == "diffusers" and row.summary.bundled and row.summary.weights_formats == ("safetensors",)
    )
    model = models.get(IMAGE_REF)
    assert model is not None and models.folder(model).readme is not None


def test_building_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from backends.image.build import build_images\n"
        "build_images(data_dir=Path('/tmp/none'), endpoint='http://127.0.0.1:9').start_model()\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_same_recipe_is_the_same_pixels_and_a_batch_is_single_pictures(images: ImageRouter) -> None:
    first, second = drawn(images, changed(FAST, batch=2))
    assert (first.settings.seed, second.settings.seed) == (7, 8)
    assert pixels(first.png) != pixels(second.png)
    recipe = recipe_in(text_chunks(second.png))
    assert recipe is not None and recipe.ref == IMAGE_REF and recipe.dtype == "float32" and recipe.finish == "done"
    assert {"diffusers", "torch", "proving_ground"} <= dict(recipe.versions).keys()
    (again,) = drawn(images, recipe.settings)
    assert pixels(again.png) == pixels(second.png)
    assert again.settings == second.settings


def test_it_draws_what_the_bare_pipeline_draws(images: ImageRouter) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    bare = StableDiffusionPipeline.from_pretrained(image_path(), dtype=torch.float32, local_files_only=True)
    bare.set_progress_bar_config(disable=True)
    wanted = bare(
        FAST.prompt, num_inference_steps=3, guidance_scale=3.5, generator=torch.Generator("cpu").manual_seed(7)
    ).images[0]
    (found,) = drawn(images, FAST)
    assert pixels(found.png) == wanted.convert("RGBA").tobytes()


def test_a_random_seed_is_recorded(images: ImageRouter) -> None:
    (found,) = drawn(images, changed(FAST, seed=None, steps=1))
    assert isinstance(found.settings.seed, int)
    assert None not in (found.settings.width, found.settings.steps, found.settings.guidance)


def test_a_preview_arrives_before_the_end_and_time_is_told(images: ImageRouter) -> None:
    drawing = images.start(IMAGE_REF, changed(FAST, steps=6))
    steps = list(drawing.listen())
    previews = {step.preview for step in steps if step.preview and not step.finish}
    assert previews and all(Image.open(io.BytesIO(one)).size == (64, 64) for one in previews)
    assert (steps[-1].number, steps[-1].total) == (6, 6)
    assert any(step.seconds_left for step in steps)
    assert images.drawing(drawing.id) is drawing


def test_stop_ends_within_one_step_and_keeps_a_picture(images: ImageRouter) -> None:
    drawing = images.start(IMAGE_REF, changed(FAST, steps=200))
    listener = drawing.listen()
    step = next(step for step in listener if step.preview)
    drawing.cancel()
    at = drawing.step.number  # type: ignore[attr-defined]
    last = list(listener)[-1]
    assert last.finish == "stopped" and step.number <= last.number <= at + 1 < 200
    (found,) = drawing.pictures()
    assert found.finish == "stopped"
    recipe = recipe_in(text_chunks(found.png))
    assert recipe is not None and recipe.finish == "stopped"


def test_two_at_once_do_not_mix(images: ImageRouter) -> None:
    asked = [changed(FAST, seed=seed, scheduler=name) for seed, name in ((1, "Euler a"), (2, "DDIM"), (3, "UniPC"))]
    alone = [pixels(drawn(images, one)[0].png) for one in asked]
    together: dict[int, bytes] = {}

    def ask(number: int) -> None:
        together[number] = pixels(drawn(images, asked[number])[0].png)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[number] for number in range(3)] == alone


def test_every_scheduler_on_the_list_draws(images: ImageRouter) -> None:
    can = images.capabilities(IMAGE_REF)
    assert can.scheduler == can.schedulers[0] == "DDIM" and len(can.schedulers) > 8
    found = {name: pixels(drawn(images, changed(FAST, scheduler=name, steps=4))[0].png) for name in can.schedulers}
    assert all(len(set(one)) > 20 for one in found.values())
    # Not one for all: they really are different.
    assert len(set(found.values())) > 8
    with pytest.raises(UserInputError, match="Choose one of: DDIM"):
        images.start(IMAGE_REF, changed(FAST, scheduler="Flow Euler"))


def test_flow_families_are_offered_only_theirs() -> None:
    from backends.image.schedulers import offered, own_name

    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    assert list(offered(flow, "FluxPipeline")) == ["Flow Euler"]
    assert list(offered(flow, "StableDiffusion3Pipeline")) == ["Flow Euler", "Flow Heun"]
    assert list(offered({"_class_name": "LCMScheduler"}, "LatentConsistencyModelPipeline")) == ["LCM"]
    karras = {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++", "use_karras_sigmas": True}
    assert own_name(karras) == "DPM++ 2M Karras"


def original(mode: str = "RGB", size: tuple[int, int] = (150, 100)) -> Image.Image:
    noise = Image.effect_noise(size, 90)
    bands = [noise, noise.rotate(90, expand=False), noise.rotate(180), Image.linear_gradient("L").resize(size)]
    return Image.merge(mode, bands[: len(mode)])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_outside_the_mask_every_byte_is_the_originals(images: ImageRouter, mode: str) -> None:
    picture = original(mode)
    mask = Image.new("L", picture.size)
    mask.paste(255, (40, 20, 101, 81))
    settings = changed(FAST, image=write_png(picture, {}), mask=write_png(mask, {}), steps=2)
    (found,) = drawn(images, settings)
    result = Image.open(io.BytesIO(found.png))
    assert (result.size, result.mode) == (picture.size, mode)
    before, after, may = picture.load(), result.load(), mask.load()
    differs = [(x, y) for x in range(150) for y in range(100) if before[x, y] != after[x, y]]
    assert differs and all(may[place] for place in differs)


def test_image_to_image_starts_from_the_picture(images: ImageRouter) -> None:
    red = write_png(Image.new("RGB", (128, 128), (200, 30, 30)), {})
    (found,) = drawn(images, changed(FAST, image=red, strength=0.4, steps=5))
    assert (found.settings.width, found.settings.height, found.settings.strength) == (128, 128, 0.4)
    red_value, green, _ = Image.open(io.BytesIO(found.png)).resize((1, 1)).getpixel((0, 0))
    assert red_value > green + 60
    recipe = recipe_in(text_chunks(found.png))
    assert recipe is not None and recipe.settings.strength == 0.4


@pytest.mark.parametrize(
    ("image", "mask", "sentence"),
    [
        (b"nothing", None, "not a picture"),
        (write_png(original(), {}), write_png(Image.new("L", (150, 100)), {}), "The mask is empty"),
        (write_png(original(), {}), write_png(Image.new("L", (15, 10), 255), {}), "the same size"),
        (write_png(original(), {}), b"GIF89a", "mask is"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_at_once(
    images: ImageRouter, image: bytes, mask: bytes | None, sentence: str
) -> None:
    with pytest.raises(UserInputError, match=sentence):
        images.start(IMAGE_REF, changed(FAST, image=image, mask=mask))


def as_file(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that says it is of that size, with these chunks and hardly any pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (png_of(20_000, 20_000), "more than 40 million pixels"),
        (png_of(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(b"x" * 90_000_000))), "damaged"),
        (as_file(original(), "JPEG")[:900], "damaged or cut off"),
    ],
    ids=["20,000 x 20,000", "text bomb", "truncated JPEG"],
)
@pytest.mark.parametrize("where", ["image", "mask", "control"])
def test_hostile_pictures_are_refused_wherever_they_are_given(
    images: ImageRouter, where: str, data: bytes, sentence: str
) -> None:
    given: dict[str, object] = {"image": write_png(original(), {})} if where == "mask" else {}
    given[where] = Control(IMAGE_REF, data) if where == "control" else data
    with pytest.raises(UserInputError, match=sentence):
        images.start(IMAGE_REF, changed(FAST, **given))


def test_a_gif_gives_its_first_frame_and_nothing_a_file_says_gets_into_the_picture(images: ImageRouter) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    gif = as_file(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"a secret")
    said = PngInfo()
    said.add_itxt("parameters", "a secret\nSteps: 1, Seed: 99, Size: 9x9")
    said.add_itxt("proving_ground", '{"schema": 1, "prompt": "a secret"}')
    png = as_file(frames[0], "PNG", pnginfo=said)
    seen = []
    for data in (gif, png):
        (found,) = drawn(images, changed(FAST, image=data, strength=0.4))
        assert b"secret" not in found.png
        recipe = recipe_in(text_chunks(found.png))
        assert recipe is not None and recipe.settings.prompt == FAST.prompt
        seen.append(pixels(found.png))
    assert seen[0] == seen[1]


def test_what_the_text_encoder_does_not_read_is_said(images: ImageRouter) -> None:
    (found,) = drawn(images, changed(FAST, prompt="a red apple " * 12 + "and a zebra", steps=1))
    assert len(found.notes) == 1 and found.notes[0].endswith("and a zebra”")
    assert drawn(images, changed(FAST, steps=1))[0].notes == ()


def test_out_of_memory_is_a_sentence_and_the_next_request_works(
    images: ImageRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import UNet2DConditionModel

    for error, kind in ((MemoryError(), OutOfMemory), (ValueError("shape"), GenerationFailed)):
        with monkeypatch.context() as broken:

            def fail(*args: object, raised: Exception = error, **kwargs: object) -> None:
                raise raised

            broken.setattr(UNet2DConditionModel, "forward", fail)
            with pytest.raises(kind, match="Try"):
                list(images.start(IMAGE_REF, FAST).listen())
    assert drawn(images, changed(FAST, steps=1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 128, "height": 96}, "for 128 × 96 with this model. Try 64 × 48, or wait"),
        ({"width": 24, "height": 16}, "for 24 × 16 with this model. Try 16 × 16"),
        ({"width": 16, "height": 16}, "smallest size already. Try a smaller model"),
    ],
)
def test_out_of_memory_in_the_middle_says_what_would_fit_and_nothing_is_kept(
    images: ImageRouter, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], sentence: str
) -> None:
    """The second of three steps runs out; the pictures of the batch before it stay, the tensors of this one do not."""
    import gc
    import weakref

    import torch
    from diffusers import UNet2DConditionModel

    before = pixels(drawn(images, FAST)[0].png)
    inner, calls, held = UNet2DConditionModel.forward, [], []

    def fail(self: object, sample: torch.Tensor, *args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            held.append(weakref.ref(sample))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(self, sample, *args, **kwargs)

    # pytest keeps what is logged, tracebacks and their frames included.
    monkeypatch.setattr(logging.getLogger("backends.image.local"), "disabled", True)
    with monkeypatch.context() as broken:
        broken.setattr(UNet2DConditionModel, "forward", fail)
        drawing = images.start(IMAGE_REF, changed(FAST, batch=2, **changes))
        with pytest.raises(OutOfMemory, match=sentence):
            list(drawing.listen())
    assert len(calls) == 5 and len(drawing.pictures()) == 1
    gc.collect()
    assert held[0]() is None
    assert pixels(drawn(images, FAST)[0].png) == before


def test_parts_are_loaded_once_and_shared(images: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import AutoPipelineForText2Image

    drawn(images, changed(FAST, steps=1))
    monkeypatch.setattr(AutoPipelineForText2Image, "from_pretrained", None)
    lease = images._backends[0]._lease(IMAGE_REF)  # type: ignore[attr-defined]
    made = [lease.model.pipeline(task, "Euler") for task in ("text", "image", "inpaint")]
    assert len({id(pipe.unet) for pipe in made}) == 1 and len({id(pipe.scheduler) for pipe in made}) == 3
    assert lease.model.base.scheduler not in [pipe.scheduler for pipe in made]
    lease.release()


def test_the_linear_preview_shows_nearly_the_same_colours(images: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.image import preview

    monkeypatch.setattr(preview, "_CHEAP_PARAMETERS", 0)
    drawing = images.start(IMAGE_REF, changed(FAST, steps=8, seed=0))
    last = list(drawing.listen())[-1]
    assert last.preview is not None
    small = Image.open(io.BytesIO(last.preview))
    assert small.size == (16, 16)
    red, green, blue = small.crop((5, 6, 11, 12)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert red > green + 40 and red > blue + 40


def copied(folder: Path) -> Path:
    shutil.copytree(image_path(), folder, ignore=shutil.ignore_patterns("*.png"))
    return folder


def test_an_own_folder_is_pinned_to_its_content(tmp_path: Path) -> None:
    folder = copied(tmp_path / "mine")
    mine = build_images(data_dir=tmp_path, image_model=str(folder), endpoint="http://127.0.0.1:9")
    assert mine.start_model().repo_id == "local/mine" and mine.start_model().revision == IMAGE_REVISION
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    with pytest.raises(UserInputError, match="not a whole diffusers pipeline"):
        build_images(data_dir=tmp_path, image_model=str(folder), endpoint="http://127.0.0.1:9")


def test_code_of_the_model_and_unknown_classes_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path / "mine")
    index = json.loads((folder / "model_index.json").read_text())
    for changes, error, sentence in (
        ({"unet": ["my_unet", "MyUNet"]}, UnsafeContentError, "my_unet"),
        ({"_class_name": ["pipeline", "Mine"]}, UnsafeContentError, "run that code"),
        ({"_class_name": "AudioLDMPipeline"}, NoBackend, "AudioLDMPipeline"),
    ):
        (folder / "model_index.json").write_text(json.dumps(index | changes))
        mine = build_images(data_dir=tmp_path, image_model=str(folder), endpoint="http://127.0.0.1:9")
        with pytest.raises(error, match=sentence):
            mine.capabilities(mine.start_model())
