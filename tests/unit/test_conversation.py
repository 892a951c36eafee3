"""The transcript of record: a tree, exact to the byte."""

from __future__ import annotations

import copy

import pytest

from core.chat import GenerationSettings, Message, Reply
from core.conversation import Conversation
from core.errors import UserInputError
from core.refs import ModelRef

REF = ModelRef("org/model", "a" * 40)
EXACT = "  \tfirst\n\n    code\tstays  \n🙂\n"


def reply(text: str, name: str = "r1") -> Reply:
    return Reply(name, text, REF, GenerationSettings(seed=1), "CPU", "float32", "plain", "stop", None)


def test_what_was_written_comes_back_byte_for_byte() -> None:
    conversation = Conversation(system=EXACT).ask(EXACT).answer(reply(EXACT))
    assert conversation.messages() == (
        Message("system", EXACT),
        Message("user", EXACT),
        Message("assistant", EXACT),
    )


def test_regenerating_keeps_both_answers_under_one_question() -> None:
    first = Conversation().ask("q").answer(reply("one", "r1"))
    second = first.back_to_question().answer(reply("two", "r2"))
    assert [turn.message.content for turn in second.path()] == ["q", "two"]
    assert [turn.message.content for turn in second.siblings("r2")] == ["one", "two"]
    assert second.prompt_of("r1") == second.prompt_of("r2")


def test_editing_the_last_message_branches_and_loses_nothing() -> None:
    talked = Conversation().ask("q1").answer(reply("a1", "r1")).ask("q2").answer(reply("a2", "r2"))
    edited = talked.edit_last("q2 better")
    assert [turn.message.content for turn in edited.path()] == ["q1", "a1", "q2 better"]
    assert {turn.message.content for turn in edited.turns} >= {"q2", "a2"}


def test_a_stale_click_is_refused_with_a_sentence() -> None:
    with pytest.raises(UserInputError, match="no longer part"):
        Conversation().turn("gone")
    with pytest.raises(UserInputError, match="nothing to answer"):
        Conversation().back_to_question()


def test_it_lives_in_gradio_state() -> None:
    """gr.State deep-copies and hashes its value; a lock inside would break both."""
    conversation = Conversation().ask("q").answer(reply("a"))
    assert copy.deepcopy(conversation) == conversation
    assert hash(conversation) == hash(copy.deepcopy(conversation))


def test_thumbs_are_set_changed_and_cleared() -> None:
    conversation = Conversation().ask("q").answer(reply("a", "r1"))
    up = conversation.rated("r1", "row-1", True)
    assert up.turn("r1").label is True
    assert up.rated("r1", None, None).turn("r1").rating_id is None


def test_an_answer_keeps_the_system_prompt_it_was_made_under() -> None:
    asked = Conversation(system="old").ask("q")
    changed = asked.answer(reply("a", "r1")).with_system("new")
    assert changed.prompt_of("r1")[0] == Message("system", "old")
    assert changed.ask("next").messages()[0] == Message("system", "new")


def test_a_branch_joins_without_taking_what_was_said_since() -> None:
    before = Conversation().ask("q").answer(reply("a", "r1"))
    branch = before.ask("compared").answer(reply("b", "r2"))
    assert before.joined(branch, "r1").path() == branch.path()
    since = before.ask("meanwhile").answer(reply("c", "r3"))
    both = since.joined(branch, "r1")
    assert both.path() == since.path()
    assert both.turn("r2").message.content == "b"
    assert Conversation().joined(branch, "r1") == Conversation()
