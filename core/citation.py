"""How to cite a model: as its author asks, else made from the repository, its commit and its date."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.catalog import ModelCard

_START = re.compile(r"@(article|inproceedings|misc|techreport|book|software|online|phdthesis|mastersthesis|proceedings|inbook|incollection|unpublished|conference|manual)\s*\{", re.IGNORECASE)  # fmt: skip
MOST_CHARACTERS = 4000
_ODD = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Citation:
    """BibTeX; `stated` when the author wrote it."""

    bibtex: str
    stated: bool


def citation_of(card: ModelCard, endpoint: str) -> Citation:
    """The author's own BibTeX where the card has some, else an entry for exactly this commit."""
    if found := _stated(card.markdown):
        return Citation(found, True)
    owner, _, name = card.repo_id.rpartition("/")
    year = (card.record.updated or card.record.created or "")[:4]
    lines = [
        f"@misc{{{_ODD.sub('_', card.repo_id).strip('_').lower()}_{card.revision[:7]},",
        f"  title = {{{name}}},",
        f"  author = {{{owner or name}}},",
        f"  year = {{{year}}}," if year.isdigit() else "",
        f"  howpublished = {{\\url{{{endpoint}/{card.repo_id}/tree/{card.revision}}}}},",
        f"  note = {{Commit {card.revision}}}",
        "}",
    ]
    return Citation("\n".join(line for line in lines if line), False)


def _stated(markdown: str) -> str | None:
    """The first BibTeX entry of a text, to the brace that closes it."""
    start = _START.search(markdown)
    if start is None:
        return None
    depth = 0
    for at in range(start.end() - 1, min(len(markdown), start.start() + MOST_CHARACTERS)):
        depth += {"{": 1, "}": -1}.get(markdown[at], 0)
        if depth == 0:
            return markdown[start.start() : at + 1]
    return None
