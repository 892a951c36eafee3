"""What crosses between the process of the page and a GPU worker: it is pickled there, so it has to be plain data."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import pytest


def crossing(engine: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collects what goes into the decorated generator `name` of `engine`, and every batch that comes out."""
    crossed: list[object] = []
    decorated = getattr(engine, name)

    def watched(given: Any):
        crossed.append(given)
        for batch in decorated(given):
            crossed.append(batch)
            yield batch

    monkeypatch.setattr(engine, name, watched)
    return crossed


def check_plain(crossed: list[object]) -> None:
    """Something went each way, all of it comes back equal from its bytes, and no library's own types are among it."""
    assert len(crossed) >= 2
    for thing in crossed:
        data = pickle.dumps(thing)
        assert pickle.loads(data) == thing
        assert b"PIL" not in data and b"torch" not in data[:40]
