"""Adapters on families other than the bundled one's: a whole tiny SDXL, and the configs of Flux and Stable Diffusion 3."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backends.bundled.image import image_path
from backends.image.build import ImageRouter, build_images
from backends.image.lora_fit import LoraHeader, base_of, check_fit, lora_header
from backends.image.metadata import capabilities_of
from backends.image.png import write_png
from core.errors import UserInputError
from core.images import Control, ImageSettings, Lora
from core.refs import ModelRef
from tests.tiny_adapters import make_tiny_controlnet, make_tiny_lora

REF = ModelRef("org/model", "a" * 40)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 32,
}


def make_tiny_sdxl(folder: Path) -> Path:
    """A random pipeline of the real classes, with the bundled model's tokenizer for both text encoders."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(image_path() / "tokenizer", local_files_only=True)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=77, eos_token_id=tokenizer.eos_token_id, **TEXT
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=16, cross_attention_dim=64,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=80,
            norm_num_groups=8,
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=[16, 32], down_block_types=["DownEncoderBlock2D"] * 2, norm_num_groups=8,
            up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, sample_size=32,
        )  # fmt: skip
        pipeline = StableDiffusionXLPipeline(
            vae, CLIPTextModel(text), CLIPTextModelWithProjection(text), tokenizer, tokenizer, unet,
            EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1), add_watermarker=False,
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sdxl(tmp_path_factory.mktemp("sdxl") / "tiny-xl")


@pytest.fixture(scope="module")
def images(sdxl: Path) -> ImageRouter:
    folder = sdxl.parent / "adapters"
    make_tiny_lora(folder / "ink.safetensors", sdxl, seed=1)
    make_tiny_lora(folder / "kohya.safetensors", sdxl, seed=2, kohya=True, text=True)
    make_tiny_lora(folder / "sd1.safetensors", image_path())
    make_tiny_controlnet(folder / "edges", sdxl, scale=2)
    make_tiny_controlnet(folder / "sd1-edges", image_path())
    return build_images(data_dir=sdxl.parent, image_model=str(sdxl), endpoint="http://127.0.0.1:9")


def pixels(images: ImageRouter, settings: ImageSettings) -> bytes:
    drawing = images.start(images.start_model(), settings)
    assert list(drawing.listen())[-1].finish == "done"
    return Image.open(io.BytesIO(drawing.pictures()[0].png)).convert("RGB").tobytes()


def test_on_sdxl_its_own_adapters_are_offered_and_draw(images: ImageRouter) -> None:
    ref = images.start_model()
    assert images.capabilities(ref).family == "sdxl"
    here = {adapter.ref.repo_id.removeprefix("local/"): adapter for adapter in images.adapters(ref)}
    assert here.keys() == {"ink", "kohya", "edges"}
    plain = ImageSettings("a red apple", width=32, height=32, steps=2, seed=3)
    red = write_png(Image.new("RGB", (32, 32), "red"), {})
    net = Control(here["edges"].ref, red)
    seen = [
        pixels(images, settings)
        for settings in (
            plain,
            replace(plain, loras=(Lora(here["ink"].ref, 1.0),)),
            replace(plain, loras=(Lora(here["kohya"].ref, 1.0),)),
            replace(plain, control=net),
            replace(plain, control=net, image=red, strength=0.5),
            replace(plain, loras=(Lora(here["ink"].ref, 1.0),), control=net, image=red, mask=red_mask()),
        )
    ]
    assert len(set(seen)) == len(seen)
    assert pixels(images, plain) == seen[0]
    for name, kind in (("sd1", "lora"), ("sd1-edges", "controlnet")):
        with pytest.raises(UserInputError, match="family"):
            images.find_adapter(ref, f"local/{name}", kind)  # type: ignore[arg-type]


def red_mask() -> bytes:
    mask = Image.new("L", (32, 32))
    mask.paste(255, (4, 4, 20, 20))
    return write_png(mask, {})


