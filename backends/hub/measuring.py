"""Counts the memory of rows on screen exactly: config.json of each, four at a time, kept by commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic

from backends.hub.deadline import start
from backends.hub.lists import never
from backends.hub.searching import Places
from core.catalog import ModelSummary
from core.errors import HubError, HubUnreachable, RateLimited
from core.machine import assessed

AT_ONCE = 4


def measured(
    places: Places, summaries: Sequence[ModelSummary], cancelled: Callable[[], bool] = never
) -> Iterator[ModelSummary]:
    """Those of the models whose memory was "about", with their cache counted, as their configs become known.

    What the Hub does not hand out stays as it is; an unreachable Hub ends it.
    """
    machine = places.machine()
    todo = [
        each for each in summaries if each.memory_bytes and not each.memory_exact and each.revision and not each.gated
    ]
    for first in range(0, len(todo), AT_ONCE):
        if cancelled() or places.circuit.reason:
            return
        group = todo[first : first + AT_ONCE]
        until = monotonic() + places.seconds
        try:
            pending = [start(partial(_config, places, summary, until), until) for summary in group]
        except HubUnreachable:
            return
        for summary, asked in zip(group, pending, strict=True):
            try:
                config = asked.result(until)
            except (HubUnreachable, RateLimited):
                return
            except HubError:
                continue  # Of this one repository; its badge goes on saying "about".
            if config:
                exact = assessed(summary, machine, config)
                if exact.memory_exact:
                    yield exact


def _config(places: Places, summary: ModelSummary, until: float) -> Mapping[str, object] | None:
    key = f"config {summary.repo_id}@{summary.revision}"
    known = places.kept.get(key) if places.kept else None
    if known:
        return known[0] if isinstance(known[0], dict) else None
    config = places.hub.config(summary.repo_id, summary.revision or "", until)
    if places.kept:
        places.kept.put(key, config)
    return config
