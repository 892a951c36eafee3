"""Conversations in SQLite: whole after a restart, one visitor's only, and two tabs that write at the same time."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from backends.conversations.store import FILE, MOST_KEPT, SqliteConversations
from core.chat import GenerationSettings, Reply
from core.conversation import Conversation
from core.conversations import Change
from core.errors import ConversationError, UserInputError
from core.refs import ModelRef
from core.transcripts import change_of, conversation_of, head_of

ME, YOU = "owner-one", "owner-two"
SECRET = "salt"


def reply(text: str, name: str) -> Reply:
    return Reply(
        name, text, ModelRef("org/m", "c" * 40), GenerationSettings(seed=1), "CPU", "f32", "plain", "stop", None
    )


def kept(store: SqliteConversations, made: Conversation, before: Conversation | None = None, owner: str = ME) -> None:
    store.keep(owner, change_of(made, before or Conversation(), SECRET))


def read(store: SqliteConversations, which: str, owner: str = ME) -> Conversation:
    return conversation_of(store.read(owner, which), SECRET)


def test_a_conversation_survives_a_restart_with_every_branch(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    first = Conversation("  s\t").ask(" q\r\n").answer(reply("a", "a1"))
    kept(store, first)
    more = first.back_to_question().answer(reply("b", "a2"))
    kept(store, more, first)
    store.close()
    back = read(SqliteConversations(tmp_path), more.id)
    assert (back.turns, back.tip, back.system) == (more.turns, more.tip, more.system)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_nothing_is_made_before_anybody_keeps_anything(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    assert store.list(ME) == ()
    assert store.latest(ME) is None
    assert not (tmp_path / FILE).exists()


def test_two_tabs_keep_what_both_said(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    base = Conversation().ask("q").answer(reply("a", "a1"))
    kept(store, base)
    one, two = base.ask("from one"), base.ask("from two")
    both = [threading.Thread(target=kept, args=(store, made, base)) for made in (one, two)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    said = {turn.message.content for turn in read(store, base.id).turns}
    assert said == {"q", "a", "from one", "from two"}


def test_conversations_are_found_renamed_and_deleted_by_their_owner_alone(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    mine = Conversation().ask("About cats, 100%").answer(reply("They purr", "a1"))
    other = Conversation().ask("About dogs").answer(reply("They bark", "a2"))
    kept(store, mine)
    kept(store, other)
    kept(store, Conversation().ask("Somebody else's cats"), owner=YOU)
    assert [head.title for head in store.list(ME)] == ["About dogs", "About cats, 100%"]
    assert [head.id for head in store.list(ME, "cats PURR")] == [mine.id]
    assert [head.id for head in store.list(ME, "100%")] == [mine.id]
    assert store.list(ME, "_ats") == ()
    store.rename(YOU, mine.id, "stolen")
    assert not store.delete(YOU, mine.id)
    with pytest.raises(UserInputError, match="not kept here"):
        store.read(YOU, mine.id)
    store.rename(ME, mine.id, "  My   cats ")
    assert store.list(ME, "my cats")[0].title == "My cats"
    # A title that somebody gave stays when the conversation goes on.
    kept(store, mine.ask("more"), mine)
    assert store.read(ME, mine.id)["title"] == "My cats"
    assert read(store, mine.id).title == "My cats"
    with pytest.raises(UserInputError, match="needs a title"):
        store.rename(ME, mine.id, "  ")
    assert store.delete(ME, mine.id)
    assert [head.id for head in store.list(ME)] == [other.id]
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("SELECT count(*) FROM turns WHERE content LIKE '%purr%'").fetchone() == (0,)


def test_the_one_with_an_answer_on_its_way_is_found(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    made = Conversation().ask("q")
    store.keep(ME, change_of(made, Conversation(), SECRET, running="run-1"))
    assert store.latest(ME) == made.id
    assert store.read(ME, made.id)["running"] == "run-1"
    kept(store, made.answer(reply("a", "a1")), made)
    assert store.latest(ME) is None


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.conversations.store.MOST_KEPT", 2)
    store = SqliteConversations(tmp_path)
    for number in range(4):
        kept(store, Conversation().ask(f"q{number}"))
    assert [head.title for head in store.list(ME)] == ["q3", "q2"]
    assert MOST_KEPT >= 1000


def test_a_damaged_or_newer_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, but long enough to be looked at" * 40)
    with pytest.raises(ConversationError, match="Move it away"):
        kept(SqliteConversations(tmp_path), Conversation().ask("q"))
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConversationError, match="newer version"):
        kept(SqliteConversations(newer), Conversation().ask("q"))


def test_a_change_that_cannot_be_kept_whole_is_not_kept_at_all(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path)
    made = Conversation().ask("q")
    broken = Change(made.id, head_of(made), ({"id": "a", "content": None},))
    with pytest.raises(ConversationError):
        store.keep(ME, broken)
    assert store.list(ME) == ()
