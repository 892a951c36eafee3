"""The blind comparison's handlers: what is shown before the vote, and what a vote writes."""

from __future__ import annotations

import json
import threading
from typing import Any

import gradio as gr
import pytest

from components.side_by_side import side_by_side
from core.candidates import Choice, Setup
from core.chat import Capabilities, GenerationSettings, Message
from core.conversation import Conversation
from core.dataset import ComparisonRow, PreferenceRow
from core.errors import GenerationFailed
from core.gold import read_gold
from core.lockstep import stride
from core.refs import ModelRef
from core.rubric import DEFAULT
from pages.battle import BattlePage, Bout
from pages.chat import EXAMPLES
from tests.fakes import CHAT_LORA, OTHER, REF, FakeAnswer, FakeRouter, FakeStore


def page(router: FakeRouter | None = None, store: FakeStore | None = None) -> BattlePage:
    script = FakeRouter(lambda messages, settings: [f"word{i} " for i in range(5)] + [f"at {settings.temperature}"])
    return BattlePage(router or script, store or FakeStore(), "salt", ())


def compared(made: BattlePage, text: str = "q", conversation: Conversation | None = None, **more: Any) -> list[Bout]:
    return list(made.compare(text, conversation or Conversation(), REF, "be brief", **more))


def setup_of(made: BattlePage, *choices: Choice, **more: Any) -> str:
    """The id of a choice that was made on the page."""
    return made.setup.setups.add(Setup(choices, **more), tuple(made.setup._fixed(choice) for choice in choices))


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def battle_id(bouts: list[Bout]) -> str:
    return next(bout.battle for bout in bouts if isinstance(bout.battle, str))


def shown(value: Any) -> str:
    messages = value.value if isinstance(value, gr.Chatbot) else value
    return messages[-1]["content"][0]["text"] if messages and isinstance(messages, list) else ""


def put_out(bout: Bout) -> str:
    """What a handler puts out, as text."""
    return str([value.get_config() if hasattr(value, "get_config") else value for value in bout])


def test_nothing_before_the_vote_names_a_contender() -> None:
    """Everything a handler puts out before the vote, searched for the model, its commit, settings and seed."""
    bouts = compared(page(FakeRouter(lambda messages, settings: ["alpha ", "beta"])))
    for bout in bouts:
        for name, value in bout._asdict().items():
            if name in ("conversation", "battle"):
                continue  # gr.State: stays on the server
            text = str(value.get_config() if hasattr(value, "get_config") else value)
            for secret in (REF.repo_id, "tiny-model", REF.revision, "0.2", "1.0", "seed"):
                assert secret not in text, (name, secret)


def test_both_sides_are_released_in_step() -> None:
    """One side has everything at once, the other is held: the fast one shows no more than the slow one has."""
    held = threading.Semaphore(0)
    fast = FakeAnswer(REF, GenerationSettings(), ["x" * 5] * 4)
    slow = FakeAnswer(REF, GenerationSettings(), ["ab"] * 4, gate=held.acquire)
    seen = []
    stream = side_by_side((fast, slow), interval=0.01)
    for _ in range(3):
        held.release()
        sides = next(stream)
        assert not sides.done
        seen.append(tuple(len(text) for text in sides.texts))
    held.release()
    *_, last = stream
    assert seen == [(2, 2), (4, 4), (6, 6)]
    assert last.done
    assert last.texts == ("x" * 20, "ab" * 4)


def test_sides_are_drawn_anew() -> None:
    lefts = set()
    for _ in range(40):
        made = page()
        bouts = compared(made)
        lefts.add(made.battles.get(battle_id(bouts)).left.settings.temperature)
        if len(lefts) == 2:
            break
    assert lefts == {0.2, 1.0}


@pytest.mark.parametrize(("outcome", "rows"), [("left", 2), ("right", 2), ("tie", 1), ("both_bad", 1)])
def test_a_vote_is_saved_then_the_names_appear(outcome: str, rows: int) -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made, "the question"))
    shown_after = made.vote(outcome, which, "  because  ", "visitor")
    bout = Bout(*shown_after[:-1])
    assert len(store.kept) == rows
    assert "tiny-model" in bout.reveal
    assert bout.status == f"Saved. {rows} waiting to upload."
    if rows == 2:
        row = next(row for row in store.kept.values() if isinstance(row, PreferenceRow))
        assert row.provenance.comment == "because"
        assert row.provenance.blind is True
        assert [m.role for m in row.prompt] == ["system", "user"]
        battle = made.battles.get(which)
        assert row.chosen[0].content == (battle.left if outcome == "left" else battle.right).content


