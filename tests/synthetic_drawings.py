"""Simple shapes as drawings for the training's tests: no packages, no network."""

from __future__ import annotations

import numpy as np

from training.captions import Subject
from training.drawings import Drawing, Drawings
from training.packages import BASE_STYLES

_COLOURS = {"red": (220, 40, 40), "green": (50, 180, 60), "blue": (50, 110, 220), "yellow": (235, 205, 50)}


def _shape(kind: int, colour: tuple[int, int, int], shift: int) -> np.ndarray:
    down, right = np.mgrid[:64, :64] - 31.5
    right = right - shift
    inside = (
        down**2 + right**2 < 22**2,
        (abs(down) < 20) & (abs(right) < 20),
        (down > -22) & (down < 20) & (abs(right) < (down + 22) / 2),
        abs(down) + abs(right) < 26,
        (abs(down) < 8) & (abs(right) < 28),
        (abs(right) < 8) & (abs(down) < 28),
        (abs(down) < 7) & (abs(right) < 26) | (abs(right) < 7) & (abs(down) < 26),
        (down**2 + right**2 < 26**2) & (down**2 + right**2 > 15**2),
    )[kind]
    out = np.zeros((64, 64, 4), np.uint8)
    out[inside] = (*colour, 255)
    return out


def synthetic(styles: tuple[str, ...] = (*BASE_STYLES, "twemoji", "emojione")) -> Drawings:
    """Eight shapes in each style, two a colour; a style is a place a little further right."""
    names = ("ball", "box", "tent", "kite", "plank", "pole", "cross", "ring")
    groups = ("objects", "activities")
    colours = list(_COLOURS)
    subjects = tuple(
        Subject(name, groups[n % 2], (), frozenset({colours[n // 2]}), True) for n, name in enumerate(names)
    )
    drawings, pixels = [], []
    for n in range(len(names)):
        for place, style in enumerate(styles):
            drawings.append(Drawing(n, style))
            pixels.append(_shape(n, _COLOURS[colours[n // 2]], place - 2))
    return Drawings(subjects, tuple(drawings), np.stack(pixels))
