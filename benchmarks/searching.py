"""Search: first rows over the Hub's own reply time, and filtering and sorting twenty thousand summaries here."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from backends.hub.catalog import Catalog
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from core.catalog import ModelSummary, SearchQuery
from core.licenses import CLASS_OF, COMMERCIAL
from core.search_filter import Row, select
from tests.hub_server import HubServer, Slow
from tests.hub_server.wild import wild

_SUMMARIES = 20_000
_DELAY = 0.2
_TIMES = 7
Figure = tuple[str, str, str]


def run() -> Iterator[Figure]:
    """The figures of search, one after the other."""
    yield _first_rows()
    yield _filtering()


def _first_rows() -> Figure:
    """From asking to the first rows, on a Hub of 3,000 models that waits before each reply."""
    with HubServer() as hub, TemporaryDirectory() as empty:
        wild(hub)
        hub.fail_next("GET /api/models", Slow(_DELAY), times=None)
        catalog = Catalog(HubModels(hub.url, False), LocalModels((), Path(empty)), search_seconds=60)
        query = SearchQuery(task="text-generation", license_classes=COMMERCIAL, runs_here=True)
        next(iter(catalog.pages(query)))
        took = []
        for _ in range(_TIMES):
            started = perf_counter()
            next(iter(catalog.pages(query)))
            took.append(perf_counter() - started)
    over = (median(took) - _DELAY) * 1000
    return (
        "First rows on screen",
        f"{median(took) * 1000:.0f} ms",
        f"the Hub's own {_DELAY * 1000:.0f} ms: +{over:.0f} ms",
    )


def _filtering() -> Figure:
    """Two words, a licence class, a size and an order over every summary; the best of several runs."""
    rows = _rows()
    query = SearchQuery(
        "support tickets", license_classes=COMMERCIAL, max_params=3 * 10**9, has_card=True, runs_here=True,
        weights_format="safetensors", sort="downloads",
    )  # fmt: skip
    took = []
    for _ in range(_TIMES):
        started = perf_counter()
        found = select(rows, query)
        took.append(perf_counter() - started)
    return (
        f"Filtering and sorting {_SUMMARIES:,} summaries",
        f"{min(took) * 1000:.0f} ms",
        f"at most 50 ms; {len(found.rows):,} match",
    )


def _rows() -> list[Row]:
    chance, licenses = random.Random(1), list(CLASS_OF)
    rows = []
    for number in range(_SUMMARIES):
        license_id = chance.choice(licenses)
        summary = ModelSummary(
            f"org{number % 50}/m-{number}-{'ticket' if number % 3 == 0 else 'other'}", "a" * 40, "local",
            task="summarization", license=license_id, license_class=CLASS_OF[license_id],
            params=chance.randrange(10**7, 10**10), downloads=chance.randrange(10**6), has_card=True,
            weights_formats=("safetensors",), runs_here=True,
        )  # fmt: skip
        rows.append(Row(summary, ("tag",) * 8))
    return rows
