"""The nine sections of a model card, as Hugging Face's card guide names them, found in an author's Markdown by its headings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["present", "thin", "absent", "unread"]

TITLES: Mapping[str, str] = {
    "summary": "Summary",
    "details": "Model details",
    "uses": "Intended use and limits",
    "how": "How to use",
    "data": "Training data",
    "procedure": "Training procedure",
    "evaluation": "Evaluation",
    "environment": "Environmental impact",
    "citation": "Citation",
    "bias": "Bias and ethics",
}
NINE = tuple(name for name in TITLES if name != "bias")
# Tried in this order: "training data" before "training", "how to cite" before "how to use".
_HEADINGS: tuple[tuple[str, str], ...] = (
    ("citation", r"\bcit(?:e|ation|ing)\b|bibtex"),
    ("environment", r"environment|carbon|co2|emission|energy"),
    ("bias", r"\bbias|ethic|fairness|\brisks?\b|responsib|societal|safety"),
    ("data", r"(?:training|pre-?training|fine-?tuning) (?:data|corp)|\bdata(?:sets?)?\b|corpus|corpora"),
    ("evaluation", r"evaluat|benchmark|\bresults?\b|metrics?\b|performance"),
    ("how", r"how to|quick ?start|get(?:ting)? started|usage$|example|inference|install|^use$|demo"),
    ("uses", r"intended|\buses$|use cases?|direct use|out[- ]of[- ]scope|limit|what it is for|\busages? and"),
    ("procedure", r"train|fine-?tun|hyper-?param|procedure|how it was made|recipe|where these weights"),
    (
        "how",
        r"how to|usage|\buse\b|using|quick ?start|get(?:ting)? started|example|inference|\brun(?:ning)?\b|install|demo",
    ),
    (
        "details",
        r"details?|description|specification|architect|technical|model (?:info|overview|sources)|what it draws",
    ),
    ("summary", r"summary|overview|introduc|about|tl;?dr|highlights"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _HEADINGS)
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.{1,300}?)[ \t]*#*\s*$")
_HTML = re.compile(r"\s*<h([1-6])[^>]{0,200}>(.{1,300}?)</h\1>", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_PLACEHOLDER = re.compile(r"\[?more information needed\]?|\[optional\]|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[^\W_]{2,}")
# A section with fewer words says less than a sentence or two can.
_ENOUGH = {"how": 6, "citation": 3, "environment": 6}
_ENOUGH_WORDS = 15
MOST_LINES = 60_000


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the card, "unread" where the text was not. `heading` is the author's own, "" when it stands under none; `words` without code."""

    id: str
    title: str
    state: State
    words: int
    heading: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    level: int
    heading: str
    text: str
    code: str


def sections_of(markdown: str, metadata: Mapping[str, object]) -> tuple[Section, ...]:
    """The nine sections, and bias and ethics as the tenth, each present, thin or absent."""
    parts = _parts(markdown)
    found: dict[str, list[_Part]] = {name: [] for name in TITLES}
    current: list[tuple[int, str]] = []
    for position, part in enumerate(parts):
        while current and current[-1][0] >= part.level:
            current.pop()
        name = _named(part.heading)
        if name is None and (position == 0 or (position == 1 and part.level == 1 and not parts[0].text.strip())):
            name = "summary"
        if name is None and current:
            name = current[-1][1]
        if name is not None:
            found[name].append(part)
            current.append((part.level, name))
    return tuple(_section(name, found[name], metadata) for name in TITLES)


def code_of(markdown: str) -> str:
    """Everything in fenced or indented code."""
    indented = "\n".join(line for line in markdown.splitlines()[:MOST_LINES] if line.startswith(("    ", "\t")))
    return "\n".join(part.code for part in _parts(markdown)) + "\n" + indented


def _section(name: str, parts: list[_Part], metadata: Mapping[str, object]) -> Section:
    text = _PLACEHOLDER.sub(" ", "\n".join(part.text for part in parts))
    code = "\n".join(part.code for part in parts)
    words = len(_WORD.findall(text)) + (len(_WORD.findall(code)) if name in ("how", "citation") else 0)
    if name == "environment" and metadata.get("co2_eq_emissions"):
        words += _ENOUGH["environment"]
    heading = next((part.heading for part in parts if part.heading), "")
    enough = words >= _ENOUGH.get(name, _ENOUGH_WORDS)
    state: State = "present" if enough else "thin" if words or heading else "absent"
    return Section(name, TITLES[name], state, words, heading, text[:20_000])


def _named(heading: str) -> str | None:
    return next((name for name, pattern in _PATTERNS if pattern.search(heading)), None)


def _parts(markdown: str) -> list[_Part]:
    parts: list[_Part] = []
    level, heading = 1, ""
    text: list[str] = []
    code: list[str] = []
    fence = ""
    lines = markdown.splitlines()[:MOST_LINES]
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
            continue
        if fence:
            code.append(line)
            continue
        title = _heading(line, lines[number + 1] if number + 1 < len(lines) else "")
        if title:
            parts.append(_Part(level, heading, "\n".join(text), "\n".join(code)))
            level, heading = title
            text, code = [], []
        else:
            text.append(line)
    parts.append(_Part(level, heading, "\n".join(text), "\n".join(code)))
    return parts


def _heading(line: str, below: str) -> tuple[int, str] | None:
    if len(line) > 1000:
        return None
    if found := _ATX.match(line):
        return len(found[1]), found[2]
    if found := _HTML.match(line):
        return int(found[1]), re.sub(r"<[^>]{0,200}>", "", found[2])
    if line.strip() and "|" not in line and len(line) < 200 and re.fullmatch(r" {0,3}(=+|-{3,})\s*", below):
        return (1 if "=" in below else 2), line.strip()
    return None
