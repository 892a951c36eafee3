"""The gallery's handlers on real pictures on disk: whose they are, what is selected, and what is done with them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from backends.gallery.store import SqlitePictures
from core.gallery import PAGE, GalleryQuery
from core.identity import owner_of
from core.images import ImageSettings
from pages.gallery import Detail, GalleryPage, Listing
from pages.images import ImagesPage
from tests.fakes import REF, FakeCatalog, FakeDrawing, FakeImages
from tests.unit.test_images_page import CONTROLS, VISIT

ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def page(tmp_path: Path) -> GalleryPage:
    return GalleryPage(SqlitePictures(tmp_path / "pictures", 50), "salt")


def fill(page: GalleryPage, count: int, visitor: str = ANN, prompt: str = "a red apple") -> tuple[str, ...]:
    """Pictures with the seeds 0, 1, ...; their ids, newest first."""
    for seed in range(count):
        page.keep(visitor, FakeDrawing(REF, ImageSettings(prompt, "", 16, 16, 20, 3.5, "DDIM", seed)).pictures())
    return page.pictures.ids(owner_of("salt", visitor), GalleryQuery())


def event(**data: Any) -> Any:
    return SimpleNamespace(**data)


def html(listing: Listing) -> str:
    return "".join(listing.sheet)


def visible(update: Any) -> bool:
    """Whether an update of a component shows it."""
    return bool(update.visible)


def test_what_is_drawn_on_the_page_is_in_the_gallery_of_that_visitor_only(page: GalleryPage) -> None:
    images = ImagesPage(FakeImages(), FakeCatalog(), page.keep)
    list(images.draw(VISIT, "a red apple", None, ANN, *CONTROLS))
    assert "a red apple" in html(page.find("", False, ANN))
    assert "Every picture you draw is kept here" in html(page.find("", False, BOB))
    group, *listing = page.enter("gallery", "", False, ANN)
    assert visible(group)
    assert "1 picture" in Listing(*listing).line
    assert not visible(page.enter("draw", "", False, ANN)[0])


def test_a_visitor_without_an_id_sees_nothing_and_keeps_nothing(page: GalleryPage) -> None:
    assert page.keep("", FakeDrawing(REF, ImageSettings("x", seed=1)).pictures()) == ""
    with pytest.raises(gr.Error, match="Reload"):
        page.find("", False, "")


def test_a_full_disk_is_said_beside_the_picture(page: GalleryPage, tmp_path: Path) -> None:
    (tmp_path / "pictures" / owner_of("salt", ANN)).write_bytes(b"a file where the folder should be")
    said = page.keep(ANN, FakeDrawing(REF, ImageSettings("x", seed=1)).pictures())
    assert "could not be" in said or "cannot be" in said


def test_prompts_are_shown_as_text(page: GalleryPage) -> None:
    fill(page, 1, prompt='<img src=x onerror="alert(1)">{{constructor}}${value}')
    shown = html(page.find("", False, ANN))
    assert "<img src=x" not in shown
    assert "&lt;img src=x" in shown


def test_pages_turn_and_selection_lasts_across_them(page: GalleryPage) -> None:
    ids = fill(page, PAGE + 2)
    first = page.find("", False, ANN)
    assert (visible(first.newer), visible(first.older)) == (False, True)
    marked = page.mark("", False, ANN, 0, (), event(shown=list(ids[:PAGE]), marked=[ids[0], ids[1]]))
    second = page.older("", False, ANN, 0, Listing("", *marked).marked)
    assert (visible(second.newer), visible(second.older), second.page) == (True, False, 1)
    both = page.mark("", False, ANN, 1, second.marked, event(shown=list(ids[PAGE:]), marked=[ids[PAGE]]))
    assert Listing("", *both).marked == (ids[0], ids[1], ids[PAGE])
    fewer = page.mark("", False, ANN, 0, Listing("", *both).marked, event(shown=list(ids[:PAGE]), marked=[ids[1]]))
    assert set(Listing("", *fewer).marked) == {ids[1], ids[PAGE]}
    assert len(page.mark_all("", False, ANN, 0, ()).marked) == PAGE + 2
    assert page.mark_none("", False, ANN, 0, ids).marked == ()


def test_ids_that_are_no_ids_select_nothing(page: GalleryPage) -> None:
    fill(page, 1)
    assert Listing("", *page.mark("", False, ANN, 0, (), event(shown="x", marked=[1, None, {"a": 1}]))).marked == ()


def test_stars_are_kept_and_found(page: GalleryPage) -> None:
    ids = fill(page, 3)
    line, _ = page.star("", False, ANN, 0, (), event(id=ids[1], starred=True))
    assert "1 starred" in line
    assert html(page.find("", True, ANN)).count("data-id") == 1
    assert page.star_opened(ids[1], ANN).star.value == "Star"
    assert "Nothing is starred yet" in html(page.find("", True, ANN))
    with pytest.raises(gr.Error, match="no longer"):
        page.star("", False, BOB, 0, (), event(id=ids[1], starred=True))


def test_opening_shows_the_picture_and_its_recipe_and_sending_goes_to_draw(page: GalleryPage) -> None:
    ids = fill(page, 2)
    shown = page.open(ANN, event(id=ids[0]))
    assert "data:image/png" in shown.picture
    assert "<th>Seed</th><td>1</td>" in shown.recipe
    assert page.send(shown.opened, ANN)[0] == "draw"
    assert page.send(shown.opened, ANN)[2].settings.seed == 1
    with pytest.raises(gr.Error, match="no longer"):
        page.open(BOB, event(id=ids[0]))
    with pytest.raises(gr.Error, match="no longer"):
        page.send(None, ANN)


def test_two_beside_each_other_say_what_differs(page: GalleryPage) -> None:
    ids = fill(page, 3)
    both = page.compare(ids[:2], ANN).picture
    assert "<th>Seed</th><td>2</td><td>1</td>" in both
    assert "<th>Steps</th>" not in both
    with pytest.raises(gr.Error, match="exactly two"):
        page.compare(ids, ANN)


def test_deleting_is_asked_once_and_can_be_left(page: GalleryPage) -> None:
    ids = fill(page, 3)
    page.star("", False, ANN, 0, (), event(id=ids[0], starred=True))
    confirm, question, sure, doomed = page.ask(ids[:2], ANN)
    assert visible(confirm)
    assert "Delete 2 pictures, 1 of them starred?" in question
    assert sure.value == "Delete 2 pictures"
    assert page.spare()[3] == ()
    rest = page.delete(doomed, ids[0], "", False, ANN, 0, ids[:2])
    listing = Listing(*rest[4 + len(Detail._fields) :])
    assert listing.marked == ()
    assert html(listing).count("data-id") == 1
    # The picture that was shown large is among the deleted: it goes too.
    assert not visible(rest[4])
    with pytest.raises(gr.Error, match="Select the pictures"):
        page.ask((), ANN)


def test_the_zip_holds_what_is_selected_else_all_that_matches(page: GalleryPage) -> None:
    ids = fill(page, 3)
    *steps, last = list(page.pack("", False, ANN, 0, ()))
    assert "Packing 3 of 3" in steps[-1][1]
    with zipfile.ZipFile(io.BytesIO(Path(last[0]).read_bytes())) as archive:
        assert len(archive.namelist()) == 4
        assert "recipes.jsonl" in archive.namelist()
    chosen = Path(list(page.pack("", False, ANN, 0, ids[:1]))[-1][0])
    with zipfile.ZipFile(chosen) as archive:
        assert len(archive.namelist()) == 2
    assert len(chosen.parent.name) == 40  # nobody guesses where it lies
    with pytest.raises(gr.Error, match="no picture to download"):
        list(page.pack("", False, BOB, 0, ()))
    with pytest.raises(gr.Error, match="no longer"):
        list(page.pack("", False, BOB, 0, ids))


def test_where_nothing_is_kept_the_page_says_so(tmp_path: Path) -> None:
    off = GalleryPage(SqlitePictures(tmp_path / "pictures", 0), "salt")
    assert fill(off, 1) == ()
    assert "keeps no pictures" in html(off.find("", False, ANN))


def test_a_gallery_that_is_full_says_which_went(tmp_path: Path) -> None:
    small = GalleryPage(SqlitePictures(tmp_path / "pictures", 2), "salt")
    fill(small, 2)
    said = small.keep(ANN, FakeDrawing(REF, ImageSettings("x", "", 16, 16, 2, 1, "DDIM", 9)).pictures())
    assert said == "The gallery keeps 2 pictures; the oldest picture without a star was removed."
    assert "from now on the oldest without a star go first" in small.find("", False, ANN).line
