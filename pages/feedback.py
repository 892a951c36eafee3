"""Feedback tab: the state of the outbox, the newest rows, and a form that captures a pair by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import gradio as gr

from components.api import expose
from components.errors import shown_to_user
from components.rows import outbox_panel, row_cards
from core.arguments import check_types
from core.capture import answer_picked, messages_of, pair_row, prompt_of, provenance_of, recent_replies
from core.chat import Message
from core.conversation import Conversation
from core.dataset import COLUMNS, Contender, PreferenceRow, RatingRow
from core.errors import UserInputError
from core.feedback import saved_sentence
from core.identity import pseudonym
from core.protocols import ChatRouter, FeedbackStore
from pages.chat import ChatView
from pages.shared import Shared, waiting_badge

SHOWN_ROWS = 20
TYPED = "Typed or pasted"


@dataclass(frozen=True)
class FeedbackView:
    """The tab's components."""

    health: gr.HTML
    upload: gr.Button
    upload_said: gr.HTML
    config: gr.Radio
    newest: gr.HTML
    prompt: gr.Textbox
    first_from: gr.Dropdown
    first: gr.Textbox
    second_from: gr.Dropdown
    second: gr.Textbox
    better: gr.Radio
    why: gr.Textbox
    save: gr.Button
    said: gr.HTML
    seen: gr.State


class Captured(NamedTuple):
    """What saving the form puts on the screen, in the order of its outputs."""

    said: Any
    prompt: Any
    first_from: Any
    first: Any
    second_from: Any
    second: Any
    why: Any
    better: Any
    health: Any
    newest: Any
    badge: Any


