"""An answer without its Markdown, for battles in which its dress is not to be judged."""

from __future__ import annotations

import re

_MOST_LINE = 4_000
_INLINE = (
    (re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"(\*\*\*|\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)"), r"\1"),
    (re.compile(r"~~(.+?)~~"), r"\1"),
    (re.compile(r"`([^`\n]+)`"), r"\1"),
)
_FENCE = re.compile(r"\s*(```|~~~)")
_RULE = re.compile(r"\s*([-*_])(\s*\1){2,}\s*")
_TABLE_RULE = re.compile(r"\s*\|?(\s*:?-{2,}:?\s*\|)+\s*:?-*:?\s*")
_HEAD = re.compile(r"^\s{0,3}#{1,6}\s+")
_QUOTE = re.compile(r"^\s{0,3}(>\s?)+")
_ITEM = re.compile(r"^(\s*)[-*+]\s+")


def flattened(text: str) -> str:
    """`text` as plain text: headings, emphasis, quotes, fences and links lose their marks; code keeps every character."""
    lines = []
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            lines.append(line)
        elif len(line) > _MOST_LINE:
            # Longer than anybody writes a line, and some patterns look twice at every character.
            lines.append(line)
        elif not (_RULE.fullmatch(line) or _TABLE_RULE.fullmatch(line)):
            line = _ITEM.sub(r"\1- ", _QUOTE.sub("", _HEAD.sub("", line)))
            for pattern, kept in _INLINE:
                line = pattern.sub(kept, line)
            lines.append(line)
    return "\n".join(lines)
