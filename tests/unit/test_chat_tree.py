"""Branches, continued and begun answers, edits and preferences: the handlers behind the buttons, without a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
import pytest

from backends.pins import PinBook
from backends.router import Router
from components.access import OF_ACCOUNT
from components.chat_panels import Standing, bar
from components.transcript import shown_messages
from core.address import Address
from core.chat import Capabilities, GenerationSettings, Message
from core.conversation import Conversation
from core.dataset import PreferenceRow, RatingRow
from core.presets import DEFAULTS, read_setup
from core.presets import Setup as PresetSetup
from core.rubric import DEFAULT as DEFAULT_RUBRIC
from pages.chat import ChatPage, Update
from pages.chat_stream import Given
from pages.shared import Frame
from tests.fakes import CHAT_LORA, OTHER, REF, FakeCatalog, FakeRouter, FakeStore
from tests.scripted_engine import ScriptedChat
from tests.serving import wait_until

SETTINGS = (0.7, 0.95, 64, None)


class Cut(FakeRouter):
    """Answers with words that are given; each ends because it was cut."""

    def __init__(self, *answers: str) -> None:
        self.left = list(answers)
        super().__init__(self._say)

    def _say(self, messages: tuple[Message, ...], settings: GenerationSettings) -> Sequence[str]:
        return [self.left.pop(0)]


def page(router: FakeRouter | None = None, store: FakeStore | None = None, **more: Any) -> ChatPage:
    return ChatPage(router or FakeRouter(), store or FakeStore(), "salt", **more)


def given(conversation: Conversation, system: str = "", *, ref: Any = REF, **more: Any) -> tuple[Any, ...]:
    return (
        conversation, ref, system, *SETTINGS, None, more.get("visitor", "visitor-1"), more.get("incognito", False), "",
        more.get("task"),
    )  # fmt: skip


def sent(made: ChatPage, text: str, conversation: Conversation | None = None, system: str = "", **more: Any) -> Update:
    return list(made.send(text, *given(conversation or Conversation(), system, **more)))[-1]


def again(made: ChatPage, conversation: Conversation) -> Conversation:
    done: Conversation = list(made.regenerate(*given(conversation)))[-1].conversation
    return done


def event(act: str, **values: Any) -> gr.EventData:
    return gr.EventData(None, {"act": act, **values})


def acted(made: ChatPage, conversation: Conversation, act: str, text: str = "", **values: Any) -> Update:
    return made.acts.act(event(act, **values), text, *given(conversation))


def asked(made: ChatPage, conversation: Conversation, act: str, text: str = "", **values: Any) -> Update:
    return list(made.acts.ask(event(act, **values), text, *given(conversation)))[-1]


def judged(made: ChatPage, conversation: Conversation, act: str, **values: Any) -> Update:
    return made.acts.judge(event(act, **values), *given(conversation))


def contents(conversation: Conversation) -> list[str]:
    return [turn.message.content for turn in conversation.path()]


def test_siblings_are_shown_and_switched_and_every_branch_is_kept() -> None:
    made = page(Cut("one", "two", "under two"))
    first = sent(made, "q").conversation
    second = again(made, first)
    deeper = sent(made, "next", second).conversation
    assert "1/2" in str(shown_messages(deeper.switched(deeper.path()[1].id, -1)))
    back = acted(made, deeper, "switch", turn=deeper.path()[1].id, by=-1).conversation
    assert contents(back) == ["q", "one"]
    # On the way forward the whole branch is there again.
    on = acted(made, back, "switch", turn=back.path()[1].id, by=1).conversation
    assert contents(on) == ["q", "two", "next", "under two"]
    assert len(on.turns) == 5
    at_the_end = acted(made, on, "switch", turn=on.path()[1].id, by=1).conversation
    assert at_the_end == on


def test_undo_goes_back_step_by_step_and_redo_on_again() -> None:
    made = page(Cut("one", "two"))
    conversation = sent(made, "second", sent(made, "first").conversation).conversation
    undone = acted(made, conversation, "undo")
    assert contents(undone.conversation) == ["first", "one"]
    # What was asked is back in the box, but never over a draft.
    assert undone.text == "second"
    assert not isinstance(acted(made, conversation, "undo", text="a draft").text, str)
    empty = acted(made, undone.conversation, "undo").conversation
    assert contents(empty) == []
    assert "Redo" in bar(empty)
    there = acted(made, acted(made, empty, "redo").conversation, "redo").conversation
    assert there.path() == conversation.path()
    with pytest.raises(gr.Error, match="nothing to undo"):
        acted(made, Conversation(), "undo")


def test_an_answer_goes_on_in_the_same_message() -> None:
    router = Cut("Once upon", " a time.")
    made = page(router)
    conversation = sent(made, " q\t", system="s").conversation
    done = asked(made, conversation, "continue", turn=conversation.tip)
    assert router.asked[1][1] == (Message("user", " q\t"), Message("assistant", "Once upon")) or router.asked[1][1] == (
        Message("system", "s"), Message("user", " q\t"), Message("assistant", "Once upon"),
    )  # fmt: skip
    assert contents(done.conversation) == [" q\t", "Once upon a time."]
    assert len(done.conversation.turns) == 2
    turn = done.conversation.path()[-1]
    assert turn.reply.usage.completion_tokens == 2
    assert turn.id == conversation.tip
    # And one step back it is as it was.
    assert contents(acted(made, done.conversation, "undo").conversation) == [" q\t", "Once upon"]


def test_an_answer_goes_on_under_the_system_prompt_it_was_begun_with() -> None:
    router = Cut("a", "b")
    made = page(router)
    conversation = sent(made, "q", system="old").conversation
    list(made.acts.ask(event("continue", turn=conversation.tip), "", *given(conversation, "new")))
    assert router.asked[1][1][0] == Message("system", "old")


def test_a_rated_answer_stays_and_goes_on_beside_itself() -> None:
    made = page(Cut("one", " two"))
    conversation = sent(made, "q").conversation
    rated = made.rate(
        gr.LikeData(None, {"index": 1, "value": "", "liked": True}), conversation, "visitor-1"
    ).conversation
    done = asked(made, rated, "continue", turn=rated.tip).conversation
    assert [turn.message.content for turn in done.siblings(done.tip)] == ["one", "one two"]
    assert [turn.label for turn in done.siblings(done.tip)] == [True, None]


def test_what_another_model_wrote_on_is_an_answer_of_its_own() -> None:
    made = page(Cut("one", " two"))
    conversation = sent(made, "q").conversation
    done = list(made.acts.ask(event("continue", turn=conversation.tip), "", *given(conversation, ref=OTHER)))[-1]
    first, second = done.conversation.siblings(done.conversation.tip)
    assert (first.reply.ref, second.reply.ref, second.prefilled) == (REF, OTHER, 3)


def test_a_reply_that_was_begun_by_hand_is_exact_and_says_so() -> None:
    router = Cut("and more", "again")
    made = page(router)
    begun = "  \tSure:\n"
    done = asked(made, Conversation(), "prefill", text=" q", begun=begun).conversation
    assert router.asked[0][1] == (Message("user", " q"), Message("assistant", begun))
    assert contents(done) == [" q", begun + "and more"]
    assert done.path()[-1].prefilled == len(begun)
    # With an empty box the last question is answered again.
    second = asked(made, done, "prefill", begun="No").conversation
    assert contents(second) == [" q", "Noagain"]
    with pytest.raises(gr.Error, match="how the answer begins"):
        asked(made, done, "prefill", begun="")


def test_an_edit_is_preferred_over_the_answer_with_the_same_prompt() -> None:
    store = FakeStore()
    made = page(Cut("The sky is gren.\n"), store)
    conversation = sent(made, " q", system="s").conversation
    original = conversation.tip
    update = judged(made, conversation, "save_edit", turn=original, text="The sky is blue.\n", prefer=True)
    (row,) = store.kept.values()
    assert isinstance(row, PreferenceRow)
    assert row.provenance.source == "edit"
    assert row.chosen == (Message("assistant", "The sky is blue.\n"),)
    assert row.rejected == (Message("assistant", "The sky is gren.\n"),)
    assert row.prompt == (Message("system", "s"), Message("user", " q"))
    assert (row.chosen_by.model, row.rejected_by.model) == (None, REF.repo_id)
    assert "<mark>blue" in update.desk
    assert "Saved." in update.status
    assert contents(update.conversation) == [" q", "The sky is blue.\n"]
    # The other way round an edit makes no sense.
    with pytest.raises(gr.Error, match="it is the one that is chosen"):
        judged(made, update.conversation, "save_preference", turn=original, over=update.conversation.tip)


def test_two_answers_become_a_pair_which_is_changed_and_taken_back() -> None:
    store = FakeStore()
    made = page(Cut("one", "two"), store)
    conversation = again(made, sent(made, "q").conversation)
    first, second = (turn.id for turn in conversation.siblings(conversation.tip))
    panel = acted(made, conversation, "prefer", turn=second).desk
    assert "<mark>two" in panel and "<mark>one" in panel
    once = judged(
        made, conversation, "save_preference", turn=second, over=first, reasons=["Clear"], comment=" because "
    )
    (row,) = store.kept.values()
    assert row.provenance.source == "regenerate"
    assert (row.provenance.reasons, row.provenance.comment) == (("Clear",), "because")
    assert row.provenance.rater
    # The same click again is the same row; another choice replaces the whole record.
    other = judged(made, once.conversation, "save_preference", turn=first, over=second)
    (changed,) = store.kept.values()
    assert changed.provenance.supersedes == row.provenance.id
    assert changed.chosen == (Message("assistant", "one"),)
    assert "Preferred" in str(shown_messages(other.conversation.switched(second, -1)))
    gone = judged(made, other.conversation, "withdraw_preference", turn=first, over=second)
    assert store.kept == {}
    assert gone.conversation.preferred == ()


def test_a_second_click_saves_no_second_pair() -> None:
    store = FakeStore()
    made = page(Cut("one", "two"), store)
    conversation = again(made, sent(made, "q").conversation)
    first, second = (turn.id for turn in conversation.siblings(conversation.tip))
    made.judging.prefer(conversation, second, first, "visitor-1")
    made.judging.prefer(conversation, second, first, "visitor-1")
    assert len(store.kept) == 1


def test_answers_under_different_system_prompts_are_no_pair() -> None:
    made = page(Cut("one", "two"))
    conversation = sent(made, "q", system="old").conversation
    both = list(made.regenerate(*given(conversation, "new")))[-1].conversation
    first, second = (turn.id for turn in both.siblings(both.tip))
    with pytest.raises(gr.Error, match="different system prompts"):
        judged(made, both, "save_preference", turn=first, over=second)


def test_a_row_of_somebody_else_is_neither_replaced_nor_withdrawn() -> None:
    """A conversation may have come out of a file that names rows of others."""
    store = FakeStore()
    made = page(Cut("one", "two"), store)
    conversation = again(made, sent(made, "q").conversation)
    first, second = (turn.id for turn in conversation.siblings(conversation.tip))
    theirs, _ = made.judging.prefer(conversation, second, first, "somebody-else")
    (row_id,) = store.kept
    assert page(Cut(), store).judging.take_back(theirs, second, first, "visitor-1")[0].preferred == ()
    assert row_id in store.kept
    page(Cut(), store).judging.prefer(theirs, first, second, "visitor-1")
    assert row_id in store.kept and len(store.kept) == 2


def test_the_reasons_of_a_thumb_replace_its_row() -> None:
    store = FakeStore()
    made = page(Cut("one"), store)
    conversation = sent(made, "q").conversation
    like = gr.LikeData(None, {"index": 1, "value": "", "liked": False})
    rated = made.rate(like, conversation, "visitor-1")
    assert "Rated down" in rated.desk
    judged(
        made, rated.conversation, "save_reasons", turn=rated.conversation.tip, reasons=["Clear", "Safe"], comment="no"
    )
    (row,) = store.kept.values()
    assert isinstance(row, RatingRow)
    assert (row.label, row.provenance.reasons, row.provenance.comment) == (False, ("Clear", "Safe"), "no")


def test_the_rubric_is_answered_for_one_answer_and_stands_in_its_row() -> None:
    store = FakeStore()
    made = page(Cut("one"), store)
    conversation = sent(made, "q").conversation
    rated = made.rate(gr.LikeData(None, {"index": 1, "value": "", "liked": True}), conversation, "visitor-1")
    assert "Score this answer (optional)" in rated.desk and "5: does all that was asked" in rated.desk
    scores = [{"question": "tone", "side": 0, "value": "4"}, {"question": "format", "side": 0, "value": "2"}]
    said = {"turn": rated.conversation.tip, "reasons": ["Clear"], "comment": "fine", "scores": scores}
    done = judged(made, rated.conversation, "save_reasons", **said)
    (row,) = store.kept.values()
    assert row.columns()["scores"] == [
        {"question": "tone", "side": "answer", "value": "4"},
        {"question": "format", "side": "answer", "value": "2"},
    ]
    assert row.provenance.rubric_version == DEFAULT_RUBRIC.version
    # Opened again, what stands is ticked; saved again unchanged it is the same row, and emptied it is one without.
    panel = acted(made, done.conversation, "why", turn=done.conversation.tip).desk
    assert panel.count(" checked>") == 3 and 'data-text="fine"' in panel
    judged(made, done.conversation, "save_reasons", **said)
    assert list(store.kept) == [row.provenance.id]
    judged(made, done.conversation, "save_reasons", turn=done.conversation.tip)
    (bare,) = store.kept.values()
    assert (bare.columns()["scores"], bare.provenance.reasons, bare.provenance.rubric_version) == (None, (), None)
    assert (bare.label, bare.provenance.supersedes) == (True, row.provenance.id)
    for wrong in ({"question": "tone", "side": 1, "value": "4"}, {"question": "tone", "side": 0, "value": "9"}):
        with pytest.raises(gr.Error, match="not one of its choices"):
            judged(made, done.conversation, "save_reasons", **{**said, "scores": [wrong]})
    assert len(store.kept) == 1


def test_what_somebody_else_said_of_an_answer_is_shown_to_nobody() -> None:
    """A conversation may have come out of a file that names rows of others."""
    store = FakeStore()
    made = page(Cut("one"), store)
    conversation = sent(made, "q").conversation
    rated = made.rate(gr.LikeData(None, {"index": 1, "value": "", "liked": True}), conversation, "somebody-else")
    theirs = rated.conversation.turn(rated.conversation.tip)
    made.judging.thumb(rated.conversation, theirs, True, "somebody-else", Standing(("Clear",), "a secret"))
    said = made.answers.ratings.applied(rated.conversation)
    assert "a secret" in made.judging.why(said, said.turn(theirs.id), "somebody-else")
    assert "a secret" not in acted(made, said, "why", turn=theirs.id).desk


def test_buttons_that_are_crafted_or_stale_are_refused() -> None:
    made = page(Cut("one"))
    conversation = sent(made, "q").conversation
    for act, values in [
        ("drop_all", {}), ("switch", {"turn": "nobody"}), ("edit", {"turn": 5}), ("prefer", {"turn": conversation.tip}),
        ("save_edit", {"turn": conversation.tip, "text": "  "}), ("save_edit", {"turn": conversation.path()[0].id, "text": "x"}),
    ]:  # fmt: skip
        with pytest.raises(gr.Error):
            acted(made, conversation, act, **values)
    with pytest.raises(gr.Error):
        asked(made, conversation, "continue", turn=conversation.path()[0].id)
    with pytest.raises(gr.Error):
        made.acts.act(gr.EventData(None, "text"), "", *given(conversation))


def test_a_base_model_is_said_to_be_one_and_a_host_that_cannot_go_on_offers_nothing() -> None:
    assert "goes on with your text" in bar(Conversation(), Capabilities(chat_template=False))
    assert "Begin the reply" not in bar(Conversation(), Capabilities(continues=False))


def test_the_controls_start_from_what_the_author_recommends() -> None:
    class Recommends(FakeRouter):
        def capabilities(self, ref: object) -> Capabilities:
            own = GenerationSettings(temperature=0.2, top_p=0.9, top_k=40, repetition_penalty=1.1)
            return Capabilities(
                sampling=own, sampling_from="generation_config.json", thinking=True, template_kwargs=("date_string",)
            )

    own, temperature, thinking, template, _ = page(Recommends()).settings.controls(REF, Conversation(), Address())
    assert template.visible and "date_string" in template.info
    assert json.loads(own)["values"] == [0.2, 0.9, "40", "1.1", "", ""] and thinking.visible
    assert json.loads(own)["lacks"] == [False] * 6
    assert "generation_config.json" in temperature.info
    own, _, thinking, template, _ = page().settings.controls(REF, Conversation(), Address())
    assert not template.visible and not thinking.visible
    assert json.loads(own)["values"] == [0.7, 0.95, "", "", "", ""]
    assert json.loads(own)["lacks"] == [False] * 4 + [True, True]
    # What a link says stays, whichever of the two is done first.
    own, *_ = page(Recommends()).settings.controls(REF, Conversation(), Address("chat", chat="abc"))
    assert json.loads(own)["values"] == [None] * 6
    setup = PresetSetup(settings={"thinking": "off", "template": "date_string=today"}, locked=True)
    arrived = page(Recommends()).presets.arrive(Address("chat", chat=setup.text()))
    assert (arrived.thinking.value, arrived.template.value) == ("off", "date_string=today")
    assert not (arrived.thinking.interactive or arrived.template.interactive)


def test_two_models_that_recommend_the_same_are_both_heard() -> None:
    """The page starts the controls anew when it is told something else than before: so no two are equal."""
    made = page()
    told = [made.settings.controls(ref, Conversation(), Address())[0] for ref in (REF, OTHER)]
    assert told[0] != told[1] and json.loads(told[0])["of"] != json.loads(told[1])["of"]


def test_another_adapter_on_the_same_model_starts_nothing_anew() -> None:
    made = page()
    both = (REF, replace(REF, adapter=CHAT_LORA, weights="int8"))
    own = [json.loads(made.settings.controls(ref, Conversation(), Address())[0])["of"] for ref in both]
    assert own[0] == own[1] and "tiny" not in own[0]


def test_top_k_and_repetition_penalty_reach_the_engine_and_the_row() -> None:
    router, store = FakeRouter(), FakeStore()
    made = page(router, store)
    boxes = {"top_k": " 17 ", "repetition_penalty": "1.3"}
    asked = [*given(Conversation()), "", ()]
    done = list(made.send("hello", *asked, *boxes.values()))[-1].conversation
    assert (router.asked[-1][2].top_k, router.asked[-1][2].repetition_penalty) == (17, 1.3)
    made.judging.thumb(done, done.turn(done.tip), True, "visitor-1")
    (row,) = store.kept.values()
    kept = json.loads(str(row.columns()["settings"]))
    assert (kept["top_k"], kept["repetition_penalty"]) == (17, 1.3)
    # An empty box is the model's own.
    list(made.send("hello", *asked, "", ""))
    assert (router.asked[-1][2].top_k, router.asked[-1][2].repetition_penalty) == (None, None)


@pytest.mark.parametrize(
    ("top_k", "penalty", "says"),
    [
        ("many", "", "Top-k has to be a number"),
        ("1.5", "", "whole number"),
        ("1,000", "", "without a comma"),
        ("", "1,3", "without a comma"),
        ("-3", "", "Top-k has to be between 0"),
        ("", "strong", "Repetition penalty has to be a number"),
        ("", "0", "Repetition penalty has to be between 0.1 and 10"),
        ("nan", "", "whole number"),
        ("", "inf", "Repetition penalty has to be between"),
    ],
)
def test_a_sampling_box_that_cannot_be_used_says_so_and_the_message_stays(top_k: str, penalty: str, says: str) -> None:
    with pytest.raises(gr.Error, match=says):
        list(page().send("hello", *given(Conversation()), "", (), top_k, penalty))


@pytest.mark.parametrize("chat", ["abc", PresetSetup(settings={"temperature": 1e9}).text()])
def test_a_link_that_cannot_be_used_leaves_the_model_that_is_here(chat: str) -> None:
    """The page was left without any model, as if none could run."""
    request: Any = SimpleNamespace(query_params={"tab": "chat", "chat": chat})
    assert Frame(FakeRouter(), FakeStore()).arrive("visitor-1", request)[2] == REF


def test_a_link_carries_and_locks_the_advanced_settings() -> None:
    made = page()
    link = PresetSetup(settings={"top_k": 17, "repetition_penalty": 1.3, "seed": 5}, locked=True).text()
    opened = made.presets.arrive(Address("chat", chat=link))
    assert [box.value for box in (opened.top_k, opened.repetition_penalty, opened.seed)] == ["17", "1.3", "5"]
    assert not any(box.interactive for box in (opened.top_k, opened.repetition_penalty, opened.seed))
    asked = Given(*given(Conversation()), "", (), "17", "1.3")
    query = json.loads(made.presets.choose(event("share", preset=asdict(DEFAULTS[0])), "", *asked).told)["query"]
    assert read_setup(parse_qs(query)["chat"][0]).settings["top_k"] == 17


def test_a_task_fills_its_fields_in_exactly() -> None:
    router = Cut("ok")
    made = page(router)
    task = DEFAULTS[1]
    chosen = made.presets.choose(event("task", preset={"name": task.name, "system": task.system, "fields": task.fields,
                                                        "template": task.template, "rubric": task.rubric}),
                                 "", *given(Conversation()))  # fmt: skip
    assert (chosen.system, chosen.task) == (task.system, task)
    typed = "  {Ticket}\tbroken\n{x}"
    said = event("task", **{"field:Ticket": typed})
    list(made.acts.ask(said, "a draft", *given(Conversation(), task.system, task=task)))
    assert router.asked[0][1][-1].content == task.template.replace("{Ticket}", typed)
    with pytest.raises(gr.Error, match="Ticket"):
        list(made.acts.ask(event("task", **{"field:Ticket": " "}), "", *given(Conversation(), task=task)))


def test_what_a_page_is_told_is_enough_to_open_it_again() -> None:
    made = page(Cut("one", "two"))
    kept: dict[str, Any] = {}
    turns: dict[str, Any] = {}
    conversation = Conversation()
    for text in ("first", "second"):
        for update in made.send(text, *given(conversation)):
            if isinstance(update.keep, str):
                kept = json.loads(update.keep)
                turns |= {turn["id"]: turn for turn in kept["turns"]}
        conversation = update.conversation
    record = json.dumps({"format": "proving-ground/conversation", **kept["head"], "turns": list(turns.values())})
    fresh = page(Cut())
    opened = list(fresh.kept.open(event("open", record=record), *given(Conversation())))[-1].conversation
    assert opened.turns == conversation.turns and opened.tip == conversation.tip


def test_incognito_tells_nobody() -> None:
    made = page(Cut("one"))
    updates = list(made.send("secret", *given(Conversation(), incognito=True)))
    assert not any(isinstance(update.keep, str) for update in updates)


def left_in_the_middle(made: ChatPage) -> dict[str, Any]:
    """A page that goes away after the first word; returns what its browser had kept by then."""
    stream = made.send("go", *given(Conversation()))
    record: dict[str, Any] = {}
    for update in stream:
        if isinstance(update.keep, str):
            record = json.loads(update.keep)
        if isinstance(update.chatbot, list) and "'one" in str(update.chatbot):
            break
    stream.close()
    return record


def test_a_page_that_comes_back_finds_the_answer_and_sees_it_end(tmp_path: Path) -> None:
    steps = threading.Semaphore(1)
    engine = ScriptedChat(["one ", "two ", "three"], pace=lambda: steps.acquire() and None)
    pins = PinBook(tmp_path / "pins.json")
    made = page(Router((engine,), catalog=FakeCatalog(), pins=pins, start=REF))  # type: ignore[arg-type]
    # The page is gone, the answer is not.
    record = left_in_the_middle(made)
    text = json.dumps({"format": "proving-ground/conversation", **record["head"], "turns": record["turns"]})
    back = made.kept.open(event("resume", record=text, reloaded=False), *given(Conversation()))
    updates = [next(back), next(back)]
    assert isinstance(updates[-1].running, str)
    steps.release(5)
    updates += list(back)
    assert contents(updates[-1].conversation) == ["go", "one two three"]
    assert len(engine.asked) == 1
    # A page that was not reloaded opens nothing that is over; one that was shows it as it ended.
    assert len(list(made.kept.open(event("resume", record=text), *given(Conversation())))) == 1
    again_ = list(made.kept.open(event("resume", record=text, reloaded=True), *given(Conversation())))
    assert contents(again_[-1].conversation) == ["go", "one two three"]


def test_a_page_that_is_closed_for_good_leaves_what_was_written_to_whoever_comes_later(tmp_path: Path) -> None:
    """A closed tab and a lost connection are the same from here: nobody listens, and after the grace time it is ended."""
    steps = threading.Semaphore(1)
    engine = ScriptedChat(["one ", "two"], pace=lambda: steps.acquire(timeout=60) and None, orphan_seconds=0.05)
    pins = PinBook(tmp_path / "pins.json")
    made = page(Router((engine,), catalog=FakeCatalog(), pins=pins, start=REF))  # type: ignore[arg-type]
    record = left_in_the_middle(made)
    run = made.runs.late(record["head"]["running"])
    assert run is not None and run.answer is not None
    wait_until(lambda: run.answer.reply().finish == "cancelled", 60, "nobody listened and it went on")
    steps.release(5)
    text = json.dumps({"format": "proving-ground/conversation", **record["head"], "turns": record["turns"]})
    back = list(made.kept.open(event("resume", record=text, reloaded=True), *given(Conversation())))[-1]
    assert (contents(back.conversation), back.status) == (["go", "one "], "Stopped.")
    assert ">Continue</button>" in back.desk


def test_every_page_that_follows_an_answer_is_told_of_it_whoever_hears_of_its_end_first(tmp_path: Path) -> None:
    steps = threading.Semaphore(1)
    engine = ScriptedChat(["one ", "two"], pace=lambda: steps.acquire() and None)
    made = page(
        Router((engine,), catalog=FakeCatalog(), pins=PinBook(tmp_path / "pins.json"), start=REF)  # type: ignore[arg-type]
    )
    # The page that asked is reloaded: the app goes on following for it until it has something to send.
    gone = made.send("go", *given(Conversation()))
    record = json.loads(next(gone).keep)
    while "one" not in str(next(gone).chatbot):
        pass
    text = json.dumps({"format": "proving-ground/conversation", **record["head"], "turns": record["turns"]})
    after = made.kept.open(event("resume", record=text, reloaded=True), *given(Conversation()))
    assert isinstance([next(after), next(after)][-1].running, str)
    steps.release(5)
    list(gone)
    kept = json.loads(list(after)[-1].keep)
    assert kept["head"]["running"] is None
    turns = {turn["id"] for turn in (*record["turns"], *kept["turns"])}
    assert len(turns) == kept["count"] == 2


def test_an_answer_that_is_gone_says_how_to_get_another() -> None:
    made = page(Cut("one"))
    record: dict[str, Any] = {}
    for update in made.send("go", *given(Conversation())):
        if isinstance(update.keep, str) and not record:
            record = json.loads(update.keep)
    text = json.dumps({"format": "proving-ground/conversation", **record["head"], "turns": record["turns"]})
    back = list(page().kept.open(event("resume", record=text, reloaded=True), *given(Conversation())))[-1]
    assert contents(back.conversation) == ["go"]
    assert "Regenerate asks again" in back.status


def test_an_export_of_nothing_and_a_wrong_import_say_so() -> None:
    made = page()
    with pytest.raises(gr.Error, match="nothing to export"):
        made.kept.manage(event("export", kind="json"), *given(Conversation()))
    with pytest.raises(gr.Error, match="not JSON"):
        list(made.kept.open(event("import", text="<p>"), *given(Conversation())))
    visitor = OF_ACCOUNT + "x" * 32
    assert made.kept.keeper.owner(visitor) == ""
