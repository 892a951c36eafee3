"""Shows a stranger's card: Markdown and HTML sanitised, links at the commit, nothing fetched from elsewhere unasked."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html import escape, unescape
from itertools import pairwise
from typing import TYPE_CHECKING

from components.card_links import ID_PREFIX, Kind, Picture, Place, clean_id, host_of
from components.card_tables import files_table, findings_list, metadata_table

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["COPIES_CODE", "files_table", "findings_list", "metadata_table", "render_card"]

MOST_CHARACTERS = 1_000_000
# Characters that make a Markdown or HTML parser work: their number bounds the time, however they are arranged.
MOST_MARKS = 40_000
_MARKS = {"<": 4, "[": 2, "!": 1, "*": 1, "_": 1, "~": 1, "|": 1, "`": 1, "&": 1, "\n": 2, "#": 1, "\\": 1, ">": 1}
MOST_HTML = 8_000_000

_TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
    ]
)
_ATTRIBUTES = {
    "*": {"id", "dir", "lang", "title", "align"},
    "a": {"href", "name"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start", "reversed"},
    "details": {"open"},
    "col": {"span"},
    "colgroup": {"span"},
}
_VOID_OF_MEANING = {
    "script", "style", "iframe", "object", "embed", "applet", "noscript", "noframes", "noembed", "template", "title",
    "textarea", "select", "option", "xmp", "plaintext", "svg", "math", "audio", "video", "canvas",
}  # fmt: skip
_SHAPES = {
    "width": re.compile(r"\d{1,4}(?:px|%)?"),
    "height": re.compile(r"\d{1,4}(?:px|%)?"),
    "colspan": re.compile(r"\d{1,3}"),
    "rowspan": re.compile(r"\d{1,3}"),
    "span": re.compile(r"\d{1,3}"),
    "start": re.compile(r"-?\d{1,6}"),
    "align": re.compile(r"left|right|center|justify", re.IGNORECASE),
    "dir": re.compile(r"ltr|rtl|auto", re.IGNORECASE),
    "lang": re.compile(r"[A-Za-z0-9-]{1,35}"),
    "scope": re.compile(r"row|col|rowgroup|colgroup", re.IGNORECASE),
}
# Attributes on these would let unclosed ones pile up without bound: a parser opens each again in every later block.
_FORMATTING = re.compile(r"<(b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s/][^>]*", re.IGNORECASE)
_TAG = re.compile(r"<(img|a|/a|table|/table)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')
_SPACES = re.compile(r"\s+")


def render_card(
    markdown: str,
    *,
    repo_id: str,
    revision: str,
    endpoint: str,
    kind: Kind = "model",
    picture: Picture | None = None,
) -> str:
    """The card as HTML that is safe inside our page. Relative addresses mean the repository at `revision`.

    `picture` gives the bytes of a picture in the repository; with it the card's own pictures stand in the page itself.
    """
    place = Place(endpoint, repo_id, revision, kind, picture)
    shown = _cut(markdown)
    html = _sanitised(_rendered(shown), place)
    if len(html) > MOST_HTML:
        html = f"<pre>{escape(shown)}</pre>"
    if len(shown) < len(markdown):
        rest = len(markdown) - len(shown)
        source = escape(f"{place.repository}/blob/{revision}/README.md", quote=True)
        html += (
            f'<p class="pg-notice">The card is too long to show here whole: {rest:,} more characters. '
            f'<a href="{source}" {_AWAY}>Read the rest on the Hub</a>.</p>'
        )
    return f'<div class="pg-card" dir="auto">{html}</div>' if html.strip() else ""


# A copy button on each block of code. It is made in the browser: the sanitised card itself never holds a button.
COPIES_CODE = """
const dress = () => element.querySelectorAll('.pg-card pre').forEach((pre) => {
  if (pre.parentElement.classList.contains('pg-code')) return;
  const box = document.createElement('div');
  const button = document.createElement('button');
  box.className = 'pg-code';
  button.className = 'pg-copy';
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', () => navigator.clipboard?.writeText(pre.innerText).then(() => {
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1200);
  }));
  pre.replaceWith(box);
  box.append(button, pre);
});
new MutationObserver(dress).observe(element, { childList: true, subtree: true });
dress();
"""
_AWAY = 'target="_blank" rel="noopener noreferrer nofollow"'
_HEADING = re.compile(r'<h([1-3])\b[^>]*\bid="([^"]+)"[^>]*>(.*?)</h\1>', re.DOTALL)
MOST_HEADINGS = 80


def outline_of(html: str) -> str:
    """The headings of a rendered card as a folded list of links; nothing for a card with fewer than three."""
    found = _HEADING.findall(html)[:MOST_HEADINGS]
    if len(found) < 3:
        return ""
    items = "".join(
        f'<li class="pg-outline-{level}"><a href="#{id_}">{escape(unescape(_ANY_TAG.sub("", text)).strip()[:120])}</a></li>'
        for level, id_, text in found
    )
    return f'<details class="pg-fold pg-outline"><summary>Outline ({len(found)})</summary><ul>{items}</ul></details>'


_ANY_TAG = re.compile(r"<[^>]*>")


def _cut(markdown: str) -> str:
    """As much of the text as is shown, whole lines where there are any."""
    text = markdown[:MOST_CHARACTERS]
    if _work(text) > MOST_MARKS:
        low, high = 0, len(text)
        while high - low > 1000:
            middle = (low + high) // 2
            low, high = (middle, high) if _work(text[:middle]) <= MOST_MARKS else (low, middle)
        text = text[:low]
    if len(text) == len(markdown):
        return text
    end = text.rfind("\n")
    return text[: end + 1] if end > len(text) // 2 else text


def _work(text: str) -> int:
    return sum(text.count(mark) * weight for mark, weight in _MARKS.items())


def _rendered(markdown: str) -> str:
    parser = _parser()
    tokens = parser.parse(markdown)
    used: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            words = (child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            token.attrSet("id", _slug("".join(words), used))
    return str(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    # 50 ms to import: not while the first page waits.
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable(["table", "strikethrough"])


def _slug(heading: str, used: dict[str, int]) -> str:
    """The fragment authors expect of a heading, as on the Hub: lower case, hyphens for blanks, numbered when repeated."""
    text = re.sub(r"[^\w\s-]", "", heading[:200].lower())
    slug = _SPACES.sub("-", text.strip()) or "section"
    count = used.get(slug, 0)
    used[slug] = count + 1
    return f"{slug}-{count}" if count else slug


def _sanitised(html: str, place: Place) -> str:
    import nh3

    html = _FORMATTING.sub(r"<\1", html)
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=_VOID_OF_MEANING,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute_filter(place),
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    # nh3 writes canonical HTML: quotes double, < and > inside attributes escaped. So every "<" left opens a tag of ours.
    finish = _Finish(place)
    return _TAG.sub(lambda found: finish.tag(found[1], found[2]), clean)


def _attribute_filter(place: Place) -> Callable[[str, str, str], str | None]:
    def keep(tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return place.link(value)
        if name == "src":
            return place.image(value)
        if name in ("id", "name"):
            # Page scripts find elements by id and name: an author's must never be one of the page's own.
            return ID_PREFIX + clean_id(value) if value.strip() else None
        shape = _SHAPES.get(name)
        if shape is None:
            return value[:1000]
        return value if shape.fullmatch(value.strip()) else None

    return keep


class _Finish:
    """Gives the tags of sanitised HTML what our page adds, from the first to the last."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._in_link = False

    def tag(self, name: str, attributes: str) -> str:
        """The tag as the page shows it."""
        if name in ("a", "/a"):
            self._in_link = name == "a"
        values = dict(_ATTRIBUTE.findall(attributes))
        if name == "a":
            return _link(values)
        if name == "img":
            return _image(values, self._place, in_link=self._in_link)
        if name == "table":
            return f'<div class="pg-scroll"><table{_written(values)}>'
        return "</table></div>" if name == "/table" else "</a>"


