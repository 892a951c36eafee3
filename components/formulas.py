"""Formulas between single dollars, as many models write them, in the marks that the Chatbot takes for a formula. Money stays money."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

# What opens and closes code: in a line as many backticks as before, around lines a fence.
_TICKS = re.compile(r"`+|^ {0,3}~{3,}", re.MULTILINE)
# A pair of dollars on one line. Pandoc's rule: no space inside the marks, no digit behind the last one.
_FORMULA = re.compile(r"\$\$[\s\S]*?(?:\$\$|\Z)|(?<![\\$\w])\$(?P<formula>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\d$])")
# A formula says that it is one: a command, an index, a power, a relation, or a letter alone.
_SIGN = re.compile(r"[\\^_=<>{}]|^[A-Za-z](?:'|\d)?$|[A-Za-z]\s*[-+*/]\s*\w|\w\s*[-+*/]\s*[A-Za-z]$")


def with_formulas(text: str) -> str:
    """`text` for the screen with `$x$` as `\\(x\\)`; in code, and where two dollars are two prices, nothing is changed."""
    if "$" not in text:
        return text
    return "".join(piece if code else _FORMULA.sub(_marked, piece) for code, piece in _pieces(text))


def _marked(found: re.Match[str]) -> str:
    formula = found["formula"]
    return f"\\({formula}\\)" if formula is not None and _SIGN.search(formula) else found[0]


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """The text in its order, each piece with whether it is code. In one pass: what a model writes may be anything."""
    marks = [(found.start(), found.end(), found[0].strip()) for found in _TICKS.finditer(text)]
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, (_, _, mark) in enumerate(marks):
        places[mark].append(number)
    at = number = 0
    while number < len(marks):
        start, _, mark = marks[number]
        same = places[mark]
        closing = bisect_right(same, number)
        if closing == len(same) and not _is_fence(text, start, mark):
            # A backtick that nothing closes is a character like others.
            number += 1
            continue
        end = marks[same[closing]][1] if closing < len(same) else len(text)
        yield False, text[at:start]
        yield True, text[start:end]
        at = end
        number = same[closing] + 1 if closing < len(same) else len(marks)
    yield False, text[at:]


def _is_fence(text: str, start: int, mark: str) -> bool:
    line = text.rfind("\n", max(0, start - 4), start) + 1 or max(0, start - 4)
    return len(mark) >= 3 and not text[line:start].strip() and (line == 0 or text[line - 1] == "\n")
