"""X/Y/Z grid of the Images tab: one prompt drawn with every combination of two or three settings, stopped and resumed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from time import monotonic
from typing import Any, NamedTuple

import gradio as gr

from components.contact_sheet import contact_sheet
from components.errors import shown_to_user
from components.gallery_sheet import TEMPLATE, download_path, large
from components.grid_runs import GridRun, GridRuns
from components.grid_sheet import FIRST_VISIT, ON_LOAD, cost_line, csv_text, duration, sheet, table, wrong_line
from components.pictures import drawing_line, recipe_table
from components.progress import progress_line
from core.errors import AppError, GalleryError, UserInputError
from core.gallery import GalleryQuery, KeptPicture
from core.grid import LETTERS, MOST_CELLS, GridPlan, missing, plan_from, plan_text, seconds_of
from core.identity import owner_of
from core.image_protocols import ImageRouter, PictureStore
from core.refs import ModelRef
from pages.image_axes import AxesPanel, AxesView
from pages.images import ImagesPage, ImagesView
from pages.shared import Shared

MODE = "grid"
MOST_SEED_DRAWN = 2**32


@dataclass(frozen=True)
class GridView:
    """The components of the grid, inside the Images tab. `plan` is the plan on the screen, `grid` its id."""

    group: gr.Column
    prompt: gr.Textbox
    draw: gr.Button
    stop: gr.Button
    resume: gr.Button
    status: gr.HTML
    axes: AxesView
    cost: gr.HTML
    detail: gr.Column
    picture: gr.HTML
    close: gr.Button
    sheet: gr.HTML
    results: gr.Column
    table: gr.HTML
    save_sheet: gr.Button
    save_table: gr.Button
    file: gr.DownloadButton
    plan: gr.State
    grid: gr.State


class Update(NamedTuple):
    """What drawing a grid puts on the screen, in the order of its outputs."""

    sheet: Any
    status: Any
    draw: Any
    stop: Any
    resume: Any
    results: Any
    table: Any
    plan: Any
    grid: Any


class GridPage:
    """Draws the cells one after another; the gallery keeps them, so that a grid goes on where it was stopped."""

    def __init__(self, images: ImagesPage, router: ImageRouter, pictures: PictureStore, secret: str) -> None:
        self.router = router
        self.axes = AxesPanel(images, router)
        self.pictures = pictures
        self.secret = secret
        self.runs = GridRuns()

    def build(self) -> GridView:
        """Layout only."""
        with gr.Column(visible=False, elem_id="grid") as group:
            with gr.Column(elem_classes="pg-composer"):
                prompt = gr.Textbox(
                    label="Prompt", show_label=False, value="a red apple", lines=1, max_lines=6, elem_id="grid-prompt",
                    placeholder="What every picture shows. A grid draws from the prompt alone.",
                )  # fmt: skip
                with gr.Row(elem_classes="pg-actions"):
                    status = gr.HTML("", elem_id="grid-status")
                    stop = gr.Button("Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="grid-stop")
                    resume = gr.Button("Resume", visible=False, min_width=90, scale=0, elem_id="grid-resume")
                    draw = gr.Button("Draw grid", variant="primary", min_width=110, scale=0, elem_id="grid-draw")
            axes = self.axes.build()
            cost = gr.HTML("", elem_id="grid-cost")
            with gr.Column(visible=False, elem_id="grid-detail") as detail:
                picture = gr.HTML("", elem_id="grid-picture")
                close = gr.Button("Close", size="sm", min_width=80, scale=0)
            found = gr.HTML([FIRST_VISIT], html_template=TEMPLATE, elem_id="grid-sheet", js_on_load=ON_LOAD)
            with gr.Column(visible=False) as results:
                with gr.Row(elem_classes="pg-actions pg-wraps"):
                    save_sheet = gr.Button(
                        "Download contact sheet (PNG)", size="sm", min_width=210, scale=0, elem_id="grid-save-sheet"
                    )
                    save_table = gr.Button(
                        "Download table (CSV)", size="sm", min_width=160, scale=0, elem_id="grid-save-table"
                    )
                with gr.Accordion("Every picture's settings", open=False, elem_id="grid-cells"):
                    cells = gr.HTML([], html_template=TEMPLATE, elem_id="grid-table", js_on_load=ON_LOAD)
            file = gr.DownloadButton("Download", elem_classes="pg-unseen", elem_id="grid-file")
        return GridView(
            group, prompt, draw, stop, resume, status, axes, cost, detail, picture,
            close, found, results, cells, save_sheet, save_table, file, gr.State(None), gr.State(None),
        )  # fmt: skip

    def wire(self, view: GridView, images: ImagesView, shared: Shared) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        stream = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        outputs = [
            view.sheet, view.status, view.draw, view.stop, view.resume, view.results, view.table, view.plan, view.grid,
        ]  # fmt: skip
        self.axes.wire(view.axes, shared.image_model)
        axes = view.axes.inputs()
        controls, adapters = images.controls.inputs(), images.adapters.inputs()
        asked = [view.prompt, shared.image_model, *axes, *controls, *adapters]
        images.mode.change(
            self.enter, [images.mode, shared.visitor, view.plan], [view.group, view.prompt, *axes, *outputs], **quick
        )
        # One listener for all of them: the answer to what was typed last is the one that stays.
        gr.on(
            [
                images.mode.change,
                *(part.change for part in (view.prompt, *axes)),
                *(part.change for part in controls if part is not images.controls.batch),
                *(part.change for part in adapters if not isinstance(part, gr.State)),
            ],
            self.estimate, asked, view.cost, trigger_mode="always_last", **quick,
        )  # fmt: skip
        # The cost is told anew when it is over: by then a step was measured.
        gr.on([view.draw.click, view.prompt.submit], self.draw, [shared.visitor, *asked], outputs, **stream).then(
            self.estimate, asked, view.cost, **quick
        )
        view.resume.click(self.resume, [shared.visitor, view.plan, view.grid], outputs, **stream).then(
            self.estimate, asked, view.cost, **quick
        )
        view.stop.click(self.stop, shared.visitor, view.stop, **quick)
        opened = [view.detail, view.picture, *images.recipe.choice()]
        for part in (view.sheet, view.table):
            part.select(
                self.open, [shared.visitor, view.plan, view.grid], opened,
                **{**quick, "trigger_mode": "multiple", "concurrency_limit": 1},
            )  # fmt: skip
        view.close.click(self.close, None, opened[:2], **quick)
        for button, save in ((view.save_sheet, self.save_sheet), (view.save_table, self.save_table)):
            button.click(save, [shared.visitor, view.plan, view.grid], [view.file, view.status], **stream).success(
                None, None, None, js="() => setTimeout(() => document.querySelector('#grid-file, #grid-file button, #grid-file a').click(), 150)",
                api_visibility="private",
            )  # fmt: skip

    def enter(self, mode: str, visitor: str, plan: GridPlan | None) -> tuple[Any, ...]:
        """Show the visitor's newest grid, so that a page that was reloaded goes on with it; its axes only there."""
        with shown_to_user():
            group, skip = gr.Column(visible=mode == MODE), gr.skip()
            fields: tuple[Any, ...] = (skip,) * (1 + 3 * len(LETTERS))
            nothing = (group, *fields, *(skip,) * len(Update._fields))
            owner = self._owner(visitor)
            # A grid that is drawn by this very page shows itself.
            if mode != MODE or self.runs.on(owner):
                return nothing
            grid = self.pictures.grid(owner)
            newest = plan_from(grid[1]) if grid else None
            if grid is None or newest is None:
                return nothing
            if plan is None:
                fields = self.axes.restored(newest)
            return group, *fields, *self._ended(newest, grid[0], self.pictures.cells(owner, grid[0]), "")

    def estimate(self, prompt: str, model: ModelRef | None, *values: Any) -> str:
        """What the grid would cost, or what is wrong with it, as it is typed."""
        with shown_to_user():
            try:
                plan = self.axes.plan(prompt, model, values, seed=0)
            except AppError as error:
                return wrong_line(str(error))
            return cost_line(plan, plan.cells, seconds_of(plan.cells, self.pictures.pace), MOST_CELLS)

    def draw(self, visitor: str, prompt: str, model: ModelRef | None, *values: Any) -> Iterator[Update]:
        """Draw every cell, filling in the sheet as they come."""
        with shown_to_user():
            owner = self._owner(visitor)
            plan = self.axes.plan(prompt, model, values, seed=secrets.randbelow(MOST_SEED_DRAWN))
            room = self.pictures.limit - self.pictures.find(owner, GalleryQuery(starred=True)).found
            if len(plan.cells) > room:
                raise UserInputError(
                    f"The gallery has room for {max(0, room):,} pictures beside the starred ones, and this grid has "
                    f"{len(plan.cells)}. Use fewer values, or unstar or delete pictures there."
                )
            grid = secrets.token_hex(16)
            # Without the prompt in the file it is nowhere on disk: such a grid goes on in this page only.
            if plan.cells[0].settings.prompt_in_file:
                self.pictures.keep_grid(owner, grid, plan_text(plan))
            yield from self._run(owner, plan, grid)

    def resume(self, visitor: str, plan: GridPlan | None, grid: str | None) -> Iterator[Update]:
        """Draw the cells that are missing, and nothing twice."""
        with shown_to_user():
            if plan is None or grid is None:
                raise UserInputError("There is no grid to go on with. Choose axes and draw one.")
            yield from self._run(self._owner(visitor), plan, grid)

    def stop(self, visitor: str) -> Any:
        """End the cell that is on within one step; what is drawn stays."""
        with shown_to_user():
            self.runs.stop(self._owner(visitor))
            return gr.Button(interactive=False)

    def open(self, visitor: str, plan: GridPlan | None, grid: str | None, event: gr.EventData) -> tuple[Any, ...]:
        """Show a cell large, and its recipe in the panel; of a cell that is not drawn the recipe it will have."""
        with shown_to_user():
            if plan is None or grid is None or not isinstance(event.cell, int) or not 0 <= event.cell < len(plan.cells):
                raise UserInputError("That cell is no longer on the sheet. Draw the grid again.")
            owner = self._owner(visitor)
            kept = self.pictures.cells(owner, grid).get(event.cell)
            if kept is None:
                recipe = plan.cells[event.cell].recipe
                said = '<p class="pg-meta">This cell is not drawn yet. Its recipe stands in the panel.</p>'
                return gr.Column(visible=True), said, recipe_table(recipe), recipe, None
            shown = large(kept, self.pictures.png(owner, kept.id))
            return gr.Column(visible=True), shown, recipe_table(kept.recipe), kept.recipe, None

    def close(self) -> tuple[Any, Any]:
        """Show no cell large."""
        return gr.Column(visible=False), ""

    def save_sheet(self, visitor: str, plan: GridPlan | None, grid: str | None) -> Iterator[tuple[Any, Any]]:
        """The labelled contact sheet as a PNG with every recipe inside."""
        with shown_to_user():
            whole, drawn = self._shown(visitor, plan, grid)
            owner = self._owner(visitor)
            yield gr.skip(), "Putting the contact sheet together"
            target = download_path("contact-sheet.png")
            target.write_bytes(contact_sheet(whole, drawn, lambda kept: self._file(owner, kept)))
            yield str(target), ""

    def save_table(self, visitor: str, plan: GridPlan | None, grid: str | None) -> Iterator[tuple[Any, Any]]:
        """Every cell's settings, seed and seconds as CSV."""
        with shown_to_user():
            target = download_path("grid.csv")
            # The mark at its start tells spreadsheets that it is UTF-8.
            target.write_text(csv_text(*self._shown(visitor, plan, grid)), encoding="utf-8-sig", newline="")
            yield str(target), gr.skip()

    def _run(self, owner: str, plan: GridPlan, grid: str) -> Iterator[Update]:
        drawn = dict(self.pictures.cells(owner, grid))
        cells = missing(plan, drawn)
        run = self.runs.begin(owner)
        notes: dict[str, None] = {}
        began = monotonic()
        try:
            yield _busy(plan, grid, drawn, f"0 of {len(cells)}")
            for number, cell in enumerate(cells):
                if run.stopped:
                    break
                for ready in self.router.prepare(cell.ref):
                    if ready.stage != "ready":
                        yield _told(progress_line(ready))
                drawing = self.router.start(cell.ref, cell.settings)
                run.draws(drawing)
                left = self._left(number, len(cells), monotonic() - began)
                for step in drawing.listen():
                    notes |= dict.fromkeys(escape(note, quote=False) for note in step.notes)
                    if step.finish is None:
                        said = f"Picture {number + 1} of {len(cells)}{left}. {drawing_line(step)}"
                        yield _told(said)._replace(sheet=sheet(plan, drawn, cell.index, step.preview))
                for picture in drawing.pictures():
                    whole = picture.finish == "done"
                    keeping = self.pictures.keep(owner, [picture], grid=grid, cells=[cell.index if whole else None])
                    notes |= dict.fromkeys(filter(None, [keeping.sentence(self.pictures.limit)]))
                    if whole:
                        drawn |= dict.fromkeys([cell.index], *self.pictures.get(owner, [picture.id]))
                yield _told(gr.skip())._replace(sheet=sheet(plan, drawn), table=table(plan, drawn))
            told = [self._summary(plan, drawn, run, monotonic() - began), *notes]
            yield self._ended(plan, grid, drawn, " ".join(told))
        except Exception:
            yield self._ended(plan, grid, drawn, "")
            raise
        finally:
            # Also when the page is gone: the cell that is on would be drawn for nobody.
            run.stop()
            self.runs.end(owner, run)

    def _left(self, number: int, total: int, seconds: float) -> str:
        return f", about {duration(seconds / number * (total - number))} left" if number else ""

    def _summary(self, plan: GridPlan, drawn: Mapping[int, KeptPicture], run: GridRun, seconds: float) -> str:
        lacking = len(plan.cells) - len(drawn)
        if run.stopped and lacking:
            return f"Stopped. {len(drawn)} of {len(plan.cells)} are drawn; Resume draws the other {lacking}."
        if lacking:
            return f"{lacking} of {len(plan.cells)} could not be drawn."
        return f"{len(plan.cells)} pictures in {duration(seconds)}. They are in the gallery too."

    def _ended(self, plan: GridPlan, grid: str, drawn: Mapping[int, KeptPicture], said: str) -> Update:
        lacking = len(plan.cells) - len(drawn)
        if lacking and not said:
            said = f"{len(drawn)} of {len(plan.cells)} are drawn; Resume draws the other {lacking}."
        return Update(
            sheet(plan, drawn), said, gr.Button(visible=True), gr.Button(visible=False),
            gr.Button(f"Resume ({lacking})", visible=lacking > 0), gr.Column(visible=bool(drawn)), table(plan, drawn), plan, grid,
        )  # fmt: skip

    def _shown(
        self, visitor: str, plan: GridPlan | None, grid: str | None
    ) -> tuple[GridPlan, Mapping[int, KeptPicture]]:
        if plan is None or grid is None:
            raise UserInputError("There is no grid yet. Choose axes and draw one.")
        return plan, self.pictures.cells(self._owner(visitor), grid)

    def _file(self, owner: str, kept: KeptPicture) -> bytes | None:
        try:
            return self.pictures.png(owner, kept.id)
        except GalleryError:
            raise
        except UserInputError:
            return None  # deleted in the gallery a moment ago: the sheet shows it as not drawn

    def _owner(self, visitor: str) -> str:
        return owner_of(self.secret, visitor or "")


def _busy(plan: GridPlan, grid: str, drawn: Mapping[int, KeptPicture], said: str) -> Update:
    """The screen when a run begins."""
    return Update(
        sheet(plan, drawn), said, gr.Button(visible=False), gr.Button(visible=True, interactive=True),
        gr.Button(visible=False), gr.Column(visible=bool(drawn)), table(plan, drawn), plan, grid,
    )  # fmt: skip


def _told(said: Any) -> Update:
    """Only the status changes."""
    return Update(gr.skip(), said, *[gr.skip()] * (len(Update._fields) - 2))
