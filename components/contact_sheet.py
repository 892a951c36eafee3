"""The contact sheet of a grid: one PNG with every picture, the labels of both sides, what they share, and the recipes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from core import __version__
from core.gallery import KeptPicture
from core.grid import LETTERS, Cell, GridPlan, without_prompts
from core.recipe import PARAMETERS_KEY, Recipe, parameters_line

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

GRID_KEY = "proving_ground_grid"
MOST_PIXELS = 36_000_000
LEAST_SIDE, MOST_SIDE = 192, 512
INK, FAINT, PAPER, EMPTY = "#171c1e", "#525b60", "#ffffff", "#f1f3f3"
GAP, MARGIN = 8, 24
TITLE, LABEL, SMALL = 20, 16, 13


@dataclass(frozen=True, slots=True)
class _Layout:
    scale: float
    cell: tuple[int, int]
    left: int
    top: int
    heading: int
    layer: int


def contact_sheet(
    plan: GridPlan, drawn: Mapping[int, KeptPicture], png: Callable[[KeptPicture], bytes | None]
) -> bytes:
    """A PNG of the whole grid. `png` gives a drawn cell's file; cells without one are marked as not drawn.

    The text chunks hold what `parameters` readers expect of an X/Y/Z plot, and every cell's recipe as JSON.
    """
    from PIL import Image, ImageDraw

    plan = without_prompts(plan)
    # Pillow's own font has no multiplication sign.
    written = tuple(replace(axis, labels=tuple(label.replace("×", "x") for label in axis.labels)) for axis in plan.axes)
    plan = replace(plan, axes=written)
    layout = _layout(plan)
    columns, _, layers = plan.shape
    lines = _caption(plan, layout.left + columns * (layout.cell[0] + GAP))
    head = MARGIN + sum(height + 6 for _, _, height in lines) + 10
    sheet = Image.new(
        "RGB",
        (2 * MARGIN + layout.left + columns * (layout.cell[0] + GAP), head + layers * (layout.layer + GAP) + MARGIN),
        PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    y = MARGIN
    for text, font, height in lines:
        pen.text((MARGIN, y), text, font=font, fill=INK if font.size == TITLE else FAINT)
        y += height + 6
    for layer in range(layers):
        top = head + layer * (layout.layer + GAP)
        if layers > 1:
            axis = plan.axes[2]
            pen.text((MARGIN, top), _cut(f"{axis.name}  {axis.labels[layer]}", _font(LABEL), sheet.width - 2 * MARGIN), font=_font(LABEL), fill=INK)  # fmt: skip
        _labels(pen, plan, layout, top + layout.heading)
    for cell in plan.cells:
        column, row, layer = cell.place
        x = MARGIN + layout.left + column * (layout.cell[0] + GAP)
        y = head + layer * (layout.layer + GAP) + layout.heading + layout.top + row * (layout.cell[1] + GAP)
        data = png(drawn[cell.index]) if cell.index in drawn else None
        _place(sheet, pen, data, (x, y), layout)
    return _file(sheet, plan, drawn)


def shared_line(plan: GridPlan) -> str:
    """What all cells have in common: model and commit, size, steps, scheduler, guidance and seed, where they do not vary."""
    parts = []
    for text in (
        _model, lambda cell: f"{cell.settings.width} x {cell.settings.height}", lambda cell: f"{cell.settings.steps} steps",
        lambda cell: cell.settings.scheduler,
        lambda cell: "" if cell.settings.guidance is None else f"guidance {cell.settings.guidance:g}",
        lambda cell: f"seed {cell.settings.seed}",
    ):  # fmt: skip
        said = {text(cell) for cell in plan.cells}
        parts += list(said) if len(said) == 1 and "" not in said else []
    return " · ".join(parts)


def _model(cell: Cell) -> str:
    loras = "".join(f" + {lora.ref.short}" for lora in cell.settings.loras)
    return f"{cell.ref.repo_id} @ {cell.ref.revision[:7]}{loras}"


def _layout(plan: GridPlan) -> _Layout:
    columns, rows, layers = plan.shape
    widest = max(cell.settings.width or 1 for cell in plan.cells)
    highest = max(cell.settings.height or 1 for cell in plan.cells)
    side = max(widest, highest)
    # Small pictures grow by whole factors, so that their pixels stay as they are; large ones shrink to fit.
    scale = float(max(1, LEAST_SIDE // side)) if side < MOST_SIDE else MOST_SIDE / side
    room = MOST_PIXELS / (columns * rows * layers)
    if widest * highest * scale * scale > room:
        scale = (room / (widest * highest)) ** 0.5
    cell = max(1, round(widest * scale)), max(1, round(highest * scale))
    left = _label_width(plan.axes[1].name, plan.axes[1].labels) if rows > 1 else 0
    top = LABEL + SMALL + 16
    heading = LABEL + 14 if layers > 1 else 0
    return _Layout(scale, cell, left, top, heading, heading + top + rows * (cell[1] + GAP))


def _label_width(name: str, labels: tuple[str, ...]) -> int:
    longest = max(_font(LABEL).getlength(label) for label in labels)
    return int(min(240, max(longest, _font(SMALL).getlength(name)))) + 16


def _caption(plan: GridPlan, width: int) -> list[tuple[str, FreeTypeFont, int]]:
    first = plan.cells[0].settings
    prompts = {cell.settings.prompt for cell in plan.cells}
    title = ""
    if first.prompt_in_file:
        title = first.prompt if len(prompts) == 1 else f"{first.prompt} (1 of {len(prompts)} prompts)"
    lines = []
    if title:
        lines += [(line, _font(TITLE), TITLE) for line in _wrapped(title, _font(TITLE), width)[:3]]
    lines += [(line, _font(SMALL), SMALL) for line in _wrapped(shared_line(plan), _font(SMALL), width)]
    return lines


def _labels(pen: ImageDraw, plan: GridPlan, layout: _Layout, top: int) -> None:
    columns, rows, _ = plan.shape
    across = plan.axes[0]
    for column in range(columns):
        x = MARGIN + layout.left + column * (layout.cell[0] + GAP)
        pen.text((x, top), _cut(across.name, _font(SMALL), layout.cell[0]), font=_font(SMALL), fill=FAINT)
        label = _cut(across.labels[column], _font(LABEL), layout.cell[0])
        pen.text((x, top + SMALL + 4), label, font=_font(LABEL), fill=INK)
    if rows == 1:
        return
    down = plan.axes[1]
    for row in range(rows):
        y = top + layout.top + row * (layout.cell[1] + GAP) + layout.cell[1] // 2 - LABEL
        width = layout.left - 16
        pen.text((MARGIN, y), _cut(down.name, _font(SMALL), width), font=_font(SMALL), fill=FAINT)
        for number, line in enumerate(_wrapped(down.labels[row], _font(LABEL), width)[:3]):
            pen.text((MARGIN, y + SMALL + 4 + number * (LABEL + 4)), _cut(line, _font(LABEL), width), font=_font(LABEL), fill=INK)  # fmt: skip


def _place(sheet: Image, pen: ImageDraw, data: bytes | None, at: tuple[int, int], layout: _Layout) -> None:
    from PIL import Image

    if data is None:
        pen.rectangle((*at, at[0] + layout.cell[0] - 1, at[1] + layout.cell[1] - 1), fill=EMPTY)
        pen.text((at[0] + 10, at[1] + 10), "not drawn", font=_font(SMALL), fill=FAINT)
        return
    with Image.open(io.BytesIO(data), formats=("PNG",)) as opened:
        picture = opened.convert("RGB")
    size = max(1, round(picture.width * layout.scale)), max(1, round(picture.height * layout.scale))
    whole = layout.scale >= 1 and layout.scale == int(layout.scale)
    picture = picture.resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)
    sheet.paste(picture, (at[0] + (layout.cell[0] - size[0]) // 2, at[1] + (layout.cell[1] - size[1]) // 2))


def _file(sheet: Image, plan: GridPlan, drawn: Mapping[int, KeptPicture]) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    recipes = {index: kept.recipe for index, kept in drawn.items()}
    told = {
        "schema": 1,
        "axes": [{"axis": letter, "name": axis.name, "values": list(axis.labels), "typed": axis.text} for letter, axis in zip(LETTERS, plan.axes, strict=False)],
        "cells": [{"place": list(cell.place), "drawn": cell.index in drawn, "recipe": recipes.get(cell.index, cell.recipe).record()} for cell in plan.cells],
    }  # fmt: skip
    info = PngInfo()
    info.add_itxt(GRID_KEY, json.dumps(told, ensure_ascii=False))
    info.add_itxt(PARAMETERS_KEY, _parameters(plan, recipes.get(0, plan.cells[0].recipe)))
    out = io.BytesIO()
    sheet.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def _parameters(plan: GridPlan, first: Recipe) -> str:
    fields = ["Script: X/Y/Z plot"]
    for letter, axis in zip(LETTERS, plan.axes, strict=False):
        values = json.dumps(axis.text or ", ".join(axis.labels), ensure_ascii=False)
        fields.append(f"{letter} Type: {axis.name}, {letter} Values: {values}")
    versions = first.versions or (("proving_ground", __version__),)
    return ", ".join([parameters_line(replace(first, versions=versions)), *fields])


def _wrapped(text: str, font: FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(text: str, font: FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


@cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    # Pillow's own: no font of this machine, so a sheet looks alike everywhere.
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, which the contact sheet's labels need.")
    return font
