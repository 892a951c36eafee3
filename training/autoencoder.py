"""Trains the VAE on the drawings, and folds the whitening of its latents into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.drawings import Drawings
from training.networks import make_vae
from training.presets import Preset
from training.running import Limits, Run, device, dice, precision

if TYPE_CHECKING:
    import numpy as np
    import torch

# The share of drawings that only measures: the decibels of the card are of pictures the VAE never saw.
APART = 0.05


def train_vae(made: Drawings, preset: Preset, folder: Path, seed: int, limits: Limits) -> Any:
    """The trained VAE (moving average), or `None` when a limit stopped it first. It resumes from `folder`."""
    import torch

    torch.manual_seed(seed)
    where = device()
    vae = make_vae(preset).to(where)
    run = Run(
        "vae", {"vae": vae}, folder / "vae.checkpoint.safetensors", total=preset.vae_steps, top=preset.vae_rate,
        warmup=preset.warmup, ema=min(preset.ema, 0.998), decay=1e-3,
    )  # fmt: skip
    run.load()
    learned, apart = _apart(made, preset, seed)
    rgba = torch.from_numpy(made.pixels[learned]).to(where)

    def loss_at(step: int) -> torch.Tensor:
        random = dice(seed, "vae", step)
        batch = _batch(rgba, preset, random)
        with precision(where, preset.bf16):
            posterior = vae.encode(batch).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=random).to(where)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        error = decoded.float() - batch
        edges = (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2
        return error.abs().mean() + 2 * error.square().mean() + 0.4 * edges + 1e-4 * posterior.kl().mean() / 64

    if not run.train(loss_at, limits):
        return None
    run.take_average()
    vae.eval().requires_grad_(False)
    print(f"vae: {decibels(vae, made, apart):.1f} dB on {len(apart)} drawings apart from training")
    return vae


def _apart(made: Drawings, preset: Preset, seed: int) -> tuple[list[int], list[int]]:
    """Indices of the drawings the VAE learns, and of those that only measure."""
    import torch

    wanted = made.of(preset.vae_styles)
    order = torch.randperm(len(wanted), generator=dice(seed, "apart", 0)).tolist()
    few = max(1, int(len(wanted) * APART))
    return [wanted[n] for n in order[few:]], [wanted[n] for n in order[:few]]


def _batch(rgba: torch.Tensor, preset: Preset, random: torch.Generator) -> torch.Tensor:
    """Drawings on white or a random colour, some with their channels exchanged, cropped: float `[b, 3, h, w]`, -1 to 1."""
    import torch

    count = preset.vae_batch
    chosen = torch.randint(len(rgba), (count,), generator=random).to(rgba.device)
    some = rgba[chosen].permute(0, 3, 1, 2).float() / 255
    ground = torch.rand((count, 3, 1, 1), generator=random)
    ground = torch.where(torch.rand((count, 1, 1, 1), generator=random) < 0.6, 1.0, ground).to(rgba.device)
    colours = some[:, :3]
    if torch.rand((), generator=random) < 0.5:
        colours = colours[:, torch.randperm(3, generator=random).to(rgba.device)]
    if torch.rand((), generator=random) < 0.5:
        colours, some = colours.flip(-1), some.flip(-1)
    whole = (colours * some[:, 3:] + ground * (1 - some[:, 3:])) * 2 - 1
    room = whole.shape[-1] - preset.vae_crop
    top, left = torch.randint(room + 1, (2,), generator=random).tolist()
    return whole[..., top : top + preset.vae_crop, left : left + preset.vae_crop].contiguous()


def encoded(vae: Any, batches: Any) -> torch.Tensor:
    """Latent means of batches of uint8 `[b, h, w, 3]` pictures: float32 `[n, 4, h/4, w/4]` on the CPU."""
    import torch

    where = next(vae.parameters()).device
    found = []
    with torch.no_grad():
        for pixels in batches:
            found.append(vae.encode(as_input(pixels).to(where)).latent_dist.mean.float().cpu())
    return torch.cat(found)


def as_input(pixels: np.ndarray) -> torch.Tensor:
    """uint8 `[b, h, w, 3]` as float `[b, 3, h, w]` from -1 to 1."""
    import torch

    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def decibels(vae: Any, made: Drawings, some: list[int]) -> float:
    """Mean PSNR in dB of drawings on white, encoded and decoded."""
    import numpy as np
    import torch

    from training.colours import on_background

    pixels = np.stack([on_background(made.pixels[n]) for n in some])
    where = next(vae.parameters()).device
    with torch.no_grad():
        given = as_input(pixels)
        back = vae.decode(encoded(vae, [pixels]).to(where)).sample.float().cpu().clamp(-1, 1)
    errors = ((given - back) / 2).square().mean((1, 2, 3))
    return float((-10 * errors.clamp_min(1e-10).log10()).mean())


def whiten(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Give every latent channel mean 0 and deviation 1 over `latents`, inside the VAE; return them so changed.

    The change is exact: `quant_conv` gives the new latents and `post_quant_conv` takes them, so that the scaling factor
    stays 1.
    """
    import torch

    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    where = next(vae.parameters()).device
    shift, scale = mean.to(where), spread.to(where)
    channels = len(mean)
    with torch.no_grad():
        first, last = vae.quant_conv, vae.post_quant_conv
        last.bias.add_((last.weight[:, :, 0, 0] * shift).sum(1))
        last.weight.mul_(scale[None, :, None, None])
        first.weight[:channels].div_(scale[:, None, None, None])
        first.bias[:channels].sub_(shift).div_(scale)
        first.bias[channels:].sub_(2 * scale.log())
    return (latents - mean[:, None, None]) / spread[:, None, None]
