"""The edges of a picture after Canny (1986), as ControlNets were trained on: white lines, one pixel thin, on black."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

# The thresholds that ControlNet's own examples use, on the sum of both Sobel gradients of 8-bit grey values.
LOW, HIGH = 100, 200


def edges(picture: Image, low: int = LOW, high: int = HIGH) -> Image:
    """RGB, as large as `picture`. A line starts where the gradient is over `high` and goes on while it is over `low`."""
    import numpy as np
    from PIL import Image as images

    grey = np.asarray(picture.convert("L"), dtype=np.int32)
    across, down = _sobel(np.pad(grey, 1, mode="edge"))
    # One more pixel all around, so that every pixel has eight neighbours; no line starts or goes on there.
    strength = np.pad(abs(across) + abs(down), 1)
    ridge = strength[1:-1, 1:-1] * _on_ridge(strength, across, down)
    weak, strong = np.pad(ridge > low, 1), np.pad(ridge > high, 1)
    lines = _connected(weak, strong)[1:-1, 1:-1]
    return images.fromarray(np.where(lines, 255, 0).astype(np.uint8)).convert("RGB")


def _sobel(grey: Any) -> tuple[Any, Any]:
    rows = grey[:-2] + 2 * grey[1:-1] + grey[2:]
    columns = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    return rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]


def _on_ridge(strength: Any, across: Any, down: Any) -> Any:
    """Where the gradient is the largest along its own direction, rounded to one of four."""
    import numpy as np

    height, width = across.shape

    def beside(dy: int, dx: int) -> Any:
        return strength[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    here = beside(0, 0)
    steep = abs(down) / np.maximum(abs(across), 1e-9)
    # tan(22.5°) and tan(67.5°) part the directions.
    level, upright = steep < 0.41421356, steep > 2.41421356
    same_sign = (across >= 0) == (down >= 0)
    # Greater on one side, at least as great on the other: of two equal neighbours one stays.
    return np.select(
        [level, upright, same_sign],
        [
            (here > beside(0, -1)) & (here >= beside(0, 1)),
            (here > beside(-1, 0)) & (here >= beside(1, 0)),
            (here > beside(-1, -1)) & (here >= beside(1, 1)),
        ],
        (here > beside(-1, 1)) & (here >= beside(1, -1)),
    )


def _connected(weak: Any, strong: Any) -> Any:
    """Every weak pixel that a chain of weak ones joins to a strong one."""
    import numpy as np

    width = weak.shape[1]
    around = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx])
    open_pixels, found = weak.ravel() & ~strong.ravel(), strong.ravel().copy()
    front = np.flatnonzero(found)
    while front.size:
        near = (front[:, None] + around).ravel()
        front = np.unique(near[open_pixels[near]])
        open_pixels[front] = False
        found[front] = True
    return found.reshape(weak.shape)
