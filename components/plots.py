"""Small plots as HTML that follows the theme and the width of the page: intervals, a heat map, bars over days, dots.

Each says in words what it shows, for those who do not see it. No script, no picture, no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from math import ceil, floor, log10

MOST_DAYS = 90
# Mixed with the page's background at most this much, so that text on it stays readable in both themes.
DEEPEST = 55


@dataclass(frozen=True, slots=True)
class Interval:
    """One line of an interval plot. `strong` marks what can be told apart from the rest."""

    name: str
    value: float
    low: float
    high: float
    strong: bool = False


def intervals(rows: Sequence[Interval], unit: str) -> str:
    """A dot and its 95 % interval for each row, on one scale that is printed below."""
    if not rows:
        return ""
    ticks = _ticks(min(row.low for row in rows), max(row.high for row in rows))
    start, end = ticks[0], ticks[-1]
    span = end - start

    def place(value: float) -> str:
        return f"{100 * (value - start) / span:.2f}%"

    lines = "".join(
        f'<div class="pg-interval{" pg-strong" if row.strong else ""}"><span class="pg-plot-name" title="{escape(row.name)}">'
        f'{escape(row.name)}</span><span class="pg-track" role="img" aria-label="{row.value:.0f} {escape(unit)}, between '
        f'{row.low:.0f} and {row.high:.0f}">'
        f'<i class="pg-span" style="left:{place(row.low)};width:{100 * (row.high - row.low) / span:.2f}%"></i>'
        f'<i class="pg-dot-at" style="left:{place(row.value)}"></i></span></div>'
        for row in rows
    )
    scale = "".join(f'<span style="left:{place(tick)}">{tick:g}</span>' for tick in ticks)
    return (
        f'<div class="pg-plot pg-intervals" role="group" aria-label="Ratings with 95 % intervals">{lines}'
        f'<div class="pg-interval pg-ticks"><span class="pg-plot-name">{escape(unit)}</span>'
        f'<span class="pg-track">{scale}</span></div></div>'
    )


def heat_map(names: Sequence[str], share: Sequence[Sequence[float | None]], met: Sequence[Sequence[int]]) -> str:
    """How often the row's contender won against the column's; columns are numbered as the rows are."""
    if not names:
        return ""
    head = "".join(f'<th scope="col" title="{escape(name)}">{n}</th>' for n, name in enumerate(names, 1))
    body = []
    for i, name in enumerate(names):
        cells = "".join(_cell(name, names[j], share[i][j], met[i][j], i == j) for j in range(len(names)))
        body.append(f'<tr><th scope="row"><span>{i + 1}</span> {escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="pg-scroll"><table class="pg-heat"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def over_days(days: Sequence[tuple[date, int]], what: str) -> str:
    """A bar for every day from the first to the last (at most the last 90), days without any left empty."""
    if not days:
        return ""
    counts = dict(days)
    last = days[-1][0]
    first = max(days[0][0], last - timedelta(days=MOST_DAYS - 1))
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    most = max(counts.get(day, 0) for day in every)
    bars = "".join(
        f'<i style="height:{100 * counts.get(day, 0) / most:.1f}%" title="{day.isoformat()}: {counts.get(day, 0):,}"></i>'
        for day in every
    )
    earlier = sum(count for day, count in days if day < first)
    before = f", {earlier:,} earlier" if earlier else ""
    said = f"{what} per day from {first.isoformat()} to {last.isoformat()}, at most {most:,} on one day{before}"
    return (
        f'<div class="pg-plot"><div class="pg-days" role="img" aria-label="{escape(said)}">{bars}</div>'
        f'<p class="pg-meta">{escape(said)}</p></div>'
    )


def dots(points: Sequence[tuple[str, float, float]], across: str, upwards: str) -> str:
    """(name, x, y) on two scales; x is logarithmic when it spans more than a factor of twenty."""
    if len(points) < 2:
        return ""
    xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
    folded = min(xs) > 0 and max(xs) / min(xs) > 20
    scaled = [log10(x) if folded else x for x in xs]
    low, high, under, over = min(scaled), max(scaled), min(ys), max(ys)
    places = [(_share(x, low, high), _share(y, under, over)) for (_, _, y), x in zip(points, scaled, strict=True)]
    marks = "".join(
        f'<span class="pg-point{" pg-leftwards" if x > 0.5 else ""}" style="left:{8 + 84 * x:.1f}%;bottom:{10 + 78 * y:.1f}%" '
        f'title="{escape(name)}"><i></i><b style="bottom:{lift}px">{escape(name)}</b></span>'
        for (name, _, _), (x, y), lift in zip(points, places, _lifts(places), strict=True)
    )
    return (
        f'<div class="pg-plot"><div class="pg-dots" role="img" aria-label="{escape(upwards)} against {escape(across)}">{marks}'
        f'</div><p class="pg-meta">↑ {escape(upwards)}, {_short(under)} to {_short(over)} · → {escape(across)}, '
        f"{_short(min(xs))} to {_short(max(xs))}{' (logarithmic)' if folded else ''}</p></div>"
    )


PLOT_HEIGHT, LINE = 220, 14  # pixels; the height is the stylesheet's


def _lifts(places: Sequence[tuple[float, float]]) -> list[int]:
    """How many pixels each name is moved up or down, so that names of neighbours do not lie on each other."""
    lifts = [0] * len(places)
    put: list[tuple[float, float]] = []
    for one in sorted(range(len(places)), key=lambda number: places[number][1]):
        x, y = places[one]
        height = 0.78 * PLOT_HEIGHT * y
        while any(abs(x - other) < 0.35 and abs(height + lifts[one] - there) < LINE for other, there in put):
            lifts[one] += 2
        put.append((x, height + lifts[one]))
    return lifts


def _cell(row: str, column: str, share: float | None, met: int, same: bool) -> str:
    if same:
        return '<td class="pg-self"></td>'
    if share is None:
        return f'<td title="{escape(row)} and {escape(column)} never met">–</td>'
    times = "vote" if met == 1 else "votes"
    return (
        f'<td style="--heat:{share * DEEPEST:.0f}%" title="{escape(row)} won {share:.0%} against {escape(column)}, '
        f'{met:,} {times}">{share:.0%}<small>{met:,}</small></td>'
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers that hold the range."""
    span = max(high - low, 1.0)
    step = 10.0 ** floor(log10(span / 3))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return [n * step for n in range(first, last + 1)]
