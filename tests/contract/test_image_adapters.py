"""LoRAs and ControlNets on the bundled model: they change pictures, never the next visitor's, and misfits are refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from backends.bundled.image import IMAGE_REF, image_path
from backends.image.build import ImageRouter, build_images
from backends.image.png import text_chunks, write_png
from core.errors import UserInputError
from core.images import Adapter, Control, ImageSettings, Lora, Picture
from core.recipe import recipe_in
from tests.tiny_adapters import make_tiny_controlnet, make_tiny_lora

FAST = ImageSettings("a red apple", seed=7, steps=2)
OFFLINE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three LoRAs and a ControlNet of the operator's own."""
    data = tmp_path_factory.mktemp("adapters")
    folder = data / "adapters"
    make_tiny_lora(folder / "ink.safetensors", image_path(), seed=1)
    make_tiny_lora(folder / "chalk.safetensors", image_path(), seed=2, text=True)
    said = {"modelspec.trigger_phrase": "pencil drawing, grey"}
    make_tiny_lora(folder / "kohya.safetensors", image_path(), seed=3, text=True, kohya=True, metadata=said)
    make_tiny_controlnet(folder / "edges", image_path(), seed=4)
    return data


@pytest.fixture(scope="module")
def images(shelf: Path) -> ImageRouter:
    return build_images(data_dir=shelf, endpoint=OFFLINE)


@pytest.fixture(scope="module")
def here(images: ImageRouter) -> dict[str, Adapter]:
    return {adapter.ref.repo_id.removeprefix("local/"): adapter for adapter in images.adapters(IMAGE_REF)}


def drawn(images: ImageRouter, settings: ImageSettings) -> Picture:
    drawing = images.start(IMAGE_REF, settings)
    assert list(drawing.listen())[-1].finish == "done"
    return drawing.pictures()[0]


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


def with_loras(*loras: tuple[Adapter, float]) -> ImageSettings:
    return replace(FAST, loras=tuple(Lora(adapter.ref, weight, adapter.file) for adapter, weight in loras))


def test_the_adapters_of_this_machine_that_fit_are_offered(images: ImageRouter, here: dict[str, Adapter]) -> None:
    assert [(name, adapter.kind) for name, adapter in here.items()] == [
        ("edges", "controlnet"), ("chalk", "lora"), ("ink", "lora"), ("kohya", "lora"),
    ]  # fmt: skip
    assert here["kohya"].triggers == ("pencil drawing", "grey")
    can = images.capabilities(IMAGE_REF)
    assert (can.family, can.loras, can.controlnet) == ("sd1", True, True)


