"""The leaderboard and agreement as a person reads them: the sentence first, then the plot, then the table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from html import escape

from components.numbers import bytes_of, parameters
from components.plots import Interval, dots, heat_map, intervals, over_days
from core.evidence import Agreement, AgreementOf, Facts, Leaderboard, RaterHealth, Share, Standing
from core.export import ExportOrder, ExportStep, vision_config

MOST_SHOWN = 30
GOLD_ASKED = "Gold: right votes where the answer is known and one side alone held it."
GOLD_UNASKED = (
    "Gold: votes on prompts whose answer is known; none yet. The operator names a file of them in PROVING_GOLD."
)
CANNOT_TELL = (
    '<span class="pg-tag" title="Its interval overlaps another, or it has fewer than ten votes">cannot tell</span>'
)


def leaderboard_html(board: Leaderboard) -> str:
    """Everything of a leaderboard; what to do when it is empty."""
    if not board.standings:
        return f'<div class="pg-empty"><b>Nothing to rank.</b><p>{escape(board.reading)}</p></div>{_days(board)}'
    shown = board.standings[:MOST_SHOWN]
    names = [row.contender for row in shown]
    plot = intervals(
        [Interval(row.contender, row.rating, row.low, row.high, row.rank is not None) for row in shown], "points"
    )
    style = ""
    if board.style:
        parts = " · ".join(
            f"{effect.name} {effect.points:+.0f} [{effect.low:+.0f}, {effect.high:+.0f}]" for effect in board.style
        )
        style = (
            f'<p class="pg-meta">Style held constant. One standard deviation more of it than the other answer is worth, in '
            f"points: {escape(parts)}</p>"
        )
    notes = "".join(f"<li>{escape(note)}</li>" for note in board.notes)
    more = len(board.standings) - len(shown)
    return (
        f'<p class="pg-lead">{escape(board.reading)}</p>{plot}{style}'
        f'<p class="pg-meta">Bradley-Terry with ties (“both bad” too) as half a win, mean 1,000; 400 points are odds of ten to one. Intervals '
        f"hold 95 % of {board.rounds} resampled collections. A place is given only where intervals do not touch.</p>"
        + (f'<ul class="pg-notes">{notes}</ul>' if notes else "")
        + _table(shown)
        + (f'<p class="pg-meta">{more} more below these; filter to see them.</p>' if more else "")
        + f"<h3>Who won against whom</h3>{heat_map(names, [row[:MOST_SHOWN] for row in board.share[:MOST_SHOWN]], board.met)}"
        + _scatter(shown)
        + f"<h3>Votes over time</h3>{_days(board)}"
    )


def agreement_html(found: Agreement) -> str:
    """What to know before the votes are trusted, then the figures."""
    if not found.votes:
        return f'<div class="pg-empty"><b>Nothing to measure.</b><p>{escape(found.findings[0])}</p></div>'
    said = "".join(f"<li>{escape(finding)}</li>" for finding in found.findings[1:])
    raters = "".join(_rater(row) for row in found.raters[:MOST_SHOWN])
    more = len(found.raters) - MOST_SHOWN
    return (
        f'<p class="pg-lead">{escape(found.findings[0])}</p>'
        + (f'<ul class="pg-notes">{said}</ul>' if said else "")
        + _questions("Question", found.questions)
        + (f"<h3>By pair</h3>{_questions('Pair', found.pairs)}" if found.pairs else "")
        + '<h3>Reviewers</h3><table class="pg-results pg-board"><thead><tr><th>Reviewer</th><th class="n">Votes</th>'
        '<th class="n">Left side</th><th class="n">Longer answer</th><th class="n">Seconds</th>'
        '<th class="n">Agrees</th><th class="n">Gold</th><th>What to do</th></tr></thead><tbody>'
        f"{raters}</tbody></table>"
        + (f'<p class="pg-meta">{more} more reviewers.</p>' if more > 0 else "")
        + '<p class="pg-meta">Shares are of decided votes, with 95 % intervals on hover. Agrees: with the other reviewers of '
        f"the same item. {GOLD_ASKED if found.gold.total else GOLD_UNASKED}</p>"
    )


def downloads_html(tables: Mapping[str, str]) -> str:
    """Links that save tables (CSV by name). They hold what they save, so nothing of it stays on the server."""
    links = " · ".join(
        f'<a download="{escape(name)}.csv" href="data:text/csv;charset=utf-8;base64,'
        f'{base64.b64encode(text.encode()).decode()}">{escape(name)}.csv</a>'
        for name, text in tables.items()
    )
    return f'<p class="pg-meta">For a spreadsheet, every row: {links}</p>' if links else ""


def pictured_html(step: ExportStep, order: ExportOrder) -> str:
    """What became of the rows with pictures in the prompt; "" where there are none."""
    if step.left_out:
        rows = "1 row was" if step.left_out == 1 else f"{step.left_out:,} rows were"
        their = "its prompt has" if step.left_out == 1 else "their prompts have"
        return f'<p class="pg-notice">{rows} left out: {their} pictures. {escape(order.why_not)}</p>'
    if not step.pictured:
        return ""
    rows = "1 of them has" if step.pictured == 1 else f"{step.pictured:,} of them have"
    return (
        f'<p class="pg-meta">{rows} pictures in the prompt: the config <code>{vision_config(order.view)}</code>, in files of its '
        "own, for a model that sees.</p>"
    )


def published_html(step: ExportStep, order: ExportOrder) -> str:
    """Where a pushed export is and how it is loaded from there."""
    made = step.published
    if made is None:
        return ""
    where = f"<code>{escape(made.repo_id)}</code> at tag <code>{escape(made.tag)}</code>"
    lead = f"{step.rows:,} rows are {'in' if made.fresh else 'already in'} {where}."
    return (
        f'<p class="pg-lead">{lead}</p><p class="pg-meta">Commit <code>{escape(made.commit[:12])}</code>, private. The tag is '
        "never moved: rows taken back later stay in it until you delete the tag and squash the history.</p>"
        f"{pictured_html(step, order)}"
        f'<pre class="pg-snippet"><code>{escape(made.snippet)}</code></pre>'
    )


def _table(rows: tuple[Standing, ...]) -> str:
    """Columns of which nothing is known here are left out, and said to be."""
    told = [[fact(row.facts) for row in rows] for _, fact in _FACTS]
    known = [number for number, values in enumerate(told) if any(value != UNKNOWN for value in values)]
    # A price is in the operator's own words, which may be many: it stands below the name.
    columns = [number for number in known if _FACTS[number][0] != "Price"]
    heads = "".join(f'<th class="n">{_FACTS[number][0]}</th>' for number in columns)
    body = "".join(
        _standing(row, "".join(_cell(_FACTS[number][0], told[number][place]) for number in columns))
        for place, row in enumerate(rows)
    )
    # Answers take no seconds a picture, and pictures have no first token.
    pictures = any(row.facts.picture_s is not None for row in rows)
    senseless = ("First token", "Tokens/s") if pictures else ("Seconds a picture",)
    missing = ", ".join(
        name.lower() for number, (name, _) in enumerate(_FACTS) if number not in known and name not in senseless
    )
    return (
        '<div class="pg-scroll"><table class="pg-results pg-board"><thead><tr><th class="n">Place</th><th>Contender</th>'
        '<th class="n">Rating<br><span class="pg-meta">95 % interval</span></th>'
        '<th class="n">Votes<br><span class="pg-meta">won · lost · tied</span></th>'
        f"{heads}</tr></thead><tbody>{body}</tbody></table></div>"
        + (f'<p class="pg-meta">Not known here, because no row says it: {missing}.</p>' if missing else "")
    )


def _standing(row: Standing, facts: str) -> str:
    place = CANNOT_TELL if row.rank is None else str(row.rank)
    return (
        f'<tr><td class="n" data-label="Place">{place}</td><td class="pg-name">{escape(row.contender)}'
        f'<br><span class="pg-meta">{escape(" · ".join(filter(None, (row.model, row.facts.price))))}</span></td>'
        + _cell("Rating", f"{row.rating:.0f}", f"{row.low:.0f} to {row.high:.0f}")
        + _cell("Votes", f"{row.votes:,}", f"{row.wins:,} · {row.losses:,} · {row.ties:,}")
        + f"{facts}</tr>"
    )


def _cell(label: str, text: str, below: str = "") -> str:
    more = f'<br><span class="pg-meta">{escape(below)}</span>' if below else ""
    return f'<td class="n" data-label="{label}">{escape(text)}{more}</td>'


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f} s"


def _speed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"


UNKNOWN = "–"
_FACTS: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("Parameters", lambda facts: parameters(facts.parameters)),
    ("Memory", lambda facts: bytes_of(facts.memory_bytes)),
    ("First token", lambda facts: _seconds(facts.first_token_s)),
    ("Tokens/s", lambda facts: _speed(facts.tokens_per_s)),
    ("Seconds a picture", lambda facts: _seconds(facts.picture_s)),
    ("Price", lambda facts: facts.price or UNKNOWN),
)


def _scatter(rows: tuple[Standing, ...]) -> str:
    # Under the numbers they have in the heat map: a long name is cut here, and two may begin alike.
    named = [(f"{number} {row.contender}", row) for number, row in enumerate(rows, 1)]
    sized = [(name, row.facts.parameters / 1e9, row.rating) for name, row in named if row.facts.parameters]
    fast = [(name, row.facts.first_token_s, row.rating) for name, row in named if row.facts.first_token_s]
    plots = dots(sized, "parameters, billions", "rating") + dots(fast, "seconds to the first token", "rating")
    return f"<h3>Rating against size and latency</h3>{plots}" if plots else ""


def _days(board: Leaderboard) -> str:
    return over_days(board.days, "Votes")


def _questions(title: str, rows: tuple[AgreementOf, ...]) -> str:
    body = "".join(
        f'<tr><td class="pg-name">{escape(row.name)}</td><td class="n" data-label="Items">{row.items:,}</td>'
        f'<td class="n" data-label="Votes">{row.votes:,}</td>'
        f'<td class="n" data-label="Same answer">{"–" if row.percent is None else f"{row.percent:.0%}"}</td>'
        f'<td class="n" data-label="Alpha">{"–" if row.alpha is None else f"{row.alpha:.2f}"}</td>'
        f"<td>{escape(row.reading)}</td></tr>"
        for row in rows
    )
    return (
        f'<table class="pg-results pg-board"><thead><tr><th>{title}</th><th class="n">Items</th><th class="n">Votes</th>'
        '<th class="n">Same answer</th><th class="n" title="Krippendorff&#39;s alpha: 1 is perfect, 0 is chance">Alpha</th>'
        f"<th>Reading</th></tr></thead><tbody>{body}</tbody></table>"
    )


def _rater(row: RaterHealth) -> str:
    seconds = "–" if row.seconds is None else f"{row.seconds:.1f}"
    return (
        f'<tr><td class="pg-name">{escape(row.rater)}</td><td class="n" data-label="Votes">{row.votes:,}</td>'
        f'<td class="n" data-label="Left side" title="{_hover(row.left)}">{_share(row.left)}</td>'
        f'<td class="n" data-label="Longer answer" title="{_hover(row.longer)}">{_share(row.longer)}</td>'
        f'<td class="n" data-label="Seconds">{seconds}</td>'
        f'<td class="n" data-label="Agrees" title="{_hover(row.agrees)}">{_share(row.agrees)}</td>'
        f'<td class="n" data-label="Gold" title="{_hover(row.gold)}">{_share(row.gold)}</td><td data-label="What to do">{escape(row.advice) or "Nothing."}</td></tr>'
    )


def _share(share: Share) -> str:
    return "–" if share.value is None else f"{share.value:.0%}"


def _hover(share: Share) -> str:
    if share.low is None or share.high is None:
        return "Nothing to count yet"
    return f"{share.count:,} of {share.total:,}, between {share.low:.0%} and {share.high:.0%}"
