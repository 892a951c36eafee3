"""The Images tab's handlers on scripted drawings."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.easel import MOST_WAITING
from components.pictures import blind_file, preview_html, recipe_of, recipe_table
from core.chat import Progress
from core.dataset import ImagePreferenceRow
from core.errors import OutOfMemory
from core.images import ImageSettings, Step
from core.png import without_text
from core.recipe import Recipe
from pages.image_battle import Bout, ImageBattlePage
from pages.image_source import Source
from pages.images import ImagesPage, Update
from pages.images_api import ImagesApi
from tests.fakes import OTHER, REF, FakeCatalog, FakeImages, FakeStore, png

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
    return list(page.compare(VISIT, "a star", "", 4, 3.5, "", 20, 3.5, "", 64, 64, ""))


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
        list(page.compare(VISIT, "a star", "", 4, 3.5, "", 4, 3.5, "", 64, 64, ""))


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


class Breaks(FakeImages):
    """Fails on demand: while the model is prepared, or half-way, with the first picture of a batch ready."""

    where = ""

    def prepare(self, ref: Any) -> Any:
        yield Progress("load")
        if self.where == "prepare" and self.error:
            raise self.error
        yield Progress("ready")

    def start(self, ref: Any, settings: Any) -> Any:
        error, self.error = self.error, None
        drawing = super().start(ref, settings)
        self.error = error
        whole = drawing.pictures

        def listen() -> Any:
            yield Step(1, 2, preview=png(9), notes=("It left out: “<img src=x onerror=y>”",))
            if error:
                raise error
            yield Step(2, 2, preview=png(9), finish="done", notes=("It left out: “<img src=x onerror=y>”",))

        drawing.listen = listen
        drawing.pictures = lambda: whole()[: 1 if settings.batch > 1 else 0] if error else whole()
        return drawing


def until_error(stream: Any) -> list[Update]:
    updates = []
    with pytest.raises(gr.Error):
        for update in stream:
            updates.append(update)
    return updates


@pytest.mark.parametrize("where", ["prepare", "listen"])
@pytest.mark.parametrize("error", [OutOfMemory("Try 512 x 512."), RuntimeError("a bug")])
def test_a_failure_brings_the_earlier_picture_back_and_puts_stop_away(where: str, error: Exception) -> None:
    images = Breaks()
    page = images_page(images)
    assert drawn(page)[-1].drawn
    images.where, images.error = where, error
    updates = until_error(page.draw(VISIT, "x", None, "", *CONTROLS))
    assert updates[0].stage.visible is False
    assert updates[-1].stage.visible is True
    assert updates[-1].stop.visible is False
    assert updates[-1].preview == ""


def test_what_was_ready_before_a_failure_is_kept() -> None:
    images = Breaks()
    page = images_page(images)
    kept: list[Any] = []
    page.keep = lambda visitor, pictures: kept.extend(pictures) or ""
    images.error = OutOfMemory("Try 512 x 512.")
    updates = until_error(page.draw(VISIT, "x", None, "", *("", "", 64, 64, 20, 3.5, "", 5, 3, True)))
    assert [picture.settings.seed for picture in updates[-1].drawn] == [5]
    assert len(kept) == 1
    assert "Stopped" not in updates[-1].status


def test_what_a_note_quotes_is_text() -> None:
    """The end of a prompt that was cut may come from a stranger's file."""
    status = drawn(images_page(Breaks()))[-1].status
    assert "It left out: “&lt;img" in status
    assert "<img" not in status


def test_a_drawing_that_ends_without_a_picture_leaves_the_batch_before_it() -> None:
    page = images_page()
    assert len(drawn(page, controls=("", "", 64, 64, 20, 3.5, "", 5, 3, True))[-1].last) == 3
    start = page.router.start

    def stopped(ref: Any, settings: Any) -> Any:
        drawing = start(ref, settings)
        drawing.pictures = lambda: ()
        return drawing

    page.router.start = stopped  # type: ignore[method-assign]
    last = drawn(page)[-1]
    assert last.status == "Stopped."
    assert last.last == last.drawn == gr.skip()
    assert last.stage.visible is True
    assert "value" not in last.stage._constructor_args[0]


def test_leaving_the_mode_and_coming_back_shows_the_pictures_again() -> None:
    battle = ImageBattlePage(FakeImages(), FakeStore(), "salt")
    last = drawn(images_page())[-1]
    _, _, _, stage, strip, *_ = battle.switch("gallery", last.drawn, last.last)
    assert (stage.visible, strip.visible) == (False, False)
    _, _, _, stage, strip, *_ = battle.switch("draw", (*last.drawn, *last.drawn), last.last)
    assert (stage.visible, strip.visible) == (True, True)
    assert battle.switch("draw", (), ())[3].visible is False


def test_a_recipe_brings_how_it_started_or_takes_away_what_is_there() -> None:
    page = images_page()
    start = png(3)
    here = replace(drawn(page)[-1].drawn[0], png=start)
    recipe = recipe_of(replace(here, settings=replace(here.settings, image=start, strength=0.4, width=48)))
    placed = page.use_source(recipe, (here,), None, None)
    assert placed[0].original == start
    assert placed[-2:] == ("image", 0.4)
    with pytest.warns(UserWarning, match="Drop the picture"):
        assert page.use_source(recipe, (), None, None)[0] == gr.skip()
    # The right one was dropped already: nothing is missing.
    assert page.use_source(recipe, (), Source(start, start), None)[-2:] == ("image", 0.4)
    masked = recipe_of(replace(here, settings=replace(here.settings, image=start, mask=start, strength=0.4)))
    with pytest.warns(UserWarning, match="Paint again"):
        assert page.use_source(masked, (here,), None, None)[-2:] == ("inpaint", 0.4)
    # From words alone: a picture that is still there would change what is drawn.
    assert page.use_source(recipe_of(here), (here,), Source(start, start), None)[0] is None


