"""The classifier that judges pictures: edge directions and coarse colours, weighed by what differs within a concept.

A linear discriminant over histograms of oriented gradients. It is trained on real drawings of other styles than the one
it judges, moved, resized, blurred and recoloured a little; it never sees a generated picture. Seconds on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.colours import HUES, on_background, recolour
from training.drawings import Drawings

if TYPE_CHECKING:
    import numpy as np

# Blob is Noto's older drawing of the same things, and glossy the shaded twin of flat: whoever knows one knows the other.
TWINS = {"noto": ("noto", "blob"), "blob": ("blob", "noto"), "flat": ("flat", "glossy"), "glossy": ("glossy", "flat")}
_BINS = 9
# How far the covariance within concepts is drawn towards a plain one: there are few drawings of each.
_SHRINK = 1.0


@dataclass(frozen=True)
class Judge:
    """What was learned. `centres` is `[concepts, features]` in the weighed space, in the order of `subjects`.

    `examples` is `[drawings, features]` there, and `labels` says which concept each is of.
    """

    subjects: tuple[int, ...]
    mean: np.ndarray
    weigh: np.ndarray
    centres: np.ndarray
    examples: np.ndarray
    labels: np.ndarray

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """How like each concept each picture is, `[pictures, concepts]`, of uint8 `[pictures, 64, 64, 3]`."""
        import numpy as np

        found = _unit((features(pictures) - self.mean) @ self.weigh)
        near = found @ self.examples.T
        best = np.full((len(found), len(self.subjects)), -1.0, np.float32)
        for place, label in enumerate(self.labels):
            best[:, label] = np.maximum(best[:, label], near[:, place])
        # The middle of a concept, and the one drawing of it that is most alike.
        return found @ self.centres.T + best


def features(pictures: np.ndarray) -> np.ndarray:
    """Edges by direction in 8 by 8 and 4 by 4 cells, and mean colours in 8 by 8: float32 `[pictures, features]`."""
    import numpy as np

    rgb = pictures.astype(np.float32) / 255
    down, right = np.gradient(rgb, axis=1), np.gradient(rgb, axis=2)
    size = np.hypot(down, right)
    best = size.argmax(-1)[..., None]
    strength = np.take_along_axis(size, best, -1)[..., 0]
    angle = np.arctan2(np.take_along_axis(down, best, -1), np.take_along_axis(right, best, -1))[..., 0] % np.pi
    place = angle / np.pi * _BINS
    parts = []
    # A direction between two bins counts for both, by how near it is.
    away = np.abs(place[..., None] - np.arange(_BINS + 1, dtype=np.float32))
    layers = strength[..., None] * np.clip(1 - away, 0, 1)
    layers[..., 0] += layers[..., _BINS]
    layers = layers[..., :_BINS]
    for cells in (8, 4):
        side = layers.shape[1] // cells
        some = np.sqrt(layers.reshape(len(rgb), cells, side, cells, side, _BINS).mean((2, 4)))
        # Each cell is measured against its neighbourhood, so that pale drawings count like strong ones.
        around = (
            np.sqrt((some**2).sum(-1, keepdims=True))
            + 0.5 * np.sqrt((some**2).sum((1, 2, 3), keepdims=True) / cells**2)
            + 0.02
        )
        parts.append((some / around).reshape(len(rgb), -1))
    coarse = rgb.reshape(len(rgb), 8, 8, 8, 8, 3).mean((2, 4))
    grey = coarse.mean(-1, keepdims=True)
    parts.append((coarse - grey).reshape(len(rgb), -1))
    parts.append(grey.reshape(len(rgb), -1))
    return np.concatenate(parts, 1)


def train_judge(made: Drawings, styles: Sequence[str], subjects: Sequence[int], seed: int, copies: int = 3) -> Judge:
    """A judge of these subjects that knows only these styles."""
    import numpy as np

    random = np.random.default_rng(seed)
    pictures, labels = [], []
    places = {subject: place for place, subject in enumerate(subjects)}
    for index in made.of(styles, subjects):
        subject = made.drawings[index].subject
        for copy in range(copies):
            free = made.subjects[subject].recolourable
            pictures.append(changed(made.pixels[index], free, random, plain=copy == 0))
            labels.append(places[subject])
    known = np.concatenate([features(np.stack(pictures[n : n + 500])) for n in range(0, len(pictures), 500)])
    label = np.asarray(labels)
    mean = known.mean(0)
    known -= mean
    centres = np.zeros((len(subjects), known.shape[1]), np.float32)
    np.add.at(centres, label, known)
    centres /= np.maximum(np.bincount(label, minlength=len(subjects)), 1)[:, None]
    within = known - centres[label]
    scatter = within.T @ within / len(within)
    scatter += np.eye(len(scatter), dtype=np.float32) * (np.trace(scatter) / len(scatter) * _SHRINK)
    values, vectors = np.linalg.eigh(scatter)
    weigh = (vectors / np.sqrt(values)).astype(np.float32)
    return Judge(tuple(subjects), mean, weigh, _unit(centres @ weigh), _unit(known @ weigh), label)


def _unit(rows: np.ndarray) -> np.ndarray:
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def changed(rgba: np.ndarray, recolourable: bool, random: np.random.Generator, *, plain: bool = False) -> np.ndarray:
    """A drawing on white, a little moved, resized and blurred, and perhaps in another colour: uint8 `[64, 64, 3]`."""
    import numpy as np
    from PIL import Image, ImageFilter

    if recolourable and random.random() < 0.4 and not plain:
        rgba = recolour(rgba, str(random.choice(list(HUES))))
    image = Image.fromarray(on_background(rgba))
    if plain:
        return np.asarray(image)
    size = image.width
    zoom = random.uniform(0.85, 1.12)
    left, top = random.uniform(-4, 4, 2)
    tilt = random.uniform(-0.1, 0.1)
    middle = size / 2
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        (
            1 / zoom,
            tilt,
            middle - middle / zoom - tilt * middle + left,
            -tilt,
            1 / zoom,
            middle - middle / zoom + tilt * middle + top,
        ),
        Image.Resampling.BILINEAR,
        fillcolor=(255, 255, 255),
    )
    return np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.2))))
