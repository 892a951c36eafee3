"""Search results as rows that open on click or Enter, and as cards on a phone."""

from __future__ import annotations

import json
from html import escape

from components.numbers import age_since, parameters, short_count
from core.catalog import ModelSummary, SearchPage

# One listener on the component's own element: rows come and go with every search.
ON_LOAD = """
const open = (row) => { if (row) trigger('select', JSON.parse(row.dataset.open)); };
element.addEventListener('click', (e) => open(e.target.closest('[data-open]')));
element.addEventListener('keydown', (e) => {
  const row = e.target.closest('[data-open]');
  if (!row) return;
  if (e.key === 'Enter') { e.preventDefault(); open(row); }
  if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
    e.preventDefault();
    const rows = [...element.querySelectorAll('[data-open]')];
    const next = rows[rows.indexOf(row) + (e.key === 'ArrowDown' ? 1 : -1)];
    if (next) next.focus();
  }
});
"""

SKELETON = '<div class="pg-results pg-skeleton" aria-busy="true">' + "<div></div>" * 6 + "</div>"


def results(page: SearchPage, *, filtered: bool) -> str:
    """The results as HTML: a notice if there is one, the rows, and how far the search looked."""
    notice = f'<p class="pg-notice">{escape(page.notice)}</p>' if page.notice else ""
    if not page.rows:
        relax = "Try fewer words, or any task." if filtered else "Nothing is on this machine yet."
        return f'{notice}<div class="pg-empty"><b>No model matches.</b><p>{relax}</p></div>'
    rows = "".join(_row(row) for row in page.rows)
    return (
        f'{notice}<table class="pg-results"><thead><tr><th>Model</th><th>Task</th><th class="n">Parameters</th>'
        '<th>Licence</th><th class="n">Downloads</th><th class="n">Likes</th><th class="n">Updated</th></tr></thead>'
        f'<tbody>{rows}</tbody></table><p class="pg-foot">{escape(count_line(page))}</p>'
    )


def count_line(page: SearchPage) -> str:
    """A count that is true: exact when the stream was read to its end, else "more than N" and what was looked at."""
    found = len(page.rows)
    models = "model" if found == 1 else "models"
    if page.hub_reachable is False:
        return f"{found} {models} on this machine."
    if page.complete:
        return f"{found} {models} found."
    return f"Showing {found} {models} of more. Looked at {page.looked_at:,}."


def _row(row: ModelSummary) -> str:
    here = ' <span class="pg-tag">on this machine</span>' if row.source == "local" else ""
    bundled = ' <span class="pg-tag">came with the app</span>' if row.bundled else ""
    gated = ' <span class="pg-tag pg-warn">asks for access</span>' if row.gated else ""
    licence = escape(row.license or "none stated")
    if row.license_class and row.license_class != "unknown":
        licence += f' <span class="pg-meta">{escape(row.license_class)}</span>'
    target = escape(json.dumps({"repo_id": row.repo_id, "revision": row.revision or ""}), quote=True)
    cells = (
        ("Task", escape(row.task or "–"), ""),
        ("Parameters", parameters(row.params), "n"),
        ("Licence", licence, ""),
        ("Downloads", short_count(row.downloads), "n"),
        ("Likes", short_count(row.likes), "n"),
        ("Updated", age_since(row.updated), "n"),
    )
    body = "".join(f'<td class="{kind}" data-label="{label}">{value}</td>' for label, value, kind in cells)
    name = f'<td class="pg-name"><b>{escape(row.repo_id)}</b>{here if not bundled else ""}{bundled}{gated}</td>'
    return (
        f'<tr tabindex="0" role="button" aria-label="Open {escape(row.repo_id)}" data-open="{target}">{name}{body}</tr>'
    )
