"""Search results as rows that open on click or Enter, and as cards on a phone."""

from __future__ import annotations

import json
from collections.abc import Collection
from html import escape

from components.numbers import age_since, parameters, short_count
from core.catalog import MOST_LOOKED_AT, ModelSummary, SearchPage, SearchQuery
from core.memory import size

# One listener on the component's own element: rows come and go with every search.
ON_LOAD = """
const rows = () => [...element.querySelectorAll('[data-open]')];
const open = (row) => { if (row) trigger('select', JSON.parse(row.dataset.open)); };
const pin = (row) => {
  const button = row.querySelector('[data-pin]');
  if (!button) return;
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', on);
  trigger('like', {...JSON.parse(row.dataset.open), pinned: on});
};
element.addEventListener('click', (e) => {
  const act = e.target.closest('[data-act]');
  if (act) { trigger('input', JSON.parse(act.dataset.act)); return; }
  const row = e.target.closest('[data-open]');
  if (row && e.target.closest('[data-pin]')) pin(row); else open(row);
});
element.addEventListener('keydown', (e) => {
  const row = e.target.closest('[data-open]');
  if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.closest('[data-pin]') && (e.key === 'Enter' || e.key === ' ')) return;
  if (e.key === 'Enter') { e.preventDefault(); open(row); }
  if (e.key === 's') { e.preventDefault(); pin(row); }
  const step = {ArrowDown: 1, ArrowUp: -1}[e.key];
  if (step) { e.preventDefault(); const next = rows()[rows().indexOf(row) + step]; if (next) next.focus(); }
});
// Pages of one answer replace each other: whoever walked through the rows stays where they were.
let standing = null;
element.addEventListener('focusin', (e) => { standing = e.target.closest('[data-open]')?.dataset.open || null; });
element.addEventListener('focusout', (e) => { if (e.relatedTarget) standing = null; });
watch('value', () => {
  if (!standing || (document.activeElement && document.activeElement !== document.body)) return;
  rows().find((row) => row.dataset.open === standing)?.focus({preventScroll: true});
});
"""
# Badges that became exact are put into the rows that are there: nothing else moves.
ON_FILL = """
const fill = () => {
  for (const badge of element.querySelectorAll('[data-for]')) {
    for (const cell of document.querySelectorAll('#results [data-runs]')) {
      if (cell.dataset.runs === badge.dataset.for) cell.innerHTML = badge.innerHTML;
    }
  }
};
watch('value', () => setTimeout(fill, 0));
"""

SKELETON = '<div class="pg-results pg-skeleton" aria-busy="true">' + "<div></div>" * 6 + "</div>"
_NOUNS = {"model": ("model", "models"), "dataset": ("dataset", "datasets"), "space": ("Space", "Spaces")}
CLASS_TONES = {
    "permissive": "good",
    "copyleft": "good",
    "use-restricted": "care",
    "own-terms": "care",
    "non-commercial": "bad",
    "research-only": "bad",
}


def results(page: SearchPage, query: SearchQuery, pinned: Collection[str] = ()) -> str:
    """The results as HTML: a notice if there is one, the rows, and how far the search looked.

    `pinned` are the models of the shortlist as `repo_id@revision`.
    """
    notice = f'<p class="pg-notice">{escape(page.notice)}</p>' if page.notice else ""
    if not page.rows:
        if page.more_coming:
            return f'{notice}{SKELETON}<p class="pg-foot">{escape(count_line(page, query))}</p>'
        return f"{notice}{_nothing(page, query)}"
    model, space = query.kind == "model", query.kind == "space"
    columns = '<th class="n">Parameters</th>' if model else ""
    runs = "<th>Runs here</th>" if model else ""
    downloads = "" if space else '<th class="n">Downloads</th>'
    rows = "".join(_row(row, page, query.kind, pinned) for row in page.rows)
    return (
        f'{notice}<table class="pg-results pg-found"><thead><tr><th class="pg-pin-cell"></th>'
        f"<th>{_NOUNS[query.kind][0].capitalize()}</th><th>{'Built with' if space else 'Task'}</th>"
        f'{columns}<th>Licence</th>{downloads}<th class="n">Likes</th><th class="n">Updated</th>{runs}'
        f"</tr></thead><tbody>{rows}</tbody></table>{_foot(page, query)}"
    )


def count_line(page: SearchPage, query: SearchQuery) -> str:
    """A count that is true: exact when the stream was read to its end, else "more than N" and what was looked at."""
    one, many = _NOUNS[query.kind]
    noun = one if page.found == 1 else many
    if page.hub_reachable is None and not page.more_coming:
        said = f"{page.found:,} {noun} on this machine."
    elif page.hub_reachable is False:
        said = f"{page.found:,} {noun} shown without the Hub."
    elif page.exact and len(page.rows) == page.found:
        said = f"{page.found:,} {noun} found."
    elif page.exact:
        last = page.offset + len(page.rows)
        said = (
            f"{page.offset + 1}–{last} of {page.found:,} {noun} found."
            if page.rows
            else f"{page.found:,} {noun} found."
        )
    elif page.more_coming:
        said = f"Looked at {page.looked_at:,} so far, {page.found:,} match."
    elif len(page.rows) < query.limit or len(page.words) > 1 or query.sort == "params":
        said = f"Looked at {page.looked_at:,}, {page.found:,} match."
    else:
        first = page.offset + 1
        said = (
            f"{first}–{page.offset + len(page.rows)} of more than {page.found:,} {many}. Looked at {page.looked_at:,}."
        )
    if len(page.words) > 1 and page.found:
        whole = f"{page.whole:,} have" if page.whole > 1 else "1 has" if page.whole else "None has"
        said += "" if page.whole == page.found else f" {whole} every word, the others some."
    if query.sort == "params":
        said += " Sorted by size among those looked at."
    if page.adult_left_out:
        said += f" {page.adult_left_out:,} left out as not for all audiences."
    return said