def test_on_a_gold_question_the_row_names_the_side_that_held_the_answer_and_the_page_never_does() -> None:
    store, gold = FakeStore(), read_gold("prompt,gold\nThe capital of France?,Paris\n", "gold.csv")
    cold = FakeRouter(lambda messages, settings: ["Paris it is." if settings.temperature == 0.2 else "It is Rome."])
    made = BattlePage(cold, store, "salt", (), gold=gold)
    bouts = compared(made, "the capital of  FRANCE?")
    right = "left" if made.battles.get(battle_id(bouts)).left.settings.temperature == 0.2 else "right"
    after = made.vote("tie", battle_id(bouts), "", "visitor")
    [row] = [row for row in store.kept.values() if isinstance(row, ComparisonRow)]
    assert (row.outcome, row.gold) == ("tie", right)
    assert not any("gold" in put_out(bout) for bout in [*bouts, Bout(*after[:-1])])
    made.vote("left", battle_id(compared(made, "something else")), "", "visitor")
    assert [row.gold for row in store.kept.values() if isinstance(row, ComparisonRow)] == [right, None]


def test_a_double_click_and_a_second_tab_change_nothing() -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made))
    made.vote("left", which, "", "visitor")
    kept = dict(store.kept)
    again = Bout(*made.vote("right", which, "", "visitor")[:-1])
    assert store.kept == kept
    assert "the first vote stands" in again.status
    assert 'data-vote="left"' in again.reveal


def test_the_first_vote_stands_even_when_this_process_has_forgotten_it() -> None:
    """Two replicas share the store, not the table of battles: the row's own id decides."""
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made))
    battle = made.battles.get(which)
    made.vote("left", which, "", "visitor")
    made.battles.add(battle)
    made.vote("right", which, "", "visitor")
    assert [row.columns()["outcome"] for row in store.kept.values() if row.config == "comparisons"] == ["left"]


def test_a_vote_before_both_answers_ended_is_refused() -> None:
    made = page()
    stream = made.compare("q", Conversation(), REF)
    which = next(bout.battle for bout in stream if isinstance(bout.battle, str))
    with pytest.raises(gr.Error, match="Both answers have to be finished"):
        made.vote("left", which, "", "visitor")


def test_a_page_that_is_closed_in_the_middle_ends_every_side_and_leaves_nothing_to_vote_on() -> None:
    router, store = FakeRouter(lambda messages, settings: ["word " * 40] * 40), FakeStore()
    router.gate = lambda: None
    made = page(router, store)
    stream = made.compare("q", Conversation(), REF, visitor="me")
    which = None
    for bout in stream:
        which = which or (bout.battle if isinstance(bout.battle, str) else None)
        if shown(bout.left).startswith("word"):
            break
    stream.close()
    assert [answer.cancelled.is_set() for answer in router.answers.values()] == [True, True]
    with pytest.raises(gr.Error, match="Both answers have to be finished"):
        made.vote("left", which, "", "me")
    assert store.kept == {}


def test_a_forged_battle_or_outcome_is_refused() -> None:
    made = page()
    with pytest.raises(gr.Error, match="no longer open"):
        made.vote("left", "forged", "", "visitor")
    which = battle_id(compared(made))
    for forged in ("forged", "", None, which[:-1], which.swapcase()):
        with pytest.raises(gr.Error, match="no longer open"):
            made.vote("left", forged, "", "visitor")
    with pytest.raises(gr.Error, match="left, right, tie"):
        made.vote("chosen", which, "", "visitor")  # type: ignore[arg-type]
    with pytest.raises(gr.Error, match="too long"):
        made.vote("left", which, "x" * 5000, "visitor")


