"""The training set: every drawing as it is and in its variants, with captions; nothing of it is a held-out combination."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.captions import captions, held_out, naturals
from training.colours import BACKGROUNDS, HUES, WORDS, dominant, hue_name, on_background, recolour, two_copies
from training.drawings import Drawings
from training.presets import Preset

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Item:
    """One picture to learn: a drawing (an index) and what is done to it. `captions` say what is then in it."""

    drawing: int
    captions: tuple[str, ...]
    colour: str = ""
    background: str = ""
    count: int = 1


def subjects_of(made: Drawings, preset: Preset) -> list[int]:
    """Which subjects a preset learns, as indices: the named ones, or all.

    Raises `ValueError` for a name that no drawing in the preset's styles has.
    """
    drawn = {one.subject for one in made.drawings if one.style in preset.styles}
    if not preset.concepts:
        return sorted(drawn)
    places = {made.subjects[n].name: n for n in drawn}
    missing = [name for name in preset.concepts if name not in places]
    if missing:
        raise ValueError(f"No drawing in the styles {', '.join(preset.styles)} is of: {', '.join(missing)}.")
    return sorted(places[name] for name in preset.concepts)


def items(made: Drawings, preset: Preset, seed: int) -> list[Item]:
    """The training set of a preset, in a fixed order.

    Each drawing comes as it is and in other colours, and where the preset says so on backgrounds and twice; held-out
    combinations are skipped. Raises `ValueError` when a caption would say one after all.
    """
    subjects = subjects_of(made, preset)
    natural = naturals(made.subjects[n] for n in subjects)
    found = []
    for index in made.of(preset.styles, subjects):
        drawing = made.drawings[index]
        subject = made.subjects[drawing.subject]
        dice = random.Random(f"{seed} {subject.name} {drawing.style}")
        hue, share = dominant(made.pixels[index])
        own = hue_name(hue) if share > 0.5 and subject.recolourable else ""
        found.append(Item(index, captions(subject, drawing.style)))
        if own:
            found.append(Item(index, captions(subject, drawing.style, colour=own), own))
        coloured = any(word in WORDS for word in subject.name.split())
        others = [
            colour
            for colour in HUES
            if subject.recolourable
            and not coloured
            and colour not in natural[subject.family]
            and not held_out("colour", colour, subject.family, seed)
        ]
        for colour in dice.sample(others, min(len(others), preset.variants)):
            found.append(Item(index, captions(subject, drawing.style, colour=colour), colour))
        if not preset.scenes:
            continue
        grounds = [one for one in BACKGROUNDS if not held_out("background", one, subject.family, seed)]
        for ground in dice.sample(grounds, min(len(grounds), max(1, preset.variants // 3))):
            found.append(Item(index, captions(subject, drawing.style, background=ground), background=ground))
        if not held_out("count", "two", subject.family, seed):
            found.append(Item(index, captions(subject, drawing.style, count=2), count=2))
    for item in found:
        leak = leaked(made, item, natural, seed)
        if leak:
            raise ValueError(f"The training set holds {leak}, which is held out.")
    return found


def leaked(made: Drawings, item: Item, natural: dict[str, frozenset[str]], seed: int) -> str:
    """The held-out combination that an item shows, in words; empty when it shows none."""
    subject = made.subjects[made.drawings[item.drawing].subject]
    shown = (("colour", item.colour), ("background", item.background), ("count", "two" if item.count == 2 else ""))
    for kind, value in shown:
        own = kind == "colour" and value in natural[subject.family]
        if value and not own and held_out(kind, value, subject.family, seed):
            return f"{value} {subject.name}"
    return ""


def picture(made: Drawings, item: Item) -> np.ndarray:
    """An item's pixels: uint8 `[64, 64, 3]`."""
    rgba = made.pixels[item.drawing]
    hue, share = dominant(rgba)
    if item.colour and not (share > 0.5 and hue_name(hue) == item.colour):
        rgba = recolour(rgba, item.colour)
    if item.count == 2:
        rgba = two_copies(rgba)
    return on_background(rgba, BACKGROUNDS.get(item.background, (255, 255, 255)))


def pictures(made: Drawings, wanted: list[Item], batch: int) -> Iterator[np.ndarray]:
    """Items' pixels in batches: uint8 `[batch, 64, 64, 3]`."""
    import numpy as np

    for start in range(0, len(wanted), batch):
        yield np.stack([picture(made, item) for item in wanted[start : start + batch]])