def test_names_of_stabilitys_own_unet_are_understood(sdxl: Path) -> None:
    """Most SDXL LoRAs are trained on the original layout: `input_blocks_4_1` is `down_blocks.1.attentions.0`."""
    base = base_of(sdxl)
    shapes = {
        "lora_unet_input_blocks_3_1_proj_in": (64, 64),
        "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k": (64, 64),
    }
    tensors: dict[str, tuple[int, ...]] = {}
    for name, (out, into) in shapes.items():
        tensors |= {f"{name}.lora_down.weight": (4, into), f"{name}.lora_up.weight": (out, 4), f"{name}.alpha": ()}
    assert check_fit(LoraHeader(tensors), base, "x") == ""
    tensors["lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k.lora_down.weight"] = (4, 768)
    with pytest.raises(UserInputError, match="does not fit this model"):
        check_fit(LoraHeader(tensors), base, "x")


def test_parts_that_the_model_does_not_have_are_told(sdxl: Path) -> None:
    header = lora_header(make_tiny_lora(sdxl.parent / "more.safetensors", sdxl))
    extra = {"unet.no_such.to_k.lora.down.weight": (4, 9), "unet.no_such.to_k.lora.up.weight": (9, 4)}
    note = check_fit(LoraHeader(dict(header.shapes) | extra), base_of(sdxl), "x")
    assert note.startswith("1 of its ") and note.endswith("do not exist in this model and are left out.")


def described(folder: Path, class_name: str, transformer: Any, text_encoder: bool) -> Path:
    """A pipeline's folder with configs and no weights, as it is before it was downloaded."""
    from transformers import CLIPTextConfig

    transformer.save_config(folder / "transformer")
    (folder / "scheduler").mkdir()
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {
        "_class_name": class_name,
        "transformer": ["diffusers", type(transformer).__name__],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    if text_encoder:
        CLIPTextConfig(vocab_size=20, **TEXT).save_pretrained(folder / "text_encoder")
        index["text_encoder"] = ["transformers", "CLIPTextModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def lora_on(module: str, width: int) -> LoraHeader:
    return LoraHeader({f"{module}.lora_A.weight": (4, width), f"{module}.lora_B.weight": (width, 4)})


def test_flux_before_it_is_here(tmp_path: Path) -> None:
    from diffusers import FluxTransformer2DModel

    net = FluxTransformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    folder = described(tmp_path / "flux", "FluxPipeline", net, text_encoder=True)
    can = capabilities_of(folder, REF)
    assert (can.family, can.loras, can.controlnet) == ("flux", True, True)
    base = base_of(folder)
    good = "transformer.single_transformer_blocks.0.attn.to_q"
    assert check_fit(lora_on(good, 32), base, "x") == ""
    with pytest.raises(UserInputError, match="was made for Flux and does not fit"):
        check_fit(lora_on(good, 3072), base, "x")
    with pytest.raises(UserInputError, match="family"):
        check_fit(lora_on("unet.mid_block.attentions.0.proj_in", 32), base, "x")


def test_stable_diffusion_3_before_it_is_here(tmp_path: Path) -> None:
    from diffusers import SD3Transformer2DModel

    net = SD3Transformer2DModel(
        sample_size=32, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64, out_channels=4,
    )  # fmt: skip
    folder = described(tmp_path / "sd3", "StableDiffusion3Pipeline", net, text_encoder=False)
    can = capabilities_of(folder, REF)
    assert (can.family, can.loras, can.controlnet) == ("sd3", True, True)
    assert "cannot start from another picture" in can.reason("controlnet_image_to_image")
    assert check_fit(lora_on("transformer.transformer_blocks.0.attn.to_q", 32), base_of(folder), "x") == ""


def test_a_family_without_adapters_says_so(tmp_path: Path) -> None:
    """PixArt has no LoRA loader in diffusers and no ControlNet in its list."""
    from diffusers import PixArtTransformer2DModel

    net = PixArtTransformer2DModel(sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3,
                                   in_channels=4, cross_attention_dim=24, out_channels=8, caption_channels=32)  # fmt: skip
    folder = described(tmp_path / "pixart", "PixArtSigmaPipeline", net, text_encoder=False)
    can = capabilities_of(folder, REF)
    assert not can.loras and not can.controlnet
    assert "diffusers loads no LoRA into this model's family (pixart-sigma)" in can.reason("loras")
    assert "There is no ControlNet here" in can.reason("controlnet")
    shutil.rmtree(folder)
