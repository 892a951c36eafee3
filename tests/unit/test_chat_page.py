"""The chat tab's handlers: plain values in, plain values out, no browser."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from components.transcript import figures, shown_messages
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


def test_what_an_answer_costs_is_said_before_the_click_where_it_is_counted() -> None:
    router = FakeRouter()
    made = page(router)
    assert made.cost(Conversation(), REF, "", 64) == ""
    router.seconds = 12
    assert made.cost(talked(sent(made, "hi")), REF, "Be brief.", 64) == "needs about 12 s of GPU"
    assert made.cost(Conversation(), None, "", 64) == ""
    assert made.cost(Conversation(), REF, "", float("nan")) == ""


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
    router = FakeRouter(lambda messages, settings: [])
    router.error = GenerationFailed("The model produced no valid numbers. Try another seed.")
    updates: list[Update] = []
    with pytest.raises(gr.Error, match="no valid numbers"):
        for update in page(router).send("precious", Conversation(), REF, "", *SETTINGS):
            updates.append(update)
    assert updates[-1].text == "precious"
    assert updates[-1].conversation == Conversation()


def test_what_had_arrived_stays_when_the_engine_fails_half_way() -> None:
    router = FakeRouter(lambda messages, settings: ["one ", "two "])
    router.error = GenerationFailed("The connection was lost. Try again.")
    last = sent(page(router), "go")[-1]
    turn = last.conversation.path()[-1]
    assert turn.message.content == "one two "
    assert turn.reply is not None and turn.reply.finish is None
    assert "Cut short" in last.status
    assert "cut short" in figures(turn.reply)
    assert "seed 5" in figures(turn.reply)


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
        if update.chatbot and "'one" in str(update.chatbot):
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


def rated(
    made: ChatPage, conversation: Conversation, visitor: str, event: gr.LikeData
) -> tuple[Conversation, str, str]:
    update = made.rate(event, conversation, visitor)
    return update.conversation, update.status, update.badge


def test_a_thumb_is_a_rating_changed_and_taken_back() -> None:
    store = FakeStore()
    made = page(store=store)
    conversation = talked(sent(made, "q", system="s"))
    up, said, badge = rated(made, conversation, "visitor-1", like(1, True))
    assert said == "Saved. 1 waiting to upload."
    assert "1 waiting" in badge
    (row,) = store.kept.values()
    assert isinstance(row, RatingRow)
    assert row.label is True
    assert row.prompt == (Message("system", "s"), Message("user", "q"))
    assert row.provenance.rater and "visitor-1" not in row.provenance.rater
    down, _, _ = rated(made, up, "visitor-1", like(1, False))
    (changed,) = store.kept.values()
    assert changed.label is False
    assert changed.provenance.supersedes == row.provenance.id
    gone, said, _ = rated(made, down, "visitor-1", like(1, ""))
    assert store.kept == {}
    assert said == "Rating taken back."
    assert gone.path()[-1].label is None


def test_a_second_click_on_the_same_thumb_saves_nothing_new() -> None:
    store = FakeStore()
    made = page(store=store)
    up, _, _ = rated(made, talked(sent(made, "q")), "v", like(1, True))
    rated(made, up, "v", like(1, True))
    assert len(store.kept) == 1


def reworded(made: ChatPage, conversation: Conversation, text: str, running: str | None) -> Iterator[Update]:
    event = gr.EventData(None, {"act": "reword", "turn": conversation.path()[0].id, "text": text})
    return made.acts.ask(event, "draft", conversation, REF, "", *SETTINGS, running)


def test_an_empty_seed_is_random_and_a_typed_one_is_used_exactly() -> None:
    router = FakeRouter()
    for typed, used in [("", None), ("  ", None), ("9007199254740993", 9007199254740993), (7, 7), (None, None)]:
        list(page(router).send("hi", Conversation(), REF, "", 0.7, 0.95, 64, typed))
        assert router.asked[-1][2].seed == used
    with pytest.raises(gr.Error, match="whole number"):
        list(page().send("hi", Conversation(), REF, "", 0.7, 0.95, 64, "seven"))


def test_what_is_typed_while_the_model_is_loaded_stays_in_the_box() -> None:
    router = FakeRouter()
    router.ready = False
    updates = sent(page(router), "go")
    assert [update.text for update in updates if isinstance(update.text, str)] == [""]
    assert any("Downloading" in update.status for update in updates)


def test_stop_ends_the_wait_for_a_model_too_and_gives_the_message_back() -> None:
    router = FakeRouter()
    router.ready = False
    made = page(router)
    stream = made.send("precious", Conversation(), REF, "", *SETTINGS)
    made.stop(next(stream).running)
    last = list(stream)[-1]
    assert (last.text, last.status, last.conversation) == ("precious", "Stopped.", Conversation())
    assert router.asked == []


def test_one_answer_at_a_time_in_a_conversation() -> None:
    """Two at once would end as one conversation, and the other answer would be in none."""
    made = page()
    stream = made.send("go", talked(sent(made, "q")), REF, "", *SETTINGS)
    first = next(stream)
    for second in (
        made.regenerate(first.conversation, REF, "", *SETTINGS, first.running),
        made.send("again", first.conversation, REF, "", *SETTINGS, first.running),
        reworded(made, first.conversation, "other", first.running),
    ):
        with pytest.raises(gr.Error, match="being written"):
            next(second)
    done = list(stream)[-1].conversation
    assert len(list(made.regenerate(done, REF, "", *SETTINGS, first.running))) > 1


def test_clear_ends_the_answer_for_good_and_keeps_the_draft() -> None:
    router = FakeRouter(lambda messages, settings: ["one ", "two ", "three "])
    made = page(router)
    stream = made.send("go", Conversation(), REF, "", *SETTINGS)
    running = next(stream).running
    cleared = made.clear("system", running)
    assert not isinstance(cleared.text, str)
    assert cleared.conversation == Conversation("system")
    # What ended writes nothing into the conversation that replaced its own.
    assert list(stream) == []
    assert made.runs.get(running) is None


def test_a_thumb_given_while_another_answer_is_written_is_not_forgotten() -> None:
    store = FakeStore()
    made = page(store=store)
    first = talked(sent(made, "q"))
    stream = made.send("next", first, REF, "", *SETTINGS)
    asked = next(stream).conversation
    rated(made, asked, "v", like(1, True))
    done = list(stream)[-1].conversation
    assert done.path()[1].label is True
    rated(made, done, "v", like(1, True))
    assert len(store.kept) == 1
    rated(made, done, "v", like(1, ""))
    assert store.kept == {}


def test_a_rating_names_the_system_prompt_the_answer_was_made_under() -> None:
    store = FakeStore()
    made = page(store=store)
    first = talked(sent(made, "q", system="old"))
    second = talked(sent(made, "next", first, system="new"))
    rated(made, second, "v", like(1, True))
    (row,) = store.kept.values()
    assert row.prompt == (Message("system", "old"), Message("user", "q"))


@pytest.mark.parametrize("text", ["   ", "x" * 1_000_001])
def test_an_edit_that_cannot_be_sent_changes_nothing_and_stays_in_its_panel(text: str) -> None:
    router = FakeRouter()
    made = page(router)
    before = talked(sent(made, "q"))
    with pytest.raises(gr.Error):
        list(reworded(made, before, text, None))
    assert len(router.asked) == 1


def test_a_message_is_edited_again_and_again_and_every_wording_is_kept() -> None:
    """The Chatbot's own Edit was gone once there was another wording: it needs a message to end in text."""
    router = FakeRouter()
    made = page(router)
    once = list(reworded(made, talked(sent(made, "first\r\nline")), "second\nline", None))[-1].conversation
    twice = list(reworded(made, once, "third\nline", None))[-1].conversation
    wordings = [turn.message.content for turn in twice.siblings(twice.path()[0].id)]
    assert wordings == ["first\r\nline", "second\r\nline", "third\r\nline"]
    assert router.asked[-1][1] == (Message("user", "third\r\nline"),)
    shown = shown_messages(twice)[0]["content"]
    assert shown[0]["text"] == "third\r\nline"
    assert "Edit this message" in shown[-1]["value"]
    with pytest.raises(gr.Error, match="Only your own messages"):
        event = gr.EventData(None, {"act": "reword", "turn": twice.tip, "text": "no"})
        list(made.acts.ask(event, "", twice, REF, "", *SETTINGS, None))


def test_a_bug_leaves_a_screen_that_can_send_again() -> None:
    router = FakeRouter()
    router.error = KeyError("secret detail")
    updates: list[Update] = []
    with pytest.raises(gr.Error, match="Reference"):
        for update in page(router).send("precious", Conversation(), REF, "", *SETTINGS):
            updates.append(update)
    assert updates[-1].text == "precious"
    assert updates[-1].running is None
    assert updates[-1].send.visible is True
