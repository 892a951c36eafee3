"""The best of a batch: which rows a choice makes, once."""

from __future__ import annotations

import gradio as gr
import pytest

from core.dataset import ComparisonRow, ImagePreferenceRow
from core.images import ImageSettings, Picture
from pages.image_best import BestPage, rows_of_best
from tests.fakes import REF, FakeDrawing, FakeStore


def batch(count: int = 4) -> tuple[Picture, ...]:
    return FakeDrawing(REF, ImageSettings("a star", steps=5, seed=10, batch=count)).pictures()


def test_the_best_wins_against_each_other_one() -> None:
    pictures = batch(4)
    rows = rows_of_best(pictures, pictures[2].id, None, rater="r-1")
    preferred = [row for row in rows if isinstance(row, ImagePreferenceRow)]
    assert {row.chosen for row in preferred} == {pictures[2].png}
    assert {row.rejected for row in preferred} == {picture.png for picture in pictures if picture != pictures[2]}
    assert len(rows) == 6
    assert len({row.provenance.comparison_id for row in rows}) == 1
    assert all(row.provenance.derived and not row.provenance.blind for row in rows)
    assert len({row.provenance.id for row in rows}) == 6


def test_the_worst_loses_against_each_other_one() -> None:
    pictures = batch(4)
    rows = rows_of_best(pictures, pictures[0].id, pictures[3].id, rater=None)
    pairs = {(row.chosen, row.rejected) for row in rows if isinstance(row, ImagePreferenceRow)}
    first, second, third, last = (picture.png for picture in pictures)
    assert pairs == {(first, second), (first, third), (first, last), (second, last), (third, last)}


def test_two_pictures_are_one_comparison() -> None:
    pictures = batch(2)
    (compared, preferred) = rows_of_best(pictures, pictures[1].id, None, rater=None)
    assert isinstance(compared, ComparisonRow)
    assert compared.outcome == "right"
    assert not preferred.provenance.derived


def test_marking_saving_and_saving_again() -> None:
    store = FakeStore()
    page = BestPage(store, "salt")
    pictures = batch(3)
    assert page.offer(pictures)[0].visible
    assert not page.offer(pictures[:1])[0].visible
    _, _, save, best, worst = page.mark("best", pictures[0].id, pictures, None, None)
    assert save.interactive
    # The same picture cannot be both.
    _, _, save, best, worst = page.mark("worst", pictures[0].id, pictures, best, worst)
    assert (best, worst, save.interactive) == (None, pictures[0].id, False)
    _, said, _, best, worst = page.mark("best", pictures[1].id, pictures, best, worst)
    assert "Best: seed 11 · Worst: seed 10" in said
    told, _, _ = page.save(pictures, best, worst, "visitor")
    assert "3 pairs" in told
    assert "Saved" in told
    kept = dict(store.kept)
    assert "counts once" in page.save(pictures, best, worst, "visitor")[0]
    assert store.kept == kept


def test_nothing_chosen_is_refused() -> None:
    page = BestPage(FakeStore(), "salt")
    with pytest.raises(gr.Error, match="Choose one of the pictures"):
        page.mark("best", None, batch(), None, None)
    with pytest.raises(gr.Error, match="no longer here"):
        page.save(batch(), "gone", None, "visitor")
