"""Images tab: the best of a batch, and the worst if one likes, as preference rows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import gradio as gr

from components.errors import shown_to_user
from core import __version__
from core.comparison import PictureComparison, Vote, picture_rows_of
from core.dataset import Row
from core.feedback import saved_sentence
from core.feedback_protocols import FeedbackStore
from core.identity import now, pseudonym
from core.images import Picture
from pages.image_recipe import picked_of
from pages.images import ImagesView
from pages.shared import Shared, waiting_badge

_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground/best-of-n")


@dataclass(frozen=True)
class BestView:
    """The bar under a batch. `best` and `worst` are picture ids or None."""

    group: gr.Column
    said: gr.HTML
    best_button: gr.Button
    worst_button: gr.Button
    save: gr.Button
    best: gr.State
    worst: gr.State


class BestPage:
    """Turns a choice among the pictures of one drawing into comparisons and preferences."""

    def __init__(self, store: FeedbackStore, secret: str) -> None:
        self.store = store
        self.secret = secret

    def build(self) -> BestView:
        """Layout only."""
        with gr.Column(visible=False, elem_id="best-of") as group:
            said = gr.HTML(asked(None, None), elem_id="best-said")
            with gr.Row(elem_classes="pg-actions"):
                best_button = gr.Button("Best", size="sm", min_width=80, scale=0, elem_id="mark-best")
                worst_button = gr.Button("Worst", size="sm", min_width=80, scale=0, elem_id="mark-worst")
                save = gr.Button(
                    "Save choice", variant="primary", size="sm", min_width=110, scale=0, interactive=False,
                    elem_id="save-best",
                )  # fmt: skip
        return BestView(group, said, best_button, worst_button, save, gr.State(None), gr.State(None))

    def wire(self, view: BestView, images: ImagesView, shared: Shared) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        outputs = [view.group, view.said, view.save, view.best, view.worst]
        images.last.change(self.offer, images.last, outputs, **quick)
        for name, button in (("best", view.best_button), ("worst", view.worst_button)):
            button.click(
                self.mark, [gr.State(name), images.recipe.picked, images.last, view.best, view.worst], outputs, **quick
            )
        view.save.click(
            self.save,
            [images.last, view.best, view.worst, shared.visitor],
            [view.said, view.save, shared.outbox],
            **quick,
        )

    def offer(self, last: tuple[Picture, ...]) -> tuple[Any, ...]:
        """Ask for the best when there are several to choose from."""
        several = len(finished(last)) > 1
        return gr.Column(visible=several), asked(None, None), gr.Button(interactive=False), None, None

    def mark(
        self, which: str, picked: str | None, last: tuple[Picture, ...], best: str | None, worst: str | None
    ) -> tuple[Any, ...]:
        """Mark the picture that is shown as the best or the worst of its batch."""
        with shown_to_user():
            picture = picked_of(picked, finished(last))
            best = picture.id if which == "best" else None if best == picture.id else best
            worst = picture.id if which == "worst" else None if worst == picture.id else worst
            seeds = {made.id: made.settings.seed for made in last}
            return (
                gr.skip(), asked(seeds.get(best or ""), seeds.get(worst or "")), gr.Button(interactive=bool(best)), best,
                worst,
            )  # fmt: skip

    def save(
        self, last: tuple[Picture, ...], best: str | None, worst: str | None, visitor: str
    ) -> tuple[Any, Any, str]:
        """Save the choice: the best against each other one, and each in between against the worst."""
        with shown_to_user():
            pictures = finished(last)
            picked_of(best, pictures)
            rows = rows_of_best(pictures, best or "", worst, rater=pseudonym(self.secret, visitor))
            saved = self.store.save(rows)
            status = self.store.status()
            again = "" if saved.fresh else "You said this of these pictures before; it counts once. "
            pairs = sum(1 for row in rows if row.config == "image_preferences")
            told = f"{again}{pairs} {'pair' if pairs == 1 else 'pairs'} of pictures. {saved_sentence(status)}"
            return (
                f'<p class="pg-meta" role="status">{told}</p>',
                gr.Button(interactive=False),
                waiting_badge(status.waiting),
            )


def rows_of_best(pictures: tuple[Picture, ...], best: str, worst: str | None, *, rater: str | None) -> tuple[Row, ...]:
    """The rows of a choice among `pictures`, which share one comparison id that follows from them."""
    about = str(uuid5(_NAMESPACE, " ".join(sorted(picture.id for picture in pictures))))
    rows: list[Row] = []
    for left, right in combinations(pictures, 2):
        winner = (
            left if left.id == best or right.id == worst else right if right.id == best or left.id == worst else None
        )
        if winner is None:
            continue
        # Seen as they were drawn, names and all: not blind.
        pair = PictureComparison(
            about, left.settings.prompt, left, right, blind=False, source="battle", derived=len(pictures) > 2
        )
        vote = Vote("left" if winner is left else "right", rater=rater)
        rows += picture_rows_of(pair, vote, created_at=now(), app_version=__version__)
    return tuple(rows)


def finished(pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """Those that were drawn to the end: a stopped one says nothing of its settings."""
    return tuple(picture for picture in pictures if picture.finish == "done")


def asked(best: int | None, worst: int | None) -> str:
    """What is marked so far, or what to do."""
    if best is None and worst is None:
        text = "Which is the best of these? Choose a picture, then press Best. Mark the worst too if you like."
    else:
        text = " · ".join(
            f"{name}: seed {seed}" for name, seed in (("Best", best), ("Worst", worst)) if seed is not None
        )
    return f'<p class="pg-meta">{escape(text)}</p>'
