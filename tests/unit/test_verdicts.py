"""The thin copies of comparisons: as many as there are current rows, whatever happened to them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from backends.evidence.agreement import agreement
from core.chat import Message
from core.comparison import item_of
from core.dataset import ComparisonRow, Contender
from core.evidence import Style, VoteFilter, style_of
from core.identity import signed
from tests.contract.outbox_rows import comparison, open_store, provenance
from tests.fake_evidence import RowsInMemory
from tests.fakes import FakeStore

A = Contender("org/a", "a" * 40, None, '{"seed": 1, "temperature": 0.5}')
A_AGAIN = Contender("org/a", "a" * 40, None, '{"seed": 2, "temperature": 0.5}')
B = Contender("org/b", "b" * 40)


def vote(outcome: str = "left", left: Contender = A, right: Contender = B, prompt: str = "Why?", **changes: object):
    return ComparisonRow(
        provenance(**{"blind": True, "leaked": False, **changes}),
        "chat",
        (Message("system", "s"), Message("user", prompt)),
        (Message("assistant", "# Head\n- a\n- b\n**bold**"),),
        (Message("assistant", "plain"),),
        outcome,
        left,
        right,
    )


@pytest.fixture
def store(tmp_path: Path):
    store, _ = open_store(tmp_path)
    yield store
    store.close()


def test_votes_are_counted_by_pair_and_outcome_and_the_seed_makes_no_contender(store) -> None:
    store.save([vote("left"), vote("left", left=A_AGAIN), vote("tie", left=B, right=A)])
    votes = store.votes()
    makers = votes.contenders()
    assert sorted((maker.model, maker.settings) for maker in makers.values()) == [
        ("org/a", '{"temperature": 0.5}'),
        ("org/b", None),
    ]
    found = {(makers[t.left].model, makers[t.right].model, t.outcome, t.times) for t in votes.tallies(VoteFilter())}
    assert found == {("org/a", "org/b", "left", 2), ("org/b", "org/a", "tie", 1)}


def test_a_vote_taken_back_or_replaced_no_longer_counts_and_the_stamp_tells(store) -> None:
    first, second = vote(), vote("right")
    store.save([first, second])
    votes = store.votes()
    before = votes.stamp()
    store.withdraw(first.provenance.id)
    assert votes.stamp() != before
    store.save([vote("tie", supersedes=second.provenance.id)])
    assert [(t.outcome, t.times) for t in store.votes().tallies(VoteFilter())] == [("tie", 1)]


def test_the_same_vote_twice_counts_once(store) -> None:
    row = vote()
    store.save([row])
    store.save([row])
    assert [t.times for t in store.votes().tallies(VoteFilter())] == [1]


def test_filters(store) -> None:
    store.save([
        vote(prompt="How do BOATS float?", rater="ada", campaign="c1", created_at="2026-01-01T23:59:59.9+00:00"),
        vote(rater="bob", blind=False, created_at="2026-01-02T00:00:00+00:00"),
        vote(leaked=True, created_at="2026-01-03T00:00:00+00:00"),
        vote(left=Contender(), created_at="2026-01-03T00:00:00+00:00"),
        comparison("both_bad", created_at="2026-01-03T00:00:00+00:00"),
    ])  # fmt: skip
    votes = store.votes()

    def count(**wanted: object) -> int:
        return sum(tally.times for tally in votes.tallies(VoteFilter(**wanted)))

    assert count() == 4
    assert count(leaked=True) == 5
    assert count(kind="image") == 0
    assert count(prompt="boats FLOAT") == 1
    assert count(prompt="100%") == 0
    assert count(rater="ada") == count(campaign="c1") == 1
    assert count(blind_only=True) == 2
    assert count(until=date(2026, 1, 1)) == 1
    assert count(since=date(2026, 1, 2), until=date(2026, 1, 2)) == 1
    assert count(models=("org/a",)) == 2
    assert count(models=("org/b",)) == 3
    assert count(models=("org/a", "org/b")) == 2
    assert count(models=("org/none",)) == 0
    assert votes.days(VoteFilter()) == [(date(2026, 1, 1), 1), (date(2026, 1, 2), 1), (date(2026, 1, 3), 2)]
    assert votes.people("chat") == (["ada", "bob"], ["c1"])


def test_two_samples_of_one_contender_are_one_item() -> None:
    """Two reviewers never get the same sample; while the seed was part of the item, nobody could ever agree."""
    prompt = (Message("user", "Why?"),)
    assert item_of(prompt, (A, B)) == item_of(prompt, (B, A_AGAIN))
    assert item_of(prompt, (A, B)) != item_of(prompt, (A, A))


def test_duels_tell_style_and_side(store) -> None:
    store.save([vote("right"), vote("tie"), vote(left=Contender())])
    makers = store.votes().contenders()
    [[first, second]] = store.votes().duels(VoteFilter())
    assert (makers[first[0]].model, makers[first[1]].model, first[2], second[2]) == ("org/a", "org/b", 0.0, 0.5)
    assert Style(*first[3:7]) == Style(23, 1, 2, 1)
    assert Style(*first[7:]) == Style(5, 0, 0, 0)


def test_habits_are_counted_for_each_reviewer(store) -> None:
    store.save([
        *(vote("left", rater="ada", decision_seconds=seconds) for seconds in (9.0, 1.0, 4.0)),
        vote("right", rater="ada"), vote("tie", rater="ada", decision_seconds=100.0),
        vote("both_bad", rater="bob"), vote("left", rater=None, decision_seconds=2.0),
    ])  # fmt: skip
    found = agreement(store.votes(), VoteFilter())
    assert [(one.rater, one.votes, one.left.count, one.left.total, one.seconds) for one in found.raters] == [
        ("ada", 5, 3, 4, 6.5),
        ("bob", 1, 0, 0, None),
    ]
    # Who gave no name counts in the collection, and is nobody of whom something could be told.
    assert (found.votes, found.left.count, found.left.total, found.longer.count, found.longer.total) == (7, 4, 5, 4, 5)
    assert agreement(store.votes(), VoteFilter("image")).votes == 0


def test_rows_an_older_version_left_uncounted_are_counted(store) -> None:
    kept, gone = vote(), vote("tie")
    store.save([kept, gone, *(vote("right") for _ in range(3))])
    store.withdraw(gone.provenance.id)
    with store._database.write() as db:
        db.execute("DELETE FROM verdicts")
        db.execute("UPDATE verdict_state SET version = 0, upto = 0")
    # As the next start finds it.
    from backends.feedback.verdicts import prepare

    with store._database.write() as db:
        prepare(db)
    counts = {tally.outcome: tally.times for tally in store.votes().tallies(VoteFilter())}
    assert counts == {"left": 1, "right": 3}


def test_catching_up_goes_on_where_it_stopped(store, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.feedback import verdicts

    with store._database.write() as db:
        db.execute("UPDATE verdict_state SET upto = -1")
    store.save([vote() for _ in range(7)])
    with store._database.write() as db:
        db.execute("DELETE FROM verdicts")
        assert verdicts.catch_up(db, 3) is False
        assert db.execute("SELECT count(*) FROM verdicts").fetchone()[0] == 3
    assert sum(tally.times for tally in store.votes().tallies(VoteFilter())) == 7


def test_rows_are_read_in_order_across_batches_without_those_taken_back(store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.feedback.streaming.READ_TOGETHER", 2)
    rows = [vote() for _ in range(5)]
    store.save(rows)
    store.withdraw(rows[2].provenance.id)
    wanted = [row.provenance.id for row in rows if row is not rows[2]]
    assert [row.id for row in store.rows("comparisons")] == wanted
    assert list(store.rows("ratings")) == []


def test_style_counts_markdown_outside_code() -> None:
    text = "## A\n\n1. one\n* two\n```\n# not this\n- nor this\n```\n**b** and __c__"
    assert style_of(text) == Style(len(text), 1, 2, 2)
    assert style_of("a" * 10) == Style(10, 0, 0, 0)
    # Nothing here may take more than linear time, whatever strangers' models write.
    assert style_of(" " * 200_000 + "**" * 200_000 + "\n" * 200_000 + "`" * 100_000).length == 900_000


def test_only_items_that_two_known_reviewers_voted_on_can_agree(store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.feedback.votes.BATCH", 2)
    store.save([
        vote(item="1", rater="ada"), vote(item="1", rater="bob"), vote(item="2", rater="ada"), vote(item="2", rater="ada"),
        vote(item="3", rater=None), vote(item="3", rater="bob"), vote(rater="ada"), vote(rater="bob"),
        vote(item="4", rater="ada"), vote(item="4", rater="cyd", leaked=True), vote(item="1", rater="eve", left=Contender()),
    ])  # fmt: skip

    def told(wanted: VoteFilter) -> tuple[int, int]:
        found = agreement(store.votes(), wanted).overall
        return found.items, found.votes

    assert told(VoteFilter()) == (1, 2)
    assert told(VoteFilter(leaked=True)) == (2, 4)


def timed(**measured: float) -> Contender:
    """A with what an engine measured of one answer."""
    return replace(A, timings=json.dumps(measured))


def test_medians_of_what_engines_measured_follow_the_votes_there_are(store) -> None:
    rows = [vote(left=timed(first_token_s=seconds, tokens_per_s=100.0)) for seconds in (0.2, 0.3, 9.0)]
    store.save(
        [*rows, vote(), vote(right=replace(B, timings="no JSON")), vote(right=replace(B, timings='{"seconds": 0}'))]
    )
    votes = store.votes()
    number = {maker.model: one for one, maker in votes.contenders().items()}
    found = votes.measured([number["org/a"]])
    assert found.first_token_s == pytest.approx(0.3, rel=0.006) and found.tokens_per_s == pytest.approx(100, rel=0.006)
    assert found.seconds is None
    assert votes.measured([number["org/b"]]) == (None, None, None) == votes.measured([])
    store.withdraw(rows[2].provenance.id)
    store.withdraw(rows[1].provenance.id)
    assert votes.measured(list(number.values())).first_token_s == pytest.approx(0.2, rel=0.006)


def test_a_reviewer_is_one_whatever_name_they_chose(store) -> None:
    code = "r-0123456789abcdef"
    store.save([
        vote(rater=code, created_at="2026-01-01T00:00:00+00:00"),
        vote(rater=signed("Ada", code), created_at="2026-01-02T00:00:00+00:00"),
        vote(rater="r-ffffffffffffffff"),
    ])  # fmt: skip
    votes = store.votes()
    assert votes.people("chat")[0] == [f"Ada ({code})", "r-ffffffffffffffff"]
    for asked in (code, f"Ada ({code})", f"Eve ({code})"):
        assert sum(tally.times for tally in votes.tallies(VoteFilter(rater=asked))) == 2
    assert [(one.rater, one.votes) for one in agreement(votes, VoteFilter()).raters] == [
        (f"Ada ({code})", 2),
        ("r-ffffffffffffffff", 1),
    ]


def test_an_outcome_of_somebody_else_s_dataset_is_not_counted() -> None:
    store = FakeStore()
    store.save([vote(), vote("maybe")])
    assert sum(tally.times for tally in RowsInMemory(store).votes().tallies(VoteFilter())) == 1
