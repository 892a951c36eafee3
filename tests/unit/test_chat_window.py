"""A long conversation on the screen: its newest questions, the earlier ones when asked for, and clicks that find their turn."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from components.transcript import (
    QUESTIONS,
    earlier_line,
    first_shown,
    shown_messages,
    thumbs,
    turn_at,
    with_earlier,
)
from core.chat import Message
from core.conversation import Conversation, Turn
from core.transcripts import conversation_of, record_of
from pages.chat import ChatPage, Update
from tests.fakes import REF, FakeRouter, FakeStore
from tests.unit.test_chat_tree import acted, event, given, sent


def long(questions: int) -> Conversation:
    """So many questions with their answers, each answer said twice."""
    turns: list[Turn] = []
    tip = None
    for number in range(questions):
        turns.append(Turn(f"q{number}", tip, Message("user", f"question {number}")))
        turns.append(Turn(f"b{number}", f"q{number}", Message("assistant", f"beside {number}")))
        tip = f"a{number}"
        turns.append(Turn(tip, f"q{number}", Message("assistant", f"answer {number}")))
    return Conversation(turns=tuple(turns), tip=tip, id="long")


def words(messages: Any) -> list[str]:
    """The texts on the screen, without what stands under them."""
    value = messages.value if isinstance(messages, gr.Chatbot) else messages
    return [message["content"][0]["text"] for message in value]


def everything_earlier(conversation: Conversation) -> Conversation:
    while first_shown(conversation):
        before = first_shown(conversation)
        conversation = with_earlier(conversation)
        assert first_shown(conversation) < before
    return conversation


@pytest.mark.parametrize("questions", [1, QUESTIONS, 2 * QUESTIONS - 1, 2 * QUESTIONS, 5 * QUESTIONS + 3, 100])
def test_the_newest_questions_are_shown_and_all_are_asked_of_the_model(questions: int) -> None:
    conversation = long(questions)
    shown = words(shown_messages(conversation))
    assert min(questions, QUESTIONS) <= len(shown) // 2 < 2 * QUESTIONS
    assert shown == [message.content for message in conversation.messages()][-len(shown) :]
    assert shown[0].startswith("question")
    assert len(conversation.messages()) == 2 * questions
    assert len(thumbs(conversation)) == len(shown) // 2
    assert bool(earlier_line(conversation)) == (len(shown) < 2 * questions)


def test_a_click_finds_the_turn_that_it_was_made_on() -> None:
    conversation = long(100).rated("a95", "row", True)
    for number, text in enumerate(words(shown_messages(conversation))):
        turn = turn_at(conversation, number)
        assert turn is not None and turn.message.content == text
    assert turn_at(conversation, len(shown_messages(conversation))) is None
    answers = [text for text in words(shown_messages(conversation)) if text.startswith("answer")]
    assert [text for text, thumb in zip(answers, thumbs(conversation), strict=True) if thumb] == ["answer 95"]


def test_the_first_one_shown_stays_while_a_question_is_answered() -> None:
    made = ChatPage(FakeRouter(), FakeStore(), "salt")
    conversation = long(2 * QUESTIONS - 1)
    for _ in range(3):
        updates = list(made.send("one more", *given(conversation)))
        asked, conversation = updates[0].conversation, updates[-1].conversation
        assert first_shown(asked) == first_shown(conversation)
        assert turn_at(asked, 0) is turn_at(conversation, 0)


def test_thumbs_move_with_the_messages_when_the_first_one_shown_is_another() -> None:
    made = ChatPage(FakeRouter(), FakeStore(), "salt")
    conversation = long(2 * QUESTIONS - 1).rated(f"a{QUESTIONS}", "row", True)
    first = next(iter(made.send("one more", *given(conversation)))).chatbot
    assert isinstance(first, gr.Chatbot) and words(first)[0] == f"question {QUESTIONS}"
    assert first.feedback_value == ["Like", *[None] * (QUESTIONS - 2)]


def test_earlier_ones_come_when_asked_for_until_all_are_there() -> None:
    made = ChatPage(FakeRouter(), FakeStore(), "salt")
    conversation = long(100)
    update = acted(made, conversation, "earlier")
    assert words(update.chatbot)[-1] == "answer 99"
    assert len(words(update.chatbot)) > len(words(shown_messages(conversation)))
    # Nothing else of the screen changes, and nothing is kept anew.
    changed = {name for name, value in zip(Update._fields, update, strict=True) if value != gr.skip()}
    assert changed == {"chatbot", "conversation"}
    whole = everything_earlier(update.conversation)
    assert words(shown_messages(whole))[0] == "question 0" and not earlier_line(whole)
    assert whole.turns == conversation.turns and whole.messages() == conversation.messages()


def test_the_place_is_kept_through_a_switch_and_left_by_writing_on() -> None:
    made = ChatPage(FakeRouter(), FakeStore(), "salt")
    whole = everything_earlier(long(100))
    there = acted(made, whole, "switch", turn="a5", by=-1).conversation
    assert words(shown_messages(there))[0] == "question 0"
    back = acted(made, there, "switch", turn="b5", by=1).conversation
    assert words(shown_messages(back))[0] == "question 0" and len(shown_messages(back)) == 200
    assert first_shown(sent(made, "more", back).conversation) > 0
    # It is the screen's, not the record's.
    assert conversation_of(record_of(whole, "salt"), "salt").since is None


def test_earlier_ones_come_while_an_answer_is_written_and_stay() -> None:
    made = ChatPage(FakeRouter(lambda messages, settings: ["one ", "two ", "three"]), FakeStore(), "salt")
    stream = iter(made.send("go", *given(long(100))))
    asking = next(stream)
    for update in stream:
        if "'one" in str(update.chatbot):
            break
    now = (asking.conversation, REF, "", 0.7, 0.95, 64, None, asking.running)
    earlier = made.acts.act(event("earlier"), "", *now)
    assert words(earlier.chatbot)[-2:] == ["go", "one "]
    after = list(stream)[-1]
    assert words(after.chatbot)[0] == words(earlier.chatbot)[0]
    assert words(after.chatbot)[-1] == "one two three"
    assert turn_at(after.conversation, 0) is turn_at(earlier.conversation, 0)
