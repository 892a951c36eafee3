"""A pipeline draws the same wherever its parts wait, with LoRAs and ControlNets on it; and nothing is loaded twice.

The processor plays the GPU here: the hooks that move parts and layers are the real ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.bundled.image import IMAGE_REF, image_path
from backends.image.adapters import Attached
from backends.image.loading import LoadedPipeline, load, put
from backends.image.loras import LoraFile
from backends.image.memory import Placement
from core.refs import ModelRef
from tests.tiny_adapters import make_tiny_controlnet, make_tiny_lora

LORA, NET = ModelRef("org/lora", "a" * 40), ModelRef("org/net", "b" * 40)


@pytest.fixture(scope="module")
def attached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Attached, ...]:
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "lora").mkdir()
    lora = LoraFile(LORA, "", 1.0, make_tiny_lora(folder / "lora" / "lora.safetensors", image_path()))
    net = (NET, make_tiny_controlnet(folder / "net", image_path()), "ControlNetModel")
    return (Attached(), Attached((lora,), net), Attached((lora,)), Attached())


def pixels(loaded: LoadedPipeline, attached: Attached) -> bytes:
    import torch
    from PIL import Image

    pipe = loaded.pipeline("text", "DDIM", attached)
    given: dict[str, Any] = {"image": Image.new("RGB", (32, 32), "white")} if attached.controlnet else {}
    random = torch.Generator("cpu").manual_seed(1)
    found = pipe("an apple", num_inference_steps=1, width=32, height=32, generator=random, **given)
    return bytes(found.images[0].tobytes())


def test_the_picture_does_not_depend_on_where_the_parts_wait(
    attached: tuple[Attached, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.pipelines import pipeline_utils

    # After loading a LoRA diffusers asks this where to put its hooks back; a GPU would be there to answer.
    monkeypatch.setattr(pipeline_utils, "get_device", lambda: "cpu:0")
    whole = load(IMAGE_REF, image_path(), "cpu", None)
    wanted = [pixels(whole, one) for one in attached]
    assert len(set(wanted)) == 3 and wanted[0] == wanted[3]
    places: tuple[Placement, ...] = ("part by part", "layer by layer")
    for place in places:
        other = load(IMAGE_REF, image_path(), "cpu", None, move=False)
        put(other.base, place, "cpu")
        moved = LoadedPipeline(IMAGE_REF, other.base, other.facts, "float32", "cpu", place)
        assert [pixels(moved, one) for one in attached] == wanted, place


def test_changing_the_task_loads_nothing_and_adapters_load_once(
    attached: tuple[Attached, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DiffusionPipeline, ModelMixin, StableDiffusionPipeline
    from transformers import PreTrainedModel

    loaded = load(IMAGE_REF, image_path(), "cpu", None)
    opened: list[str] = []

    def counted(inner: Any) -> Any:
        def call(owner: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
            opened.append(Path(str(path)).name)
            return inner(owner, path, *args, **kwargs)

        return call

    for kind in (DiffusionPipeline, ModelMixin, PreTrainedModel):
        monkeypatch.setattr(kind, "from_pretrained", classmethod(counted(kind.from_pretrained.__func__)))
    monkeypatch.setattr(
        StableDiffusionPipeline, "load_lora_weights", counted(StableDiffusionPipeline.load_lora_weights)
    )
    parts = {id(part) for part in loaded.base.components.values() if hasattr(part, "parameters")}
    for _ in range(2):
        for task in ("text", "image", "inpaint"):
            made = loaded.pipeline(task, "Euler")  # type: ignore[arg-type]
            assert {id(part) for part in made.components.values() if hasattr(part, "parameters")} == parts
    assert opened == []
    for _ in range(2):
        for one in attached:
            loaded.pipeline("text", "Euler", one)
    assert sorted(opened) == ["lora", "net"], "each by its own folder"


def test_large_pictures_are_decoded_in_tiles_and_the_next_small_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.image.drawing import _tile
    from core.images import ImageSettings

    vae = load(IMAGE_REF, image_path(), "cpu", None).base.vae
    _tile(vae, ImageSettings("x", width=4096, height=4096))
    assert vae.use_tiling
    _tile(vae, ImageSettings("x", width=64, height=64))
    assert not vae.use_tiling