class FeedbackPage:
    """Shows where every row is, and captures more."""

    def __init__(self, router: ChatRouter, store: FeedbackStore, secret: str) -> None:
        self.router = router
        self.store = store
        self.secret = secret

    def build(self) -> FeedbackView:
        """Layout only."""
        with gr.Row(equal_height=True, elem_classes="pg-toolbar"):
            health = gr.HTML("", elem_id="outbox-health")
            upload = gr.Button("Upload now", scale=0, min_width=130, elem_id="upload-now")
        upload_said = gr.HTML("", elem_id="upload-said")
        with gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=6, min_width=320):
                config = gr.Radio(
                    [
                        ("All", ""),
                        ("Preferences", "preferences"),
                        ("Ratings", "ratings"),
                        ("Comparisons", "comparisons"),
                    ],
                    value="",
                    label="Newest rows",
                    elem_id="rows-config",
                )
                newest = gr.HTML("", elem_id="rows")
            with (
                gr.Column(scale=4, min_width=320),
                gr.Accordion("Capture a preference", open=True, elem_id="capture"),
            ):
                prompt = gr.Textbox(label="Prompt", lines=2, max_lines=10, elem_id="capture-prompt")
                first_from = gr.Dropdown([(TYPED, "")], value="", label="First answer", elem_id="capture-first-from")
                first = gr.Textbox(
                    show_label=False, label="First answer text", lines=3, max_lines=12, elem_id="capture-first"
                )
                second_from = gr.Dropdown([(TYPED, "")], value="", label="Second answer", elem_id="capture-second-from")
                second = gr.Textbox(
                    show_label=False, label="Second answer text", lines=3, max_lines=12, elem_id="capture-second"
                )
                better = gr.Radio(
                    [("First", "first"), ("Second", "second")],
                    value=None,
                    label="Which is better?",
                    elem_id="capture-better",
                )
                why = gr.Textbox(label="Why (optional)", max_lines=4, elem_id="capture-why")
                save = gr.Button("Save preference", variant="primary", elem_id="capture-save")
                said = gr.HTML("", elem_id="capture-said")
        return FeedbackView(
            health, upload, upload_said, config, newest, prompt, first_from, first, second_from, second, better, why,
            save, said, gr.State(None),
        )  # fmt: skip

    def wire(self, view: FeedbackView, chat: ChatView, shared: Shared, tab: gr.Tab, demo: gr.Blocks) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        gr.on(
            [tab.select, demo.load],
            self.refresh,
            [view.config, chat.conversation],
            [view.health, view.newest, shared.outbox, view.first_from, view.second_from],
            **quick,
        )
        gr.Timer(3).tick(
            self.keep_current,
            [view.config, view.seen],
            [view.health, view.newest, shared.outbox, view.seen],
            trigger_mode="once",
            **quick,
        )
        view.config.input(self.rows, view.config, view.newest, **quick)
        view.upload.click(
            self.upload,
            view.config,
            [view.upload_said, view.health, view.newest, shared.outbox],
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=4,
        )
        view.first_from.input(
            self.pick, [view.first_from, chat.conversation, view.prompt], [view.first, view.prompt], **quick
        )
        view.second_from.input(
            self.pick, [view.second_from, chat.conversation, view.prompt], [view.second, view.prompt], **quick
        )
        view.save.click(
            self.capture,
            [
                view.prompt, view.first_from, view.first, view.second_from, view.second, view.better, view.why,
                chat.conversation, shared.visitor, view.config,
            ],
            [
                view.said, view.prompt, view.first_from, view.first, view.second_from, view.second, view.why, view.better,
                view.health, view.newest, shared.outbox,
            ],
            **quick,
        )  # fmt: skip
        for endpoint in (self.submit_preference, self.submit_rating, self.feedback_status):
            expose(endpoint, concurrency_limit=16)

    def refresh(self, config: str, conversation: Conversation) -> tuple[Any, ...]:
        """The whole tab as it stands, with my recent replies to pick from."""
        choices = [(TYPED, ""), *recent_replies(conversation)]
        return (*self.look(config), gr.Dropdown(choices=choices), gr.Dropdown(choices=choices))

    def look(self, config: str) -> tuple[str, str, str]:
        """Health line, rows, badge."""
        with shown_to_user():
            status = self.store.status()
            return outbox_panel(status), self.rows(config), waiting_badge(status.waiting)

    def keep_current(self, config: str, seen: tuple[int, ...] | None) -> tuple[Any, ...]:
        """The health line and the rows, sent again only when something has moved."""
        with shown_to_user():
            status = self.store.status()
            counts = (status.saved, status.waiting, status.pushed, status.refused)
            if counts == seen:
                return outbox_panel(status) if status.waiting else gr.skip(), gr.skip(), gr.skip(), gr.skip()
            return *self.look(config), counts

    def rows(self, config: str) -> str:
        """The newest rows as cards."""
        with shown_to_user():
            wanted = next((name for name in COLUMNS if name == config), None)
            return row_cards(self.store.newest(SHOWN_ROWS, wanted))

    def upload(self, config: str) -> Iterator[tuple[Any, ...]]:
        """Send what waits, now, and say how it went."""
        with shown_to_user():
            yield '<p class="pg-meta" role="status">Sending what waits</p>', gr.skip(), gr.skip(), gr.skip()
            status = self.store.upload_now()
            if status.last_error and status.waiting:
                said = f'<div class="pg-error">{status.waiting} still waiting. They are safe on this machine.</div>'
            elif status.waiting:
                said = f'<p class="pg-meta">{status.waiting} still on the way.</p>'
            else:
                said = '<p class="pg-meta">Nothing is waiting.</p>'
            yield said, *self.look(config)

    def pick(self, reply_id: str, conversation: Conversation, prompt: str) -> tuple[Any, Any]:
        """Fill an answer, and the prompt if it is empty, from one of my replies."""
        with shown_to_user():
            if not reply_id:
                return gr.skip(), gr.skip()
            turn = conversation.turn(reply_id)
            question = conversation.prompt_of(reply_id)[-1].content
            return turn.message.content, gr.skip() if prompt.strip() else question

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
        config: str = "",
    ) -> Captured:
        """Save a pair that was typed, pasted or picked."""
        with shown_to_user():
            if better not in ("first", "second"):
                raise UserInputError("Say which answer is better: First or Second.")
            answers = (
                answer_picked(first_from, first, conversation),
                answer_picked(second_from, second, conversation),
            )
            won, lost = answers if better == "first" else answers[::-1]
            row = pair_row(
                prompt=prompt_of(prompt, (won, lost), conversation),
                chosen=(Message("assistant", won.text),),
                rejected=(Message("assistant", lost.text),),
                makers=(won.maker, lost.maker),
                provenance=provenance_of(
                    source="manual",
                    comment=why,
                    rater=pseudonym(self.secret, visitor),
                    shown_left="chosen" if better == "first" else "rejected",
                ),
            )
            self.store.save([row])
            status = self.store.status()
            said = f'<p class="pg-meta" role="status">{saved_sentence(status)}</p>'
            return Captured(said, "", "", "", "", "", "", None, *self.look(config))

    def submit_preference(
        self,
        prompt: str | list[dict[str, str]],
        chosen: str | list[dict[str, str]],
        rejected: str | list[dict[str, str]],
        chosen_model: str = "",
        rejected_model: str = "",
        reasons: list[str] = [],  # noqa: B006  (never written to; gradio shows the default to callers)
        comment: str = "",
        rater: str = "",
        id: str = "",
    ) -> dict[str, Any]:
        """Save a preference between two answers. Returns {id, state}; state "saved" means it is on disk.

        Args:
            prompt: Text, or a list of {role, content} that ends with the user's turn.
            chosen: The better answer: text, or a list with the assistant's turn.
            rejected: The other answer.
            chosen_model: repo_id or repo_id@revision that made the better answer; without a revision it is resolved.
            rejected_model: The same for the other answer.
            reasons: Short reasons.
            comment: Free text.
            rater: Who says so. Counts because there is no sign-in.
            id: A UUID of your own: the same call twice is then one row.
        """
        with shown_to_user():
            check_types(
                text={
                    "chosen_model": chosen_model, "rejected_model": rejected_model, "comment": comment, "rater": rater,
                    "id": id,
                },
                texts={"reasons": reasons},
            )  # fmt: skip
            row = pair_row(
                prompt=messages_of(prompt, "user", "prompt"),
                chosen=messages_of(chosen, "assistant", "chosen"),
                rejected=messages_of(rejected, "assistant", "rejected"),
                makers=(self._maker(chosen_model), self._maker(rejected_model)),
                provenance=provenance_of(source="api", comment=comment, reasons=reasons, rater=rater, row_id=id),
            )
            return self._kept(row)

    def submit_rating(
        self,
        prompt: str | list[dict[str, str]],
        completion: str | list[dict[str, str]],
        label: bool,
        model: str = "",
        reasons: list[str] = [],  # noqa: B006
        comment: str = "",
        rater: str = "",
        id: str = "",
    ) -> dict[str, Any]:
        """Save a thumb on one answer. Returns {id, state}; state "saved" means it is on disk.

        Args:
            prompt: Text, or a list of {role, content} that ends with the user's turn.
            completion: The answer: text, or a list with the assistant's turn.
            label: true is good, false is bad.
            model: repo_id or repo_id@revision that made the answer; without a revision it is resolved.
            reasons: Short reasons.
            comment: Free text.
            rater: Who says so. Counts because there is no sign-in.
            id: A UUID of your own: the same call twice is then one row.
        """
        with shown_to_user():
            if not isinstance(label, bool):
                raise UserInputError("label has to be true or false.")
            check_types(text={"model": model, "comment": comment, "rater": rater, "id": id}, texts={"reasons": reasons})
            row = RatingRow(
                provenance_of(source="api", comment=comment, reasons=reasons, rater=rater, row_id=id),
                prompt=messages_of(prompt, "user", "prompt"),
                completion=messages_of(completion, "assistant", "completion"),
                label=label,
                by=self._maker(model),
            )
            return self._kept(row)

    def feedback_status(self) -> dict[str, Any]:
        """How many rows are saved, waiting, pushed and refused, where they go, and the last commit and error."""
        with shown_to_user():
            record = asdict(self.store.status())
            return {**record, "warnings": list(record["warnings"])}

    def _kept(self, row: PreferenceRow | RatingRow) -> dict[str, Any]:
        """Save a row of the API; the same call again is the same row, another one under its id is refused."""
        if not self.store.save([row]).same:
            raise UserInputError(
                f"The id {row.provenance.id} belongs to a row that says something else, which was kept. Nothing was saved "
                "now; use another id, or leave it out."
            )
        return {"id": row.provenance.id, "state": "saved"}

    def _maker(self, model: str) -> Contender:
        if not model:
            return Contender()
        ref = self.router.pin(model)
        return Contender(ref.repo_id, ref.revision or None)
