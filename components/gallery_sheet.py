"""The gallery's sheet: tiles that open, star and mark, one picture large, and two beside each other."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path

from gradio.utils import get_upload_folder

from components.numbers import age_since, bytes_of
from components.pictures import recipe_table
from core.gallery import GalleryPage, GalleryQuery, KeptPicture

# The value is a list of pieces: gradio sends only the pieces that changed.
TEMPLATE = "${(value || []).join('')}"
# One listener for all tiles: they come and go with every page. The tile changes at once, the server follows.
ON_LOAD = """
const tiles = () => [...element.querySelectorAll('[data-id]')];
const marked = () => tiles().filter((t) => t.querySelector('[data-mark]').checked).map((t) => t.dataset.id);
const told = () => {
  element.querySelector('.pg-tiles')?.classList.toggle('pg-marking', marked().length > 0);
  trigger('input', {shown: tiles().map((t) => t.dataset.id), marked: marked()});
};
const star = (tile) => {
  const button = tile.querySelector('[data-star]');
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', on);
  trigger('like', {id: tile.dataset.id, starred: on});
};
element.addEventListener('click', (e) => {
  const tile = e.target.closest('[data-id]');
  if (!tile) return;
  if (e.target.closest('[data-star]')) star(tile);
  else if (e.target.closest('[data-open]')) trigger('select', {id: tile.dataset.id});
});
element.addEventListener('change', (e) => { if (e.target.matches('[data-mark]')) told(); });
// The page is patched, not made anew: a box keeps what was clicked unless it is told what the server says.
watch('value', () => element.querySelectorAll('[data-mark]').forEach((box) => { box.checked = box.hasAttribute('checked'); }));
element.addEventListener('keydown', (e) => {
  const tile = e.target.closest('[data-id]');
  if (!tile || e.ctrlKey || e.metaKey || e.altKey) return;
  const step = {ArrowRight: 1, ArrowLeft: -1}[e.key];
  if (step) { const next = tiles()[tiles().indexOf(tile) + step]; if (next) next.querySelector('[data-open]').focus(); e.preventDefault(); }
  if (e.key === 's') star(tile);
  if (e.key === 'x') { const box = tile.querySelector('[data-mark]'); box.checked = !box.checked; told(); }
});
"""
_SHOWN_PROMPT = 80


def sheet(page: GalleryPage, query: GalleryQuery, marked: Collection[str]) -> list[str]:
    """The tiles of one page; where there are none, what to do about it."""
    # Without it the page would not be drawn anew where only what was marked by hand has to go.
    fresh = f'<i hidden data-drawn="{secrets.token_hex(4)}"></i>'
    if not page.pictures:
        return [fresh, _nothing(page, query)]
    marking = " pg-marking" if any(kept.id in marked for kept in page.pictures) else ""
    tiles = [_tile(kept, kept.id in marked) for kept in page.pictures]
    return [fresh, f'<div class="pg-tiles{marking}" role="list">', *tiles, "</div>"]


def summary(page: GalleryPage, marked: int) -> str:
    """One line: what is shown, what is kept, how much room is left, and what happens when it is used up."""
    if not page.limit or not page.kept:
        return ""
    shown = f"{page.found:,} found of {page.kept:,}" if page.found != page.kept else f"{_pictures(page.kept)}"
    parts = [shown, f"{page.starred:,} starred", bytes_of(page.size)]
    if page.pages > 1:
        parts.append(f"page {page.page + 1} of {page.pages}")
    if marked:
        parts.insert(0, f"<b>{marked:,} selected</b>")
    left = page.limit - page.kept
    room = (
        f"At most {page.limit:,} are kept: from now on the oldest without a star go first."
        if left <= 0
        else f"At most {page.limit:,} are kept; then the oldest without a star go first."
    )
    warn = " pg-warn-text" if left <= max(1, page.limit // 20) else ""
    return f'<p class="pg-meta" role="status">{" · ".join(parts)}. <span class="{warn.strip()}">{room}</span></p>'


def large(kept: KeptPicture, png: bytes) -> str:
    """One picture as large as there is room, with when and how long; its recipe for screens without a side panel."""
    data = base64.b64encode(png).decode()
    seconds = f" · drawn in {kept.seconds:.1f} s" if kept.seconds is not None else ""
    said = f"{age_since(kept.created_at)} ago · {kept.width} × {kept.height} px · {bytes_of(kept.size)}{seconds}"
    return (
        f'<div class="pg-frame"><img alt="{escape(named(kept), quote=True)}" src="data:image/png;base64,{data}"></div>'
        f'<p class="pg-meta">{said}</p><div class="pg-phone-only">{recipe_table(kept.recipe)}</div>'
    )


def beside(pair: Sequence[tuple[KeptPicture, bytes]]) -> str:
    """Two pictures beside each other, and a table of what differs in their recipes."""
    columns = "".join(
        f'<div class="pg-frame"><img alt="{escape(named(kept), quote=True)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}"></div>'
        for kept, png in pair
    )
    first, second = (told(kept) for kept, _ in pair)
    differs = "".join(
        f"<tr><th>{name}</th><td>{escape(first[name])}</td><td>{escape(second[name])}</td></tr>"
        for name in first
        if first[name] != second[name]
    )
    table = differs or '<tr><td colspan="3">Their recipes are the same.</td></tr>'
    return f'<div class="pg-two">{columns}</div><table class="pg-recipe pg-differs">{table}</table>'


def told(kept: KeptPicture) -> dict[str, str]:
    """A recipe as words, every field there."""
    settings, ref = kept.recipe.settings, kept.recipe.ref
    return {
        "Prompt": settings.prompt,
        "Negative prompt": settings.negative_prompt,
        "Model": f"{ref.repo_id} @ {ref.revision[:7]}" if ref else kept.recipe.model,
        "LoRAs": ", ".join(f"{lora.ref.short} × {lora.weight:g}" for lora in settings.loras),
        "Size": f"{kept.width} × {kept.height}",
        "Steps": _text(settings.steps),
        "Guidance": "" if settings.guidance is None else f"{settings.guidance:g}",
        "Scheduler": settings.scheduler,
        "Seed": _text(settings.seed),
        "Strength": "" if settings.strength is None else f"{settings.strength:g}",
        "State": "stopped" if kept.recipe.finish == "stopped" else "",
    }


def named(kept: KeptPicture) -> str:
    """A picture in words, for those who do not see it."""
    return f"{kept.recipe.settings.prompt or 'Prompt not kept'}, seed {kept.recipe.settings.seed}"


def thumb(kept: KeptPicture) -> str:
    """The small picture inside the page itself: it has no address that anybody could ask for."""
    return f"data:image/webp;base64,{base64.b64encode(kept.thumb).decode()}"


def download_path(name: str) -> Path:
    """A fresh folder under a random name where gradio serves files from, and cleans up after a day."""
    folder = Path(get_upload_folder()) / secrets.token_hex(20)
    folder.mkdir(parents=True, mode=0o700)
    return folder / name


def _tile(kept: KeptPicture, marked: bool) -> str:
    settings = kept.recipe.settings
    prompt = settings.prompt[:_SHOWN_PROMPT] or "Prompt not kept"
    stopped = " · stopped" if kept.recipe.finish == "stopped" else ""
    grid = " · grid" if kept.grid else ""
    name = escape(named(kept), quote=True)
    meta = f"{settings.steps} steps · seed {settings.seed}{stopped}{grid}"
    return (
        f'<div class="pg-tile" role="listitem" data-id="{escape(kept.id, quote=True)}">'
        f'<button type="button" class="pg-shot" data-open aria-label="Open {name}"><img alt="" loading="lazy" src="{thumb(kept)}"></button>'
        f'<input type="checkbox" data-mark aria-label="Select {name}"{" checked" if marked else ""}>'
        f'<button type="button" class="pg-star" data-star aria-label="Star" title="Star" aria-pressed="{str(kept.starred).lower()}"></button>'
        f'<p class="pg-tile-prompt" title="{escape(settings.prompt, quote=True)}">{escape(prompt)}</p><p class="pg-meta">{meta}</p></div>'
    )


def _nothing(page: GalleryPage, query: GalleryQuery) -> str:
    if not page.limit:
        said = "<b>This app keeps no pictures.</b><p>Whoever runs it can set PROVING_GALLERY_LIMIT to keep some.</p>"
    elif not page.kept:
        said = (
            "<b>Every picture you draw is kept here.</b><p>Choose Draw above and draw one. It is found again in this "
            "browser, and nobody else sees it.</p>"
        )
    elif query.starred and not page.starred:
        said = "<b>Nothing is starred yet.</b><p>Star a picture with the ☆ in its corner, or show all.</p>"
    else:
        said = "<b>No picture matches.</b><p>Try fewer words, or leave out “Starred only”.</p>"
    return f'<div class="pg-empty">{said}</div>'


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _text(value: object) -> str:
    return "" if value is None else str(value)