def test_a_side_that_fails_voids_the_battle_and_gives_the_prompt_back() -> None:
    """What went wrong, and on which side, would tell one from the other: it is told with Void alone."""
    router = FakeRouter(lambda messages, settings: ["x" * 20] * 3)
    store = FakeStore()
    made = page(router, store)
    failing = GenerationFailed(f"{REF.repo_id} stopped. Try again.")
    traces = []
    for temperature in (0.2, 1.0):
        router.error_of = lambda settings, bad=temperature: failing if settings.temperature == bad else None
        bouts = list(made.compare("precious", Conversation(), REF, visitor="me"))
        assert bouts[-1].text == "precious"
        assert "tiny-model" not in "".join(map(put_out, bouts))
        traces.append([put_out(bout).replace(str(bouts[-1].battle), "id") for bout in (bouts[0], bouts[-1])])
        with pytest.raises(gr.Error, match="have to be finished"):
            made.vote("left", bouts[-1].battle, "", "me")
    assert traces[0] == traces[1], "which side failed can be told"
    assert store.kept == {}
    which = bouts[-1].battle
    told = made.void(which, Conversation(), REF, "me", event(battle=which))
    assert "tiny-model stopped" in told.reveal and told.battle is None


def test_a_failed_battle_is_asked_again_with_the_same_contenders() -> None:
    router = FakeRouter(lambda messages, settings: ["better now"])
    made = page(router)
    router.error = GenerationFailed("The engine stopped. Try again.")
    which = compared(made, "again")[-1].battle
    router.error = None
    bouts = list(made.retry(which, Conversation(), REF, "", event(battle=which)))
    again = battle_id(bouts)
    assert again != which
    assert {each.settings.temperature for each in made.battles.get(again).candidates} == {0.2, 1.0}
    assert made.vote("left", again, "", "")
    with pytest.raises(gr.Error, match="no longer open"):
        next(made.retry(which, Conversation(), REF, "", event(battle=which)))
    with pytest.raises(gr.Error, match="cannot be asked again"):
        next(made.retry(again, Conversation(), REF, "", event(battle=again)))


def test_two_greedy_copies_of_one_model_are_refused() -> None:
    with pytest.raises(gr.Error, match="would answer alike"):
        made = page()
        list(
            made.compare("q", Conversation(), REF, "", setup_of(made, Choice(temperature=0.0), Choice(temperature=0.0)))
        )


def test_the_conversation_goes_on_from_the_better_answer() -> None:
    made = page()
    which = battle_id(compared(made, "first"))
    after = Bout(*made.vote("right", which, "", "v")[:-1])
    assert after.conversation.path()[-1].message.content == made.battles.get(which).right.content
    which = battle_id(compared(made, "second", after.conversation))
    kept = made.battles.get(which).comparison().prompt
    assert [m.role for m in kept] == ["system", "user", "assistant", "user"]
    bad = Bout(*made.vote("both_bad", which, "", "v")[:-1])
    assert bad.conversation.path() == after.conversation.path()


def test_what_was_said_while_a_battle_was_open_is_not_taken_back_by_the_vote() -> None:
    made = page()
    which = battle_id(compared(made))
    meanwhile = Conversation().ask("meanwhile").answer(made.battles.get(which).left)
    after = Bout(*made.vote("right", which, "", "v", meanwhile)[:-1])
    assert after.conversation.path() == meanwhile.path()
    assert made.battles.get(which).right.id in [turn.id for turn in after.conversation.turns]


def test_an_open_question_is_not_shown_as_part_of_the_conversation() -> None:
    made = page()
    which = battle_id(compared(made, "open question"))
    assert "open question" in str(switched(made, "compare", which).chatbot.value)
    assert "open question" not in str(switched(made, "single", which).chatbot.value)


def switched(made: BattlePage, mode: str, battle: str | None = None, text: str = "", visitor: str = "") -> Bout:
    return Bout(*made.switch(mode, Conversation(), battle, None, text, visitor)[2:])


def test_a_page_that_was_reloaded_finds_the_ballot_that_was_left_open_and_it_is_as_blind() -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made, "left open", visitor="me"))
    found = switched(made, "compare", visitor="me")
    assert (found.battle, "left open" in str(found.chatbot.value), found.ballot.visible) == (which, True, True)
    assert shown(found.left).startswith("word0") and which in found.sheet
    for secret in (REF.repo_id, REF.revision[:7], "temperature", '"seed"'):
        assert secret not in put_out(found)
    # Nobody else does, and after the vote nobody at all.
    for visitor in ("you", ""):
        assert not isinstance(switched(made, "compare", visitor=visitor).battle, str)
    made.vote("left", which, "", "me")
    assert len(store.kept) == 2
    assert not isinstance(switched(made, "compare", visitor="me").battle, str)