def test_every_handler_of_the_tab_gives_what_its_outputs_take() -> None:
    page = images_page()
    with gr.Blocks() as demo:
        view = page.build()
        state = gr.State(None)
        shared: Any = SimpleNamespace(image_model=state, visitor=gr.State(""), address=gr.Textbox())
        page.wire(view, shared, demo)
    taken = {fn.fn.__name__: len(fn.outputs) for fn in demo.fns.values() if fn.fn is not None}
    last = drawn(page)[-1]
    picture = last.drawn[0]
    given: dict[str, Any] = {
        "draw": last,
        "clear": page.clear(VISIT),
        "use_all": page.use_all(last.chosen, None),
        "remix": page.remix(last.chosen, None),
        "use_source": page.use_source(last.chosen, last.drawn, None, None),
        "start_from": page.start_from(picture.id, last.drawn, "image", None),
        "read": page.read(png()),
        "removed": page.source.removed(),
        "look": page.source.look(None, "image", None, 0, 0, 0, 0),
        "offer": page.adapters.offer(None),
        "fit": page.controls.fit("", None, None),
    }
    assert {name: len(values) for name, values in given.items() if name != "read"} == {
        name: taken[name] for name in given if name != "read"
    }
    assert len(page.adapters.offer(REF, "", "", "", "", "")) == taken["offer"]
    assert len(page.controls.fit("tab=images", None, None)) == taken["fit"]


@pytest.mark.parametrize("side", [0, 1])
def test_the_model_that_is_fetched_first_does_not_tell_its_side(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """Whichever side it came to stand on, the models are fetched in the order they were typed."""
    monkeypatch.setattr("pages.image_battle.secrets.randbelow", lambda most: side)
    images = FakeImages()
    prepared: list[str] = []
    prepare = images.prepare

    def watched(ref: Any) -> Any:
        prepared.append(ref.repo_id)
        return prepare(ref)

    images.prepare = watched  # type: ignore[method-assign]
    page = ImageBattlePage(images, FakeStore(), "salt")
    list(page.compare(VISIT, "a star", REF.repo_id, 4, 3.5, OTHER.repo_id, 20, 3.5, "", 64, 64, ""))
    assert prepared == [REF.repo_id, OTHER.repo_id]
    assert images.asked[side][0] == REF


def test_a_comparison_that_was_stopped_or_blocked_has_no_vote_and_says_why() -> None:
    images = Breaks()
    page = ImageBattlePage(images, FakeStore(), "salt")
    start = images.start

    def ending(finish: str) -> Any:
        def begin(ref: Any, settings: Any) -> Any:
            drawing = start(ref, settings)
            whole = drawing.pictures
            drawing.pictures = lambda: tuple(replace(one, finish=finish) for one in whole()) if finish else ()
            return drawing

        return begin

    for finish, says in (("stopped", "not finished"), ("", "It left out")):
        images.start = ending(finish)  # type: ignore[method-assign]
        with pytest.raises(gr.Error, match=says):
            compared(page)


def test_two_schedulers_are_two_settings_and_the_switch_for_the_prompt_holds_here_too() -> None:
    images = FakeImages()
    page = ImageBattlePage(images, FakeStore(), "salt")
    list(page.compare(VISIT, "a star", "", 4, 3.5, "", 4, 3.5, "", 64, 64, "DDIM", None, "", "Euler", False))
    assert {asked.scheduler for _, asked in images.asked} == {"DDIM", "Euler"}
    assert not any(asked.prompt_in_file for _, asked in images.asked)
    assert [("Euler", "Euler") in offered.choices for offered in page.offer(REF)] == [True, True]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("prompt", 5, "prompt has to be text"),
        ("width", "wide", "width has to be a whole number"),
        ("steps", 2.5, "steps has to be a whole number"),
        ("guidance", "nan", "guidance has to be a number"),
        ("strength", "far", "strength has to be a number"),
    ],
)
def test_a_program_that_sends_another_type_is_told_which(name: str, value: object, says: str) -> None:
    with pytest.raises(gr.Error, match=says):
        ImagesApi(FakeImages()).generate_image(**{"prompt": "a star", name: value})


def test_a_comparison_whose_page_was_closed_stops_drawing() -> None:
    images = FakeImages()
    page = ImageBattlePage(images, FakeStore(), "salt")
    bouts = page.compare(VISIT, "a star", "", 4, 3.5, "", 20, 3.5, "", 64, 64, "")
    next(bout for bout in bouts if isinstance(bout.battle, str))
    page.leave(SimpleNamespace(session_hash="another page"))
    assert not any(drawing.stopped for drawing in images.drawings.values())
    page.leave(VISIT)
    assert [drawing.stopped for drawing in images.drawings.values()] == [True, True]
    with pytest.raises(gr.Error, match="no vote"):
        list(bouts)


def test_clicks_while_a_model_is_fetched_are_counted_too() -> None:
    page = images_page()
    streams = [page.draw(VISIT, "go", None, "", *CONTROLS) for _ in range(MOST_WAITING)]
    for stream in streams:
        next(stream)  # waits for its model
    with pytest.raises(gr.Error, match="wait already"):
        next(page.draw(VISIT, "one more", None, "", *CONTROLS))
    for stream in streams:
        stream.close()
    assert drawn(page)[-1].drawn


def test_files_of_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.pictures.MOST_FILES", 3)
    paths = [Path(blind_file(png(number))) for number in range(6)]
    assert paths[-1].exists()
    assert sum(path.exists() for path in paths) <= 3
