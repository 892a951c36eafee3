"""A grid on the page: cells that fill in while it is drawn, what it costs, and a table of every cell."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from html import escape

from components.gallery_sheet import thumb
from core.gallery import KeptPicture
from core.grid import Cell, GridPlan, without_prompts

# One listener for all cells, in the sheet and in the table.
ON_LOAD = """
const open = (e) => { const cell = e.target.closest('[data-cell]'); if (cell) trigger('select', {cell: Number(cell.dataset.cell)}); return cell; };
element.addEventListener('click', open);
element.addEventListener('keydown', (e) => { if (e.key === 'Enter' && open(e)) e.preventDefault(); });
"""
FIRST_VISIT = (
    '<div class="pg-empty"><b>See what a setting does.</b><p>Each axis changes one thing and takes a list (5, 10, 20) or a '
    "range (10-30:5). Draw grid draws every combination from one seed, into a sheet you can keep.</p></div>"
)
_SHOWN_LABEL = 60


def sheet(
    plan: GridPlan, drawn: Mapping[int, KeptPicture], now: int | None = None, preview: bytes | None = None
) -> list[str]:
    """The grid as pieces, always as many for one plan, so that a new picture sends one piece. `now` is being drawn."""
    columns, rows, layers = plan.shape
    pieces = []
    for layer in range(layers):
        title = _heading(plan, 2, layer) if layers > 1 else ""
        corner = "<td></td>" if rows > 1 else ""
        heads = "".join(f'<th scope="col">{_label(plan, 0, column)}</th>' for column in range(columns))
        pieces.append(
            f'{title}<div class="pg-scroll"><table class="pg-grid"><thead><tr>{corner}{heads}</tr></thead><tbody>'
        )
        for row in range(rows):
            pieces.append("<tr>" + (f'<th scope="row">{_label(plan, 1, row)}</th>' if rows > 1 else ""))
            at = columns * (row + rows * layer)
            pieces += [_cell(plan, cell, drawn, now, preview) for cell in plan.cells[at : at + columns]]
            pieces.append("</tr>")
        pieces.append("</tbody></table></div>")
    return pieces


def table(plan: GridPlan, drawn: Mapping[int, KeptPicture]) -> list[str]:
    """Every cell's settings, seed and seconds as a table, one piece for each row."""
    heads = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in _HEADS)
    rows = []
    for cell in plan.cells:
        body = "".join(
            f'<td class="{kind}" data-label="{escape(name, quote=True)}">{escape(text)}</td>'
            for (name, kind), text in zip(_HEADS, values(plan, cell, drawn), strict=True)
        )
        rows.append(
            f'<tr tabindex="0" role="button" aria-label="Recipe of picture {cell.index + 1}" data-cell="{cell.index}">{body}</tr>'
        )
    return [f'<table class="pg-results pg-cells"><thead><tr>{heads}</tr></thead><tbody>', *rows, "</tbody></table>"]


def csv_text(plan: GridPlan, drawn: Mapping[int, KeptPicture]) -> str:
    """The table as CSV, prompt and commit in full."""
    plan = without_prompts(plan)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*(name for name, _ in _HEADS), "Commit", "Prompt", "Negative prompt", "Picture"])
    for cell in plan.cells:
        kept = drawn.get(cell.index)
        said = cell.settings.prompt_in_file
        texts = [
            *values(plan, cell, drawn), cell.ref.revision, cell.settings.prompt if said else "",
            cell.settings.negative_prompt if said else "", kept.id if kept else "",
        ]  # fmt: skip
        writer.writerow([_harmless(text) for text in texts])
    return out.getvalue()


_HEADS = (
    ("No.", "n"), ("Cell", ""), ("Model", ""), ("LoRAs", ""), ("Size", "n"), ("Steps", "n"), ("Guidance", "n"),
    ("Scheduler", ""), ("Seed", "n"), ("Seconds", "n"),
)  # fmt: skip


def values(plan: GridPlan, cell: Cell, drawn: Mapping[int, KeptPicture]) -> tuple[str, ...]:
    """One row of the table, in the order of its heads."""
    settings, kept = cell.settings, drawn.get(cell.index)
    seconds = "not drawn" if kept is None else "–" if kept.seconds is None else f"{kept.seconds:.2f}"
    return (
        str(cell.index + 1),
        ", ".join(f"{name} {label}" for name, label in plan.named(cell)),
        cell.ref.short,
        ", ".join(f"{lora.ref.short} {lora.weight:g}" for lora in settings.loras) or "–",
        f"{settings.width} × {settings.height}",
        str(settings.steps),
        "–" if settings.guidance is None else f"{settings.guidance:g}",
        settings.scheduler,
        str(settings.seed),
        seconds,
    )


def cost_line(plan: GridPlan, cells: Sequence[Cell], seconds: float | None, most: int) -> str:
    """What a grid takes before it is drawn: pictures, steps, and time as far as it was ever measured here."""
    steps = sum(cell.settings.steps or 0 for cell in cells)
    columns, rows, layers = plan.shape
    sides = " × ".join(str(count) for count in (columns, rows, layers)[: len(plan.axes)])
    shape = f"{sides} = " if len(plan.axes) > 1 else ""
    time = (
        f"about {duration(seconds)} at the speed last measured here"
        if seconds is not None
        else "how long is known once a picture was drawn with each model"
    )
    return (
        f'<p class="pg-cost"><b>{shape}{len(plan.cells)} picture{"" if len(plan.cells) == 1 else "s"}</b> '
        f'· {steps:,} steps · {time}<span class="pg-meta"> · at most {most} in one grid</span></p>'
    )


def wrong_line(sentence: str) -> str:
    """What is wrong with the axes, where the cost would stand."""
    return f'<p class="pg-cost pg-cost-wrong" role="status">{escape(sentence)}</p>'


def duration(seconds: float) -> str:
    """Seconds as people plan with them."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _cell(plan: GridPlan, cell: Cell, drawn: Mapping[int, KeptPicture], now: int | None, preview: bytes | None) -> str:
    kept = drawn.get(cell.index)
    where = ", ".join(f"{name} {label}" for name, label in plan.named(cell))
    inside, state = "", "waits"
    if kept is not None:
        inside, state = f'<img alt="" src="{thumb(kept)}">', "drawn"
    elif cell.index == now:
        state = "drawing"
        if preview:
            inside = f'<img alt="" src="data:image/png;base64,{base64.b64encode(preview).decode()}">'
    shape = f"{cell.settings.width or 1} / {cell.settings.height or 1}"
    return (
        f'<td><button type="button" class="pg-cell pg-{state}" data-cell="{cell.index}" style="aspect-ratio:{shape}" '
        f'aria-label="{escape(where, quote=True)}: {state}">{inside}</button></td>'
    )


def _label(plan: GridPlan, number: int, at: int) -> str:
    axis = plan.axes[number]
    label = axis.labels[at]
    short = label if len(label) <= _SHOWN_LABEL else label[:_SHOWN_LABEL] + "…"
    return f'<span class="pg-meta">{axis.name}</span><span title="{escape(label, quote=True)}">{escape(short)}</span>'


def _heading(plan: GridPlan, number: int, at: int) -> str:
    return f'<h4 class="pg-layer">{_label(plan, number, at)}</h4>'


def _harmless(text: str) -> str:
    # A spreadsheet would run a cell that begins like a formula.
    return (
        f"'{text}"
        if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not text.lstrip("+-").replace(".", "").isdigit()
        else text
    )