def test_the_prompt_of_a_battle_that_was_cut_off_is_back_in_the_box() -> None:
    made = page(FakeRouter(lambda messages, settings: ["word " * 40] * 40))
    stream = made.compare(" precious\t", Conversation(), REF, visitor="me")
    for bout in stream:
        if shown(bout.left).startswith("word"):
            break
    # Still on its way, perhaps in another tab: left alone.
    assert not isinstance(switched(made, "compare", visitor="me").text, str)
    stream.close()
    assert not isinstance(switched(made, "compare", text="a new one", visitor="me").text, str)
    found = switched(made, "compare", visitor="me")
    assert (found.text, found.status) == (" precious\t", "Your last battle was cut off. Its prompt is back.")
    assert not isinstance(switched(made, "compare", visitor="me").text, str)


def test_a_reason_that_is_not_saved_is_not_thrown_away() -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made))
    again = ("next", Conversation(), REF, "", None, None, which)
    with pytest.raises(gr.Error, match="reason is not saved"):
        next(made.compare(*again, "because"))
    assert next(made.compare(*again, "  "))
    assert next(made.compare(*again, None))
    made.vote("left", which, "because", "v")
    assert next(made.compare(*again, "because"))


@pytest.mark.parametrize(("told", "expected"), [(None, 0.9), ((0.7, 0.6, 64.0), 0.6)])
def test_a_prompt_sent_before_the_page_knows_the_model_s_own_settings_is_asked_with_them(
    told: tuple[float, float, float] | None, expected: float
) -> None:
    """On a slow machine the first battles used to be of other contenders than the later ones."""

    class Author(FakeRouter):
        def capabilities(self, ref: ModelRef) -> Capabilities:
            return Capabilities(max_context=2048, sampling=GenerationSettings(temperature=0.2, top_p=0.9))

    asked: list[GenerationSettings] = []

    def answer(messages: tuple[Message, ...], settings: GenerationSettings) -> list[str]:
        asked.append(settings)
        return ["word"]

    compared(page(Author(answer)), **({"limits": told} if told else {}))
    assert [settings.top_p for settings in asked] == [expected] * 2
    assert len({settings.temperature for settings in asked}) == 2


def test_a_contender_that_is_not_here_is_not_downloaded_unasked() -> None:
    router = FakeRouter()
    router.ready = False
    with pytest.raises(gr.Error, match=r"not on this machine \(5 MB to download\)"):
        next(page(router).compare("q", Conversation(), REF))


def test_no_battle_while_an_answer_is_written() -> None:
    with pytest.raises(gr.Error, match="being written"):
        next(page().compare("q", Conversation(), REF, running="running"))


def test_a_bug_in_one_side_leaves_a_screen_that_can_compare_again() -> None:
    router = FakeRouter()
    router.error = KeyError("secret detail")
    bouts: list[Bout] = []
    with pytest.raises(gr.Error, match="Reference"):
        for bout in page(router).compare("precious", Conversation(), REF):
            bouts.append(bout)
    assert bouts[-1].text == "precious"
    assert bouts[-1].compare.visible is True


# Two to four sides.


def cast(made: BattlePage, which: str, outcome: str, **more: Any) -> tuple[Any, ...]:
    """A vote as the ballot sends it."""
    return made.vote_cast(which, "", "me", None, REF, event(battle=which, outcome=outcome, **more))


