"""The table of models side by side, with what differs marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from core.model_comparison import Compared, Line


def model_table(models: Sequence[Compared], lines: Sequence[Line]) -> str:
    """One column for each model, one line for each thing; what a stranger wrote is text."""
    head = "".join(f'<th scope="col">{_head(model)}</th>' for model in models)
    body = "".join(
        f'<tr class="pg-group"><th colspan="{len(models) + 1}">{escape(group)}</th></tr>' + "".join(map(_line, own))
        for group, own in groupby(lines, key=lambda line: line.group)
    )
    differing = sum(line.differs for line in lines)
    said = f"{differing} of {len(lines)} lines differ; they are marked." if lines else "Reading the cards …"
    return (
        f'<p class="pg-foot" role="status">{said}</p><div class="pg-scroll"><table class="pg-side-by-side"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _head(model: Compared) -> str:
    owner, _, name = model.ref.repo_id.rpartition("/")
    problem = f'<div class="pg-error">{escape(model.problem)}</div>' if model.problem else ""
    waiting = '<div class="pg-meta">reading its card …</div>' if model.card is None and not model.problem else ""
    return (
        f'<span class="pg-meta">{escape(owner)}</span><br>{escape(name)}<br>'
        f"<code>{escape(model.ref.revision[:7])}</code>{problem}{waiting}"
    )


def _line(line: Line) -> str:
    mark = ' class="pg-differs-line"' if line.differs else ""
    sign = '<span class="pg-differs-sign" title="They differ">≠</span> ' if line.differs else ""
    number = ' class="n"' if line.number else ""
    cells = "".join(f"<td{number}>{escape(cell) if cell else '…'}</td>" for cell in line.cells)
    return f'<tr{mark}><th scope="row">{sign}{escape(line.name)}</th>{cells}</tr>'
