"""The gallery on a real disk and a real SQLite file: kept at once, found by words, nobody else's, bounded, packed whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from backends.gallery.store import SqlitePictures
from backends.image.png import text_chunks, write_png
from core.errors import GalleryError, UserInputError
from core.gallery import PAGE, GalleryQuery
from core.identity import owner_of
from core.images import ImageSettings, Picture, PictureFinish, Timings
from core.recipe import Recipe, chunks_of, recipe_in
from core.refs import ModelRef

REF = ModelRef("org/tiny-model", "c" * 40)
ANN, BOB = owner_of("salt", "visitor-of-ann"), owner_of("salt", "visitor-of-bob")


def drawn(prompt: str = "a red apple", finish: PictureFinish = "done", **settings: object) -> Picture:
    """A picture as an engine hands it over: a PNG with its recipe inside."""
    from PIL import Image

    filled = ImageSettings(prompt, "", 16, 16, 20, 3.5, "DDIM", 7)
    filled = replace(filled, **settings)  # type: ignore[arg-type]
    recipe = Recipe(filled, REF, backend="CPU", dtype="float32", finish=finish, versions=(("torch", "2"),))
    png = write_png(Image.new("RGB", (16, 16), (filled.seed or 0, 20, 30)), chunks_of(recipe))
    return Picture(uuid4().hex, png, REF, filled, "CPU", "float32", Timings(0.1, 1.0), finish)


@pytest.fixture
def store(tmp_path: Path) -> SqlitePictures:
    return SqlitePictures(tmp_path / "pictures", 100)


def test_a_file_is_found_again_by_its_hash_and_nobody_elses(store: SqlitePictures, tmp_path: Path) -> None:
    picture, other = drawn(seed=5), drawn(seed=6)
    store.keep(ANN, [picture, other])
    wanted = hashlib.sha256(picture.png).hexdigest()
    assert store.with_file(ANN, wanted) == picture.png
    assert store.with_file(BOB, wanted) is None
    assert store.with_file(ANN, "0" * 64) is None
    # Kept by a version that wrote no hashes: found all the same.
    with sqlite3.connect(tmp_path / "pictures" / "pictures.sqlite") as db:
        db.execute("UPDATE pictures SET sha256 = NULL")
    db.close()
    assert store.with_file(ANN, wanted) == picture.png
    store.delete(ANN, [picture.id])
    assert store.with_file(ANN, wanted) is None


def test_what_is_kept_is_on_disk_and_there_after_a_restart(tmp_path: Path) -> None:
    first = SqlitePictures(tmp_path / "pictures", 100)
    picture = drawn(seed=5)
    assert first.keep(ANN, [picture]).kept == 1
    assert first.keep(ANN, [picture]).kept == 1  # again changes nothing
    first.close()
    again = SqlitePictures(tmp_path / "pictures", 100)
    page = again.find(ANN, GalleryQuery())
    assert [kept.id for kept in page.pictures] == [picture.id]
    kept = page.pictures[0]
    assert (kept.recipe.settings.prompt, kept.recipe.settings.seed, kept.recipe.ref) == ("a red apple", 5, REF)
    assert kept.recipe.versions == (("torch", "2"),)
    assert (kept.width, kept.height, kept.seconds) == (16, 16, 1.0)
    assert again.png(ANN, picture.id) == picture.png
    assert kept.thumb[8:12] == b"WEBP"


def test_nobody_sees_anothers_pictures_not_even_by_id(store: SqlitePictures) -> None:
    picture = drawn()
    store.keep(ANN, [picture], grid="g", cells=[0])
    store.keep_grid(ANN, "g", "{}")
    assert store.find(BOB, GalleryQuery()).pictures == ()
    assert store.get(BOB, [picture.id]) == ()
    assert store.ids(BOB, GalleryQuery()) == ()
    assert store.cells(BOB, "g") == {}
    assert store.grid(BOB) is None
    assert store.grid(BOB, "g") is None
    assert not store.star(BOB, picture.id, True)
    assert store.delete(BOB, [picture.id]) == 0
    with pytest.raises(UserInputError, match="no longer"):
        store.png(BOB, picture.id)
    assert store.png(ANN, picture.id) == picture.png


def test_the_disk_names_nobody_and_only_its_user_may_look(store: SqlitePictures, tmp_path: Path) -> None:
    store.keep(ANN, [drawn()])
    everything = "".join(str(path) for path in tmp_path.rglob("*"))
    assert "visitor-of-ann" not in everything
    assert b"visitor-of-ann" not in (tmp_path / "pictures" / "pictures.sqlite").read_bytes()
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "pictures" / ANN).stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "pictures" / "pictures.sqlite").stat().st_mode) == 0o600
    with pytest.raises(UserInputError, match="Reload"):
        owner_of("salt", "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["100%_sure", "yellow star", "red apple"]),
        ("APPLE", ["red apple"]),
        ("red star", []),
        ('"yellow star"', ["yellow star"]),
        ("steps:2", ["yellow star"]),
        ("steps:20", ["100%_sure", "red apple"]),
        ("seed:8 euler", ["yellow star"]),
        ("size:16x16 guidance:3.5 tiny-model", ["100%_sure", "yellow star", "red apple"]),
        ("0%_s", ["100%_sure"]),
        ("%", ["100%_sure"]),
        ("cccccccc", ["100%_sure", "yellow star", "red apple"]),
        ("stopped", ["100%_sure"]),
    ],
)
def test_words_find_prompts_models_and_settings(store: SqlitePictures, text: str, found: list[str]) -> None:
    store.keep(ANN, [drawn("red apple")])
    store.keep(ANN, [drawn("yellow star", steps=2, seed=8, scheduler="Euler")])
    store.keep(ANN, [drawn("100%_sure", finish="stopped")])
    assert [kept.recipe.settings.prompt for kept in store.find(ANN, GalleryQuery(text)).pictures] == found


def test_a_prompt_that_was_left_out_of_the_file_is_nowhere_in_the_gallery(
    store: SqlitePictures, tmp_path: Path
) -> None:
    store.keep(ANN, [drawn("the secret plan", prompt_in_file=False)])
    store.close()
    assert all(b"secret plan" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_pages_hold_the_newest_first_and_end_where_the_pictures_end(store: SqlitePictures) -> None:
    for number in range(PAGE + 3):
        store.keep(ANN, [drawn(seed=number)])
    first, past = store.find(ANN, GalleryQuery()), store.find(ANN, GalleryQuery(page=9))
    assert (first.pages, len(first.pictures), first.pictures[0].recipe.settings.seed) == (2, PAGE, PAGE + 2)
    assert (past.page, [kept.recipe.settings.seed for kept in past.pictures]) == (1, [2, 1, 0])
    assert store.find(ANN, GalleryQuery("nothing like it", page=3)).page == 0


def test_beyond_the_limit_the_oldest_without_a_star_go(tmp_path: Path) -> None:
    store = SqlitePictures(tmp_path / "pictures", 3)
    pictures = [drawn(seed=number) for number in range(5)]
    for picture in pictures[:3]:
        store.keep(ANN, [picture])
    store.star(ANN, pictures[0].id, True)
    keeping = store.keep(ANN, pictures[3:])
    assert (keeping.kept, keeping.removed, keeping.refused) == (2, 2, 0)
    assert "the 2 oldest pictures without a star were removed" in keeping.sentence(3)
    left = {kept.id for kept in store.find(ANN, GalleryQuery()).pictures}
    assert left == {pictures[0].id, pictures[3].id, pictures[4].id}
    assert {path.stem for path in (tmp_path / "pictures" / ANN).iterdir()} == left
    for picture in pictures[3:]:
        store.star(ANN, picture.id, True)
    full = store.keep(ANN, [drawn()])
    assert (full.kept, full.refused) == (0, 1)
    assert "all 3 places hold starred pictures" in full.sentence(3)
    assert store.find(ANN, GalleryQuery(starred=True)).found == 3
    assert SqlitePictures(tmp_path / "none", 0).keep(ANN, [drawn()]).kept == 0


def test_deleted_means_gone_from_index_and_disk(store: SqlitePictures, tmp_path: Path) -> None:
    pictures = [drawn(seed=number) for number in range(3)]
    store.keep(ANN, pictures)
    assert store.delete(ANN, [pictures[0].id, pictures[0].id, "unknown-id"]) == 1
    assert not (tmp_path / "pictures" / ANN / f"{pictures[0].id}.png").exists()
    assert store.ids(ANN, GalleryQuery()) == (pictures[2].id, pictures[1].id)


def test_a_zip_holds_the_files_as_they_are_and_their_recipes(store: SqlitePictures, tmp_path: Path) -> None:
    pictures = [drawn(seed=number) for number in range(3)]
    store.keep(ANN, pictures)
    store.star(ANN, pictures[1].id, True)
    (tmp_path / "pictures" / ANN / f"{pictures[2].id}.png").unlink()
    target = tmp_path / "out.zip"
    assert list(store.pack(ANN, [picture.id for picture in pictures], target)) == [1, 2]
    with zipfile.ZipFile(io.BytesIO(target.read_bytes())) as archive:
        assert archive.testzip() is None
        lines = [json.loads(line) for line in archive.read("recipes.jsonl").decode().splitlines()]
        for line, picture in zip(lines, pictures, strict=False):
            data = archive.read(line["file"])
            assert data == picture.png
            recipe = recipe_in(text_chunks(data))
            assert recipe is not None
            assert recipe.record() == line["recipe"]
    assert [line["starred"] for line in lines] == [False, True]
    with pytest.raises(GalleryError, match="archive"):
        list(store.pack(ANN, [pictures[0].id], tmp_path / "no folder" / "out.zip"))


def test_a_grid_finds_its_cells_again_without_the_stopped_ones(store: SqlitePictures) -> None:
    store.keep_grid(ANN, "first", '{"n": 1}')
    store.keep_grid(ANN, "second", '{"n": 2}')
    done, stopped = drawn(seed=1), drawn(seed=2, finish="stopped")
    store.keep(ANN, [done, stopped], grid="second", cells=[4, 5])
    assert store.grid(ANN) == ("second", '{"n": 2}')
    assert store.grid(ANN, "first") is None  # it has no picture and is not the newest
    assert {cell: kept.id for cell, kept in store.cells(ANN, "second").items()} == {4: done.id}
    pace = store.pace(REF)
    assert pace is not None
    assert (pace.seconds_per_step, pace.pixels) == (0.05, 256)
    assert store.pace(ModelRef("org/other", "d" * 40)) is None
    # One step in one second does not make every step take a second.
    store.keep(ANN, [drawn(steps=1)])
    pace = store.pace(REF)
    assert pace is not None
    assert pace.seconds_per_step == pytest.approx(2 / 21)


def test_files_a_crash_left_behind_are_swept_and_fresh_ones_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    first = SqlitePictures(folder, 10)
    first.keep(ANN, [drawn()])
    first.close()
    stray, fresh = folder / ANN / f"{uuid4().hex}.png", folder / ANN / f"{uuid4().hex}.png"
    for path in (stray, fresh):
        path.write_bytes(b"half a picture")
    os.utime(stray, (1, 1))
    again = SqlitePictures(folder, 10)
    again.keep(ANN, [drawn()])
    assert not stray.exists()
    assert fresh.exists()
    assert again.find(ANN, GalleryQuery()).kept == 2


def test_an_index_that_is_no_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "pictures.sqlite").write_bytes(b"not a database at all, but long enough to look at" * 40)
    with pytest.raises(GalleryError, match="Move it away"):
        SqlitePictures(tmp_path / "pictures", 10)
