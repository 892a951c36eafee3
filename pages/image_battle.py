"""Compare pictures blind: one prompt, one seed, two settings or two models, a vote, and only then the names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.battles import Battles, PictureBattle
from components.errors import shown_to_user
from components.pictures import blind_file, frame
from components.progress import progress_line
from core import __version__
from core.comparison import Outcome, picture_rows_of
from core.errors import UserInputError
from core.feedback_protocols import FeedbackStore
from core.identity import now
from core.image_protocols import Drawing, ImageRouter
from core.images import ImageSettings, Picture
from pages.ballot import cast
from pages.image_contenders import ContendersPanel, ContendersView
from pages.images import ImagesView, Keep, nothing_kept
from pages.shared import Shared

VOTES = {
    "left": ("image-vote-left", "1  A is better"),
    "right": ("image-vote-right", "2  B is better"),
    "tie": ("image-vote-tie", "3  Tie"),
    "both_bad": ("image-vote-bad", "0  Both bad"),
}


@dataclass(frozen=True)
class ImageBattleView:
    """The components of the comparison, inside the Images tab. `battle` is the id of the open one."""

    group: gr.Column
    contenders: ContendersView
    columns: gr.Row
    left: gr.HTML
    right: gr.HTML
    slider: gr.ImageSlider
    ballot: gr.Column
    comment: gr.Textbox
    votes: dict[str, gr.Button]
    reveal: gr.HTML
    prompt: gr.Textbox
    compare: gr.Button
    stop: gr.Button
    status: gr.HTML
    battle: gr.State


class Bout(NamedTuple):
    """What the comparing handler puts on the screen, in the order of its outputs."""

    battle: Any
    columns: Any
    left: Any
    right: Any
    slider: Any
    ballot: Any
    comment: Any
    reveal: Any
    compare: Any
    stop: Any
    status: Any


class ImageBattlePage:
    """Blind comparison of two pictures with the same prompt and the same seed."""

    def __init__(self, router: ImageRouter, store: FeedbackStore, secret: str, keep: Keep = nothing_kept) -> None:
        self.router = router
        self.contenders = ContendersPanel(router)
        self.store = store
        self.secret = secret
        self.keep = keep
        self.battles: Battles[PictureBattle] = Battles(200)
        # What each open page waits for, so that a closed one ends it: no listener can tell that it speaks to nobody.
        self._awaited: dict[str, tuple[Drawing, ...]] = {}

    def build(self) -> ImageBattleView:
        """Layout only."""
        with gr.Column(visible=False) as group:
            contenders = self.contenders.build()
            with gr.Column(elem_classes="pg-composer"):
                prompt = gr.Textbox(
                    label="Prompt",
                    show_label=False,
                    placeholder="One prompt and one seed for both. Enter compares.",
                    lines=1,
                    max_lines=6,
                    elem_id="image-battle-prompt",
                )
                with gr.Row(elem_classes="pg-actions"):
                    status = gr.HTML("", elem_id="image-battle-status")
                    stop = gr.Button("Stop", variant="stop", visible=False, min_width=90, scale=0)
                    compare = gr.Button("Compare", variant="primary", min_width=110, scale=0, elem_id="image-compare")
            with gr.Row(visible=False, elem_classes="pg-sides") as columns:
                left = gr.HTML(frame("A", None), elem_id="image-left")
                right = gr.HTML(frame("B", None), elem_id="image-right")
            with gr.Column(visible=False, elem_classes="pg-ballot") as ballot:
                comment = gr.Textbox(label="Why (optional)", max_lines=4, elem_id="image-vote-why")
                with gr.Row(elem_classes="pg-votes"):
                    votes = {
                        outcome: gr.Button(label, elem_id=elem_id, min_width=120)
                        for outcome, (elem_id, label) in VOTES.items()
                    }
            reveal = gr.HTML("", elem_id="image-reveal")
            slider = gr.ImageSlider(
                label="A over B", visible=False, interactive=False, format="png", max_height=420, elem_id="image-slider"
            )
        return ImageBattleView(
            group, contenders, columns, left, right, slider, ballot, comment, votes, reveal, prompt, compare, stop,
            status, gr.State(None),
        )  # fmt: skip

    def wire(self, view: ImageBattleView, images: ImagesView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        outputs = [
            view.battle, view.columns, view.left, view.right, view.slider, view.ballot, view.comment, view.reveal,
            view.compare, view.stop, view.status,
        ]  # fmt: skip
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        values = self.contenders.wire(view.contenders, images.controls, images.adapters.known, shared)
        gr.on(
            [view.prompt.submit, view.compare.click], self.compare, [view.prompt, *values], outputs,
            api_visibility="private", show_progress="hidden", concurrency_limit=None,
        )  # fmt: skip
        view.stop.click(self.stop, view.battle, view.stop, **quick)
        for outcome, button in view.votes.items():
            button.click(
                self.vote,
                [gr.State(outcome), view.battle, view.comment, shared.visitor],
                [*outputs, shared.outbox],
                **quick,
            )
        demo.unload(self.leave)
        images.mode.change(self.switch, images.mode, [images.single, view.group, images.canvas], **quick)

    def switch(self, mode: str) -> tuple[gr.Column, gr.Column, gr.Column]:
        """Show the composer of the chosen mode, and nothing of the other."""
        drawing = mode == "draw"
        return gr.Column(visible=drawing), gr.Column(visible=mode == "compare"), gr.Column(visible=drawing)

    def leave(self, request: gr.Request) -> None:
        """End what a page that was closed was waiting for."""
        for drawing in self._awaited.pop(request.session_hash or "", ()):
            drawing.cancel()

    def compare(self, request: gr.Request, prompt: str, *values: Any) -> Iterator[Bout]:
        """Draw both contenders from one seed and show them together, without names.

        `values` are those that `ContendersPanel.wire` names.
        """
        with shown_to_user():
            contenders = self.contenders.both(prompt, secrets.randbelow(2**32), values)
            if contenders[0] == contenders[1]:
                raise UserInputError("The two contenders are the same and would draw alike. Change one of them.")
            yield opening()
            try:
                # In the order they were chosen: what is fetched first must not tell which side it is on.
                for ref in dict.fromkeys(ref for ref, _ in contenders):
                    for step in self.router.prepare(ref):
                        if step.stage != "ready":
                            yield waiting(progress_line(step))
                if secrets.randbelow(2):
                    contenders.reverse()
                yield from self._run(prompt, contenders, request.session_hash or "")
            except Exception:
                yield voided()
                raise

    def _run(self, prompt: str, contenders: list[tuple[Any, ImageSettings]], session: str) -> Iterator[Bout]:
        drawings: list[Drawing] = []
        try:
            for ref, settings in contenders:
                drawings.append(self.router.start(ref, settings))
            battle = PictureBattle(secrets.token_urlsafe(16), prompt, (drawings[0].id, drawings[1].id))
            self.battles.add(battle)
            self._awaited[session] = tuple(drawings)
            yield waiting("Both are being drawn", battle.id)
            # No preview and no count of steps before both are there: either would tell which is which.
            notes: dict[str, None] = {}
            for drawing in drawings:
                for step in drawing.listen():
                    notes |= dict.fromkeys(step.notes)
        except Exception:
            for drawing in drawings:
                drawing.cancel()
            raise
        finally:
            self._awaited.pop(session, None)
        made = [drawing.pictures() for drawing in drawings]
        if not all(made):
            # Also what was blocked, and why.
            raise UserInputError(
                " ".join(notes) or "A picture was stopped before it began; there is nothing to compare."
            )
        if any(picture.finish == "stopped" for pictures in made for picture in pictures):
            raise UserInputError(
                "Stopped. A picture that was not finished says nothing of its settings, so there is no vote."
            )
        left, right = made[0][0], made[1][0]
        self.battles.finish(replace(battle, left=left, right=right))
        yield ready(left, right)

    def stop(self, battle_id: str | None) -> Any:
        """End both drawings."""
        with shown_to_user():
            for drawing_id in self.battles.get(battle_id).answer_ids:
                if (drawing := self.router.drawing(drawing_id)) is not None:
                    drawing.cancel()
            return gr.Button(interactive=False)

    def vote(self, outcome: Outcome, battle_id: str | None, comment: str, visitor: str) -> tuple[Any, ...]:
        """Save a vote with both pictures, then show the names. A second click changes nothing."""
        with shown_to_user():
            battle = self.battles.get(battle_id)
            comparison = battle.comparison()
            voted = cast(
                self.battles,
                self.store,
                battle,
                outcome,
                comment,
                (self.secret, visitor),
                lambda vote: picture_rows_of(comparison, vote, created_at=now(), app_version=__version__),
            )
            # Not before the vote: a picture in the gallery names what made it.
            self.keep(visitor, (comparison.left, comparison.right))
            return (*decided(comparison.left, comparison.right, voted.outcome, voted.said), voted.badge)


def opening() -> Bout:
    """Both frames empty, the vote closed."""
    return Bout(
        None, gr.Row(visible=True), frame("A", None), frame("B", None), gr.ImageSlider(visible=False),
        gr.Column(visible=False), "", "", gr.Button(visible=False), gr.Button(visible=True, interactive=False),
        "Waiting for the model",
    )  # fmt: skip


def waiting(status: str, battle_id: str | None = None) -> Bout:
    """Only the status line changes, and once the id of the battle."""
    kept = {name: gr.skip() for name in Bout._fields}
    started = {"battle": battle_id, "stop": gr.Button(visible=True, interactive=True)} if battle_id else {}
    return Bout(**{**kept, **started, "status": status})


def ready(left: Picture, right: Picture) -> Bout:
    """Both pictures are there: the vote opens."""
    skip = gr.skip()
    paths = (blind_file(left.png), blind_file(right.png))
    return Bout(
        skip, skip, frame("A", left.png), frame("B", right.png), gr.ImageSlider(value=paths, visible=True),
        gr.Column(visible=True), "", "", gr.Button(visible=True, interactive=True), gr.Button(visible=False),
        "Which is better? Keys 1, 2, 3, 0.",
    )  # fmt: skip


def voided() -> Bout:
    """The screen after a side failed: no vote."""
    return Bout(
        None, gr.Row(visible=False), frame("A", None), frame("B", None), gr.ImageSlider(visible=False),
        gr.Column(visible=False), "", "", gr.Button(visible=True, interactive=True), gr.Button(visible=False),
        "No vote: not both were drawn to the end.",
    )  # fmt: skip


def decided(left: Picture, right: Picture, outcome: str, status: str) -> Bout:
    """The screen after the vote: names and settings."""
    skip = gr.skip()
    said = {"left": "A was better", "right": "B was better", "tie": "Tie", "both_bad": "Both bad"}[outcome]
    rows = "".join(f"<tr><th>{letter}</th><td>{named(made)}</td></tr>" for letter, made in (("A", left), ("B", right)))
    reveal = f'<div class="pg-reveal" data-vote="{outcome}"><p>You said: {said}.</p><table>{rows}</table></div>'
    return Bout(
        skip, skip, skip, skip, skip, gr.Column(visible=False), skip, reveal, gr.Button(visible=True, interactive=True),
        gr.Button(visible=False), status,
    )  # fmt: skip


def known(value: int | None) -> str:
    """A setting that was left to another machine is not known."""
    return "unknown" if value is None else str(value)


def named(picture: Picture) -> str:
    """Model, commit and the settings of a picture, once they may be known."""
    settings = picture.settings
    guidance = "" if settings.guidance is None else f", guidance {settings.guidance:g}"
    parts = [settings.style, *(f"{lora.ref.short} × {lora.weight:g}" for lora in settings.loras)]
    added = "".join(f", {part}" for part in parts if part)
    return (
        f"<b>{escape(picture.ref.short)}</b><br><span class='pg-meta'>{known(settings.steps)} steps{guidance}, "
        f"{escape(settings.scheduler or 'its own scheduler')}{escape(added)}, seed {known(settings.seed)} · "
        f"{picture.timings.drawing:.1f} s</span>"
    )
