"""What a drawing looks like on the way: decoded where that is cheap, else the nearest linear map from latents to colours."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from backends.image.loading import LoadedPipeline
from backends.image.png import write_png

log = logging.getLogger(__name__)
# A decoder up to this size costs less than a step.
_CHEAP_PARAMETERS = 5_000_000
# Previews may take this part of the time, and come no faster than a person can see.
_SHARE = 0.05
_LEAST_SECONDS = 0.12
_FITTED_SIDE = 256
# Colours and shapes, nothing one could make out.
_COARSE_SIDE = 16


class Previews:
    """The previews of one drawing, rationed. One that fails is the last: the picture itself goes on."""

    def __init__(self, loaded: LoadedPipeline, pipe: Any, width: int, height: int) -> None:
        self._loaded, self._pipe, self._size = loaded, pipe, (width, height)
        self._next = 0.0

    def due(self, latents: Callable[[], Any]) -> bytes | None:
        """A preview as PNG bytes when it is time for one, made of the latents that `latents` gives."""
        started = monotonic()
        if started < self._next:
            return None
        try:
            found = self._made(latents())
        except Exception:
            log.exception("no previews for %s", self._loaded.ref)
            self._next = float("inf")
            return None
        now = monotonic()
        self._next = now + max(_LEAST_SECONDS, (now - started) / _SHARE)
        return found

    def _made(self, latents: Any) -> bytes | None:
        plain = unpacked(self._pipe, latents, *self._size)
        if plain is None:
            self._next = float("inf")
            return None
        pixels = decoded(self._pipe, plain) if cheap_decoder(self._pipe) else self._projected(plain)
        preview = write_png(to_picture(pixels), {}, compress_level=1)
        # The model's own checker sees only the finished picture: before it nobody is to see what it may block.
        return coarse(preview) if getattr(self._pipe, "safety_checker", None) is not None else preview

    def _projected(self, latents: Any) -> Any:
        import torch

        if self._loaded.projection is None:
            self._loaded.projection = fitted_projection(self._pipe)
        weights = self._loaded.projection.to(latents.device)
        flat = scaled(self._pipe, latents).float().squeeze(0).flatten(1).T
        colours = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1) @ weights
        return colours.T.reshape(1, 3, *latents.shape[-2:])


def cheap_decoder(pipe: Any) -> bool:
    """Whether the pipeline's own decoder is small enough for previews."""
    return int(sum(weight.numel() for weight in pipe.vae.decoder.parameters())) <= _CHEAP_PARAMETERS


def unpacked(pipe: Any, latents: Any, width: int, height: int) -> Any:
    """Latents as (1, channels, height, width); None for families that arrange them in a way not known here."""
    if latents.ndim == 3 and hasattr(pipe, "_unpack_latents"):
        latents = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
    if latents.ndim == 5 and latents.shape[2] == 1:
        latents = latents[:, :, 0]
    return latents[:1] if latents.ndim == 4 else None


def scaled(pipe: Any, latents: Any) -> Any:
    """Latents as the decoder takes them."""
    config = pipe.vae.config
    mean, std = config.get("latents_mean"), config.get("latents_std")
    scale = config.get("scaling_factor") or 1.0
    if mean is not None and std is not None:
        shape = (1, -1, 1, 1)
        return latents * latents.new_tensor(std).view(shape) / scale + latents.new_tensor(mean).view(shape)
    return latents / scale + (config.get("shift_factor") or 0.0)


def decoded(pipe: Any, latents: Any) -> Any:
    """Pixels from -1 to 1 of latents as `unpacked` gives them."""
    import torch

    with torch.no_grad():
        ready = scaled(pipe, latents).to(pipe.vae.dtype)
        if "Qwen" in type(pipe.vae).__name__ or "Wan" in type(pipe.vae).__name__:
            return pipe.vae.decode(ready.unsqueeze(2), return_dict=False)[0][:, :, 0]
        return pipe.vae.decode(ready, return_dict=False)[0]


def to_picture(pixels: Any) -> Any:
    """The first of a batch of pixels from -1 to 1 as a picture."""
    from PIL import Image

    values = ((pixels[0].float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


def fitted_projection(pipe: Any) -> Any:
    """The linear map, with a constant, that comes nearest to the decoder: least squares over patches of plain colours."""
    import torch
    from torch.nn.functional import interpolate

    with torch.no_grad():
        random = torch.Generator("cpu").manual_seed(0)
        colours = torch.rand((1, 3, 8, 8), generator=random) * 2 - 1
        pixels = interpolate(colours, size=(_FITTED_SIDE, _FITTED_SIDE), mode="nearest")
        device = pipe._execution_device
        encoded = pipe.vae.encode(pixels.to(device, pipe.vae.dtype))
        latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latent
        small = interpolate(pixels, size=latents.shape[-2:], mode="area")
        flat = latents.float().cpu().squeeze(0).flatten(1).T
        known = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
        return torch.linalg.lstsq(known, small.squeeze(0).flatten(1).T).solution


def coarse(preview: bytes) -> bytes:
    """A preview as large as before with so few colours in it that nothing can be made out."""
    from PIL import Image

    picture = Image.open(io.BytesIO(preview)).convert("RGB")
    scale = _COARSE_SIDE / max(picture.size)
    if scale >= 1:
        return preview
    few = picture.resize(
        (max(1, int(picture.width * scale)), max(1, int(picture.height * scale))), Image.Resampling.BOX
    )
    return write_png(few.resize(picture.size, Image.Resampling.BICUBIC), {}, compress_level=1)
