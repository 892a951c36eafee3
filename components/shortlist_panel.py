"""The shortlist as a person edits it: models with a status and a reason, marked for comparing, taken out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from components.numbers import age_since, parameters
from components.results import license_cell
from core.shortlist import MOST_ENTRIES, STATUSES, Entry

ON_LOAD = """
const act = (what, key, more) => trigger('input', {do: what, key, ...more});
const key = (at) => at.closest('[data-key]')?.dataset.key;
const marked = () => {
  const all = [...element.querySelectorAll('[data-compare]')];
  const chosen = all.filter((box) => box.checked);
  return (chosen.length ? chosen : all).map(key);
};
element.addEventListener('click', (e) => {
  if (e.target.closest('[data-remove]')) act('remove', key(e.target));
  else if (e.target.closest('[data-show]')) trigger('select', {key: key(e.target)});
  else if (e.target.closest('[data-side]')) trigger('submit', {keys: marked()});
});
element.addEventListener('change', (e) => {
  if (e.target.matches('[data-status]')) act('status', key(e.target), {value: e.target.value});
  if (e.target.matches('[data-reason]')) act('reason', key(e.target), {value: e.target.value});
});
// The rows of the search show which models are in the list, whoever put them there.
const stars = () => {
  const here = new Set([...element.querySelectorAll('[data-key]')].map((row) => row.dataset.key));
  for (const row of document.querySelectorAll('#results [data-open]')) {
    const to = JSON.parse(row.dataset.open);
    row.querySelector('[data-pin]')?.setAttribute('aria-pressed', here.has(`${to.repo_id}@${to.revision}`));
  }
};
watch('value', () => setTimeout(stars, 0));
"""


def panel(entries: Sequence[Entry]) -> str:
    """The whole shortlist; where it is empty, how to fill it."""
    if not entries:
        return (
            '<div class="pg-empty"><b>The shortlist is empty.</b><p>Press the star of a row, or <kbd>s</kbd> on it. '
            f"Up to {MOST_ENTRIES} models are kept in this browser, each at its commit.</p></div>"
        )
    rows = "".join(_row(entry) for entry in entries)
    compare = (
        '<button class="pg-small" data-side>Compare side by side</button> <span class="pg-meta">Two to four: those marked, '
        "else the first ones.</span>"
        if len(entries) > 1
        else '<span class="pg-meta">Add another to compare them.</span>'
    )
    return (
        '<table class="pg-results pg-short"><thead><tr><th></th><th>Model</th><th class="n">Parameters</th><th>Licence</th>'
        f"<th>Status</th><th>Reason</th><th>Decided</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="pg-short-actions">{compare}</p>'
    )


def title(entries: Sequence[Entry]) -> str:
    """The line over the shortlist."""
    chosen = sum(entry.status == "chosen" for entry in entries)
    said = f"Shortlist ({len(entries)} of {MOST_ENTRIES})"
    return said + (f", {chosen} chosen" if chosen else "")


def _row(entry: Entry) -> str:
    name = escape(entry.repo_id)
    options = "".join(
        f'<option value="{each}"{" selected" if each == entry.status else ""}>{each}</option>' for each in STATUSES
    )
    by = f"{escape(entry.who)}, " if entry.who else ""
    decided = f"{by}{age_since(entry.when)} ago" if entry.when else "–"
    return (
        f'<tr class="pg-status-{entry.status}" data-key="{escape(entry.key, quote=True)}">'
        f'<td><input type="checkbox" data-compare aria-label="Compare {name}"></td>'
        f'<td class="pg-name"><button class="pg-link" data-show>{name}</button> <code>{escape(entry.revision[:7])}</code></td>'
        f'<td class="n" data-label="Parameters">{parameters(entry.params)}</td>'
        f'<td data-label="Licence">{license_cell(entry.license or None, entry.license_class or None)}</td>'
        f'<td data-label="Status"><select data-status aria-label="Status of {name}">{options}</select></td>'
        f'<td data-label="Reason"><input type="text" data-reason value="{escape(entry.reason, quote=True)}" maxlength="500" '
        f'placeholder="Why" aria-label="Reason for {name}"></td>'
        f'<td class="pg-meta" data-label="Decided">{decided}</td>'
        f'<td><button class="pg-small" data-remove aria-label="Remove {name}">Remove</button></td></tr>'
    )
