"""Pins survive restarts and broken files, and tell when main has moved."""

from __future__ import annotations

from pathlib import Path

from backends.pins import PinBook, moved
from core.refs import ModelRef

OLD, NEW = ModelRef("org/model", "a" * 40), ModelRef("org/model", "b" * 40)


def test_a_pin_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data" / "pins.json"
    assert PinBook(path).get("org/model") is None
    PinBook(path).put("org/model", OLD)
    PinBook(path).put("org/model@v1", NEW)
    assert PinBook(path).get("org/model") == OLD
    assert PinBook(path).get("org/model@v1") == NEW
    assert [entry.name for entry in path.parent.iterdir()] == ["pins.json"]


def test_a_broken_book_or_entry_is_no_pin(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    for text in ("{", "[]", '{"org/model": 3}', '{"org/model": {"repo_id": "org/model", "revision": "main"}}'):
        path.write_text(text)
        assert PinBook(path).get("org/model") is None
    assert PinBook(path).put("org/model", OLD) == OLD
    assert PinBook(path).get("org/model") == OLD


def test_moved() -> None:
    assert moved(OLD, OLD) is None
    assert moved(OLD, NEW) == NEW.revision