def test_four_contenders_make_three_comparisons_under_one_id() -> None:
    router = FakeRouter(lambda messages, settings: [f"{messages[0].content} at {settings.temperature}"])
    store = FakeStore()
    made = page(router, store)
    chosen = setup_of(
        made, Choice(temperature=0.1), Choice("org/other-model", temperature=0.2), Choice(adapter=CHAT_LORA.repo_id),
        Choice(weights="int8", system="You are terse.", temperature=0.4),
    )  # fmt: skip
    bouts = list(made.compare("q", Conversation(), REF, "be brief", chosen, visitor="me"))
    shown_before = "".join(map(put_out, bouts))
    for secret in ("tiny-model", "other-model", "polite", "int8", REF.revision, OTHER.revision):
        assert secret not in shown_before
    which = battle_id(bouts)
    battle = made.battles.get(which)
    assert [len(battle.replies), len({reply.ref for reply in battle.replies})] == [4, 4]
    assert bouts[0].fourth.visible is True
    best = next(n for n, each in enumerate(battle.candidates, 1) if each.system)
    after = cast(made, which, str(best), strength="clearly", reasons=["shorter"])
    rows = [row.columns() for row in store.kept.values()]
    compared_rows = [row for row in rows if "outcome" in row]
    preferred = [row for row in rows if "chosen" in row]
    assert (len(compared_rows), len(preferred)) == (3, 3)
    assert {row["comparison_id"] for row in rows} == {which}
    assert all(row["derived"] and row["blind"] for row in rows)
    assert {(row["strength"], tuple(row["reasons"])) for row in rows} == {("clearly", ("shorter",))}
    for row in preferred:
        assert row["prompt"] == [Message("system", "be brief").as_dict(), Message("user", "q").as_dict()]
        assert '"system": "You are terse."' in row["chosen_settings"] and '"weights": "int8"' in row["chosen_settings"]
        assert "system" not in row["rejected_settings"]
    assert {row["rejected_adapter"] for row in preferred} == {None, str(CHAT_LORA)}
    for row in compared_rows:
        winner = "left" if row["left_settings"] == preferred[0]["chosen_settings"] else "right"
        assert row["outcome"] == winner
    assert "other-model" in Bout(*after[:-1]).reveal and "You are terse." in Bout(*after[:-1]).reveal


@pytest.mark.parametrize(("outcome", "said"), [("tie", "tie"), ("both_bad", "both_bad")])
def test_a_tie_of_three_is_two_comparisons_and_no_preference(outcome: str, said: str) -> None:
    store = FakeStore()
    made = page(store=store)
    chosen = setup_of(made, *(Choice(temperature=t) for t in (0.1, 0.2, 0.3)))
    which = battle_id(list(made.compare("q", Conversation(), REF, chosen=chosen, visitor="me")))
    with pytest.raises(gr.Error, match="has to be 1, 2, 3, tie or both bad"):
        cast(made, which, "left")
    with pytest.raises(gr.Error, match="has to be 1"):
        cast(made, which, "4")
    cast(made, which, outcome)
    assert [row.columns()["outcome"] for row in store.kept.values()] == [said, said]


def test_the_rubric_is_answered_for_each_side() -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made, visitor="me"))
    scores = [
        {"question": "tone", "side": 0, "value": "5"}, {"question": "tone", "side": 1, "value": "2"},
        {"question": "format", "side": 1, "value": "3"},
    ]  # fmt: skip
    for wrong in (
        [{"question": "tone", "side": 2, "value": "5"}], [{"question": "tone", "side": 0, "value": "6"}],
        [{"question": "beauty", "side": 0, "value": "5"}], ["tone"], "tone",
        [{"question": "tone", "side": True, "value": "5"}], [{"question": "tone", "side": 0, "value": ["5"]}],
    ):  # fmt: skip
        with pytest.raises(gr.Error, match="Reload the page"):
            cast(made, which, "right", scores=wrong)
    with pytest.raises(gr.Error, match="reason is not one"):
        cast(made, which, "right", reasons=["<b>mine</b>"])
    with pytest.raises(gr.Error, match="slightly or clearly"):
        cast(made, which, "right", strength="very")
    assert store.kept == {}
    cast(made, which, "right", scores=scores)
    rows = {row.config: row.columns() for row in store.kept.values()}
    assert rows["comparisons"]["scores"] == [
        {"question": "tone", "side": "left", "value": "5"}, {"question": "tone", "side": "right", "value": "2"},
        {"question": "format", "side": "right", "value": "3"},
    ]  # fmt: skip
    assert {cell["side"]: cell["value"] for cell in rows["preferences"]["scores"][:2]} == {
        "rejected": "5",
        "chosen": "2",
    }
    assert {row["rubric_version"] for row in rows.values()} == {DEFAULT.version}


# What a vote may not be.


