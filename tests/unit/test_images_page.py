"""The Images tab's handlers on scripted drawings."""

from __future__ import annotations

import base64
import json
import warnings
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
from pages.image_contenders import Contender, TabSettings
from pages.image_screen import Screen, Update
from pages.image_source import Source
from pages.images import ImagesPage
from pages.images_api import ImagesApi
from tests.fakes import LORA, OTHER, REF, FakeCatalog, FakeImages, FakeStore, png

TAB = TabSettings(None, "", 64, 64, "", True)
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
    table, recipe, picked = page.recipe.read(png())
    assert picked is None
    assert "a dropped prompt" in table
    every = page.recipe.use_all(recipe, None)
    # prompt, style, seed, batch, model, then what fits the model: negative, width, height, steps.
    assert every[:4] == ("a dropped prompt", "", "99", 1)
    assert [control.value for control in every[6:9]] == [32, 48, 9]
    assert page.recipe.remix(recipe, None)[2] == ""
    assert page.recipe.use_seed(recipe) == "99"
    with pytest.raises(gr.Error, match="no recipe"):
        page.recipe.read(b"GIF89a")
    with pytest.raises(gr.Error, match="Choose a picture first"):
        page.recipe.use_all(None, None)


def test_a_hostile_recipe_is_text() -> None:
    html = recipe_table(Recipe(ImageSettings("<script>x</script>", scheduler="<img src=x onerror=y>"), model="<b>"))
    assert "<script" not in html
    assert "<img" not in html


def compared(page: ImageBattlePage) -> list[Bout]:
    return list(page.compare(VISIT, "a star", *TAB, *Contender(steps=4), *Contender(steps=20)))


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
        list(page.compare(VISIT, "a star", *TAB, *Contender(), *Contender()))


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


def test_what_a_mode_shows_goes_with_it_as_a_whole() -> None:
    """A drawing that ends while another mode is open makes its stage visible inside what is hidden."""
    battle = ImageBattlePage(FakeImages(), FakeStore(), "salt")
    shown = {mode: [part.visible for part in battle.switch(mode)] for mode in ("draw", "compare", "grid", "gallery")}
    assert shown == {
        "draw": [True, False, True],
        "compare": [False, True, False],
        "grid": [False, False, False],
        "gallery": [False, False, False],
    }
    page = images_page()
    with gr.Blocks():
        view = page.build()
    inside = {child._id for child in _all_of(view.canvas)}
    assert {part._id for part in (view.preview, view.stage, view.strip, view.after_stage, view.clear)} <= inside


def _all_of(block: Any) -> list[Any]:
    return [block, *(part for child in getattr(block, "children", ()) for part in _all_of(child))]


def test_a_step_sends_only_what_is_new() -> None:
    now = [0.0]
    screen = Screen(clock=lambda: now[0])
    preview = png(1)

    def sent(step: Step, *, first: bool = True) -> list[Update]:
        return list(screen.follow(step, "", first=first))

    (begun,) = sent(Step(1, 20))
    assert begun.stage.visible is False
    assert begun.stop.interactive is True
    assert sent(Step(2, 20)) == []
    (seen,) = sent(Step(3, 20, preview=preview))
    assert "data:image" in seen.preview
    assert (seen.stage, seen.stop) == (gr.skip(), gr.skip())
    assert sent(Step(4, 20, preview=preview)) == []
    now[0] = 1.0
    (line,) = sent(Step(9, 20, preview=preview))
    assert (line.status, line.preview) == ("Step 9 of 20", gr.skip())
    # One that waits says nothing but what changed in the queue.
    assert next(Screen().follow(Step(0, 20), "", first=False)).status == gr.skip()


def test_the_address_names_the_mode_and_opens_it() -> None:
    page = images_page()
    assert page.place("gallery") == "tab=images&mode=gallery"
    assert page.place("draw") == "tab=images"
    assert page.follow("tab=images&mode=gallery", "draw") == "gallery"
    assert page.follow("tab=images", "gallery") == "draw"
    for query, mode in (("tab=images&mode=nonsense", "draw"), ("tab=chat&mode=grid", "draw"), ("", "grid")):
        assert page.follow(query, mode) == gr.skip()


def test_the_gpu_time_is_said_before_the_click_where_it_is_counted() -> None:
    images = FakeImages()
    page, battle = images_page(images), ImageBattlePage(images, FakeStore(), "salt")
    sides = (*TAB, *Contender(steps=4), *Contender(steps=20))
    assert page.price(REF, 64, 64, 20, 1) == battle.contenders.price(*sides) == ""
    images.gpu_seconds = lambda ref, settings: settings.steps * settings.batch  # type: ignore[method-assign]
    assert "40 s of GPU" in page.price(REF, 64, 64, 20, 2)
    assert "24 s of GPU" in battle.contenders.price(*sides)
    assert page.price(REF, None, 64, 20, 2) == page.price(None, 64, 64, 20, 2) == ""  # type: ignore[arg-type]


