"""What is seen of an answer while it is written: its figures, now and then, in a conversation and never in a battle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.pins import PinBook
from backends.router import Router
from components.progress import writing_line
from core.chat import SoFar
from core.conversation import Conversation
from pages import chat_stream
from pages.battle import BattlePage
from pages.chat import ChatPage, Update
from tests.fakes import REF, FakeCatalog, FakeStore
from tests.scripted_engine import CONTEXT, ScriptedChat

SETTINGS = (0.7, 0.95, 64, None)


class OneByOne:
    """Lets an engine make a piece only when the one before is on the screen."""

    def __init__(self) -> None:
        self.turn = threading.Semaphore(1)

    def pace(self) -> None:
        assert self.turn.acquire(timeout=60)


def router(folder: Path, pieces: list[str], pace: Callable[[], None] = lambda: None) -> Router:
    engine = ScriptedChat(pieces, pace=pace)
    return Router((engine,), catalog=FakeCatalog(), pins=PinBook(folder / "pins.json"), start=REF)  # type: ignore[arg-type]


def written(folder: Path, pieces: list[str], limit: int = 64) -> list[Update]:
    """Every update of one answer, each piece in a message of its own."""
    steps = OneByOne()
    made = ChatPage(router(folder, pieces, steps.pace), FakeStore(), "salt")
    updates = []
    for update in made.send("two words", Conversation(), REF, "", 0.7, 0.95, limit, None):
        updates.append(update)
        if "piece" in str(update.chatbot):
            steps.turn.release()
    return updates


def live(updates: list[Update]) -> list[str]:
    return [update.status for update in updates if isinstance(update.status, str) and "pg-live" in update.status]


def test_an_answer_is_seen_in_figures_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_stream, "FIGURES_SECONDS", 0.0)
    lines = live(written(tmp_path, [f"piece{n} " for n in range(6)]))
    assert len(lines) > 2
    assert "1 token · first 0.0" in lines[0]
    assert f"context 3 of {CONTEXT:,}" in lines[0]
    assert "tokens/s" in lines[-1]


def test_the_figures_take_no_message_of_their_own_and_change_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_stream, "FIGURES_SECONDS", 3600.0)
    updates = written(tmp_path, [f"piece{n} " for n in range(6)])
    assert len(live(updates)) == 1
    # Whoever sends a figure sends words with it.
    assert all("piece" in str(update.chatbot) for update in updates if "pg-live" in str(update.status))


def test_a_host_that_does_not_count_is_not_said_to(tmp_path: Path) -> None:
    line = writing_line(SoFar(3, 0.5, 1.5), 2048)
    assert "3 pieces · 2.0 pieces/s · first 0.50 s" in line
    assert "context" not in line and "token" not in line


def test_a_cut_answer_says_why_and_what_goes_on(tmp_path: Path) -> None:
    last = written(tmp_path, [f"piece{n} " for n in range(6)], limit=2)[-1]
    assert last.status == "Cut at max new tokens. Continue goes on with it."
    assert ">Continue</button>" in last.desk
    assert "cut at max new tokens" in str(last.chatbot.value)


def test_a_battle_shows_no_figure_before_the_vote(tmp_path: Path) -> None:
    page = BattlePage(router(tmp_path, ["one ", "two ", "three "] * 20), FakeStore(), "salt", ())
    bouts: list[Any] = list(page.compare("q", Conversation(), REF))
    assert len(bouts) > 3
    for bout in bouts:
        assert not any(word in str(list(bout)) for word in ("pg-live", "token", "context", "first 0"))
