"""A few steps of every stage on simple shapes: resuming changes nothing, and what comes out loads everywhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.synthetic_drawings import synthetic
from training.__main__ import main
from training.autoencoder import encoded, train_vae, whiten
from training.denoiser import train_unet
from training.drawings import write
from training.lora import LoraPlan, train_lora
from training.presets import PRESETS, Preset
from training.running import Limits, Run, rate
from training.saving import MOST_BYTES, save_pipeline

TINY = PRESETS["tiny"]


class AfterSteps(Limits):
    """Stops a run after so many steps, as a full clock or a signal would."""

    left = 3

    def over(self) -> bool:
        self.left -= 1
        return self.left < 0


def stages(folder: Path, *, interrupted: bool) -> dict[str, Any]:
    made = synthetic()

    def limits() -> Limits:
        return AfterSteps() if interrupted else Limits()

    vae = train_vae(made, TINY, folder, 0, limits())
    if interrupted:
        assert vae is None
        vae = train_vae(made, TINY, folder, 0, Limits())
    parts, done = train_unet(made, TINY, vae, folder, 0, limits())
    assert done is not interrupted
    if interrupted:
        # A new process has the VAE from its checkpoint, not from memory.
        vae = train_vae(made, TINY, folder, 0, Limits())
        parts, done = train_unet(made, TINY, vae, folder, 0, Limits())
        assert done
    return parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight")


@pytest.fixture(scope="module")
def exported(folder: Path) -> Path:
    out = folder / "model"
    size = save_pipeline(stages(folder, interrupted=False), out)
    assert 0 < size < 40_000_000
    return out


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(exported: Path, folder: Path, tmp_path: Path) -> None:
    resumed = stages(tmp_path, interrupted=True)
    for stage in ("vae", "unet"):
        straight = load_file(folder / f"{stage}.checkpoint.safetensors")
        again = load_file(tmp_path / f"{stage}.checkpoint.safetensors")
        assert straight.keys() == again.keys()
        # Weights, their average and the optimizer's state.
        assert {name.split(".")[0] for name in straight} == {"weight", "average", "optimizer"}
        assert [name for name in straight if not torch.equal(straight[name], again[name])] == []
    save_pipeline(resumed, tmp_path / "model")
    for file in exported.rglob("*.safetensors"):
        assert file.read_bytes() == (tmp_path / "model" / file.relative_to(exported)).read_bytes()


def test_the_command_stops_with_something_to_look_at_and_goes_on(tmp_path: Path) -> None:
    write(synthetic(), tmp_path / "data")
    command = ["train", "--preset", "tiny", "--data", str(tmp_path / "data"), "--run", str(tmp_path / "run")]
    command += ["--out", str(tmp_path / "model")]
    train_vae(synthetic(), TINY, tmp_path / "run", 0, Limits())
    assert main([*command, "--minutes", "1e-9"]) == 3
    assert (tmp_path / "model-paused" / "model_index.json").is_file()
    assert not (tmp_path / "model").exists()
    assert main(command) == 0
    learned = json.loads((tmp_path / "model" / "learned.json").read_text(encoding="utf-8"))
    assert learned["preset"] == "tiny"
    assert "ball" in learned["concepts"]


def test_a_checkpoint_of_another_stage_is_refused(folder: Path, exported: Path) -> None:
    run = Run(
        "unet", {"x": torch.nn.Linear(1, 1)}, folder / "vae.checkpoint.safetensors", total=1, top=1, warmup=1, ema=0
    )
    with pytest.raises(ValueError, match="stage vae"):
        run.load()


def test_the_rate_warms_up_and_ends_at_nothing() -> None:
    rates = [rate(step, 100, 1.0, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_steps_are_fitted_to_the_time_once(tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1)
    run = Run("fit", {"x": layer}, tmp_path / "fit.safetensors", total=10**9, top=1e-3, warmup=1, ema=0.9)
    limits = Limits(fit_minutes=0.01)
    assert run.train(lambda _: layer(torch.ones(1)).square().sum(), limits, say=lambda _: None)
    assert run.fitted
    assert 200 < run.total == run.step < 10**9


def test_training_waits_while_the_pause_file_is_there(tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    pause.touch()
    limits = Limits(pause=pause)
    limits.stop.set()
    limits.wait()  # asked to stop: does not wait
    assert limits.over()
    limits.stop.clear()
    seen: list[float] = []

    class Waits:
        def wait(self, seconds: float) -> bool:
            seen.append(seconds)
            pause.unlink()
            return False

        def is_set(self) -> bool:
            return False

    limits.stop = Waits()  # type: ignore[assignment]
    limits.wait()
    assert seen == [1.0]


def test_whitening_changes_the_latents_and_not_the_pictures() -> None:
    from training.networks import make_vae

    torch.manual_seed(0)
    vae = make_vae(TINY).eval()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), np.uint8)
    before = encoded(vae, [pixels])
    with torch.no_grad():
        shown = vae.decode(before).sample
        white = whiten(vae, before)
        after = encoded(vae, [pixels])
        again = vae.decode(after).sample
    assert torch.allclose(white, after, atol=1e-4)
    assert torch.allclose(white.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(white.std((0, 2, 3)), torch.ones(4), atol=1e-4)
    assert torch.allclose(shown, again, atol=1e-4)


def test_the_export_is_a_standard_pipeline(exported: Path) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(exported, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)

    def drawn() -> np.ndarray:
        noise = torch.Generator().manual_seed(1)
        return pipeline("red ball", num_inference_steps=2, generator=noise, output_type="np").images

    assert drawn().shape == (1, 64, 64, 3)
    assert np.array_equal(drawn(), drawn())
    assert pipeline.unet.dtype == pipeline.text_encoder.dtype == torch.float32
    files = {file.relative_to(exported).as_posix() for file in exported.rglob("*") if file.is_file()}
    assert {"tokenizer/vocab.json", "tokenizer/merges.txt", "model_index.json"} <= files
    assert {tensor.dtype for tensor in load_file(next((exported / "vae").glob("*.safetensors"))).values()} == {
        torch.float16
    }
    assert not math.isnan(float(drawn().sum()))


def test_a_lora_of_the_export_loads_and_changes_the_picture(exported: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    plan = LoraPlan("twemoji", steps=4, batch=4, top=0.05)
    assert train_lora(exported, synthetic(), plan, tmp_path, 0, AfterSteps()) is None
    file = train_lora(exported, synthetic(), plan, tmp_path, 0, Limits())
    assert file is not None
    pipeline = StableDiffusionPipeline.from_pretrained(exported, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)

    def drawn() -> np.ndarray:
        noise = torch.Generator().manual_seed(1)
        return pipeline("red ball", num_inference_steps=2, generator=noise, output_type="np").images

    before = drawn()
    pipeline.load_lora_weights(file.parent, weight_name=file.name)
    assert not np.array_equal(before, drawn())
    pipeline.unload_lora_weights()
    assert np.array_equal(before, drawn())


def test_a_style_without_drawings_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There are: blob"):
        train_lora(exported, synthetic(), LoraPlan("cubist"), tmp_path, 0, Limits())


# An id `gpu` alone would be taken for the marker.
@pytest.mark.parametrize("preset", PRESETS.values(), ids=[f"preset-{name}" for name in PRESETS])
def test_every_preset_fits_into_the_repository(preset: Preset) -> None:
    from training.networks import make_text_encoder, make_tokenizer, make_unet, make_vae

    tokenizer = make_tokenizer(["a red apple"], preset)
    with torch.device("meta"):
        unet, vae, text = make_unet(preset), make_vae(preset), make_text_encoder(tokenizer, preset)
    numbers = sum(weight.numel() for part in (unet, vae, text) for weight in part.parameters())
    # The words that a real vocabulary has beyond this one's.
    numbers += (preset.vocabulary + 512 - len(tokenizer)) * preset.text_width
    # Two bytes a number; two megabytes for tokenizer, card and pictures.
    assert numbers * 2 < MOST_BYTES - 2_000_000
    heads = unet.config.attention_head_dim
    assert [width % count for width, count in zip(preset.unet_channels, heads, strict=True)] == [0, 0, 0]
