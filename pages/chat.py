"""Chat tab: one conversation with the pinned model, streamed, stopped, answered again, rated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

import gradio as gr

from components.errors import shown_to_user
from components.pace import paced
from components.progress import progress_line
from components.transcript import shown_messages, thumbs, turn_at
from core import __version__
from core.chat import GenerationSettings, check_messages, check_settings
from core.comparison import contender
from core.conversation import Conversation, Turn
from core.dataset import Provenance, RatingRow
from core.errors import AppError, UserInputError
from core.feedback import saved_sentence
from core.identity import now, pseudonym
from core.protocols import Answer, ChatRouter, FeedbackStore
from core.refs import ModelRef
from pages.shared import Shared, waiting_badge

PLACEHOLDER = "**Ask the pinned model something.**\n\nIts name, commit and engine stand in the header."
EXAMPLES = (
    "Explain what a commit hash is in two sentences.",
    "Write a polite reply to a customer whose parcel is late.",
    "List three questions to ask before choosing a language model.",
)


@dataclass(frozen=True)
class ChatView:
    """The tab's components. `running` is the id of the answer being written, None when there is none."""

    left: gr.Column
    mode: gr.Radio
    single: gr.Column
    system: gr.Textbox
    chatbot: gr.Chatbot
    text: gr.Textbox
    send: gr.Button
    stop: gr.Button
    again: gr.Button
    clear: gr.Button
    status: gr.HTML
    temperature: gr.Slider
    top_p: gr.Slider
    max_new_tokens: gr.Slider
    seed: gr.Number
    conversation: gr.State
    running: gr.State


class Update(NamedTuple):
    """What a chat handler puts on the screen, in the order of its outputs."""

    text: Any
    chatbot: Any
    conversation: Any
    running: Any
    send: Any
    stop: Any
    status: Any


