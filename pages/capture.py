"""Capture a preference by hand: two answers or two pictures, their difference, which is better, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from components.errors import shown_to_user
from components.rows import marked_difference
from components.thumbnails import png_of
from core.capture import answer_picked, pair_row, picture_pair, prompt_of, provenance_of, recent_replies
from core.chat import Message
from core.conversation import Conversation
from core.dataset import Contender, Row
from core.errors import AppError, UserInputError
from core.feedback import saved_sentence
from core.feedback_protocols import FeedbackStore
from core.gallery import GalleryQuery
from core.identity import owner_of, pseudonym
from core.image_protocols import PictureStore
from core.recipe import Recipe
from core.refs import shown
from pages.chat import ChatView
from pages.shared import Shared, waiting_badge

TYPED = "Typed or pasted"
UPLOADED = "Uploaded or pasted"
REASONS = ["Correct", "Follows the prompt", "Clear", "Complete", "Concise", "Safe", "Good looks"]
RECENT_PICTURES = 12


@dataclass(frozen=True)
class CaptureView:
    """The form's components."""

    kind: gr.Radio
    prompt: gr.Textbox
    texts: gr.Column
    first_from: gr.Dropdown
    first: gr.Textbox
    second_from: gr.Dropdown
    second: gr.Textbox
    difference: gr.HTML
    pictures: gr.Column
    first_picture_from: gr.Dropdown
    first_picture: gr.Image
    second_picture_from: gr.Dropdown
    second_picture: gr.Image
    slider: gr.ImageSlider
    better: gr.Radio
    reasons: gr.CheckboxGroup
    why: gr.Textbox
    save: gr.Button
    said: gr.HTML


class Captured(NamedTuple):
    """What saving the form puts on the screen, in the order of its outputs."""

    said: Any
    prompt: Any
    first_from: Any
    first: Any
    second_from: Any
    second: Any
    first_picture_from: Any
    first_picture: Any
    second_picture_from: Any
    second_picture: Any
    difference: Any
    slider: Any
    reasons: Any
    why: Any
    better: Any
    badge: Any


