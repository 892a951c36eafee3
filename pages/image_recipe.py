"""Images tab: the recipe of a chosen or dropped picture, and applying it: all of it, its seed, or all but its seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from components.pictures import recipe_of, recipe_table
from core.errors import AppError, UserInputError
from core.image_protocols import ImageRouter
from core.images import Picture
from core.recipe import Recipe
from core.refs import ModelRef
from pages.image_adapters import AdaptersPanel, AdaptersView
from pages.image_controls import ControlsPanel, ControlsView
from pages.image_source import How, Source, SourcePanel, SourceView, same_file, source_of
from pages.shared import Shared

# The file with a SHA-256 among a visitor's kept pictures; None when it is not there.
Lookup = Callable[[str, str], bytes | None]


def nothing_found(visitor: str, sha256: str) -> bytes | None:
    """Where there is no gallery."""
    return None


@dataclass(frozen=True)
class RecipeView:
    """The panel's components. `chosen` is the recipe shown, `picked` the id of its picture; None: of a dropped file."""

    shown: gr.HTML
    use_all: gr.Button
    use_seed: gr.Button
    remix: gr.Button
    dropped: gr.File
    chosen: gr.State
    picked: gr.State

    def choice(self) -> list[Any]:
        """What choosing a picture sets."""
        return [self.shown, self.chosen, self.picked]