def test_a_vote_of_another_person_or_for_another_battle_changes_nothing() -> None:
    store = FakeStore()
    made = page(store=store)
    mine = battle_id(compared(made, visitor="me"))
    other = battle_id(compared(made, "two", visitor="me"))
    with pytest.raises(gr.Error, match="somebody else"):
        made.vote("left", mine, "", "you")
    with pytest.raises(gr.Error, match="not the battle that is open"):
        made.vote_cast(other, "", "me", None, REF, event(battle=mine, outcome="left"))
    with pytest.raises(gr.Error, match="somebody else"):
        made.stop(mine, "you")
    assert store.kept == {}
    cast(made, other, "left")
    kept = dict(store.kept)
    cast(made, other, "left")
    assert store.kept == kept


def test_stop_ends_all_sides_where_they_stand_on_the_screen() -> None:
    """The fast side had written ten times as much; nobody may see that."""
    held = threading.Semaphore(0)
    router = FakeRouter()
    made = page(router)

    def pieces(messages: Any, settings: GenerationSettings) -> list[str]:
        return ["f" * 400] * 4 if settings.temperature == 0.2 else ["s" * 20] * 80

    router.script = pieces
    router.gate_of = lambda settings: None if settings.temperature == 0.2 else held.acquire
    stream = made.compare("q", Conversation(), REF, visitor="me")
    held.release()
    which = None
    for bout in stream:
        which = which or (bout.battle if isinstance(bout.battle, str) else None)
        if len(shown(bout.left)) >= 16:
            break
    made.stop(which, "me")
    for _ in range(80):
        held.release()
    *_, last = stream
    lengths = {len(shown(side)) for side in (last.left, last.right)}
    assert lengths == {16}
    assert {reply.finish for reply in made.battles.get(which).replies} == {"cancelled"}
    assert {len(reply.content) for reply in made.battles.get(which).replies} == {16}
    assert "Stopped" in last.status


def test_how_many_messages_there_are_follows_from_the_texts_alone() -> None:
    """Fast and slow, one ahead of the other: the same messages, character for character."""

    def trace(first: list[str], second: list[str], gates: tuple[Any, Any]) -> list[tuple[int, ...]]:
        answers = [
            FakeAnswer(REF, GenerationSettings(), pieces, gate=gate)
            for pieces, gate in zip((first, second), gates, strict=True)
        ]
        return [tuple(map(len, sides.texts)) for sides in side_by_side(answers, 0.001, stride)]

    pause = threading.Event()
    at_once = trace(["x" * 90], ["y" * 50], (None, None))
    slow = trace(["x"] * 90, ["y" * 10] * 5, (lambda: pause.wait(0.0005), None))
    other = trace(["x" * 30] * 3, ["y"] * 50, (None, lambda: pause.wait(0.0005)))
    assert at_once == slow == other == [(16, 16), (32, 32), (48, 48), (64, 50), (80, 50), (90, 50)]


# What an answer gives away.


def test_an_answer_that_names_its_model_marks_the_row() -> None:
    store = FakeStore()
    made = page(FakeRouter(lambda messages, settings: ["As ChatGPT, made by OpenAI, I can help."]), store)
    after = Bout(*cast(made, battle_id(compared(made, visitor="me")), "left")[:-1])
    assert all(row.provenance.leaked for row in store.kept.values())
    assert "marked as leaked" in after.reveal


def test_plain_text_is_shown_and_the_record_is_what_was_written() -> None:
    made = page(FakeRouter(lambda messages, settings: ["# Head\n\n**bold** and `code`"]))
    chosen = setup_of(made, Choice(temperature=0.1), Choice(temperature=0.2), flat=True)
    bouts = list(made.compare("q", Conversation(), REF, chosen=chosen))
    assert shown(bouts[-1].left) == "Head\n\nbold and code"
    assert made.battles.get(battle_id(bouts)).left.content == "# Head\n\n**bold** and `code`"


# Choosing.