def badge(row: ModelSummary) -> str:
    """Whether the model runs here, in a word and a sign, with the memory sum on hover."""
    about = "" if row.memory_exact else "about "
    memory = f"{about}{size(row.memory_bytes)}" if row.memory_bytes else ""
    note = escape(row.memory_note or "The list does not say how large it is.", quote=True)
    if row.runs_here:
        where = row.runs_on or "here"
        said = f"{where} · {memory}" if memory else where
        return f'<span class="pg-runs pg-yes" title="{note}">{escape(said)}</span>'
    tone = "pg-no" if row.runs_here is False else "pg-open"
    return f'<span class="pg-runs {tone}" title="{note}">{escape(row.why_not or "not known")}</span>'


def license_cell(license_id: str | None, license_class: str | None) -> str:
    """A licence with its class as a colour and a word."""
    kind = license_class or "unknown"
    tone = CLASS_TONES.get(kind, "open")
    named = escape(license_id or "none stated")
    return f'{named} <span class="pg-class pg-class-{tone}">{escape(kind.replace("-", " "))}</span>'


def _row(row: ModelSummary, page: SearchPage, kind: str, pinned: Collection[str]) -> str:
    tags = []
    if row.bundled:
        tags.append('<span class="pg-tag">came with the app</span>')
    elif row.source == "local":
        tags.append('<span class="pg-tag">on this machine</span>')
    if row.gated:
        tags.append('<span class="pg-tag pg-warn">asks for access</span>')
    if len(page.words) > 1 and len(row.matched) < len(page.words):
        missing = ", ".join(word for word in page.words if word not in row.matched)
        tags.append(f'<span class="pg-meta pg-own-line">without “{escape(missing)}”</span>')
    target = escape(json.dumps({"repo_id": row.repo_id, "revision": row.revision or "", "kind": row.kind}), quote=True)
    key = f"{row.repo_id}@{row.revision or ''}"
    cells = [("Built with", escape(row.library or "–"), "")]
    if kind != "space":
        cells = [("Task", escape((row.task or "–").replace("-", " ")), "")]
    if kind == "model":
        cells.append(("Parameters", parameters(row.params), "n"))
    cells.append(("Licence", license_cell(row.license, row.license_class), ""))
    if kind != "space":
        cells.append(("Downloads", short_count(row.downloads), "n"))
    cells += [
        ("Likes", short_count(row.likes), "n"),
        ("Updated", age_since(row.updated), "n"),
    ]
    body = "".join(f'<td class="{kind_}" data-label="{label}">{value}</td>' for label, value, kind_ in cells)
    star = '<td class="pg-pin-cell"></td>'
    if kind == "model":
        on = "true" if key in pinned else "false"
        named = escape(row.repo_id)
        star = (
            f'<td class="pg-pin-cell"><button class="pg-pin" data-pin tabindex="-1" aria-pressed="{on}" '
            f'aria-label="Shortlist {named}" title="Shortlist (s)"></button></td>'
        )
        body += f'<td data-label="Runs here" data-runs="{escape(key, quote=True)}">{badge(row)}</td>'
    name = f'<td class="pg-name"><b>{escape(row.repo_id)}</b> {" ".join(tags)}</td>'
    return f'<tr tabindex="0" aria-label="Open {escape(row.repo_id)}" data-open="{target}">{star}{name}{body}</tr>'


def fills(rows: Collection[ModelSummary]) -> str:
    """Badges that became exact, for the script that puts them into their rows."""
    keyed = ((escape(f"{row.repo_id}@{row.revision}", quote=True), badge(row)) for row in rows)
    return "".join(f'<span data-for="{key}">{shown}</span>' for key, shown in keyed)


def _foot(page: SearchPage, query: SearchQuery) -> str:
    buttons = []
    if page.offset:
        buttons.append(_act("Previous", {"do": "page", "offset": max(0, page.offset - query.limit)}))
    goes_on = not page.exact and page.hub_reachable and len(page.rows) == query.limit
    if not page.more_coming and (page.found > page.offset + len(page.rows) or goes_on):
        buttons.append(_act("Next", {"do": "page", "offset": page.offset + query.limit}))
    if further := _further(page, query):
        buttons.append(further)
    return f'<p class="pg-foot" role="status">{escape(count_line(page, query))} {" ".join(buttons)}</p>'


def _further(page: SearchPage, query: SearchQuery) -> str:
    if page.exact or page.more_coming or not page.hub_reachable or query.look_at >= MOST_LOOKED_AT:
        return ""
    if page.found >= page.offset + query.limit and len(page.words) < 2 and query.sort != "params":
        return ""  # Next goes on.
    return _act("Look further", {"do": "further"})


def _nothing(page: SearchPage, query: SearchQuery) -> str:
    many = _NOUNS[query.kind][1]
    if query.source == "local" or page.hub_reachable is False:
        hint = "Nothing on this machine fits. Take a filter away above, or search everywhere."
    elif query == SearchQuery(limit=query.limit):
        hint = "Nothing is on this machine yet."
    else:
        hint = "Take a filter away above, or use fewer words."
    return (
        f'<div class="pg-empty"><b>No {many} match.</b><p>{escape(count_line(page, query))} {hint}</p>'
        f"<p>{_further(page, query)}</p></div>"
    )


def _act(label: str, what: dict[str, object]) -> str:
    return f'<button class="pg-small" data-act="{escape(json.dumps(what), quote=True)}">{label}</button>'
