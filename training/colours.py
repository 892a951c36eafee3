"""Colours by name: which ones a drawing has, and the same drawing in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Hue in degrees that a recoloured drawing gets.
HUES = {"red": 0.0, "orange": 28.0, "yellow": 52.0, "green": 120.0, "blue": 215.0, "purple": 275.0, "pink": 328.0}
# Also words of captions and names, but nothing is recoloured to them: they are not a hue alone.
PLAIN = ("brown", "black", "white", "grey", "gray")
WORDS = (*HUES, *PLAIN)
_NAMED = ((14.0, "red"), (42.0, "orange"), (70.0, "yellow"), (170.0, "green"), (250.0, "blue"), (295.0, "purple"))
BACKGROUNDS = {
    "red": (214, 69, 65),
    "orange": (245, 150, 60),
    "yellow": (250, 215, 70),
    "green": (95, 185, 100),
    "blue": (80, 150, 230),
    "purple": (150, 100, 205),
    "pink": (245, 160, 195),
}
# How far from the dominant hue a part still counts as the same colour, in degrees.
_NEAR = 42.0


def hsv(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees, saturation, value and weight (opacity), each `[height, width]` in float32, of uint8 RGBA."""
    import numpy as np

    pixels = rgba.astype(np.float32) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    high, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(high - low, 1e-6)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(
        high == red,
        (green - blue) / span % 6,
        np.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    return hue * 60, np.where(high > 1e-6, (high - low) / np.maximum(high, 1e-6), 0.0), high, alpha


def hue_name(hue: float) -> str:
    """The colour word of a hue in degrees."""
    if hue >= 345:
        return "red"
    return next((name for end, name in _NAMED if hue < end), "pink")


def dominant(rgba: np.ndarray) -> tuple[float, float]:
    """The dominant hue in degrees, and the share of the drawing (0 to 1) that is near it and clearly coloured."""
    import numpy as np

    hue, saturation, value, alpha = hsv(rgba)
    weight = alpha * saturation * value
    counts, _ = np.histogram(hue, bins=36, range=(0, 360), weights=weight)
    smooth = counts + 0.5 * (np.roll(counts, 1) + np.roll(counts, -1))
    bin_centre = (int(smooth.argmax()) + 0.5) * 10
    away = (hue - bin_centre + 180) % 360 - 180
    near = (np.abs(away) < _NEAR) * weight
    total = float(near.sum())
    centre = (bin_centre + float((away * near).sum()) / total) % 360 if total > 0 else bin_centre
    coloured = float(
        ((np.abs(away) < _NEAR) & (saturation > 0.25) & (value > 0.2)).astype(np.float32).ravel() @ alpha.ravel()
    )
    return centre, coloured / max(float(alpha.sum()), 1e-6)


def present(rgba: np.ndarray, share: float = 0.12) -> set[str]:
    """The colour words of at least `share` of a drawing."""
    import numpy as np

    hue, saturation, value, alpha = hsv(rgba)
    total = max(float(alpha.sum()), 1e-6)
    clear = (saturation > 0.25) & (value > 0.2)
    found = set()
    names = np.array([hue_name(degrees) for degrees in range(360)])[np.clip(hue.astype(int), 0, 359)]
    for name in HUES:
        if float(alpha[clear & (names == name)].sum()) / total >= share:
            found.add(name)
    return found


def recolour(rgba: np.ndarray, colour: str) -> np.ndarray:
    """The drawing with its dominant colour turned into another; other colours, light and shape stay."""
    import numpy as np

    centre, _ = dominant(rgba)
    hue, saturation, value, _ = hsv(rgba)
    near = np.abs((hue - centre + 180) % 360 - 180) < _NEAR
    turned = np.where(near, (HUES[colour] + 0.4 * ((hue - centre + 180) % 360 - 180)) % 360, hue)
    # Dark brown turned blue would be black to the eye, and pink is a light red.
    lighter = np.where(near & (saturation > 0.15), np.clip(value, 0, 1) ** 0.7, value)
    paler = np.where(near, saturation * (0.62 if colour == "pink" else 1.0), saturation)
    return _rgba(turned, paler, lighter, rgba[..., 3])


def _rgba(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    import numpy as np

    channels = []
    for shift in (5, 3, 1):
        place = (shift + hue / 60) % 6
        channels.append(value - value * saturation * np.clip(np.minimum(place, 4 - place), 0, 1))
    rgb = np.round(np.stack(channels, -1) * 255).clip(0, 255).astype(np.uint8)
    return np.concatenate([rgb, alpha[..., None]], -1)


def on_background(rgba: np.ndarray, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """The drawing as uint8 RGB on one colour."""
    import numpy as np

    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.round(rgba[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.uint8)


def two_copies(rgba: np.ndarray) -> np.ndarray:
    """Two smaller copies beside each other on the same square."""
    import numpy as np

    size = rgba.shape[0]
    half = size // 2
    # Colour times opacity is what averages; then the colour is divided out again.
    flat = rgba.astype(np.float32)
    flat[..., :3] *= flat[..., 3:] / 255
    small = flat[: half * 2, : half * 2].reshape(half, 2, half, 2, 4).mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-3) / 255
    out = np.zeros_like(rgba)
    top = (size - half) // 2
    out[top : top + half, :half] = out[top : top + half, half : 2 * half] = (
        np.round(small).clip(0, 255).astype(np.uint8)
    )
    return out
