"""An X/Y/Z grid: every cell's exact settings from two or three axes, what it costs, and its text that a restart reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

from core.axes import AXIS_NAMES, Axis, Replacement, Size
from core.errors import UserInputError
from core.gallery import Pace
from core.images import ImageCapabilities, ImageSettings, Lora, check_image_settings
from core.recipe import Recipe, recipe_from_json
from core.refs import ModelRef, shown

MOST_CELLS = 144
LETTERS = ("X", "Y", "Z")


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture to draw: where it stands along the axes, and its model and settings with everything filled in."""

    index: int
    place: tuple[int, int, int]
    ref: ModelRef
    settings: ImageSettings

    @property
    def recipe(self) -> Recipe:
        """The cell as the recipe panel shows it before it is drawn."""
        return Recipe(self.settings, self.ref)


@dataclass(frozen=True, slots=True)
class AxisText:
    """What is left of an axis when its grid is planned: its name, its labels and what was typed."""

    name: str
    labels: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class GridPlan:
    """A whole grid. Cell `index` is x + columns * (y + rows * z)."""

    axes: tuple[AxisText, ...]
    cells: tuple[Cell, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many values each axis has; 1 where there is none."""
        counts = [len(axis.labels) for axis in self.axes] + [1, 1]
        return counts[0], counts[1], counts[2]

    @property
    def steps(self) -> int:
        """Denoising steps of all cells."""
        return sum(cell.settings.steps or 0 for cell in self.cells)

    @property
    def refs(self) -> tuple[ModelRef, ...]:
        """The models it draws with, in the order they come."""
        return tuple(dict.fromkeys(cell.ref for cell in self.cells))

    def named(self, cell: Cell) -> tuple[tuple[str, str], ...]:
        """(axis, label) of a cell for every axis."""
        return tuple((axis.name, axis.labels[at]) for axis, at in zip(self.axes, cell.place, strict=False))


def plan_of(
    base: ImageSettings,
    ref: ModelRef,
    axes: Sequence[Axis],
    can: Callable[[ModelRef], ImageCapabilities],
    most: int = MOST_CELLS,
) -> GridPlan:
    """Every cell, checked as the engine would; `UserInputError` names the first cell that could not be drawn.

    `base.seed` has to be there: it is every cell's, unless the seed is an axis.
    """
    if not 1 <= len(axes) <= len(LETTERS):
        raise UserInputError("Choose what changes along at least one axis.")
    kinds = [axis.kind for axis in axes]
    for number, kind in enumerate(kinds):
        if kind in kinds[:number] and kind != "prompt":
            raise UserInputError(
                f"Two axes change the same thing ({AXIS_NAMES[kind]}). Choose another one for one of them."
            )
    counts = [len(axis.values) for axis in axes]
    total = 1
    for count in counts:
        total *= count
    if total > most:
        sides = " × ".join(map(str, counts))
        raise UserInputError(
            f"{sides} are {total:,} pictures; at most {most:,} are drawn in one grid. Use fewer values."
        )
    base = replace(base, batch=1, image=None, mask=None, strength=None)
    cells = []
    # The last factor of a product runs fastest, and X is the fastest here.
    for index, place in enumerate(product(*(range(count) for count in reversed(counts)))):
        at = tuple(reversed(place))
        cells.append(_cell(index, (*at, *(0,) * (3 - len(at))), base, ref, axes, can))
    return GridPlan(tuple(AxisText(axis.name, axis.labels, axis.text) for axis in axes), tuple(cells))


def missing(plan: GridPlan, drawn: Collection[int]) -> tuple[Cell, ...]:
    """The cells still to draw, in an order that changes the model and its adapters as seldom as possible."""
    rank: dict[object, int] = {}
    for cell in plan.cells:
        rank.setdefault((cell.ref, tuple(lora.ref for lora in cell.settings.loras)), len(rank))
    left = [cell for cell in plan.cells if cell.index not in drawn]
    return tuple(
        sorted(left, key=lambda cell: (rank[(cell.ref, tuple(lora.ref for lora in cell.settings.loras))], cell.index))
    )


def seconds_of(cells: Collection[Cell], pace: Callable[[ModelRef], Pace | None]) -> float | None:
    """How long these cells will take by the last measured seconds per step; None where a model was never measured.

    The time of a step is taken to grow with the number of pixels.
    """
    known = {ref: pace(ref) for ref in {cell.ref for cell in cells}}
    total = 0.0
    for cell in cells:
        measured = known[cell.ref]
        if measured is None:
            return None
        pixels = (cell.settings.width or 1) * (cell.settings.height or 1)
        total += (cell.settings.steps or 0) * measured.seconds_per_step * pixels / max(1, measured.pixels)
    return total


def without_prompts(plan: GridPlan) -> GridPlan:
    """The plan as it may be written into a file: with the switch off, no label repeats a word of the prompt."""
    if plan.cells[0].settings.prompt_in_file:
        return plan
    axes = tuple(
        replace(axis, labels=tuple(f"prompt {number}" for number in range(1, len(axis.labels) + 1)), text="")
        if axis.name == AXIS_NAMES["prompt"]
        else axis
        for axis in plan.axes
    )
    return replace(plan, axes=axes)


def plan_text(plan: GridPlan) -> str:
    """The plan as JSON, for the day the page comes back. Prompts are in it."""
    return json.dumps(
        {
            "schema": 1,
            "axes": [{"name": axis.name, "labels": axis.labels, "text": axis.text} for axis in plan.axes],
            "cells": [replace(cell.recipe, settings=replace(cell.settings, prompt_in_file=True)).record() for cell in plan.cells],
        },
        ensure_ascii=False,
    )  # fmt: skip


def plan_from(text: str) -> GridPlan | None:
    """What `plan_text` wrote; None when it is not a whole plan."""
    try:
        found = json.loads(text)
        axes = tuple(
            AxisText(str(axis["name"]), tuple(map(str, axis["labels"])), str(axis["text"])) for axis in found["axes"]
        )
        recipes = [recipe_from_json(json.dumps(cell)) for cell in found["cells"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    plan = GridPlan(axes, ())
    columns, rows, layers = plan.shape
    if columns * rows * layers != len(recipes):
        return None
    cells = []
    for index, recipe in enumerate(recipes):
        if recipe is None or recipe.ref is None:
            return None
        place = (index % columns, index // columns % rows, index // (columns * rows))
        cells.append(Cell(index, place, recipe.ref, recipe.settings))
    return replace(plan, cells=tuple(cells))


def _cell(
    index: int,
    place: tuple[int, ...],
    base: ImageSettings,
    ref: ModelRef,
    axes: Sequence[Axis],
    can: Callable[[ModelRef], ImageCapabilities],
) -> Cell:
    settings = base
    for axis, at in zip(axes, place, strict=False):
        value = axis.values[at]
        if isinstance(value, ModelRef):
            ref = value
        else:
            settings = _changed(settings, axis.kind, value)
    able = can(ref)
    if able.guidance is None and all(axis.kind != "guidance" for axis in axes):
        settings = replace(settings, guidance=None)
    try:
        filled = check_image_settings(settings, able)
    except UserInputError as error:
        where = ", ".join(f"{axis.name} {shown(axis.labels[at], 40)}" for axis, at in zip(axes, place, strict=False))
        raise UserInputError(f"The cell {where} cannot be drawn. {error}") from error
    return Cell(index, (place[0], place[1], place[2]), ref, filled)


def _changed(settings: ImageSettings, kind: str, value: Lora | Replacement | Size | Decimal | str) -> ImageSettings:
    match value:
        case Lora():
            same = [(lora.ref, lora.file) == (value.ref, value.file) for lora in settings.loras]
            if not any(same):
                return replace(settings, loras=(*settings.loras, value))
            changed = (value if hit else lora for lora, hit in zip(settings.loras, same, strict=True))
            return replace(settings, loras=tuple(changed))
        case Replacement():
            return replace(
                settings,
                prompt=settings.prompt.replace(value.search, value.text),
                negative_prompt=settings.negative_prompt.replace(value.search, value.text),
            )
        case Size():
            return replace(settings, width=value.width, height=value.height)
        case str():
            return replace(settings, scheduler=value)
        case _:
            match kind:
                case "steps":
                    return replace(settings, steps=int(value))
                case "seed":
                    return replace(settings, seed=int(value))
                case _:
                    return replace(settings, guidance=float(value))