class CapturePage:
    """The form. `gallery` keeps the visitor's pictures; None where nothing draws."""

    def __init__(self, store: FeedbackStore, secret: str, gallery: PictureStore | None = None) -> None:
        self.store, self.secret, self.gallery = store, secret, gallery

    def build(self) -> CaptureView:
        """Layout only."""
        with gr.Accordion("Capture a preference", open=True, elem_id="capture"):
            kind = gr.Radio(
                [("Two answers", "texts"), ("Two pictures", "pictures")],
                value="texts",
                show_label=False,
                label="What is compared",
                elem_id="capture-kind",
            )
            prompt = gr.Textbox(label="Prompt", lines=2, max_lines=10, elem_id="capture-prompt")
            with gr.Column(elem_classes="pg-plain") as texts:
                first_from, first = _answer("First answer", "first")
                second_from, second = _answer("Second answer", "second")
                difference = gr.HTML("", elem_id="capture-difference", js_on_load=None)
            with gr.Column(visible=False, elem_classes="pg-plain") as pictures:
                first_picture_from, first_picture = self._picture("First picture", "first")
                second_picture_from, second_picture = self._picture("Second picture", "second")
                slider = gr.ImageSlider(
                    label="Difference",
                    show_label=False,
                    visible=False,
                    interactive=False,
                    max_height=300,
                    elem_id="capture-slider",
                )
            better = gr.Radio(
                [("First", "first"), ("Second", "second")],
                value=None,
                label="Which is better?",
                elem_id="capture-better",
            )
            reasons = gr.CheckboxGroup(REASONS, label="What makes it better (optional)", elem_id="capture-reasons")
            why = gr.Textbox(label="In your own words (optional)", max_lines=4, elem_id="capture-why")
            save = gr.Button("Save preference", variant="primary", elem_id="capture-save")
            said = gr.HTML("", elem_id="capture-said")
        return CaptureView(
            kind, prompt, texts, first_from, first, second_from, second, difference, pictures, first_picture_from,
            first_picture, second_picture_from, second_picture, slider, better, reasons, why, save, said,
        )  # fmt: skip

    def _picture(self, label: str, name: str) -> tuple[gr.Dropdown, gr.Image]:
        chosen = gr.Dropdown(
            [(UPLOADED, "")],
            value="",
            label=label,
            visible=self.gallery is not None,
            elem_id=f"capture-{name}-picture-from",
        )
        picture = gr.Image(
            type="filepath",
            sources=["upload", "clipboard"],
            show_label=self.gallery is None,
            label=label,
            height=180,
            buttons=[],
            elem_id=f"capture-{name}-picture",
        )
        return chosen, picture

    def wire(self, view: CaptureView, chat: ChatView, shared: Shared, tab: gr.Tab) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        picks = [view.first_from, view.second_from, view.first_picture_from, view.second_picture_from]
        tab.select(self.offer, [chat.conversation, shared.visitor], picks, trigger_mode="multiple", **quick)
        view.kind.change(self.switch, view.kind, [view.texts, view.pictures], **quick)
        for chosen, text in ((view.first_from, view.first), (view.second_from, view.second)):
            chosen.input(self.pick, [chosen, chat.conversation, view.prompt], [text, view.prompt], **quick)
        for chosen, picture in (
            (view.first_picture_from, view.first_picture), (view.second_picture_from, view.second_picture),
        ):  # fmt: skip
            chosen.input(self.pick_picture, [chosen, shared.visitor, view.prompt], [picture, view.prompt], **quick)
            # Another picture in the box is not the one that was picked.
            gr.on([picture.upload, picture.clear], lambda: "", None, chosen, **quick)
        # One event for both sides, its last call the one that counts: the answer to what stood there before may come late.
        for changed, difference, shown_in in (
            ((view.first, view.second), self.compare, view.difference),
            ((view.first_picture, view.second_picture), self.slide, view.slider),
        ):
            gr.on(
                [one.change for one in changed],
                difference,
                list(changed),
                shown_in,
                trigger_mode="always_last",
                **quick,
            )
        view.save.click(
            self.capture,
            [
                view.prompt, view.first_from, view.first, view.second_from, view.second, view.better, view.why,
                chat.conversation, shared.visitor, view.reasons, view.kind, view.first_picture_from,
                view.first_picture, view.second_picture_from, view.second_picture,
            ],
            [
                view.said, view.prompt, view.first_from, view.first, view.second_from, view.second,
                view.first_picture_from, view.first_picture, view.second_picture_from, view.second_picture,
                view.difference, view.slider, view.reasons, view.why, view.better, shared.outbox,
            ],
            **quick,
        )  # fmt: skip

    def offer(self, conversation: Conversation, visitor: str) -> tuple[Any, Any, Any, Any]:
        """My recent replies and pictures, to pick from."""
        with shown_to_user():
            replies = gr.Dropdown(choices=[(TYPED, ""), *recent_replies(conversation)])
            pictures = gr.Dropdown(choices=[(UPLOADED, ""), *self._recent_pictures(visitor)])
            return replies, replies, pictures, pictures

    def switch(self, kind: str) -> tuple[Any, Any]:
        """Two texts or two pictures."""
        return gr.Column(visible=kind != "pictures"), gr.Column(visible=kind == "pictures")

    def pick(self, reply_id: str, conversation: Conversation, prompt: str) -> tuple[Any, Any]:
        """Fill an answer, and the prompt if it is empty, from one of my replies."""
        with shown_to_user():
            if not reply_id:
                return gr.skip(), gr.skip()
            turn = conversation.turn(reply_id)
            question = conversation.prompt_of(reply_id)[-1].content
            return turn.message.content, gr.skip() if prompt.strip() else question

    def pick_picture(self, picture_id: str, visitor: str, prompt: str) -> tuple[Any, Any]:
        """Show one of my pictures, and fill the prompt if it is empty."""
        with shown_to_user():
            if not picture_id or self.gallery is None:
                return gr.skip(), gr.skip()
            import io

            from PIL import Image

            owner = owner_of(self.secret, visitor)
            png = self.gallery.png(owner, picture_id)
            (kept,) = self.gallery.get(owner, [picture_id])
            return Image.open(io.BytesIO(png)), gr.skip() if prompt.strip() else kept.recipe.settings.prompt

    def compare(self, first: str, second: str) -> str:
        """The two texts with their difference marked, once both are there."""
        if not first.strip() or not second.strip() or first == second:
            return ""
        sides = (("First", first, second), ("Second", second, first))
        return '<div class="pg-two">' + "".join(
            f'<section><h4>{name}</h4><div class="pg-text">{marked_difference(text, other)}</div></section>'
            for name, text, other in sides
        ) + "</div>"  # fmt: skip

    def slide(self, first: str | None, second: str | None) -> Any:
        """One picture over the other, once both are there."""
        if not first or not second:
            return gr.ImageSlider(value=None, visible=False)
        return gr.ImageSlider(value=(first, second), visible=True)

    def capture(
        self,
        prompt: str,
        first_from: str,
        first: str,
        second_from: str,
        second: str,
        better: str | None,
        why: str,
        conversation: Conversation,
        visitor: str,
        reasons: list[str] | None = None,
        kind: str = "texts",
        first_picture_from: str = "",
        first_picture: str | None = None,
        second_picture_from: str = "",
        second_picture: str | None = None,
    ) -> Captured:
        """Save a pair that was typed, pasted, uploaded or picked."""
        with shown_to_user():
            if better not in ("first", "second"):
                raise UserInputError(
                    f"Say which {'picture' if kind == 'pictures' else 'answer'} is better: First or Second."
                )
            provenance = provenance_of(
                source="manual",
                comment=why,
                reasons=reasons or [],
                rater=pseudonym(self.secret, visitor),
                shown_left="chosen" if better == "first" else "rejected",
            )
            row: Row
            if kind == "pictures":
                sides = (
                    self._picture_of(first_picture_from, first_picture, visitor, "first picture"),
                    self._picture_of(second_picture_from, second_picture, visitor, "second picture"),
                )
                (won, won_by), (lost, lost_by) = sides if better == "first" else sides[::-1]
                row = picture_pair(
                    prompt=prompt, chosen=won, rejected=lost, makers=(won_by, lost_by), provenance=provenance
                )
            else:
                answers = (
                    answer_picked(first_from, first, conversation),
                    answer_picked(second_from, second, conversation),
                )
                chosen, rejected = answers if better == "first" else answers[::-1]
                row = pair_row(
                    prompt=prompt_of(prompt, (chosen, rejected), conversation),
                    chosen=(Message("assistant", chosen.text),),
                    rejected=(Message("assistant", rejected.text),),
                    makers=(chosen.maker, rejected.maker),
                    provenance=provenance,
                )
            self.store.save([row])
            status = self.store.status()
            said = f'<p class="pg-meta" role="status">{saved_sentence(status)}</p>'
            return Captured(
                said, "", "", "", "", "", "", None, "", None, "", gr.ImageSlider(value=None, visible=False), [], "", None,
                waiting_badge(status.waiting),
            )  # fmt: skip

    def _picture_of(self, picked: str, path: str | None, visitor: str, name: str) -> tuple[bytes, Contender]:
        """The PNG and its maker: known for one of my own pictures, nobody's for an uploaded file."""
        if picked and self.gallery is not None:
            owner = owner_of(self.secret, visitor)
            png = self.gallery.png(owner, picked)
            (kept,) = self.gallery.get(owner, [picked])
            return png, maker_of(kept.recipe)
        if not path:
            raise UserInputError("Both pictures are needed. Upload or paste one, or pick one of your own.")
        return png_of(Path(path).read_bytes(), name), Contender()

    def _recent_pictures(self, visitor: str) -> list[tuple[str, str]]:
        if self.gallery is None or not visitor:
            return []
        try:
            page = self.gallery.find(owner_of(self.secret, visitor), GalleryQuery())
        except AppError:
            # The form works without them; the gallery itself says what is wrong.
            return []
        return [
            (f"Picture: {shown(one.recipe.settings.prompt.strip(), 50)} · seed {one.recipe.settings.seed}", one.id)
            for one in page.pictures[:RECENT_PICTURES]
        ]


def maker_of(recipe: Recipe) -> Contender:
    """Who drew a picture, by the recipe this app kept of it."""
    ref = recipe.ref
    if ref is None:
        return Contender()
    return Contender(ref.repo_id, ref.revision, str(ref.adapter) if ref.adapter else None, recipe.settings.as_json())


def _answer(label: str, name: str) -> tuple[gr.Dropdown, gr.Textbox]:
    chosen = gr.Dropdown([(TYPED, "")], value="", label=label, elem_id=f"capture-{name}-from")
    text = gr.Textbox(show_label=False, label=f"{label} text", lines=3, max_lines=12, elem_id=f"capture-{name}")
    return chosen, text
