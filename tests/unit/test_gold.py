"""Gold questions: what is known of a prompt, which side holds it, and what reviewers made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backends.evidence.agreement import agreement
from backends.gold import gold_of
from components.boards import agreement_html
from core.chat import GenerationSettings, Message, Reply
from core.comparison import Field, Vote, field_rows_of
from core.dataset import ComparisonRow
from core.errors import UserInputError
from core.evidence import VoteFilter
from core.feedback import StoredRow
from core.gold import NOTHING, expected, read_gold
from core.revision import changed
from tests.fake_evidence import RowsInMemory
from tests.fakes import REF, FakeStore

CSV = "prompt,topic,gold\nWhat is 2 + 2?,maths,4\nCapital of France?,places,Paris\n"


def test_a_csv_and_a_jsonl_file_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("\ufeff" + CSV, encoding="utf-8")
    lines = [{"prompt": "what is  2 + 2?", "gold": "4"}, {"prompt": "Capital of France?", "gold": ["Paris"]}]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert gold_of(str(tmp_path / "gold.csv")) == gold_of(str(tmp_path / "gold.jsonl"))
    assert gold_of("") == NOTHING


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ("4", True), ("It is 4.", True), ("**4**, of course", True), ("2 + 2 = 4", True),
        ("14", False), ("4.5", False), ("1,400", False), ("2.4", False), ("four", False), ("", False),
        ("<think>4? No, more.</think>\n\n5", False), ("<think>Is it 5?</think>\n\n4", True),
    ],
)  # fmt: skip
def test_the_known_answer_is_a_word_of_its_own(answer: str, held: bool) -> None:
    assert read_gold(CSV, "a.csv").holders(" what is 2  + 2? ", [answer, "no"]) == (held, False)


def test_one_of_several_known_texts_is_enough_whatever_their_case() -> None:
    gold = read_gold('{"prompt": "Who?", "gold": ["ada lovelace", "Countess of Lovelace"]}', "a.jsonl")
    assert gold.holders("Who?", ["ADA  LOVELACE did.", "the countess of\nLovelace", "Babbage"]) == (True, True, False)
    assert gold.holders("Who else?", ["Ada Lovelace"]) == ()


def test_where_both_or_neither_hold_it_nothing_is_known() -> None:
    assert [expected(*sides) for sides in ((True, False), (False, True), (True, True), (False, False))] == [
        "left", "right", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "question,answer\na,b\n", "no columns prompt and gold"),
        ("a.csv", "prompt,gold\na,\n", "Gold question 1"),
        ("a.csv", "", "no gold question"),
        ("a.csv", f"prompt,gold\na,{'x' * 201}\n", "at most 200"),
        ("a.jsonl", "{", "Line 1 is no JSON"),
        ("a.jsonl", '{"prompt": "a", "gold": 4}', "Line 1"),
        ("a.jsonl", '["a", "b"]', "Line 1"),
    ],
)
def test_a_file_that_says_it_otherwise_is_told_by_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserInputError, match=told):
        gold_of(str(tmp_path / name))


def test_a_file_that_is_not_there_names_the_setting() -> None:
    with pytest.raises(UserInputError, match="PROVING_GOLD"):
        gold_of("/nowhere/gold.csv")


def reply(text: str, seed: int) -> Reply:
    return Reply(f"reply-{seed}", text, REF, GenerationSettings(seed=seed), "CPU", "float32", "plain", "stop", None)


def voted(number: int, rater: str, outcome: str, right: str = "left") -> ComparisonRow:
    """A vote on a gold question, whose right answer stood on that side."""
    texts = ("It is 4.", "It is 5.") if right == "left" else ("It is 5.", "It is 4.")
    prompt = (Message("user", "What is 2 + 2?"),)
    replies = (reply(texts[0], 1), reply(texts[1], 2))
    holders = read_gold(CSV, "a.csv").holders(prompt[-1].content, texts)
    field = Field(f"battle-{number}-{rater}", prompt, replies, (None, None), holders=holders)
    rows = field_rows_of(
        field, Vote(outcome, rater=rater), created_at=f"2026-11-01T00:00:{number:02}+00:00", app_version="1"
    )
    [compared] = [row for row in rows if isinstance(row, ComparisonRow)]
    return compared


def test_a_row_says_what_was_known_and_keeps_it_when_the_vote_changes() -> None:
    row = voted(1, "ada", "right")
    assert (row.outcome, row.gold) == ("right", "left")
    stands = StoredRow(row.provenance.id, "comparisons", row.columns(), "waiting")
    compared = changed(stands, "tie").rows[0]
    assert isinstance(compared, ComparisonRow) and (compared.outcome, compared.gold) == ("tie", "left")


def test_each_pair_of_a_best_of_n_has_its_own() -> None:
    prompt = (Message("user", "What is 2 + 2?"),)
    replies = tuple(reply(text, seed) for seed, text in enumerate(("It is 5.", "It is 4.", "4 it is.")))
    field = Field("b", prompt, replies, (None,) * 3, holders=(False, True, True))
    rows = field_rows_of(field, Vote("2", rater="ada"), created_at="2026-11-01T00:00:00+00:00", app_version="1")
    assert [(r.outcome, r.gold) for r in rows if isinstance(r, ComparisonRow)] == [("right", "right"), ("left", None)]


def only_unasked() -> FakeStore:
    """A store of one vote of which nothing was known."""
    store = FakeStore()
    store.save([replace(voted(1, "ada", "left"), gold=None)])
    return store


@pytest.mark.parametrize(
    ("right", "asked", "says"),
    [(20, 20, "made with care"), (4, 4, "Ask more"), (15, 20, "Ask more"), (6, 20, "often wrong"), (0, 4, "Ask more")],
)
def test_what_the_share_of_right_votes_says(right: int, asked: int, says: str) -> None:
    store = FakeStore()
    store.save([voted(n, "ada", "left" if n < right else "right") for n in range(asked)])
    found = agreement(RowsInMemory(store).votes(), VoteFilter())
    assert says in next(one for one in found.findings if "known answer" in one)


def test_reviewers_are_told_apart_by_what_is_known() -> None:
    store = FakeStore()
    store.save([voted(n, "careful", side, side) for n, side in enumerate(("left", "right") * 5)])
    store.save([voted(n, "careless", "left", side) for n, side in enumerate(("left", "right") * 5)])
    store.save([replace(voted(n, "unasked", "left"), gold=None) for n in range(3)])
    # A tie where one side is right is no right answer either.
    store.save([voted(40 + n, "shy", "tie") for n in range(2)])
    votes = RowsInMemory(store).votes()
    found = agreement(votes, VoteFilter())
    people = {one.rater: one for one in found.raters}
    assert {name: (one.gold.count, one.gold.total) for name, one in people.items()} == {
        "careful": (10, 10), "careless": (5, 10), "unasked": (0, 0), "shy": (0, 2),
    }  # fmt: skip
    assert "Right on 5 of 10 questions with a known answer" in people["careless"].advice
    assert "known answer" not in people["careful"].advice + people["shy"].advice
    assert (found.gold.count, found.gold.total) == (15, 22)
    assert any("15 of 22 votes were right. Ask more of them" in finding for finding in found.findings)
    html = agreement_html(found)
    assert '<td class="n" data-label="Gold" title="5 of 10' in html and "PROVING_GOLD" not in html
    unasked = agreement(RowsInMemory(only_unasked()).votes(), VoteFilter())
    assert "PROVING_GOLD" in agreement_html(unasked) and unasked.gold.value is None
