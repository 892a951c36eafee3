"""The Images tab's handlers on scripted drawings."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.pictures import blind_file, preview_html, recipe_table
from core.dataset import ImagePreferenceRow
from core.errors import OutOfMemory
from core.images import ImageSettings
from core.png import without_text
from core.recipe import Recipe
from pages.image_battle import Bout, ImageBattlePage
from pages.images import ImagesPage, Update
from tests.fakes import REF, FakeCatalog, FakeImages, FakeStore, png

CONTROLS = ("", "", 64, 64, 20, 3.5, "", "", 1, True)
VISIT: Any = SimpleNamespace(session_hash="a-page")


def images_page(images: FakeImages | None = None) -> ImagesPage:
    return ImagesPage(images or FakeImages(), FakeCatalog())


def drawn(page: ImagesPage, prompt: str = "a red apple", controls: tuple[Any, ...] = CONTROLS) -> list[Update]:
    return list(page.draw(VISIT, prompt, None, "", *controls))


def test_previews_arrive_in_place_and_the_picture_comes_with_its_recipe() -> None:
    images = FakeImages()
    updates = drawn(images_page(images))
    assert any("data:image/png" in str(update.preview) for update in updates)
    last = updates[-1]
    assert [picture.settings.seed for picture in last.drawn] == [7]
    assert "a red apple" in last.recipe
    assert last.chosen.settings.seed == 7
    assert images.asked[0][1].scheduler == "DDIM"


def test_a_batch_has_a_picture_for_each_seed() -> None:
    last = drawn(images_page(), controls=("", "", 64, 64, 20, 3.5, "", 5, 3, True))[-1]
    assert [picture.settings.seed for picture in last.drawn] == [5, 6, 7]


def test_stop_keeps_what_is_there_and_says_so() -> None:
    page = images_page()
    stream = page.draw(VISIT, "go", None, "", *CONTROLS)
    for update in stream:
        if "Step" in str(update.status):
            page.stop(VISIT)
            break
    last = list(stream)[-1]
    assert last.drawn[0].finish == "stopped"
    assert last.status.startswith("Stopped.")


def test_a_second_drawing_waits_in_the_queue_and_can_be_cancelled_alone() -> None:
    page = images_page()
    first = page.draw(VISIT, "first", None, "", *CONTROLS)
    for update in first:
        if "Step" in str(update.status):
            break
    second = page.draw(VISIT, "second <b>", None, "", *CONTROLS)
    queue = next(second).queue
    assert "second &lt;b&gt;" in queue
    waiting = page.easels.of("a-page").waiting[1].drawing
    with pytest.raises(gr.Error, match="finished or gone"):
        page.cancel(SimpleNamespace(id=waiting.id), SimpleNamespace(session_hash="another page"))
    page.cancel(SimpleNamespace(id=waiting.id), VISIT)
    assert list(second)[-1].drawn[0].finish == "stopped"
    assert [picture.settings.prompt for picture in list(first)[-1].drawn] == ["first", "second <b>"]
    assert not page.easels.of("a-page").waiting


def test_a_page_that_is_closed_half_way_leaves_no_place_taken() -> None:
    page = images_page()
    stream = page.draw(VISIT, "go", None, "", *CONTROLS)
    for update in stream:
        if "Step" in str(update.status):
            break
    stream.close()
    assert not page.easels.of("a-page").waiting


@pytest.mark.parametrize(
    ("prompt", "controls", "says"),
    [
        ("", CONTROLS, "prompt is empty"),
        ("x", ("", "", 64, 64, 0, 3.5, "", None, 1, True), "Steps has to be"),
        ("x", ("", "", 64, 64, 10_000, 3.5, "", None, 1, True), "Steps has to be"),
        ("x", ("", "", 65, 64, 20, 3.5, "", None, 1, True), "multiple of 8"),
        ("x", ("", "", 64, 64, 20, float("nan"), "", None, 1, True), "Guidance"),
        ("x", ("", "", "wide", 64, 20, 3.5, "", None, 1, True), "have to be numbers"),
        ("x", ("", "", 64, 64, 20, 3.5, "Magic", None, 1, True), "scheduler"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(prompt: str, controls: tuple[Any, ...], says: str) -> None:
    with pytest.raises(gr.Error, match=says):
        drawn(images_page(), prompt, controls)


def test_out_of_memory_is_a_sentence_and_the_next_one_works() -> None:
    images = FakeImages()
    images.error = OutOfMemory("Not enough memory for this size. Try 512 x 512.")
    page = images_page(images)
    with pytest.raises(gr.Error, match="Try 512"):
        drawn(page)
    images.error = None
    assert drawn(page)[-1].drawn


def test_a_dropped_picture_shows_its_recipe_and_changes_nothing_until_it_is_used() -> None:
    page = images_page()
    table, recipe, picked = page.read(png())
    assert picked is None
    assert "a dropped prompt" in table
    every = page.use_all(recipe, None)
    # prompt, style, seed, batch, model, then what fits the model: negative, width, height, steps.
    assert every[:4] == ("a dropped prompt", "", "99", 1)
    assert [control.value for control in every[6:9]] == [32, 48, 9]
    assert page.remix(recipe, None)[2] == ""
    assert page.use_seed(recipe) == "99"
    with pytest.raises(gr.Error, match="no recipe"):
        page.read(b"GIF89a")
    with pytest.raises(gr.Error, match="Choose a picture first"):
        page.use_all(None, None)


def test_a_hostile_recipe_is_text() -> None:
    html = recipe_table(Recipe(ImageSettings("<script>x</script>", scheduler="<img src=x onerror=y>"), model="<b>"))
    assert "<script" not in html
    assert "<img" not in html


def compared(page: ImageBattlePage) -> list[Bout]:
    return list(page.compare("a star", "", 4, 3.5, "", 20, 3.5, "", 64, 64, ""))


def battle_id(bouts: list[Bout]) -> str:
    return next(bout.battle for bout in bouts if isinstance(bout.battle, str))


def test_nothing_names_a_contender_before_the_vote_not_even_the_files() -> None:
    """A drawn PNG carries its recipe; what the page is sent before the vote must not."""
    for bout in compared(ImageBattlePage(FakeImages(), FakeStore(), "salt")):
        for side in (bout.left, bout.right):
            if isinstance(side, str) and "base64," in side:
                data = base64.b64decode(side.partition("base64,")[2].partition('"')[0])
                assert REF.repo_id.encode() not in data
        for name in ("left", "right", "status", "reveal"):
            assert "tiny-model" not in str(getattr(bout, name))
    with open(blind_file(png(1, "made by org/tiny-model")), "rb") as file:
        assert b"tiny-model" not in file.read()


def test_both_sides_share_prompt_and_seed() -> None:
    images = FakeImages()
    compared(ImageBattlePage(images, FakeStore(), "salt"))
    (_, first), (_, second) = images.asked
    assert first.seed == second.seed
    assert first.prompt == second.prompt
    assert {first.steps, second.steps} == {4, 20}


def test_a_vote_saves_both_pictures_once() -> None:
    store = FakeStore()
    page = ImageBattlePage(FakeImages(), store, "salt")
    which = battle_id(compared(page))
    bout = Bout(*page.vote("left", which, "rounder", "visitor")[:-1])
    assert "tiny-model" in bout.reveal
    rows = list(store.kept.values())
    (preferred,) = [row for row in rows if isinstance(row, ImagePreferenceRow)]
    battle = page.battles.get(which)
    assert preferred.chosen == battle.left.png
    assert preferred.rejected == battle.right.png
    assert len(rows) == 2
    page.vote("right", which, "", "visitor")
    assert list(store.kept.values()) == rows


def test_the_same_twice_is_refused() -> None:
    page = ImageBattlePage(FakeImages(), FakeStore(), "salt")
    with pytest.raises(gr.Error, match="would draw alike"):
        list(page.compare("a star", "", 4, 3.5, "", 4, 3.5, "", 64, 64, ""))


def test_taking_the_text_out_leaves_the_pixels() -> None:
    import io

    from PIL import Image

    told, bare = png(5, "secret"), without_text(png(5, "secret"))
    assert b"secret" in told
    assert b"secret" not in bare
    assert Image.open(io.BytesIO(told)).tobytes() == Image.open(io.BytesIO(bare)).tobytes()
    for cut in (b"", b"GIF89a", told[:-6], told[:20]):
        with pytest.raises(ValueError, match="PNG"):
            without_text(cut)
    assert "Waiting" in preview_html(None)


def test_the_seed_box_left_empty_is_random_and_a_word_is_refused() -> None:
    images = FakeImages()
    drawn(images_page(images))
    assert images.asked[0][1].seed is None
    with pytest.raises(gr.Error, match="whole number"):
        drawn(images_page(images), controls=("", "", 64, 64, 20, 3.5, "", "lucky", 1, True))
