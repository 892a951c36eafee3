"""The grid's handlers on scripted drawings: cost before it runs, cells as they come, stop, resume, and what is kept."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from backends.gallery.store import SqlitePictures
from backends.image.png import text_chunks
from core.errors import OutOfMemory
from core.gallery import GalleryQuery
from core.identity import owner_of
from core.recipe import recipe_in
from pages.image_controls import Controls
from pages.image_grid import GridPage, Update
from pages.images import ImagesPage
from tests.fakes import LORA, OTHER, REF, FakeCatalog, FakeDrawing, FakeImages

ANN, BOB = "a" * 32, "b" * 32
OWNER = owner_of("salt", ANN)
CONTROLS = tuple(Controls(width=64, height=64, steps=20, guidance=3.5))
STEPS_AND_SEEDS = ("steps", "seed", "", "5, 10", "1..3", "", [], [], [])


@pytest.fixture
def images() -> FakeImages:
    return FakeImages()


@pytest.fixture
def page(tmp_path: Path, images: FakeImages) -> GridPage:
    store = SqlitePictures(tmp_path / "pictures", 50)
    return GridPage(ImagesPage(images, FakeCatalog()), images, store, "salt")


def run(page: GridPage, axes: tuple[Any, ...] = STEPS_AND_SEEDS, controls: tuple[Any, ...] = CONTROLS) -> list[Update]:
    return list(page.draw(ANN, "a red apple", None, *axes, *controls))


def html(update: Update) -> str:
    return "".join(update.sheet)


def axes(
    first: tuple[str, str], second: tuple[str, str] = ("", ""), picks: tuple[list[str], ...] = ([], [], [])
) -> Any:
    return (first[0], second[0], "", first[1], second[1], "", *picks)


def test_the_cost_is_told_before_anything_runs(page: GridPage, images: FakeImages) -> None:
    told = page.estimate("a red apple", None, *STEPS_AND_SEEDS, *CONTROLS)
    assert "2 × 3 = 6 pictures" in told
    assert "45 steps" in told
    assert "known once a picture was drawn" in told
    assert images.asked == []
    run(page)  # the fakes take one second for a picture
    assert "at the speed last measured here" in page.estimate("a red apple", None, *STEPS_AND_SEEDS, *CONTROLS)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (axes(("steps", "10-30:")), "neither a number nor a range"),
        (axes(("steps", "5"), ("steps", "6")), "Two axes change the same"),
        (axes(("", "")), "at least one axis"),
        (axes(("lora", "0, 1")), "No LoRA is chosen"),
        (axes(("magic", "0, 1")), "Choose for each axis"),
        (axes(("steps", "1-20"), ("seed", "1-20")), "at most 144"),
        (axes(("model", ""), picks=(["org/unknown"], [], [])), "There is no model org/unknown"),
        (axes(("model", ""), picks=([], [], [])), "there are no values"),
        (axes(("steps", "5, 500")), "The cell Steps 500 cannot be drawn"),
    ],
)
def test_what_is_wrong_is_said_where_the_cost_would_stand(page: GridPage, given: Any, says: str) -> None:
    assert says in page.estimate("a red apple", None, *given, *CONTROLS)
    with pytest.raises(gr.Error, match=says.split("×")[0]):
        run(page, given)


def test_cells_fill_in_one_after_another_with_one_seed(page: GridPage, images: FakeImages) -> None:
    updates = run(page, axes(("steps", "5, 10"), ("guidance", "1, 2")))
    filled = [html(update).count("pg-drawn") for update in updates if isinstance(update.sheet, list)]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (0, 4)
    assert any("Picture 3 of 4" in str(update.status) for update in updates)
    assert len({settings.seed for _, settings in images.asked}) == 1
    assert [(settings.steps, settings.guidance) for _, settings in images.asked] == [(5, 1), (10, 1), (5, 2), (10, 2)]
    last = updates[-1]
    assert "4 pictures in" in last.status
    assert (last.stop.visible, last.resume.visible) == (False, False)
    assert "".join(last.table).count("<tr tabindex") == 4
    assert page.pictures.find(OWNER, GalleryQuery()).kept == 4


def test_stop_ends_within_the_cell_and_resume_draws_only_what_is_missing(page: GridPage, images: FakeImages) -> None:
    updates = []
    for update in page.draw(ANN, "a red apple", None, *STEPS_AND_SEEDS, *CONTROLS):
        updates.append(update)
        if "Picture 3 of 6" in str(update.status):
            page.stop(ANN)
    last = updates[-1]
    assert "Stopped. 2 of 6 are drawn; Resume draws the other 4." in last.status
    assert last.resume.visible
    assert len(images.asked) == 3
    # The stopped one is in the gallery, marked; its cell is not drawn.
    assert page.pictures.find(OWNER, GalleryQuery("stopped")).found == 1
    again = list(page.resume(ANN, last.plan, last.grid))
    assert len(images.asked) == 3 + 4
    assert images.asked[3] == images.asked[2]
    assert html(again[-1]).count("pg-drawn") == 6
    assert not again[-1].resume.visible


def test_a_page_that_was_reloaded_finds_its_grid_and_goes_on(page: GridPage, images: FakeImages) -> None:
    for update in page.draw(ANN, "a red apple", None, *STEPS_AND_SEEDS, *CONTROLS):
        if "Picture 2 of 6" in str(update.status):
            break  # the page is gone: gradio closes the handler
    assert not page.runs.on(OWNER)
    group, prompt, *shown = page.enter("grid", ANN, None)
    found = Update(*shown[9:])
    assert (prompt, shown[0], shown[3].value, shown[4].value) == ("a red apple", "steps", "5, 10", "1..3")
    assert group.visible
    assert "1 of 6 are drawn; Resume draws the other 5." in found.status
    list(page.resume(ANN, found.plan, found.grid))
    assert len(page.pictures.cells(OWNER, found.grid)) == 6
    nothing = Update(*page.enter("grid", BOB, None)[11:])
    assert not isinstance(nothing.sheet, list)
    assert not page.enter("draw", ANN, None)[0].visible


def test_a_grid_belongs_to_its_visitor(page: GridPage, images: FakeImages) -> None:
    last = run(page)[-1]
    event: Any = SimpleNamespace(cell=0)
    assert "data:image/png" in page.open(ANN, last.plan, last.grid, event)[1]
    assert "not drawn yet" in page.open(BOB, last.plan, last.grid, event)[1]
    drawings = len(images.asked)
    page.stop(BOB)
    assert len(images.asked) == drawings


def test_a_cell_opens_with_its_recipe(page: GridPage) -> None:
    last = run(page)[-1]
    _, shown, table, recipe, _ = page.open(ANN, last.plan, last.grid, SimpleNamespace(cell=3))  # type: ignore[arg-type]
    assert "data:image/png" in shown
    assert (recipe.settings.steps, recipe.settings.seed) == (10, 2)
    assert "<th>Seed</th><td>2</td>" in table
    for wrong in (6, -1, "0", None):
        with pytest.raises(gr.Error, match="no longer on the sheet"):
            page.open(ANN, last.plan, last.grid, SimpleNamespace(cell=wrong))  # type: ignore[arg-type]


def test_the_contact_sheet_and_the_table_carry_everything(page: GridPage) -> None:
    last = run(page)[-1]
    picture = Path(list(page.save_sheet(ANN, last.plan, last.grid))[-1][0]).read_bytes()
    chunks = text_chunks(picture)
    told = json.loads(chunks["proving_ground_grid"])
    assert [axis["name"] for axis in told["axes"]] == ["Steps", "Seed"]
    assert [cell["recipe"]["seed"] for cell in told["cells"]] == [1, 1, 2, 2, 3, 3]
    assert all(cell["drawn"] for cell in told["cells"])
    assert (
        'Script: X/Y/Z plot, X Type: Steps, X Values: "5, 10", Y Type: Seed, Y Values: "1..3"' in chunks["parameters"]
    )
    recipe = recipe_in({"parameters": chunks["parameters"]})
    assert recipe is not None
    assert recipe.settings.prompt == "a red apple"
    table = Path(list(page.save_table(ANN, last.plan, last.grid))[-1][0]).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["Steps"], row["Seed"], row["Seconds"], row["Commit"]) for row in rows[:2]] == [
        ("5", "1", "1.00", REF.revision), ("10", "1", "1.00", REF.revision),
    ]  # fmt: skip
    with pytest.raises(gr.Error, match="no grid yet"):
        list(page.save_sheet(ANN, None, None))


@pytest.mark.parametrize("prompt", ["=cmd|'/c calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_prompt_in_the_table_runs_no_formula(page: GridPage, prompt: str) -> None:
    last = list(page.draw(ANN, prompt, None, *STEPS_AND_SEEDS, *CONTROLS))[-1]
    table = Path(list(page.save_table(ANN, last.plan, last.grid))[-1][0]).read_text(encoding="utf-8-sig")
    for row in csv.reader(io.StringIO(table)):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")) and not cell.startswith("-2"), cell


def test_without_the_prompt_in_the_file_it_is_nowhere_on_disk_nor_on_the_sheet(page: GridPage, tmp_path: Path) -> None:
    secret = tuple(Controls(*CONTROLS)._replace(keep_prompt=False))
    last = list(page.draw(ANN, "a secret apple", None, *axes(("prompt", "secret, hidden")), *secret))[-1]
    picture = Path(list(page.save_sheet(ANN, last.plan, last.grid))[-1][0]).read_bytes()
    table = Path(list(page.save_table(ANN, last.plan, last.grid))[-1][0]).read_text(encoding="utf-8-sig")
    assert "prompt 1" in text_chunks(picture)["proving_ground_grid"]
    page.pictures.close()
    kept = [path.read_bytes() for path in (tmp_path / "pictures").rglob("*.sqlite*")]
    assert not any(b"secret" in data for data in (picture, *kept))
    assert "secret" not in table


def test_an_error_keeps_what_is_drawn_and_resume_goes_on(page: GridPage, images: FakeImages) -> None:
    updates = []
    with pytest.raises(gr.Error, match="Not enough memory"):
        for update in page.draw(ANN, "a red apple", None, *STEPS_AND_SEEDS, *CONTROLS):
            updates.append(update)
            if "Picture 2 of 6" in str(update.status):
                images.error = OutOfMemory("Not enough memory for this size. Try 512 x 512.")
    assert "2 of 6 are drawn" in updates[-1].status
    assert updates[-1].draw.visible
    images.error = None
    assert html(list(page.resume(ANN, updates[-1].plan, updates[-1].grid))[-1]).count("pg-drawn") == 6


def test_a_grid_larger_than_the_gallery_is_refused_before_it_pushes_itself_out(
    tmp_path: Path, images: FakeImages
) -> None:
    small = GridPage(ImagesPage(images, FakeCatalog()), images, SqlitePictures(tmp_path / "p", 5), "salt")
    with pytest.raises(gr.Error, match="room for 5 pictures"):
        run(small)
    assert images.asked == []


def test_models_and_schedulers_are_chosen_from_what_is_here(page: GridPage, images: FakeImages) -> None:
    typed, picks = page.axes.choose_kind("scheduler", None)
    assert (typed.visible, picks.visible) == (False, True)
    typed, picks = page.axes.choose_kind("steps", None)
    assert (typed.visible, picks.visible) == (True, False)
    assert "10-30:5" in typed.placeholder
    run(page, axes(("model", ""), ("scheduler", ""), ([str(REF), str(OTHER)], ["DDIM", "Euler"], [])))
    prompt, *fields = page.axes.restored(
        page.axes.plan("x", None, axes(("model", ""), picks=([str(OTHER)], [], [])) + CONTROLS, seed=1)
    )
    assert (prompt, fields[0], fields[6].value) == ("x", "model", [str(OTHER)])
    # Model by model, so that each is loaded once.
    assert [(ref, settings.scheduler) for ref, settings in images.asked] == [
        (REF, "DDIM"), (REF, "Euler"), (OTHER, "DDIM"), (OTHER, "Euler"),
    ]  # fmt: skip


def test_loras_of_this_machine_take_weights_and_a_controlnet_is_refused(page: GridPage, images: FakeImages) -> None:
    run(page, axes(("lora", f"{LORA.ref.repo_id} = 0, 0.5")))
    assert [settings.loras[0].weight for _, settings in images.asked] == [0.0, 0.5]
    steered = ({}, "some-controlnet", None, "canny", 1, 0, 1, "", "", "", "", 1, 1, 1, 1)
    assert "None as the ControlNet" in page.estimate("x", None, *STEPS_AND_SEEDS, *CONTROLS, *steered)


def test_a_second_tab_takes_over_instead_of_drawing_twice(page: GridPage, images: FakeImages) -> None:
    first = page.draw(ANN, "a red apple", None, *STEPS_AND_SEEDS, *CONTROLS)
    update = next(update for update in first if "Picture 1 of 6" in str(update.status))
    assert update is not None
    second = list(page.draw(ANN, "a pear", None, *axes(("steps", "5, 6")), *CONTROLS))
    assert html(second[-1]).count("pg-drawn") == 2
    rest = list(first)
    assert "Stopped. 0 of 6" in rest[-1].status
    assert isinstance(images.drawings, dict)
    assert sum(isinstance(drawing, FakeDrawing) and drawing.stopped for drawing in images.drawings.values()) >= 1