def _link(values: dict[str, str]) -> str:
    name = values.pop("name", None)
    if name:
        values.setdefault("id", name)
    away = "" if values.get("href", "#").startswith("#") else f" {_AWAY}"
    return f"<a{_written(values)}{away}>"


def _image(values: dict[str, str], place: Place, *, in_link: bool) -> str:
    """An image of the Hub; a link in place of one from anywhere else, which would tell a third party who reads the card."""
    source = unescape(values.get("src", ""))
    if not source:
        return values.get("alt", "")
    if (inside := place.inside(source)) is not None:
        return f"<img{_written({**values, 'src': inside})}>" if inside else escape(unescape(values.get("alt", "")))
    if place.is_here(source):
        return f'<img{_written(values)} loading="lazy" decoding="async" referrerpolicy="no-referrer">'
    about = f": {values['alt']}" if values.get("alt") else ""
    text = f"Image from {escape(host_of(source))} (not loaded){about}"
    if in_link:
        # A badge: the author's own link around it is the one to follow.
        return f'<span class="pg-image-link">{text}</span>'
    return f'<a href="{escape(source, quote=True)}" {_AWAY} class="pg-image-link">{text}</a>'


def _written(values: dict[str, str]) -> str:
    return "".join(f' {name}="{value}"' for name, value in values.items())
