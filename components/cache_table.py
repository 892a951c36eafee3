"""The cache of this machine as a table, and what goes when some of it is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from components.numbers import age_since, bytes_of
from core.cached import CachedRevision, Freed

ON_LOAD = """
const marked = () => [...element.querySelectorAll('[data-mark]:checked')].map((box) => box.value);
element.addEventListener('change', (e) => { if (e.target.matches('[data-mark]')) trigger('input', {keys: marked()}); });
"""


def cache_table(revisions: Sequence[CachedRevision]) -> str:
    """One line for each revision; what the app itself uses cannot be marked."""
    if not revisions:
        return '<div class="pg-empty"><b>The cache is empty.</b><p>Models you use are kept there.</p></div>'
    rows = "".join(_row(each) for each in revisions)
    return (
        '<table class="pg-results pg-short"><thead><tr><th></th><th>Repository</th><th>Kind</th><th class="n">Size</th>'
        '<th class="n">Frees</th><th class="n">Files</th><th class="n">Last used</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def about_to_free(freed: Freed) -> str:
    """Exactly what goes, before it goes, with the button that does it."""
    if not freed.revisions:
        return '<p class="pg-foot">Mark revisions to see how much room they leave.</p>'
    named = "".join(
        f"<li>{escape(each.repo_id)} <code>{escape(each.revision[:7])}</code>, {each.files} files, {bytes_of(each.size)}</li>"
        for each in freed.revisions
    )
    goes = "This revision goes" if len(freed.revisions) == 1 else f"These {len(freed.revisions)} revisions go"
    return (
        f'<div class="pg-notice"><b>{goes}, and {bytes_of(freed.size)} become free.</b> They can be downloaded again.'
        f'<ul class="pg-notes">{named}</ul><button class="pg-small" data-free>Free the space</button></div>'
    )


def freed_line(freed: Freed) -> str:
    """What was deleted."""
    count = len(freed.revisions)
    return f'<p class="pg-foot" role="status">Deleted {count} {"revision" if count == 1 else "revisions"}: {bytes_of(freed.size)} are free again.</p>'


def _row(each: CachedRevision) -> str:
    key = escape(each.key, quote=True)
    box = (
        '<span class="pg-meta" title="The app uses it now">in use</span>'
        if each.in_use
        else f'<input type="checkbox" data-mark value="{key}" aria-label="Mark {key}">'
    )
    refs = f' <span class="pg-tag">{escape(", ".join(each.refs))}</span>' if each.refs else ""
    return (
        f'<tr><td>{box}</td><td class="pg-name"><b>{escape(each.repo_id)}</b> <code>{escape(each.revision[:7])}</code>{refs}</td>'
        f'<td data-label="Kind">{escape(each.kind)}</td><td class="n" data-label="Size">{bytes_of(each.size)}</td>'
        f'<td class="n" data-label="Frees">{bytes_of(each.frees)}</td><td class="n" data-label="Files">{each.files}</td>'
        f'<td class="n" data-label="Last used">{age_since(each.used)}</td></tr>'
    )