def test_a_lora_changes_the_picture_and_leaves_nothing_behind(
    images: ImageRouter, here: dict[str, Adapter], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, LoRA, base, two LoRAs, another one: each picture is byte for byte that of an engine that drew nothing else."""
    orders = [
        FAST,
        with_loras((here["ink"], 0.8)),
        FAST,
        with_loras((here["chalk"], 1.0), (here["ink"], 0.5)),
        with_loras((here["kohya"], 0.7)),
        FAST,
        with_loras((here["ink"], 0.8)),
    ]
    drawn(images, FAST)
    with monkeypatch.context() as once:
        from diffusers import AutoPipelineForText2Image

        # The base stays where it is.
        once.setattr(AutoPipelineForText2Image, "from_pretrained", None)
        found = [pixels(drawn(images, settings).png) for settings in orders]
    fresh: dict[ImageSettings, bytes] = {}
    for settings in orders:
        if settings not in fresh:
            alone = build_images(data_dir=shelf, endpoint=OFFLINE)
            fresh[settings] = pixels(drawn(alone, settings).png)
    assert found == [fresh[settings] for settings in orders]
    assert len(set(found)) == 4


def test_a_weight_of_zero_is_the_base_and_weights_matter(images: ImageRouter, here: dict[str, Adapter]) -> None:
    base = pixels(drawn(images, FAST).png)
    assert pixels(drawn(images, with_loras((here["ink"], 0.0))).png) == base
    assert pixels(drawn(images, with_loras((here["ink"], 0.5))).png) != pixels(
        drawn(images, with_loras((here["ink"], 1.0))).png
    )


def test_more_loras_than_are_kept(
    images: ImageRouter, here: dict[str, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.image import loras

    first = pixels(drawn(images, with_loras((here["ink"], 1.0))).png)
    monkeypatch.setattr(loras, "MOST_KEPT", 1)
    drawn(images, with_loras((here["chalk"], 1.0)))
    base = images._backends[0]._lease(IMAGE_REF).model.base  # type: ignore[attr-defined]
    assert {name for names in base.get_list_adapters().values() for name in names} == set(base.get_active_adapters())
    drawn(images, with_loras((here["chalk"], 1.0), (here["kohya"], 1.0)))
    assert pixels(drawn(images, with_loras((here["ink"], 1.0))).png) == first


def test_the_recipe_names_the_loras_and_draws_the_same_again(images: ImageRouter, here: dict[str, Adapter]) -> None:
    picture = drawn(images, with_loras((here["ink"], 0.8), (here["kohya"], -0.3)))
    recipe = recipe_in(text_chunks(picture.png))
    assert recipe is not None and "peft" in dict(recipe.versions)
    assert recipe.settings.loras == (
        Lora(here["ink"].ref, 0.8, "ink.safetensors"), Lora(here["kohya"].ref, -0.3, "kohya.safetensors")
    )  # fmt: skip
    assert pixels(drawn(images, recipe.settings).png) == pixels(picture.png)


def test_a_lora_that_fails_to_load_is_a_sentence_and_the_next_drawing_is_clean(
    images: ImageRouter, here: dict[str, Adapter], shelf: Path
) -> None:
    """Its header is whole and fits; its tensors end early."""
    base = pixels(drawn(images, FAST).png)
    good = (shelf / "adapters" / "ink.safetensors").read_bytes()
    torn = shelf / "adapters" / "torn.safetensors"
    torn.write_bytes(good[:-1000])
    try:
        adapter = images.find_adapter(IMAGE_REF, "local/torn", "lora")
        with pytest.raises(Exception, match=r"The LoRA local/torn could not be loaded .* Draw without it"):
            list(images.start(IMAGE_REF, with_loras((here["ink"], 1.0), (adapter, 1.0))).listen())
    finally:
        torn.unlink()
    assert pixels(drawn(images, FAST).png) == base


def control_image() -> bytes:
    picture = Image.new("RGB", (64, 64), "black")
    ImageDraw.Draw(picture).ellipse((16, 16, 48, 48), fill="white")
    return write_png(picture, {})


def controlled(adapter: Adapter, **changes: object) -> ImageSettings:
    return replace(FAST, control=Control(adapter.ref, control_image(), **changes))  # type: ignore[arg-type]


def test_a_controlnet_steers_and_leaves_nothing_behind(images: ImageRouter, here: dict[str, Adapter]) -> None:
    base = pixels(drawn(images, FAST).png)
    plain, canny = (controlled(here["edges"], preprocess=kind) for kind in ("none", "canny"))
    seen = [pixels(drawn(images, settings).png) for settings in (plain, canny, replace(plain, steps=2))]
    assert seen[0] == seen[2] != seen[1] and base not in seen
    assert pixels(drawn(images, controlled(here["edges"], scale=0.0)).png) == base
    # Two steps: a window over the first half of them is neither all nor nothing.
    assert pixels(drawn(images, controlled(here["edges"], end=0.5)).png) not in (base, seen[0])
    assert pixels(drawn(images, FAST).png) == base


def test_the_controlnet_draws_what_the_bare_pipeline_draws(
    images: ImageRouter, here: dict[str, Adapter], shelf: Path
) -> None:
    import torch
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    net = ControlNetModel.from_pretrained(shelf / "adapters" / "edges", local_files_only=True)
    bare = StableDiffusionControlNetPipeline.from_pretrained(image_path(), controlnet=net, local_files_only=True)
    bare.set_progress_bar_config(disable=True)
    wanted = bare(
        FAST.prompt, image=Image.open(io.BytesIO(control_image())), num_inference_steps=2, guidance_scale=3.5, width=64,
        height=64, controlnet_conditioning_scale=0.8, generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]  # fmt: skip
    found = drawn(images, replace(controlled(here["edges"], scale=0.8), width=64, height=64))
    assert pixels(found.png) == wanted.tobytes()


def test_a_controlnet_works_with_a_lora_and_from_a_picture_and_under_a_mask(
    images: ImageRouter, here: dict[str, Adapter]
) -> None:
    red = write_png(Image.new("RGB", (64, 64), "red"), {})
    mask = Image.new("L", (64, 64))
    mask.paste(255, (10, 10, 30, 30))
    settings = replace(with_loras((here["ink"], 1.0)), control=controlled(here["edges"]).control, steps=4)
    seen = {pixels(drawn(images, settings).png)}
    seen.add(pixels(drawn(images, replace(settings, image=red, strength=0.5)).png))
    inpainted = drawn(images, replace(settings, image=red, mask=write_png(mask, {}))).png
    assert Image.open(io.BytesIO(inpainted)).getpixel((5, 5)) == (255, 0, 0)
    assert len(seen | {pixels(inpainted)}) == 3


def test_the_recipe_names_the_controlnet_and_its_picture(images: ImageRouter, here: dict[str, Adapter]) -> None:
    settings = controlled(here["edges"], scale=0.5, start=0.0, end=0.75, preprocess="canny")
    chunks = text_chunks(drawn(images, settings).png)
    recipe = recipe_in(chunks)
    assert recipe is not None and recipe.settings.control == Control(here["edges"].ref, b"", 0.5, 0.0, 0.75, "canny")
    assert [name for name, _ in recipe.inputs] == ["control"]
    assert 'ControlNet 0: "Module: canny, Model: local/edges [' in chunks["parameters"]
    with pytest.raises(UserInputError, match="Give it a control picture"):
        images.start(IMAGE_REF, recipe.settings)


@pytest.mark.parametrize(
    ("control", "sentence"),
    [
        ({"image": b"GIF89a"}, "control picture is"),
        ({"scale": 3.0}, "scale has to be between 0 and 2"),
        ({"start": 0.8, "end": 0.2}, "end has to come after its start"),
        ({"preprocess": "depth"}, "Choose one of them"),
    ],
)
def test_controls_that_cannot_be_used_are_refused(
    images: ImageRouter, here: dict[str, Adapter], control: dict[str, object], sentence: str
) -> None:
    settings = controlled(here["edges"])
    assert settings.control is not None
    with pytest.raises(UserInputError, match=sentence):
        images.start(IMAGE_REF, replace(settings, control=replace(settings.control, **control)))
