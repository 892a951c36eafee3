"""What is known here of a contender's model beside the votes: its size, and its price. Asks nobody far away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from core.catalog import MOST_ROWS, SearchPage, SearchQuery
from core.evidence import Facts

FRESH_SECONDS = 60.0


class LocalFacts:
    """Parameters and memory from the catalogue of this machine, listed at most once a minute; the operator's prices."""

    def __init__(self, search: Callable[[SearchQuery], SearchPage], prices: Mapping[str, str] | None = None) -> None:
        self._search, self._prices = search, dict(prices or {})
        self._known: dict[tuple[str, str | None], Facts] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def __call__(self, model: str, revision: str | None) -> Facts:
        """Facts of exactly that commit; of any commit here when several were merged."""
        with self._lock:
            if time.monotonic() > self._until:
                self._known = self._listed()
                self._until = time.monotonic() + FRESH_SECONDS
            known = self._known.get((model, revision))
        # What runs on this machine has no price, whatever the same model costs elsewhere.
        return known if known is not None else Facts(price=self._prices.get(model))

    def _listed(self) -> dict[tuple[str, str | None], Facts]:
        known: dict[tuple[str, str | None], Facts] = {}
        for row in self._search(SearchQuery(source="local", limit=MOST_ROWS)).rows:
            facts = Facts(parameters=row.params, memory_bytes=row.memory_bytes)
            known[row.repo_id, row.revision] = facts
            known.setdefault((row.repo_id, None), facts)
        return known
