"""Two pictures compared, saved, sent, and opened again by `load_dataset` with both of them in it."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from backends.feedback import batches
from backends.image.png import write_png
from core.comparison import PictureComparison, Vote, picture_rows_of
from core.dataset import ComparisonRow, ImagePreferenceRow
from core.errors import NotSaved
from core.identity import now
from core.images import ImageSettings, Picture, Timings
from core.refs import ModelRef
from tests.contract.outbox_rows import load, open_store, preference, provenance


def picture(colour: str, seed: int) -> Picture:
    png = write_png(Image.new("RGB", (16, 8), colour), {"parameters": f"Seed: {seed}"})
    ref, settings = ModelRef("org/model", "b" * 40), ImageSettings("an apple", steps=4, seed=seed)
    return Picture(colour, png, ref, settings, "CPU", "float32", Timings(0, 1), "done")


LEFT, RIGHT = picture("red", 1), picture("blue", 2)


def rows(outcome: str, *, key: str = "c-1", left: Picture = LEFT, derived: bool = False) -> tuple:
    compared = PictureComparison(key, "an apple", left, RIGHT, derived=derived)
    return picture_rows_of(compared, Vote(outcome, rater="r-1"), created_at=now(), app_version="0")  # type: ignore[arg-type]


def test_a_vote_makes_a_comparison_and_an_image_preference() -> None:
    compared, preferred = rows("right")
    assert isinstance(compared, ComparisonRow) and isinstance(preferred, ImagePreferenceRow)
    assert preferred.chosen == RIGHT.png and preferred.rejected == LEFT.png
    values = preferred.columns()
    assert values["shown_left"] == "rejected" and values["chosen_model"] == "org/model"
    assert compared.columns()["left"] is None and compared.columns()["kind"] == "image"
    assert len(rows("tie")) == 1 == len(rows("left", left=RIGHT))
    assert rows("left")[0].provenance.id == rows("left")[0].provenance.id


def test_the_pairs_of_a_best_of_n_are_rows_of_their_own() -> None:
    pairs = [rows("left", left=one, derived=True) for one in (LEFT, picture("green", 3))]
    assert len({row.provenance.id for pair in pairs for row in pair}) == 4
    assert {row.provenance.comparison_id for pair in pairs for row in pair} == {"c-1"}


def test_load_dataset_shows_both_pictures(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    made = (*rows("left"), *rows("tie", key="c-2"))
    store.save(made)
    assert [row.columns for row in reversed(store.newest())] == [row.columns() for row in made]
    assert delivery.send() == "sent"
    store.close()
    (preferred,) = load(tmp_path / "dataset", "image_preferences")
    assert preferred["prompt"] == "an apple"
    assert preferred["chosen"].getpixel((0, 0)) == (255, 0, 0)
    assert preferred["rejected"].getpixel((0, 0)) == (0, 0, 255)
    compared = load(tmp_path / "dataset", "comparisons")
    assert [row["outcome"] for row in compared] == ["left", "tie"]
    assert all(row["left_image"].size == (16, 8) and row["left"] is None for row in compared)
    # Byte for byte: the recipe inside the file is kept too.
    import pyarrow.parquet as pq

    (shard,) = (tmp_path / "dataset" / "data" / "image_preferences").glob("*.parquet")
    assert pq.read_table(shard)["chosen"].to_pylist()[0]["bytes"] == LEFT.png


def test_a_picture_is_kept_once_and_not_in_the_text(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save(rows("left"))
    store.save(rows("tie", key="c-2"))
    store.close()
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        assert db.execute("SELECT count(*) FROM pictures").fetchone() == (2,)
        assert max(len(text) for (text,) in db.execute("SELECT columns FROM rows")) < 2_000


def test_what_is_not_a_png_is_not_saved(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "JPEG")
    with pytest.raises(NotSaved, match="rejected"):
        store.save((ImagePreferenceRow(provenance(), "p", LEFT.png, out.getvalue()),))
    assert store.status().saved == 0


def test_pictures_count_for_the_size_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, delivery = open_store(tmp_path)
    for number in range(3):
        store.save(rows("tie", key=f"c-{number}"))
    # Of their text alone, all three would fit.
    monkeypatch.setattr(batches, "MOST_BYTES", 4 * 3_000 + 200)
    assert delivery.send() == "sent"
    assert len(list((tmp_path / "dataset" / "data" / "comparisons").glob("*.parquet"))) > 1


def test_a_database_of_an_earlier_version_takes_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.feedback import migrations

    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        from backends.feedback.database import Database

        Database(tmp_path / "feedback.sqlite").close()
    store, _ = open_store(tmp_path)
    store.save((preference(), *rows("left")))
    assert len(store.newest()) == 3
