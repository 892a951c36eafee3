"""Agreement by the textbook, and habits that are found when they are there and not when they are not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from backends.evidence.agreement import agreement, alpha_of, percent_of, share
from core.chat import Message
from core.dataset import ComparisonRow
from core.evidence import VoteFilter
from tests.contract.outbox_rows import provenance
from tests.fake_evidence import RowsInMemory
from tests.fakes import FakeStore
from tests.unit.test_leaderboard import maker

MAKERS = [maker("a"), maker("b")]


def counted(rows: Sequence[ComparisonRow]):
    """The rows as votes, through the tables that the store keeps."""
    store = FakeStore()
    store.save(list(rows))
    return RowsInMemory(store).votes()


def record(
    item: str = "i", rater: str | None = "r", outcome: str = "left", swapped: bool = False, lengths=(10, 10),
    seconds: float | None = 9.0, scores: object = None, at: str = "2026-11-01T00:00:00+00:00",
) -> ComparisonRow:  # fmt: skip
    left, right = MAKERS[::-1] if swapped else MAKERS
    about = provenance(item=item, rater=rater, decision_seconds=seconds, blind=True, leaked=False, created_at=at)
    texts = [(Message("assistant", "x" * length),) for length in lengths]
    return _Scored(about, "chat", (Message("user", "q"),), *texts, outcome, left, right, scores=scores)


@dataclass(frozen=True)
class _Scored(ComparisonRow):
    """A comparison with the answers of a rubric, which only campaigns will ask."""

    scores: object = None

    def columns(self) -> dict[str, object]:
        return super().columns() | {"scores": self.scores}


def test_alpha_is_the_one_of_the_handbook() -> None:
    """K. Krippendorff, “Computing Krippendorff's Alpha-Reliability”, 2011, section C: nominal data, missing values: 0.743."""
    told = {
        "A": ["1", "2", "3", "3", "2", "1", "4", "1", "2", "*", "*", "*"],
        "B": ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", "*", "3"],
        "C": ["*", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "*"],
        "D": ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "*"],
    }
    said = [[values[unit] for values in told.values()] for unit in range(12)]
    counts = np.array([[answers.count(value) for value in "12345"] for answers in said])
    assert alpha_of(counts) == pytest.approx(0.743, abs=0.0005)


def test_percent_counts_pairs_of_reviewers() -> None:
    assert percent_of(np.array([[2, 1], [1, 0]])) == pytest.approx(1 / 3)
    assert percent_of(np.array([[1, 0]])) is None
    assert alpha_of(np.array([[2, 0]])) is None


def test_the_same_winner_on_the_other_side_is_agreement() -> None:
    votes = counted([
        record("1", "ada", "left"), record("1", "bob", "right", swapped=True),
        record("2", "ada", "right"), record("2", "bob", "left", swapped=True),
        record("3", "ada", "tie"), record("3", "bob", "both_bad"),
        record("4", "ada", "left"), record("4", None, "left"),
    ])  # fmt: skip
    found = agreement(votes, VoteFilter())
    assert (found.overall.items, found.overall.votes) == (3, 6)
    assert found.overall.percent == pytest.approx(2 / 3)
    assert [pair.name for pair in found.pairs] == ["a @ 1111111 against b @ 1111111"]
    assert found.pairs[0].items == 3


def test_of_two_votes_of_one_reviewer_on_an_item_the_last_counts() -> None:
    later = record("1", "ada", "right", at="2026-11-01T00:00:05+00:00")
    votes = counted([later, record("1", "bob", "right"), record("1", "ada", "left")])
    found = agreement(votes, VoteFilter())
    assert found.overall.percent == 1.0
    assert found.overall.votes == 2


def test_each_question_of_a_rubric_has_its_own_agreement() -> None:
    def scores(left: str, right: str) -> list[dict[str, str]]:
        return [
            {"question": "polite", "side": "left", "value": left},
            {"question": "polite", "side": "right", "value": right},
        ]

    votes = counted([
        record("1", "ada", scores=scores("yes", "no")),
        # The same of the contenders, seen from the other side.
        record("1", "bob", "right", swapped=True, scores=scores("no", "yes")),
        record("2", "ada", scores=scores("yes", "yes")),
        record("2", "bob", scores=scores("no", "yes")),
    ])  # fmt: skip
    found = agreement(votes, VoteFilter())
    assert [question.name for question in found.questions] == ["Which answer is better?", "polite"]
    polite = found.questions[1]
    assert polite.items == 4
    assert polite.percent == pytest.approx(3 / 4)


def test_habits_of_reviewers_are_found() -> None:
    rng = random.Random(5)
    made = []
    for number in range(60):
        best = rng.choice(("left", "right"))
        long_left = rng.random() < 0.5
        lengths = (200, 100) if long_left else (100, 200)
        made += [
            record(str(number), "good", best, lengths=lengths),
            record(str(number), "fine", best if rng.random() < 0.9 else "tie", lengths=lengths),
            record(str(number), "lefty", "left", lengths=lengths),
            record(str(number), "lengthy", "left" if long_left else "right", lengths=lengths, seconds=1.0),
        ]
    found = agreement(counted(made), VoteFilter())
    advice = {rater.rater: rater.advice for rater in found.raters}
    assert advice["good"] == "" and advice["fine"] == ""
    assert "left side" in advice["lefty"] and "less than they do among themselves" in advice["lefty"]
    assert "longer answer" in advice["lengthy"] and "faster" in advice["lengthy"]
    health = {rater.rater: rater for rater in found.raters}
    assert health["lefty"].left.value == 1.0 and health["lefty"].seconds == 9.0
    assert health["good"].gold.value is None
    assert found.raters[0].votes == 60
    assert any("2 of 4 reviewers need a look" in finding for finding in found.findings)
    assert any("longer answer wins" in finding for finding in found.findings)


def test_a_collection_that_favours_a_side_is_told() -> None:
    found = agreement(
        counted([record(str(n), f"r{n}", "right" if n % 5 else "left") for n in range(100)]), VoteFilter()
    )
    assert (found.left.count, found.left.total) == (20, 100)
    assert any("right side wins 80%" in finding for finding in found.findings)
    fair = agreement(counted([record(str(n), f"r{n}", "right" if n % 2 else "left") for n in range(100)]), VoteFilter())
    assert any("No side is favoured" in finding for finding in fair.findings)


def test_nothing_says_what_to_do() -> None:
    assert "No votes yet" in agreement(counted([]), VoteFilter()).findings[0]
    assert "two reviewers the same prompts" in agreement(counted([record()]), VoteFilter()).findings[0]


def test_wilson_interval() -> None:
    """E. B. Wilson 1927; 8 of 10 by any table: 0.490 to 0.943."""
    found = share(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert share(0, 0).value is None
