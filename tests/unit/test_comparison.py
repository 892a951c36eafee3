"""From a vote to rows: which are made, and that the same vote is the same row."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.chat import GenerationSettings, Message, Reply, Usage
from core.comparison import Comparison, Vote, contender, item_of, rows_of
from core.dataset import COLUMNS, ComparisonRow, PreferenceRow
from core.images import ImageSettings, Picture, Timings
from core.lockstep import released
from core.refs import ModelRef

PROMPT = (Message("system", "s"), Message("user", "  q\t\n\n🙂"))


def reply(text: str, temperature: float) -> Reply:
    ref = ModelRef("org/model", "b" * 40)
    settings = GenerationSettings(temperature=temperature, seed=7)
    return Reply(f"r{temperature}", text, ref, settings, "CPU", "float32", "plain", "stop", None)


COMPARISON = Comparison("c-1", PROMPT, reply("left text", 0.1), reply("right text", 0.9))


def rows(outcome: str, rater: str | None = "r-1") -> tuple:
    vote = Vote(outcome, rater=rater, comment="because")  # type: ignore[arg-type]
    return rows_of(COMPARISON, vote, created_at="2026-01-01T00:00:00+00:00", app_version="0.1.0")


@pytest.mark.parametrize(
    ("outcome", "chosen", "shown_left"), [("left", "left text", "chosen"), ("right", "right text", "rejected")]
)
def test_a_winner_makes_a_comparison_and_a_preference(outcome: str, chosen: str, shown_left: str) -> None:
    compared, preferred = rows(outcome)
    assert isinstance(compared, ComparisonRow)
    assert isinstance(preferred, PreferenceRow)
    values = preferred.columns()
    assert values["chosen"] == [{"role": "assistant", "content": chosen}]
    assert values["prompt"] == [m.as_dict() for m in PROMPT]
    assert values["shown_left"] == shown_left
    assert values["comment"] == "because"
    assert values["chosen_settings"] != values["rejected_settings"]
    assert compared.columns()["outcome"] == outcome


@pytest.mark.parametrize("outcome", ["tie", "both_bad"])
def test_a_tie_makes_no_preference(outcome: str) -> None:
    (compared,) = rows(outcome)
    assert compared.columns()["outcome"] == outcome


def test_equal_answers_make_no_preference() -> None:
    same = Comparison("c-2", PROMPT, reply("same", 0.1), reply("same", 0.9))
    made = rows_of(same, Vote("left"), created_at="2026-01-01T00:00:00+00:00", app_version="0.1.0")
    assert len(made) == 1


def test_the_same_vote_twice_is_the_same_row_and_another_rater_is_not() -> None:
    ids = [row.provenance.id for row in rows("left")]
    assert ids == [row.provenance.id for row in rows("left")]
    assert not set(ids) & {row.provenance.id for row in rows("left", rater="r-2")}
    # A second click with another opinion hits the comparison row of the first.
    assert rows("right")[0].provenance.id == ids[0]


def test_item_ignores_the_order_of_the_contenders() -> None:
    compared, _ = rows("left")
    makers = [compared.left_by, compared.right_by]
    assert item_of(PROMPT, makers) == item_of(PROMPT, makers[::-1])
    assert item_of(PROMPT, makers) != item_of(PROMPT[1:], makers)


def test_every_row_has_exactly_the_contract_columns_in_order() -> None:
    for row in rows("left"):
        assert list(row.columns()) == list(COLUMNS[row.config])


def test_unknown_is_null_never_an_empty_string() -> None:
    for row in rows("left"):
        assert "" not in [value for value in row.columns().values() if isinstance(value, str)]


def test_lockstep_holds_the_faster_side_back() -> None:
    assert released(("abcdef", "ab"), (False, False), 0) == 2
    # A side that has ended lets the other go on alone, yet nothing says that it ended.
    assert released(("ab", "abcdef"), (True, False), 2) == 6
    assert released(("ab", "abcdef"), (True, True), 2) == 6
    assert released(("", ""), (False, False), 0) == 0


def test_what_the_engine_measured_goes_into_the_rows_and_makes_no_other_contender() -> None:
    measured = replace(COMPARISON.left, usage=Usage(10, 21, 0.25, 1.25))
    vote = Vote("left", rater="r-1")
    made = rows_of(replace(COMPARISON, left=measured), vote, created_at="2026-01-01T00:00:00+00:00", app_version="0")
    compared, preferred = (row.columns() for row in made)
    assert compared["left_timings"] == preferred["chosen_timings"]
    assert json.loads(str(compared["left_timings"])) == {
        "first_token_s": 0.25, "seconds": 1.25, "tokens": 21, "tokens_per_s": 20.0,
    }  # fmt: skip
    # Not known is null; so it was for every row of the first schema.
    assert compared["right_timings"] is None is preferred["rejected_timings"]
    assert contender(measured) == contender(COMPARISON.left) and contender(measured).timings
    assert item_of(PROMPT, (contender(measured),)) == item_of(PROMPT, (contender(COMPARISON.left),))
    assert list(COLUMNS["comparisons"])[-3:] == ["left_timings", "right_timings", "gold"]


def test_a_picture_s_seconds_go_into_its_row() -> None:
    ref = ModelRef("org/model", "b" * 40)
    picture = Picture("p", b"", ref, ImageSettings("a cat"), "CPU", "float32", Timings(0.5, 2.0625), "done")
    assert contender(picture).columns("left")["left_timings"] == '{"seconds": 2.062, "waited_s": 0.5}'
