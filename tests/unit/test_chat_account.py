"""Conversations of somebody who signed in: kept with the app, there after a restart and in another browser, nobody else's."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from backends.conversations.store import FILE, SqliteConversations
from backends.pins import PinBook
from backends.router import Router
from components.access import OF_ACCOUNT
from core.conversation import Conversation
from pages.chat import ChatPage
from tests.fakes import REF, FakeCatalog, FakeRouter, FakeStore
from tests.scripted_engine import ScriptedChat

ME, YOU = OF_ACCOUNT + "1" * 32, OF_ACCOUNT + "2" * 32


def page(folder: Path, router: Any = None) -> ChatPage:
    return ChatPage(router or FakeRouter(), FakeStore(), "salt", SqliteConversations(folder))


def given(conversation: Conversation, visitor: str = ME, incognito: bool = False) -> tuple[Any, ...]:
    return (conversation, REF, "", 0.7, 0.95, 64, None, None, visitor, incognito, "", None)


def event(act: str, **values: Any) -> gr.EventData:
    return gr.EventData(None, {"act": act, **values})


def talked(made: ChatPage, text: str, conversation: Conversation | None = None, **more: Any) -> Conversation:
    done: Conversation = list(made.send(text, *given(conversation or Conversation(), **more)))[-1].conversation
    return done


def listed(made: ChatPage, words: str = "", visitor: str = ME) -> list[str]:
    update = made.kept.manage(event("search", words=words), *given(Conversation(), visitor))
    return [entry["title"] for entry in json.loads(update.keep).get("entries", [])]


def test_a_conversation_is_there_after_a_restart_and_goes_on(tmp_path: Path) -> None:
    first = talked(page(tmp_path), " q\t")
    made = page(tmp_path)
    assert listed(made) == ["q"]
    back = list(made.kept.open(event("open", id=first.id), *given(Conversation())))[-1].conversation
    assert (back.turns, back.tip) == (first.turns, first.tip)
    # And only what is new is written from then on.
    more = talked(made, "next", back)
    again = list(page(tmp_path).kept.open(event("open", id=first.id), *given(Conversation())))[-1].conversation
    assert again.turns == more.turns


def test_what_a_browser_is_told_holds_no_text_of_it(tmp_path: Path) -> None:
    updates = list(page(tmp_path).send("a secret question", *given(Conversation())))
    told = [update.keep for update in updates if isinstance(update.keep, str)]
    assert told and not any('"turns": [' in one for one in told)


def test_nobody_else_finds_opens_or_deletes_it(tmp_path: Path) -> None:
    made = page(tmp_path)
    mine = talked(made, "mine")
    assert listed(made, visitor=YOU) == []
    with pytest.raises(gr.Error, match="not kept here"):
        list(made.kept.open(event("open", id=mine.id), *given(Conversation(), YOU)))
    made.kept.manage(event("delete", id=mine.id), *given(Conversation(), YOU))
    made.kept.manage(event("rename", id=mine.id, title="stolen"), *given(Conversation(), YOU))
    assert listed(made) == ["mine"]
    # Somebody who has not signed in has nothing here, whatever they send.
    assert listed(made, visitor="a-browser's-own-id") == []


def test_renaming_and_deleting_the_open_one(tmp_path: Path) -> None:
    made = page(tmp_path)
    conversation = talked(made, "cats")
    talked(made, "dogs")
    update = made.kept.manage(event("rename", id=conversation.id, title=" Felines "), *given(conversation))
    assert update.conversation.title == "Felines"
    assert sorted(listed(made)) == ["Felines", "dogs"]
    assert listed(made, "felines") == ["Felines"]
    talked(made, "more", update.conversation)
    assert sorted(listed(made)) == ["Felines", "dogs"]
    gone = made.kept.manage(event("delete", id=conversation.id), *given(conversation))
    assert gone.conversation.turns == ()
    assert listed(made) == ["dogs"]


def test_incognito_writes_nothing_to_the_disk(tmp_path: Path) -> None:
    talked(page(tmp_path), "a secret", incognito=True)
    assert not (tmp_path / FILE).exists()


def test_another_browser_of_mine_sees_the_running_answer_end(tmp_path: Path) -> None:
    steps = threading.Semaphore(1)
    engine = ScriptedChat(["one ", "two"], pace=lambda: steps.acquire() and None)
    router = Router((engine,), catalog=FakeCatalog(), pins=PinBook(tmp_path / "pins.json"), start=REF)  # type: ignore[arg-type]
    made = page(tmp_path, router)
    stream = made.send("go", *given(Conversation()))
    for update in stream:
        if isinstance(update.chatbot, list) and "'one" in str(update.chatbot):
            break
    other = made.kept.open(event("resume", id=None, record=None, reloaded=False), *given(Conversation()))
    shown = [next(other), next(other)]
    assert isinstance(shown[-1].running, str)
    steps.release(5)
    assert [turn.message.content for turn in list(other)[-1].conversation.path()] == ["go", "one two"]
    done = list(stream)[-1].conversation
    # Both pages kept the same answer: it is there once.
    back = list(made.kept.open(event("open", id=done.id), *given(Conversation())))[-1].conversation
    assert [turn.message.content for turn in back.turns] == ["go", "one two"]


def test_two_tabs_of_one_conversation_lose_nothing(tmp_path: Path) -> None:
    made = page(tmp_path)
    base = talked(made, "q")
    talked(made, "from one tab", base)
    talked(made, "from the other", base)
    back = list(page(tmp_path).kept.open(event("open", id=base.id), *given(Conversation())))[-1].conversation
    said = {turn.message.content for turn in back.turns}
    assert {"q", "from one tab", "from the other", "You said: from one tab", "You said: from the other"} <= said


def test_a_full_disk_leaves_the_answer_on_the_screen(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, but long enough to be looked at" * 40)
    assert [turn.message.content for turn in talked(page(tmp_path), "q").path()] == ["q", "You said: q"]