class RecipePanel:
    """Shows what made a picture, and applies it to the other panels of the tab."""

    def __init__(
        self,
        router: ImageRouter,
        controls: ControlsPanel,
        source: SourcePanel,
        adapters: AdaptersPanel,
        lookup: Lookup = nothing_found,
    ) -> None:
        """`lookup` finds one of the visitor's own pictures again by its hash."""
        self.router = router
        self.controls = controls
        self.source = source
        self.adapters = adapters
        self.lookup = lookup

    def build(self) -> RecipeView:
        """Layout only."""
        with gr.Accordion("Recipe", open=True, elem_id="recipe-panel"):
            shown = gr.HTML(recipe_table(None), elem_id="recipe")
            with gr.Row(elem_classes="pg-actions"):
                use_all = gr.Button("Use all", size="sm", min_width=70, elem_id="use-all")
                use_seed = gr.Button("Use seed", size="sm", min_width=70)
                remix = gr.Button("Remix", size="sm", min_width=70, elem_id="remix")
            dropped = gr.File(
                label="Drop a picture to read its recipe", file_types=[".png"], type="binary", height=130,
                elem_id="dropped",
            )  # fmt: skip
        return RecipeView(shown, use_all, use_seed, remix, dropped, gr.State(None), gr.State(None))

    def wire(
        self,
        view: RecipeView,
        prompt: gr.Textbox,
        drawn: gr.State,
        galleries: Sequence[gr.Gallery],
        panels: tuple[ControlsView, SourceView, AdaptersView],
        shared: Shared,
    ) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        controls, source, adapters = panels
        for gallery in galleries:
            gallery.select(self.choose, drawn, view.choice(), **quick)
        view.dropped.upload(self.read, view.dropped, view.choice(), **quick)
        applied = [
            prompt, controls.style, controls.seed, controls.batch, shared.image_model, *controls.fits(), *adapters.used(),
        ]  # fmt: skip
        for button, apply in ((view.use_all, self.use_all), (view.remix, self.remix)):
            button.click(apply, [view.chosen, shared.image_model], applied, **quick).success(
                self.use_source,
                [view.chosen, drawn, source.source, shared.image_model, shared.visitor],
                [*source.placed(), source.how, source.strength],
                **quick,
            )
        view.use_seed.click(self.use_seed, view.chosen, controls.seed, **quick)

    def choose(self, drawn: tuple[Picture, ...], event: gr.SelectData) -> tuple[str, Recipe, str]:
        """Show the recipe of the picture that was chosen."""
        with shown_to_user():
            name = Path(str(event.value["image"]["path"])).stem if isinstance(event.value, dict) else ""
            picture = picked_of(name, drawn)
            return recipe_table(recipe_of(picture)), recipe_of(picture), picture.id

    def read(self, data: bytes | None) -> tuple[str, Recipe, None]:
        """Show the recipe inside a dropped picture; the settings stay as they are."""
        with shown_to_user():
            recipe = self.router.recipe_in(data or b"")
            return recipe_table(recipe), recipe, None

    def use_all(self, recipe: Recipe | None, model: ModelRef | None) -> tuple[Any, ...]:
        """Apply a recipe to the controls, its model and LoRAs too."""
        with shown_to_user():
            return self._applied(recipe, model, seed="" if recipe is None else str(recipe.settings.seed or 0))

    def remix(self, recipe: Recipe | None, model: ModelRef | None) -> tuple[Any, ...]:
        """Apply a recipe, all but its seed."""
        with shown_to_user():
            return self._applied(recipe, model, seed="")

    def use_seed(self, recipe: Recipe | None) -> Any:
        """Apply a recipe's seed alone."""
        with shown_to_user():
            seed = chosen_of(recipe).settings.seed
            return gr.skip() if seed is None else str(seed)

    def use_source(
        self,
        recipe: Recipe | None,
        drawn: tuple[Picture, ...],
        source: Source | None,
        model: ModelRef | None,
        visitor: str = "",
    ) -> tuple[Any, ...]:
        """After a recipe was applied: the picture it started from and how, or none where it started from words alone.

        A picture that is neither here, nor on this page, nor in the gallery is asked for, and so is the mask: files hold
        their hashes alone.
        """
        with shown_to_user():
            inputs = {} if recipe is None else dict(recipe.inputs)
            if recipe is None or "image" not in inputs:
                return *self.source.removed()[:-2], gr.skip(), gr.skip()
            how: How = "inpaint" if "mask" in inputs else "image"
            placed: tuple[Any, ...] = (gr.skip(),) * 7
            missing = []
            if source is None or not same_file(source.original, inputs["image"]):
                data = source_of(recipe, drawn) or self.lookup(visitor, inputs["image"])
                if data is None:
                    missing.append(
                        "Drop the picture it was drawn from under “Start from a picture”: its file does not have it."
                    )
                else:
                    can = self.router.capabilities(model or self.router.start_model())
                    placed = self.source.placed(data, how, can)[:-2]
            if how == "inpaint":
                missing.append("Paint again what may change: the mask is not in the file.")
            if missing:
                gr.Warning(" ".join(missing), title="One part is missing")
            strength = recipe.settings.strength
            return *placed, how, gr.skip() if strength is None else strength

    def _applied(self, recipe: Recipe | None, model: ModelRef | None, *, seed: str) -> tuple[Any, ...]:
        recipe = chosen_of(recipe)
        settings = recipe.settings
        ref = self._model_of(recipe, model)
        if settings.seed is None and seed:
            seed = ""
        settings, changed = self.controls.within(settings, ref)
        if changed:
            gr.Warning(" ".join(changed), title="Not all of it fits this model")
        return (
            settings.prompt or gr.skip(),
            "",
            seed,
            1,
            ref,
            *self.controls.fitted(ref, settings),
            *self.adapters.used(recipe, ref),
        )

    def _model_of(self, recipe: Recipe, model: ModelRef | None) -> ModelRef:
        """The recipe's model where it can be used here, else the present one, which is said."""
        present = model or self.router.start_model()
        if recipe.ref is None or recipe.ref == present:
            return present
        try:
            self.router.capabilities(recipe.ref)
        except AppError as error:
            gr.Warning(f"{error} The settings go to {present.short}.", title="Another model")
            return present
        return recipe.ref


def picked_of(picked: str | None, drawn: Sequence[Picture]) -> Picture:
    """The picture of that id; refuses one that is gone, or none."""
    if not picked:
        raise UserInputError("Choose one of the pictures first.")
    picture = next((picture for picture in drawn if picture.id == picked), None)
    if picture is None:
        raise UserInputError("That picture is no longer here.")
    return picture


def chosen_of(recipe: Recipe | None) -> Recipe:
    """The recipe to apply; refuses none."""
    if recipe is None:
        raise UserInputError("Choose a picture first, or drop one, then apply its recipe.")
    return recipe
