"""The blind comparison's handlers: what is shown before the vote, and what a vote writes."""

from __future__ import annotations

import threading
from typing import Any

import gradio as gr
import pytest

from components.side_by_side import side_by_side
from core.chat import GenerationSettings
from core.conversation import Conversation
from core.dataset import PreferenceRow
from core.errors import GenerationFailed
from pages.battle import BattlePage, Bout
from tests.fakes import REF, FakeAnswer, FakeRouter, FakeStore


def page(router: FakeRouter | None = None, store: FakeStore | None = None) -> BattlePage:
    script = FakeRouter(lambda messages, settings: [f"word{i} " for i in range(5)] + [f"at {settings.temperature}"])
    return BattlePage(router or script, store or FakeStore(), "salt", ())


def compared(made: BattlePage, text: str = "q", conversation: Conversation | None = None, **models: Any) -> list[Bout]:
    return list(
        made.compare(
            text, conversation or Conversation(), REF, "be brief", models.get("first", ""), 0.2,
            models.get("second", ""), 1.0, 0.9, 64, None,
        )
    )  # fmt: skip


def battle_id(bouts: list[Bout]) -> str:
    return next(bout.battle for bout in bouts if isinstance(bout.battle, str))


def shown(value: Any) -> str:
    messages = value.value if isinstance(value, gr.Chatbot) else value
    return messages[-1]["content"][0]["text"] if messages and isinstance(messages, list) else ""


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
    stream = made.compare("q", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, None)
    which = next(bout.battle for bout in stream if isinstance(bout.battle, str))
    with pytest.raises(gr.Error, match="Both answers have to be finished"):
        made.vote("left", which, "", "visitor")


def test_a_forged_battle_or_outcome_is_refused() -> None:
    made = page()
    with pytest.raises(gr.Error, match="no longer open"):
        made.vote("left", "forged", "", "visitor")
    which = battle_id(compared(made))
    with pytest.raises(gr.Error, match="left, right, tie"):
        made.vote("chosen", which, "", "visitor")  # type: ignore[arg-type]
    with pytest.raises(gr.Error, match="too long"):
        made.vote("left", which, "x" * 5000, "visitor")


def test_a_side_that_fails_voids_the_battle_and_gives_the_prompt_back() -> None:
    router = FakeRouter()
    router.error = GenerationFailed("The engine stopped. Try again.")
    store = FakeStore()
    bouts: list[Bout] = []
    with pytest.raises(gr.Error, match="engine stopped"):
        for bout in page(router, store).compare("precious", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, None):
            bouts.append(bout)
    assert bouts[-1].text == "precious"
    assert store.kept == {}


def test_two_greedy_copies_of_one_model_are_refused() -> None:
    with pytest.raises(gr.Error, match="would answer alike"):
        list(page().compare("q", Conversation(), REF, "", "", 0.0, "", 0.0, 0.9, 64, None))


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
    assert "open question" in str(made.switch("compare", Conversation(), which, None)[2].value)
    assert "open question" not in str(made.switch("single", Conversation(), which, None)[2].value)


def test_a_reason_that_is_not_saved_is_not_thrown_away() -> None:
    store = FakeStore()
    made = page(store=store)
    which = battle_id(compared(made))
    again = ("next", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, which)
    with pytest.raises(gr.Error, match="reason is not saved"):
        next(made.compare(*again, "because"))
    assert next(made.compare(*again, "  "))
    assert next(made.compare(*again, None))
    made.vote("left", which, "because", "v")
    assert next(made.compare(*again, "because"))


def test_a_contender_that_is_not_here_is_not_downloaded_unasked() -> None:
    router = FakeRouter()
    router.ready = False
    with pytest.raises(gr.Error, match=r"not on this machine \(5 MB to download\)"):
        next(page(router).compare("q", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, None))


def test_no_battle_while_an_answer_is_written() -> None:
    with pytest.raises(gr.Error, match="being written"):
        next(page().compare("q", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, None, "", "running"))


def test_a_bug_in_one_side_leaves_a_screen_that_can_compare_again() -> None:
    router = FakeRouter()
    router.error = KeyError("secret detail")
    bouts: list[Bout] = []
    with pytest.raises(gr.Error, match="Reference"):
        for bout in page(router).compare("precious", Conversation(), REF, "", "", 0.2, "", 1.0, 0.9, 64, None):
            bouts.append(bout)
    assert bouts[-1].text == "precious"
    assert bouts[-1].compare.visible is True