def test_a_choice_is_kept_on_the_server_and_said_in_a_line() -> None:
    made = page()
    sent = {"choices": [{"model": "org/other-model", "temperature": "0,5"}, {}], "pool": False}
    which, said = made.setup.take(sent, REF, "me")
    assert "temperature has to be a number" in said
    with pytest.raises(gr.Error, match=r"not complete.*number"):
        next(made.compare("q", Conversation(), REF, chosen=which))
    sent["choices"][0]["temperature"] = "0.5"
    which, said = made.setup.take(sent, REF, "me")
    assert said == "2 contenders are set." and "other" not in which
    first, second = made.setup.candidates(made.setup.chosen(which), REF, (0.3, 0.8, 99))
    assert (first.ref, first.settings.temperature, second.ref) == (OTHER, 0.5, REF)
    assert (second.settings.temperature, second.settings.top_p, second.settings.max_new_tokens) == (0.3, 0.8, 99)
    for wrong in (None, [], {"choices": []}, {"choices": [{}]}, {"choices": [{}] * 5}, {"choices": [{}, 3]},
                  {"choices": [{}, {"model": 3}]}, {"choices": [{}, {"model": "org/none"}]}):  # fmt: skip
        assert "set." not in made.setup.take(wrong, REF, "me")[1]
    with pytest.raises(gr.Error, match="no longer kept"):
        next(made.compare("q", Conversation(), REF, chosen="forged"))


def test_contenders_may_differ_in_the_options_of_their_template() -> None:
    class Reads(FakeRouter):
        def capabilities(self, ref: Any) -> Capabilities:
            return Capabilities(thinking=True, template_kwargs=("date_string", "enable_thinking"))

    made = page(Reads(), store := FakeStore())
    sent = {"choices": [{"template": "enable_thinking=true"}, {"template": "enable_thinking=false"}]}
    which, said = made.setup.take(sent, REF, "me")
    assert said == "2 contenders are set."
    bouts = compared(made, chosen=which, visitor="me")
    assert not any("enable_thinking" in put_out(bout) for bout in bouts)
    made.vote("left", battle_id(bouts), "", "me")
    (row,) = [row for row in store.kept.values() if row.config == "comparisons"]
    given_ = [json.loads(str(row.columns()[f"{side}_settings"]))["template_kwargs"] for side in ("left", "right")]
    assert sorted(each["enable_thinking"] for each in given_) == [False, True]
    _, said = made.setup.take({"choices": [{"template": "enable_thinkin=1"}, {}]}, REF, "me")
    assert said.startswith("Contender 1: its chat template has no option called enable_thinkin. It reads date_string")
    _, said = made.setup.take({"choices": [{}, {"template": "thinking"}]}, REF, "me")
    assert said.startswith("Contender 2: Template options, line 1")


def test_a_pool_draws_the_pair_that_was_compared_least() -> None:
    made = page()
    chosen = setup_of(made, *(Choice(temperature=t) for t in (0.1, 0.2, 0.3, 0.4, 0.5)), pool=True)
    seen = []
    for _ in range(10):
        which = battle_id(list(made.compare("q", Conversation(), REF, chosen=chosen, visitor="me")))
        seen.append(frozenset(each.settings.temperature for each in made.battles.get(which).candidates))
        cast(made, which, "tie")
    assert len(set(seen)) == 10, "a pair came again before every other had its turn"


def test_a_list_of_prompts_is_asked_each_in_a_conversation_of_its_own() -> None:
    made = page()
    bouts = list(made.ask_listed(REF, "be brief", None, None, None, "", None, "me", event(prompt="from the list")))
    prompt = made.battles.get(battle_id(bouts)).comparison().prompt
    assert [message.content for message in prompt] == ["be brief", "from the list"]
    sheet = made.read_list(event(text="one\n<b>two</b>", name=""))
    assert "&lt;b&gt;two" in sheet
    with pytest.raises(gr.Error, match="at most 200"):
        made.read_list(event(text="x\n" * 201, name=""))


def test_a_pool_is_told_of_as_one_and_an_empty_battle_offers_no_example_of_one_model() -> None:
    """Under Compare blind an example of the single answer stood there, and asked one model when it was clicked."""
    made = page()
    said = made.setup.take({"choices": [{"temperature": "0.1"}, {"temperature": "0.2"}], "pool": True}, REF, "v")[1]
    assert said == "A pool of 2 contenders is set."
    shown = made.switch("compare", Conversation(), None, None)[3]
    assert shown.examples == [] and "Which answer is better" in shown.placeholder
    assert made.switch("single", Conversation(), None, None)[3].examples == EXAMPLES