def test_what_a_model_cannot_take_of_a_recipe_is_said_and_what_a_slider_lacks_is_added() -> None:
    images = FakeImages()
    page = images_page(images)
    far = Recipe(ImageSettings("x", "", 4000, 65, 150, 30.0, "Magic", 3), REF)
    with pytest.warns(UserWarning, match="Width 4000 is set to 512.*Height 65 is set to 64.*no scheduler “Magic”"):
        _, _, _, _, _, _, width, height, steps, guidance, scheduler, *_ = page.recipe.use_all(far, None)
    assert (width.value, height.value, scheduler.value) == (512, 64, "")
    assert (steps.value, steps.maximum) == (150, 150)
    assert (guidance.value, guidance.maximum) == (30.0, 30.0)
    near = Recipe(ImageSettings("x", "", 64, 64, 20, 3.5, "Euler", 3), REF)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, _, _, _, _, _, _, _, steps, guidance, *_ = page.recipe.use_all(near, None)
    assert (steps.maximum, guidance.maximum) == (100, 20)


def test_a_recipe_brings_how_it_started_or_takes_away_what_is_there() -> None:
    page = images_page()
    start = png(3)
    here = replace(drawn(page)[-1].drawn[0], png=start)
    recipe = recipe_of(replace(here, settings=replace(here.settings, image=start, strength=0.4, width=48)))
    placed = page.recipe.use_source(recipe, (here,), None, None)
    assert placed[0].original == start
    assert placed[-2:] == ("image", 0.4)
    with pytest.warns(UserWarning, match="Drop the picture"):
        assert page.recipe.use_source(recipe, (), None, None)[0] == gr.skip()
    # The right one was dropped already: nothing is missing.
    assert page.recipe.use_source(recipe, (), Source(start, start), None)[-2:] == ("image", 0.4)
    masked = recipe_of(replace(here, settings=replace(here.settings, image=start, mask=start, strength=0.4)))
    with pytest.warns(UserWarning, match="Paint again"):
        assert page.recipe.use_source(masked, (here,), None, None)[-2:] == ("inpaint", 0.4)
    # Not on this page any more, but in the gallery.
    page.recipe.lookup = lambda visitor, sha256: start if visitor == "me" else None
    assert page.recipe.use_source(recipe, (), None, None, "me")[0].original == start
    # From words alone: a picture that is still there would change what is drawn.
    assert page.recipe.use_source(recipe_of(here), (here,), Source(start, start), None)[0] is None


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
        "use_all": page.recipe.use_all(last.chosen, None),
        "remix": page.recipe.remix(last.chosen, None),
        "use_source": page.recipe.use_source(last.chosen, last.drawn, None, None),
        "start_from": page.start_from(picture.id, last.drawn, "image", None),
        "read": page.recipe.read(png()),
        "removed": page.source.removed(),
        "follow": (page.follow("tab=images", "grid"),),
        "place": (page.place("grid"),),
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
    list(page.compare(VISIT, "a star", *TAB, *Contender(REF.repo_id), *Contender(OTHER.repo_id)))
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
    tab = TAB._replace(scheduler="DDIM", keep_prompt=False)
    list(page.compare(VISIT, "a star", *tab, *Contender(), *Contender(scheduler="Euler")))
    assert {asked.scheduler for _, asked in images.asked} == {"DDIM", "Euler"}
    assert not any(asked.prompt_in_file for _, asked in images.asked)
    assert [("Euler", "Euler") in offered.choices for offered in page.contenders.offer(REF)] == [True, True]


def test_a_style_and_loras_belong_to_one_contender_and_stand_in_the_row() -> None:
    images, store = FakeImages(), FakeStore()
    page = ImageBattlePage(images, store, "salt")
    known = {LORA.id: LORA}
    assert [part.visible for part in page.contenders.offer_loras(known)] == [True] * 4
    assert [part.visible for part in page.contenders.offer_loras({})] == [False] * 4
    sides = (*Contender(), *Contender(style="Watercolour", loras=[LORA.id], weight=0.5))
    which = battle_id(list(page.compare(VISIT, "a star", *TAB, *sides)))
    drawn = {asked.style: asked for _, asked in images.asked}
    assert drawn[""].prompt == "a star"
    assert drawn[""].loras == ()
    assert drawn["Watercolour"].prompt.startswith("a watercolour painting of a star")
    assert [(one.ref, one.weight) for one in drawn["Watercolour"].loras] == [(LORA.ref, 0.5)]
    bout = Bout(*page.vote("left", which, "", "visitor")[:-1])
    assert "Watercolour" in bout.reveal
    assert LORA.ref.short in bout.reveal
    (row,) = [row for row in store.kept.values() if isinstance(row, ImagePreferenceRow)]
    settings = [json.loads(side.settings) for side in (row.chosen_by, row.rejected_by)]
    assert sorted(one.get("style", "") for one in settings) == ["", "Watercolour"]
    assert sorted(len(one["loras"]) for one in settings) == [0, 1]
    assert row.prompt == "a star"
    with pytest.raises(gr.Error, match="does not fit other-model"):
        list(page.compare(VISIT, "a star", *TAB, *Contender(OTHER.repo_id, loras=[LORA.id]), *Contender()))


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
    bouts = page.compare(VISIT, "a star", *TAB, *Contender(steps=4), *Contender(steps=20))
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