class ChatPage:
    """The single conversation. The page listens to an answer; the engine owns it."""

    def __init__(self, router: ChatRouter, store: FeedbackStore, secret: str) -> None:
        self.router = router
        self.store = store
        self.secret = secret

    def build(self) -> ChatView:
        """Layout only."""
        with gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=7, min_width=320) as left:
                mode = gr.Radio(
                    [("Single answer", "single"), ("Compare blind", "compare")],
                    value="single",
                    show_label=False,
                    label="Mode",
                    elem_id="chat-mode",
                    container=False,
                )
                with gr.Accordion("System prompt", open=False):
                    system = gr.Textbox(
                        label="System prompt",
                        show_label=False,
                        placeholder="How the model should behave. Sent before the first message.",
                        lines=2,
                        elem_id="chat-system",
                    )
                chatbot = gr.Chatbot(
                    label="Conversation",
                    show_label=False,
                    placeholder=PLACEHOLDER,
                    examples=[{"text": text} for text in EXAMPLES],
                    height=460,
                    layout="bubble",
                    buttons=["copy"],
                    editable="user",
                    feedback_options=("Like", "Dislike"),
                    elem_id="chatbot",
                )
                with gr.Column(visible=True, elem_classes="pg-composer") as single:
                    text = gr.Textbox(
                        label="Message",
                        show_label=False,
                        placeholder="Message. Enter sends, Shift+Enter starts a new line.",
                        lines=1,
                        max_lines=12,
                        elem_id="chat-text",
                        autofocus=False,
                    )
                    with gr.Row(elem_classes="pg-actions"):
                        clear = gr.Button("Clear", size="sm", min_width=80, scale=0)
                        again = gr.Button("Regenerate", size="sm", min_width=110, scale=0, elem_id="regenerate")
                        status = gr.HTML("", elem_id="chat-status")
                        stop = gr.Button("Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="stop")
                        send = gr.Button("Send", variant="primary", min_width=90, scale=0, elem_id="send")
            with gr.Column(scale=2, min_width=240), gr.Accordion("Settings", open=False, elem_id="chat-settings"):
                temperature = gr.Slider(0, 2, value=0.7, step=0.05, label="Temperature", info="0 is greedy.")
                top_p = gr.Slider(0.05, 1, value=0.95, step=0.01, label="Top-p")
                max_new_tokens = gr.Slider(16, 4096, value=512, step=16, label="Max new tokens")
                seed = gr.Number(value=None, precision=0, label="Seed", info="Empty: random, and shown.")
        return ChatView(
            left, mode, single, system, chatbot, text, send, stop, again, clear, status,
            temperature, top_p, max_new_tokens, seed, gr.State(Conversation()), gr.State(None),
        )  # fmt: skip

    def wire(self, view: ChatView, shared: Shared) -> None:
        """Events only."""
        settings = [view.temperature, view.top_p, view.max_new_tokens, view.seed]
        common = [view.conversation, shared.pinned, view.system, *settings]
        outputs = [view.text, view.chatbot, view.conversation, view.running, view.send, view.stop, view.status]
        # Streams wait for the engine, not for each other; the engine decides who is served when.
        stream = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        gr.on([view.text.submit, view.send.click], self.send, [view.text, *common], outputs, **stream)
        view.chatbot.example_select(self.send_example, common, outputs, **stream)
        gr.on([view.again.click, view.chatbot.retry], self.regenerate, common, outputs, **stream)
        view.chatbot.edit(self.edit, common, outputs, **stream)
        view.stop.click(self.stop, view.running, view.stop, **quick)
        view.clear.click(self.clear, [view.system, view.running], outputs, **quick)
        view.chatbot.clear(self.clear, [view.system, view.running], outputs, **quick)
        view.chatbot.like(
            self.rate,
            [view.conversation, shared.visitor],
            [view.conversation, view.status, shared.outbox],
            **quick,
        )

    def send(
        self,
        text: str,
        conversation: Conversation,
        pinned: ModelRef | None,
        system: str,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float | None,
    ) -> Iterator[Update]:
        """Answer a new message. On failure the message is back in the box."""
        with shown_to_user():
            settings = settings_of(temperature, top_p, max_new_tokens, seed)
            asked = conversation.with_system(system).ask(text)
            yield from self._answer(asked, before=conversation, unsent=text, pinned=pinned, settings=settings)

    def send_example(self, *common: Any, event: gr.SelectData) -> Iterator[Update]:
        """Answer one of the example messages."""
        chosen = event.value["text"] if isinstance(event.value, dict) else str(event.value)
        yield from self.send(chosen, *common)

    def regenerate(
        self,
        conversation: Conversation,
        pinned: ModelRef | None,
        system: str,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float | None,
    ) -> Iterator[Update]:
        """Another answer to the last message, beside the one that is there."""
        with shown_to_user():
            settings = settings_of(temperature, top_p, max_new_tokens, seed)
            asked = conversation.with_system(system).back_to_question()
            yield from self._answer(asked, before=conversation, unsent=None, pinned=pinned, settings=settings)

    def edit(
        self,
        conversation: Conversation,
        pinned: ModelRef | None,
        system: str,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float | None,
        event: gr.EditData,
    ) -> Iterator[Update]:
        """Answer an edited message; the old branch is kept."""
        with shown_to_user():
            index = event.index[0] if isinstance(event.index, list | tuple) else event.index
            turn = turn_at(conversation, int(index))
            if turn is None or turn.message.role != "user":
                raise UserInputError("Only your own messages in this conversation can be edited.")
            settings = settings_of(temperature, top_p, max_new_tokens, seed)
            asked = replace(conversation.with_system(system), tip=turn.parent).ask(str(event.value))
            yield from self._answer(asked, before=conversation, unsent=None, pinned=pinned, settings=settings)

    def stop(self, running: str | None) -> Any:
        """End the answer that is being written; what is there stays."""
        with shown_to_user():
            answer = self.router.answer(running) if running else None
            if answer is not None:
                answer.cancel()
            return gr.Button(interactive=False)

    def clear(self, system: str, running: str | None) -> Update:
        """Start a new conversation."""
        with shown_to_user():
            if running and (answer := self.router.answer(running)) is not None:
                answer.cancel()
            return Update("", [], Conversation(system), None, gr.Button(visible=True), gr.Button(visible=False), "")

    def rate(self, conversation: Conversation, visitor: str, event: gr.LikeData) -> tuple[Conversation, str, str]:
        """Save a thumb, change it, or take it back when it is clicked away."""
        with shown_to_user():
            index = event.index[0] if isinstance(event.index, list | tuple) else event.index
            turn = turn_at(conversation, int(index))
            if turn is None or turn.reply is None:
                raise UserInputError("Only an answer that is finished can be rated.")
            label = event.liked if isinstance(event.liked, bool) else None
            if label == turn.label:
                return conversation, saved_sentence(self.store.status()), waiting_badge(self.store.status().waiting)
            if label is None:
                assert turn.rating_id is not None
                self.store.withdraw(turn.rating_id)
                rated = conversation.rated(turn.id, None, None)
                sentence = "Rating taken back."
            else:
                row = rating_of(conversation, turn, label, pseudonym(self.secret, visitor))
                # The row names the one it supersedes; the store takes that one back in the same transaction.
                self.store.save([row])
                rated = conversation.rated(turn.id, row.provenance.id, label)
                sentence = saved_sentence(self.store.status())
            return rated, sentence, waiting_badge(self.store.status().waiting)

    def _answer(
        self,
        asked: Conversation,
        *,
        before: Conversation,
        unsent: str | None,
        pinned: ModelRef | None,
        settings: GenerationSettings,
    ) -> Iterator[Update]:
        """Stream the answer to the tip of `asked`; when it fails, the screen is as it was `before`."""
        if pinned is None:
            raise UserInputError("No model is pinned. Find one under Search and choose Use this model.")
        check_messages(asked.messages())
        yield writing(asked, "", None, "Waiting for the model")
        try:
            for step in self.router.prepare(pinned):
                if step.stage != "ready":
                    yield writing(asked, "", None, progress_line(step))
            answer = self.router.start(pinned, asked.messages(), settings)
            yield from self._listen(asked, answer)
        except AppError:
            yield settled(before, thumbs(before), unsent if unsent is not None else gr.skip(), "")
            raise

    def _listen(self, asked: Conversation, answer: Answer) -> Iterator[Update]:
        text = ""
        yield writing(asked, "", answer.id, "")
        for delta in paced(answer.listen()):
            text += delta.text
            if delta.finish is None:
                yield writing(asked, text, answer.id, "")
        reply = answer.reply()
        done = asked.answer(reply) if reply.content or reply.finish != "cancelled" else asked
        yield settled(done, thumbs(done), gr.skip(), "Stopped." if reply.finish == "cancelled" else "")


def writing(asked: Conversation, partial: str, running: str | None, status: str) -> Update:
    """The screen while an answer is being written."""
    return Update(
        "" if not partial else gr.skip(),
        shown_messages(asked, partial),
        gr.skip() if partial else asked,
        running,
        gr.Button(visible=False) if not partial else gr.skip(),
        gr.Button(visible=True, interactive=running is not None) if not partial else gr.skip(),
        status,
    )


def settled(conversation: Conversation, feedback: list[str | None], text: Any, status: str) -> Update:
    """The screen when nothing is being written."""
    return Update(
        text,
        gr.Chatbot(value=shown_messages(conversation), feedback_value=feedback),
        conversation,
        None,
        gr.Button(visible=True),
        gr.Button(visible=False),
        status,
    )


def settings_of(temperature: float, top_p: float, max_new_tokens: float, seed: float | None) -> GenerationSettings:
    """The controls as settings, checked; a crafted request gets the same check as the screen."""
    try:
        return check_settings(
            GenerationSettings(
                max_new_tokens=int(max_new_tokens),
                temperature=float(temperature),
                top_p=float(top_p),
                seed=None if seed is None else int(seed),
            )
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserInputError("The settings have to be numbers.") from error


def rating_of(conversation: Conversation, turn: Turn, label: bool, rater: str | None) -> RatingRow:
    """A thumb on one answer as a row."""
    assert turn.reply is not None
    return RatingRow(
        Provenance(
            id=str(uuid4()),
            created_at=now(),
            source="thumb",
            app_version=__version__,
            rater=rater,
            supersedes=turn.rating_id,
            blind=False,
            derived=False,
            backend=turn.reply.backend,
            dtype=turn.reply.dtype,
        ),
        prompt=conversation.prompt_of(turn.id),
        completion=(turn.message,),
        label=label,
        by=contender(turn.reply),
    )
