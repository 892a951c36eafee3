"""The chat tab's handlers: plain values in, plain values out, no browser."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from components.transcript import shown_messages
from core.chat import Message
from core.conversation import Conversation
from core.dataset import RatingRow
from core.errors import GenerationFailed
from pages.chat import ChatPage, Update
from tests.fakes import REF, FakeRouter, FakeStore

EXACT = "  \tlead\n\n    code\tstays  \n🙂"
SETTINGS = (0.7, 0.95, 64, None)


def page(router: FakeRouter | None = None, store: FakeStore | None = None) -> ChatPage:
    return ChatPage(router or FakeRouter(), store or FakeStore(), "salt")


def sent(made: ChatPage, text: str, conversation: Conversation | None = None, system: str = "") -> list[Update]:
    return list(made.send(text, conversation or Conversation(), REF, system, *SETTINGS))


def talked(updates: list[Update]) -> Conversation:
    return updates[-1].conversation


def test_what_the_model_is_asked_is_what_was_typed_to_the_byte() -> None:
    router = FakeRouter()
    conversation = talked(sent(page(router), EXACT, system=EXACT))
    assert router.asked[0][1] == (Message("system", EXACT), Message("user", EXACT))
    assert conversation.messages()[1].content == EXACT
    assert conversation.path()[-1].message.content == "You said: " + EXACT


def test_the_chatbot_gets_text_parts_never_strings() -> None:
    """gradio dedents a bare string, which would change code on the screen."""
    for message in shown_messages(talked(sent(page(), EXACT)), partial=EXACT):
        assert isinstance(message["content"], list)
        assert {part["type"] for part in message["content"]} <= {"text", "component"}
    assert shown_messages(talked(sent(page(), EXACT)))[0]["content"][0] == {"type": "text", "text": EXACT}


def test_the_stream_grows_and_ends_settled() -> None:
    updates = sent(page(), "hi")
    assert updates[0].text == ""
    assert updates[-1].running is None
    assert any(update.running for update in updates if isinstance(update.running, str))


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("   \n", "empty"), ("x" * 1_000_001, "1,000,000")])
def test_a_message_that_cannot_be_sent_is_refused_before_the_box_is_cleared(text: str, says: str) -> None:
    handler = page().send(text, Conversation(), REF, "", *SETTINGS)
    with pytest.raises(gr.Error, match=says):
        next(handler)


def test_control_characters_reach_the_model_unchanged() -> None:
    router = FakeRouter()
    sent(page(router), "a\x00b\x1b[31mc\u202e")
    assert router.asked[0][1][-1].content == "a\x00b\x1b[31mc\u202e"


def test_no_model_pinned_says_what_to_do() -> None:
    with pytest.raises(gr.Error, match="Find one under Search"):
        list(page().send("hi", Conversation(), None, "", *SETTINGS))


def test_an_engine_that_fails_gives_the_message_back() -> None:
    router = FakeRouter()
    router.error = GenerationFailed("The model produced no valid numbers. Try another seed.")
    updates: list[Update] = []
    with pytest.raises(gr.Error, match="no valid numbers"):
        for update in page(router).send("precious", Conversation(), REF, "", *SETTINGS):
            updates.append(update)
    assert updates[-1].text == "precious"
    assert updates[-1].conversation == Conversation()


def test_a_bug_is_a_reference_not_a_traceback() -> None:
    router = FakeRouter()
    router.error = KeyError("secret detail")
    with pytest.raises(gr.Error, match=r"Reference [0-9a-f]{8}") as caught:
        list(page(router).send("hi", Conversation(), REF, "", *SETTINGS))
    assert "secret detail" not in str(caught.value)


def test_stop_cancels_the_running_answer_and_keeps_what_is_there() -> None:
    router = FakeRouter(lambda messages, settings: ["one ", "two ", "three "])
    made = page(router)
    stream: Iterator[Update] = made.send("go", Conversation(), REF, "", *SETTINGS)
    for update in stream:
        if isinstance(update.running, str):
            running = update.running
        if update.chatbot and "one" in str(update.chatbot):
            made.stop(running)
            break
    last = list(stream)[-1]
    reply = last.conversation.path()[-1].reply
    assert reply.finish == "cancelled"
    assert reply.content.startswith("one ")
    assert "three" not in reply.content
    assert last.status == "Stopped."


def test_regenerate_asks_again_with_the_same_prompt() -> None:
    router = FakeRouter()
    made = page(router)
    first = talked(sent(made, "q"))
    again = list(made.regenerate(first, REF, "", *SETTINGS))[-1].conversation
    assert router.asked[0][1] == router.asked[1][1]
    assert len(again.siblings(again.tip)) == 2


def test_settings_out_of_range_are_refused_for_a_crafted_request_too() -> None:
    for crafted in [(float("nan"), 0.9, 64, None), (0.7, 0.9, 0, None), (0.7, 0.9, 64, -3), ("x", 0.9, 64, None)]:
        with pytest.raises(gr.Error):
            list(page().send("hi", Conversation(), REF, "", *crafted))


def like(index: int, liked: bool | str) -> gr.LikeData:
    return gr.LikeData(None, {"index": index, "value": "", "liked": liked})


def test_a_thumb_is_a_rating_changed_and_taken_back() -> None:
    store = FakeStore()
    made = page(store=store)
    conversation = talked(sent(made, "q", system="s"))
    up, said, badge = made.rate(conversation, "visitor-1", like(1, True))
    assert said == "Saved. 1 waiting to upload."
    assert "1 waiting" in badge
    (row,) = store.kept.values()
    assert isinstance(row, RatingRow)
    assert row.label is True
    assert row.prompt == (Message("system", "s"), Message("user", "q"))
    assert row.provenance.rater and "visitor-1" not in row.provenance.rater
    down, _, _ = made.rate(up, "visitor-1", like(1, False))
    (changed,) = store.kept.values()
    assert changed.label is False
    assert changed.provenance.supersedes == row.provenance.id
    gone, said, _ = made.rate(down, "visitor-1", like(1, ""))
    assert store.kept == {}
    assert said == "Rating taken back."
    assert gone.path()[-1].label is None


def test_a_second_click_on_the_same_thumb_saves_nothing_new() -> None:
    store = FakeStore()
    made = page(store=store)
    up, _, _ = made.rate(talked(sent(made, "q")), "v", like(1, True))
    made.rate(up, "v", like(1, True))
    assert len(store.kept) == 1
