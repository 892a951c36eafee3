"""Changing a vote: new rows that supersede, one preference at most, and the same id for the same change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import UserInputError
from core.feedback import RowQuery, StoredRow
from core.revision import changed, choices
from tests.contract.outbox_rows import full_preference, preference, rating
from tests.fakes import FakeStore
from tests.unit.test_comparison import rows


def stored(store: FakeStore, config: str) -> StoredRow:
    [row] = [row for row in store.newest(100) if row.config == config]
    return row


def voted(outcome: str) -> FakeStore:
    store = FakeStore()
    store.save(rows(outcome))
    return store


@pytest.mark.parametrize("first", ["left", "right", "tie", "both_bad"])
@pytest.mark.parametrize("second", ["left", "right", "tie", "both_bad"])
def test_a_changed_battle_is_what_the_vote_would_have_been(first: str, second: str) -> None:
    store = voted(first)
    stands = stored(store, "comparisons")
    if first == second:
        with pytest.raises(UserInputError):
            changed(stands, second)
        return
    change = changed(stands, second, [row for row in store.newest(9) if row.id != stands.id])
    assert store.save(change.rows, change.taking_back).fresh
    kept = {row.config: row.columns for row in store.newest(9)}
    told = {row.config: row.columns() for row in rows(second)}
    assert kept.keys() == told.keys()
    assert kept["comparisons"]["outcome"] == second and kept["comparisons"]["supersedes"] == stands.id
    for config, columns in told.items():
        new = {"id", "created_at", "supersedes", "decision_seconds", "strength", "app_version"}
        assert {k: v for k, v in kept[config].items() if k not in new} == {
            k: v for k, v in columns.items() if k not in new
        }
        assert kept[config]["decision_seconds"] is None


def test_the_same_change_twice_is_one() -> None:
    store = voted("left")
    stands = stored(store, "comparisons")
    related = list(store.newest(9))
    ids = [[row.provenance.id for row in changed(stands, "right", related).rows] for _ in range(2)]
    assert ids[0] == ids[1] and len(set(ids[0])) == 2


def test_back_and_forth_is_a_chain_of_new_rows() -> None:
    store = voted("left")
    seen = set()
    for outcome in ("tie", "left", "right", "left"):
        stands = stored(store, "comparisons")
        related = store.find(RowQuery(comparison_id=str(stands.columns["comparison_id"]))).rows
        change = changed(stands, outcome, related)
        assert store.save(change.rows, change.taking_back).fresh
        seen |= {row.provenance.id for row in change.rows}
    assert len(seen) == 7 and len(store.kept) == 2


def test_a_thumb_and_a_captured_pair_turn_round() -> None:
    store = FakeStore()
    up, pair = rating(True, rater="r-1"), full_preference()
    store.save([up])
    store.save([pair])
    [flipped] = changed(stored(store, "ratings"), "down").rows
    assert flipped.columns()["label"] is False and flipped.provenance.supersedes == up.provenance.id
    assert flipped.provenance.rater == "r-1"
    [swapped] = changed(stored(store, "preferences"), "swap").rows
    columns, before = swapped.columns(), pair.columns()
    assert (columns["chosen"], columns["rejected"]) == (before["rejected"], before["chosen"])
    assert (columns["shown_left"], columns["tools"], columns["reasons"]) == (
        "rejected",
        before["tools"],
        before["reasons"],
    )


def test_one_pair_of_a_best_of_n_is_not_changed_alone() -> None:
    store = FakeStore()
    (row,) = rows("tie")
    store.save([replace(row, provenance=replace(row.provenance, derived=True))])
    assert choices(stored(store, "comparisons")) == ()


def test_only_what_is_offered_is_done() -> None:
    store = FakeStore()
    store.save([preference()])
    for to in ("left", "", "up", "swap2"):
        with pytest.raises(UserInputError, match="cannot be changed"):
            changed(stored(store, "preferences"), to)
