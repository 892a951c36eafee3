"""Adapters from the test Hub: pinned and checked before a weight travels, fetched whole, refused in a sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from backends.bundled.image import IMAGE_REF, image_folders, image_path
from backends.image.adapters import Adapters, split_adapter
from backends.image.files import ImageFiles, PipelineDownloads
from core.errors import DownloadFailed, HubError, UnsafeContentError, UserInputError
from core.images import AdapterKind, Control, ImageSettings, Lora
from core.refs import ModelRef
from tests.hub_server import HubServer
from tests.tiny_adapters import LORA_FILE, make_tiny_controlnet, make_tiny_lora


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_tiny_lora(tmp_path_factory.mktemp("lora") / LORA_FILE, image_path()).read_bytes()


@pytest.fixture(scope="module")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = make_tiny_controlnet(tmp_path_factory.mktemp("net"), image_path())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def adapters(hub: HubServer, tmp_path: Path) -> Adapters:
    from backends.hub.catalog import Catalog
    from backends.hub.local import LocalModels
    from backends.hub.remote import HubModels

    catalog = Catalog(HubModels(hub.url, "hf_alice"), LocalModels((), tmp_path / "cache"))
    files = ImageFiles(image_folders(), PipelineDownloads(hub.url, "hf_alice", tmp_path / "cache"))
    return Adapters(
        files,
        catalog.resolve,
        endpoint=hub.url,
        token="hf_alice",
        folder=tmp_path / "own",
        cache_dir=tmp_path / "cache",
    )


def weights(tensors: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file of zeros with these names and shapes, written by hand: collecting tests imports no torch."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    said = json.dumps(header).encode()
    return len(said).to_bytes(8, "little") + said + bytes(end)


def test_a_lora_is_checked_before_its_weights_travel_and_then_it_is_here(
    hub: HubServer, adapters: Adapters, lora: bytes, tmp_path: Path
) -> None:
    card = b"---\ninstance_prompt: a pencil drawing\n---\n# Pencil"
    files = {LORA_FILE: lora, "README.md": card, "extra/ink.safetensors": lora, "training.bin": b"\x80"}
    ref = ModelRef("team/pencil", hub.add_model("team/pencil", files))
    found = adapters.find(IMAGE_REF, "team/pencil", "lora")
    assert (found.ref, found.file, found.size) == (ref, LORA_FILE, len(lora))
    assert (found.triggers, found.note) == (("a pencil drawing",), "")
    snapshot = tmp_path / "cache" / "models--team--pencil" / "snapshots" / ref.revision
    assert [path.name for path in snapshot.iterdir()] == ["README.md"]
    assert adapters.here(IMAGE_REF) == ()
    settings = ImageSettings("x", loras=(Lora(ref),))
    with pytest.raises(DownloadFailed, match="not on this machine yet"):
        adapters.attached(IMAGE_REF, settings)
    steps = list(adapters.prepare(found))
    assert [step.stage for step in steps][-2:] == ["download", "ready"]
    assert {path.name for path in snapshot.iterdir()} == {LORA_FILE, "README.md"}
    hub.stop()
    assert adapters.here(IMAGE_REF) == (found,)
    (attached,) = adapters.attached(IMAGE_REF, settings).loras
    assert attached.path.read_bytes() == lora and attached.file == LORA_FILE
    assert list(adapters.prepare(found))[-1].stage == "ready"


def test_one_of_several_files_has_to_be_named(hub: HubServer, adapters: Adapters, lora: bytes) -> None:
    commit = hub.add_model("team/styles", {"ink.safetensors": lora, "more/chalk.safetensors": lora})
    with pytest.raises(UserInputError, match=r"2 LoRA files. Name one .* team/styles:ink.safetensors"):
        adapters.find(IMAGE_REF, "team/styles", "lora")
    found = adapters.find(IMAGE_REF, f"team/styles@{commit}:more/chalk.safetensors", "lora")
    assert found.file == "more/chalk.safetensors" and found.name == "styles: more/chalk.safetensors"
    list(adapters.prepare(found))
    list(adapters.prepare(adapters.find(IMAGE_REF, "team/styles:ink.safetensors", "lora")))
    assert [adapter.file for adapter in adapters.here(IMAGE_REF)] == ["ink.safetensors", "more/chalk.safetensors"]
    assert adapters.find(IMAGE_REF, found.id, "lora") == found
    with pytest.raises(UserInputError, match="several files here"):
        adapters.attached(IMAGE_REF, ImageSettings("x", loras=(Lora(found.ref),)))
    with pytest.raises(UserInputError, match=r"no safetensors file “other.safetensors”"):
        adapters.find(IMAGE_REF, "team/styles:other.safetensors", "lora")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("org/name", ("org/name", "", "")),
        (" org/name@main:a/b.safetensors ", ("org/name", "main", "a/b.safetensors")),
        ("https://huggingface.co/org/name", ("org/name", "", "")),
        ("https://huggingface.co/org/name/tree/main/", ("org/name", "main", "")),
        ("http://hub/org/name/resolve/v1/a/b.safetensors?download=true", ("org/name", "v1", "a/b.safetensors")),
    ],
)
def test_a_name_or_an_address_is_understood(text: str, parts: tuple[str, str, str]) -> None:
    assert split_adapter(text) == parts


SDXL = {
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 2048),
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": (640, 4),
}
FLUX = {
    "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072),
    "transformer.single_transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 4),
}
LOHA = {f"lora_unet_mid_block_attentions_0_proj_in.hada_w{half}": (4, 8) for half in ("1_a", "1_b", "2_a", "2_b")}


@pytest.mark.parametrize(
    ("files", "error", "sentence"),
    [
        ({LORA_FILE: weights(SDXL)}, UserInputError, "was made for SDXL and does not fit this model: 0 of its 1 parts"),
        ({LORA_FILE: weights(FLUX)}, UserInputError, "was made for Flux"),
        (
            {LORA_FILE: weights(SDXL, {"modelspec.architecture": "stable-diffusion-3/lora"})},
            UserInputError,
            "was made for Stable Diffusion 3",
        ),
        ({LORA_FILE: weights(LOHA)}, UserInputError, "is a LoHa adapter"),
        ({LORA_FILE: weights({"decoder.weight": (4, 4)})}, UserInputError, "is not a LoRA: none of its 1 tensors"),
        ({LORA_FILE: weights({"lora_strange.thing": (4, 4)})}, UserInputError, "family"),
        ({LORA_FILE: b"\x80\x04pickled" * 99}, UserInputError, "not a safetensors file, whatever its name says"),
        ({"pytorch_lora_weights.bin": b"\x80\x04"}, UnsafeContentError, "only as a pickle file"),
        ({"README.md": b"# nothing"}, UserInputError, "no LoRA in it"),
        ({"model_index.json": b"{}", LORA_FILE: weights(SDXL)}, UserInputError, "whole model, not a LoRA"),
    ],
)
def test_what_is_no_lora_of_this_family_is_refused_before_it_travels(
    hub: HubServer, adapters: Adapters, tmp_path: Path, files: dict[str, bytes], error: type[Exception], sentence: str
) -> None:
    hub.add_model("team/misfit", files)
    with pytest.raises(error, match=sentence):
        adapters.find(IMAGE_REF, "team/misfit", "lora")
    fetched = [path.name for path in (tmp_path / "cache").glob("**/snapshots/*/*")]
    assert set(fetched) <= {"README.md"}


def test_a_pickle_file_that_is_named_is_refused(hub: HubServer, adapters: Adapters, lora: bytes) -> None:
    hub.add_model("team/both", {LORA_FILE: lora, "old.ckpt": b"\x80"})
    with pytest.raises(UnsafeContentError, match=r"old.ckpt is a pickle file"):
        adapters.find(IMAGE_REF, "team/both:old.ckpt", "lora")


@pytest.mark.parametrize("kind", ["lora", "controlnet"])
def test_a_name_that_is_none_or_nobodys(adapters: Adapters, kind: AdapterKind) -> None:
    with pytest.raises(UserInputError, match="not a repository id"):
        adapters.find(IMAGE_REF, "../../etc/passwd", kind)
    with pytest.raises(HubError, match="team/nothing"):
        adapters.find(IMAGE_REF, "team/nothing", kind)
    with pytest.raises(UserInputError, match="Put its file there first"):
        adapters.find(IMAGE_REF, "local/nothing", kind)


def test_a_misfit_that_is_here_is_not_offered_and_not_used(adapters: Adapters, tmp_path: Path) -> None:
    """Somebody fetched it for another model, or put it into the folder."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "xl.safetensors").write_bytes(weights(SDXL))
    (own / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (own / "a b.safetensors").write_bytes(weights(SDXL))
    assert adapters.here(IMAGE_REF) == ()
    with pytest.raises(UserInputError, match="was made for SDXL"):
        adapters.find(IMAGE_REF, "local/xl", "lora")
    with pytest.raises(UserInputError, match="not a whole safetensors file"):
        adapters.find(IMAGE_REF, "local/torn", "lora")
    (ref,) = [place.ref for place in adapters._places() if place.ref.repo_id == "local/xl"]
    with pytest.raises(UserInputError, match="was made for SDXL"):
        adapters.attached(IMAGE_REF, ImageSettings("x", loras=(Lora(ref, file="xl.safetensors"),)))


def test_a_controlnet_is_checked_by_its_config_and_then_it_is_here(
    hub: HubServer, adapters: Adapters, controlnet: dict[str, bytes], tmp_path: Path
) -> None:
    extra = {"diffusion_pytorch_model.fp16.safetensors": b"x", "diffusion_pytorch_model.bin": b"\x80"}
    ref = ModelRef("team/canny", hub.add_model("team/canny", controlnet | extra))
    found = adapters.find(IMAGE_REF, "team/canny", "controlnet")
    snapshot = tmp_path / "cache" / "models--team--canny" / "snapshots" / ref.revision
    assert [path.name for path in snapshot.iterdir()] == ["config.json"]
    list(adapters.prepare(found))
    assert {path.name for path in snapshot.iterdir()} == controlnet.keys()
    (here,) = adapters.here(IMAGE_REF)
    assert (here.ref, here.kind) == (ref, "controlnet")
    attached = adapters.attached(IMAGE_REF, ImageSettings("x", control=Control(ref, b"picture")))
    assert attached.controlnet == (ref, snapshot, "ControlNetModel")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cross_attention_dim": 2048}, "its cross_attention_dim is 2048 and this model's is 128"),
        ({"conditioning_embedding_out_channels": [16, 32, 96, 256]}, "takes 8 pixels for a latent and this model 4"),
        (
            {"_class_name": "FluxControlNetModel"},
            "is a “FluxControlNetModel”, and this model takes a “ControlNetModel”",
        ),
        ({"_class_name": "UNet2DConditionModel"}, "is not a ControlNet"),
    ],
)
def test_a_controlnet_of_another_family_is_refused(
    hub: HubServer, adapters: Adapters, controlnet: dict[str, bytes], changes: dict[str, object], sentence: str
) -> None:
    config = json.dumps(json.loads(controlnet["config.json"]) | changes).encode()
    hub.add_model("team/misfit-net", controlnet | {"config.json": config})
    with pytest.raises(UserInputError, match=sentence):
        adapters.find(IMAGE_REF, "team/misfit-net", "controlnet")


def test_a_controlnet_of_pickles_is_refused(hub: HubServer, adapters: Adapters, controlnet: dict[str, bytes]) -> None:
    hub.add_model("team/old", {"config.json": controlnet["config.json"], "diffusion_pytorch_model.bin": b"\x80"})
    with pytest.raises(UnsafeContentError, match="only as pickle files"):
        adapters.find(IMAGE_REF, "team/old", "controlnet")
