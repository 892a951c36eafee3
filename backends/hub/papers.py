"""A paper as the Hub's page of it tells: title, authors, abstract, and the repositories that name it."""

from __future__ import annotations

from time import monotonic
from urllib.parse import quote

from backends.hub.errors import About
from backends.hub.rows import mapping_of, row_of, text_of
from backends.hub.session import HubSession
from core.catalog import Kind
from core.errors import HubError, HubUnreachable, ModelNotFound
from core.repo_cards import Linked, Paper

MOST_AUTHORS = 40
MOST_ABSTRACT = 6000
MOST_LINKED = 12
_LISTS: tuple[tuple[str, Kind], ...] = (
    ("linkedModels", "model"),
    ("linkedDatasets", "dataset"),
    ("linkedSpaces", "space"),
)


def paper(session: HubSession, number: str, seconds: float) -> Paper:
    """The paper with this arXiv number, in one request; one that the Hub has no page of says so."""
    about = About(session.endpoint, f"papers/{number}")
    try:
        data = session.get_json(
            f"/api/papers/{quote(number, safe='')}", (), about=about, until=monotonic() + seconds
        ).data
    except ModelNotFound:
        return Paper(number, problem="The Hub has no page of this paper. Its text is on arXiv.")
    except HubUnreachable:
        raise
    except HubError as error:
        return Paper(number, problem=str(error))
    found = mapping_of(data) or {}
    inner = {**(mapping_of(found.get("paper")) or {}), **found}
    raw = inner.get("authors")
    names = [text_of((mapping_of(each) or {}).get("name")) for each in raw] if isinstance(raw, list) else []
    return Paper(
        number,
        " ".join((text_of(inner.get("title")) or "").split())[:500],
        tuple(name[:120] for name in names if name)[:MOST_AUTHORS],
        (text_of(inner.get("summary")) or "")[:MOST_ABSTRACT],
        text_of(inner.get("publishedAt")),
        tuple(each for key, kind in _LISTS for each in _linked(inner.get(key), kind)),
        _count(inner.get("numTotalModels")),
        _count(inner.get("numTotalDatasets")),
    )


def _linked(rows: object, kind: Kind) -> list[Linked]:
    read = [row_of(raw, kind) for raw in rows[:MOST_LINKED]] if isinstance(rows, list) else []
    return [Linked(row.summary.repo_id, kind, row.summary.downloads, row.summary.likes) for row in read if row]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
