"""Chat tab: one conversation with the pinned model, streamed, stopped, answered again, rated."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

import gradio as gr

from components.errors import shown_to_user
from components.pace import paced
from components.progress import progress_line, queue_line
from components.ratings import Ratings
from components.runs import Run, Runs
from components.transcript import shown_messages, thumbs, turn_at
from core import __version__
from core.chat import GenerationSettings, Reply, check_messages, check_settings
from core.comparison import contender
from core.conversation import Conversation, Turn
from core.dataset import Provenance, RatingRow
from core.errors import AppError, BackendError, UserInputError
from core.feedback import saved_sentence
from core.identity import now, pseudonym
from core.protocols import ChatRouter, FeedbackStore
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
    """The tab's components. `running` is the id of the run that is on its way, None when there is none."""

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
    seed: gr.Textbox
    conversation: gr.State
    running: gr.State
    cost: gr.HTML
    aside: gr.Accordion


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
        self.runs = Runs()
        self.ratings = Ratings()

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
                        cost = gr.HTML("", elem_id="chat-cost")
                        stop = gr.Button("Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="stop")
                        send = gr.Button("Send", variant="primary", min_width=90, scale=0, elem_id="send")
            with (
                gr.Column(scale=2, min_width=240),
                gr.Accordion("Settings", open=False, elem_id="chat-settings") as aside,
            ):
                temperature = gr.Slider(0, 2, value=0.7, step=0.05, label="Temperature", info="0 is greedy.")
                top_p = gr.Slider(0.05, 1, value=0.95, step=0.01, label="Top-p")
                max_new_tokens = gr.Slider(16, 4096, value=512, step=16, label="Max new tokens")
                # A text box: gradio shows an empty number as 0 and sends that.
                seed = gr.Textbox(label="Seed", info="Empty: random, and shown.", max_lines=1, elem_id="chat-seed")
        return ChatView(
            left, mode, single, system, chatbot, text, send, stop, again, clear, status,
            temperature, top_p, max_new_tokens, seed, gr.State(Conversation()), gr.State(None), cost, aside,
        )  # fmt: skip

    def wire(self, view: ChatView, shared: Shared) -> None:
        """Events only."""
        settings = [view.temperature, view.top_p, view.max_new_tokens, view.seed]
        common = [view.conversation, shared.pinned, view.system, *settings]
        outputs = [view.text, view.chatbot, view.conversation, view.running, view.send, view.stop, view.status]
        # Streams wait for the engine, not for each other; the engine decides who is served when.
        stream = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        busy = [*common, view.running]
        gr.on([view.text.submit, view.send.click], self.send, [view.text, *busy], outputs, **stream)
        view.chatbot.example_select(self.send_example, busy, outputs, **stream)
        gr.on([view.again.click, view.chatbot.retry], self.regenerate, busy, outputs, **stream)
        view.chatbot.edit(self.edit, busy, outputs, **stream)
        gr.on(
            [shared.pinned.change, view.conversation.change, view.max_new_tokens.release, view.system.blur],
            self.cost,
            [view.conversation, shared.pinned, view.system, view.max_new_tokens],
            view.cost,
            **quick,
        )
        view.stop.click(self.stop, view.running, view.stop, **quick)
        gr.on([view.clear.click, view.chatbot.clear], self.clear, [view.system, view.running], outputs, **quick)
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
        seed: str | float | None,
        running: str | None = None,
    ) -> Iterator[Update]:
        """Answer a new message. On failure the message is back in the box."""
        with shown_to_user():
            self._refuse_while(running)
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
        seed: str | float | None,
        running: str | None = None,
    ) -> Iterator[Update]:
        """Another answer to the last message, beside the one that is there."""
        with shown_to_user():
            self._refuse_while(running)
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
        seed: str | float | None,
        running: str | None,
        event: gr.EditData,
    ) -> Iterator[Update]:
        """Answer an edited message; the old branch is kept. On failure the edited text is in the message box."""
        with shown_to_user():
            self._refuse_while(running)
            text = str(event.value)
            try:
                index = event.index[0] if isinstance(event.index, list | tuple) else event.index
                turn = turn_at(conversation, int(index))
                if turn is None or turn.message.role != "user":
                    raise UserInputError("Only your own messages in this conversation can be edited.")
                settings = settings_of(temperature, top_p, max_new_tokens, seed)
                asked = replace(conversation.with_system(system), tip=turn.parent).ask(text)
                check_messages(asked.messages())
            except AppError:
                # The Chatbot shows the edited text already: back to what is the record.
                yield self._settled(conversation, text if text.strip() else gr.skip(), "")
                raise
            yield from self._answer(asked, before=conversation, unsent=text, pinned=pinned, settings=settings)

    def cost(self, conversation: Conversation, pinned: ModelRef | None, system: str, max_new_tokens: float) -> str:
        """What the next answer takes of the visitor's GPU time, said before the click; "" where nothing is counted."""
        if pinned is None:
            return ""
        try:
            messages = conversation.with_system(system or "").messages()
            request = (pinned, messages, GenerationSettings(max_new_tokens=int(max_new_tokens)))
            seconds = self.router.gpu_seconds([request])
        except (AppError, TypeError, ValueError, OverflowError):
            # What is wrong is said when the message is sent.
            return ""
        return "" if seconds is None else f"needs about {seconds} s of GPU"

    def stop(self, running: str | None) -> Any:
        """End the answer that is being written or waited for; what is there stays."""
        with shown_to_user():
            if (run := self.runs.get(running)) is not None:
                run.stop()
            return gr.Button(interactive=False)

    def clear(self, system: str, running: str | None) -> Update:
        """Start a new conversation; what is in the message box stays."""
        with shown_to_user():
            if (run := self.runs.get(running)) is not None:
                run.drop()
            return Update(
                gr.skip(), gr.Chatbot(value=[], feedback_value=[]), Conversation(system), None,
                gr.Button(visible=True), gr.Button(visible=False), "",
            )  # fmt: skip

    def rate(self, conversation: Conversation, visitor: str, event: gr.LikeData) -> tuple[Conversation, str, str]:
        """Save a thumb, change it, or take it back when it is clicked away."""
        with shown_to_user():
            conversation = self.ratings.applied(conversation)
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
                self.ratings.remember(turn.id, None, None)
                sentence = "Rating taken back."
            else:
                row = rating_of(conversation, turn, label, pseudonym(self.secret, visitor))
                # The row names the one it supersedes; the store takes that one back in the same transaction.
                self.store.save([row])
                self.ratings.remember(turn.id, row.provenance.id, label)
                sentence = saved_sentence(self.store.status())
            # Not only returned: an answer that is being written meanwhile ends with a conversation of its own.
            rated = self.ratings.applied(conversation)
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
        """Stream the answer to the tip of `asked`; when nothing came of it, the screen is as it was `before`."""
        if pinned is None:
            raise UserInputError("No model is pinned. Find one under Search and choose Use this model.")
        check_messages(asked.messages())
        given_back = gr.skip() if unsent is None else unsent
        run = self.runs.open()
        try:
            yield asking(asked, run.id)
            for step in self.router.prepare(pinned):
                if run.stopped:
                    break
                if step.stage != "ready":
                    yield waiting(progress_line(step))
            if run.dropped:
                return
            if run.stopped:
                yield self._settled(before, given_back, "Stopped.")
                return
            yield waiting("")
            try:
                reply = yield from self._follow(asked, run, pinned, settings)
            except BackendError as error:
                cut = run.reply()
                if cut is None or not cut.content:
                    raise
                # What had arrived stays, as it does after Stop; what went wrong is said beside it.
                gr.Warning(str(error), title="The answer was cut short")
                reply = cut
            if run.dropped:
                return
            if reply.finish == "cancelled" and not reply.content:
                yield self._settled(before, given_back, "Stopped.")
            else:
                said = {"cancelled": "Stopped.", None: "Cut short by an error. Regenerate asks again."}
                yield self._settled(asked.answer(reply), gr.skip(), said.get(reply.finish, ""))
        except Exception:
            if not run.dropped:
                yield self._settled(before, given_back, "")
            raise
        finally:
            self.runs.close(run)

    def _follow(
        self, asked: Conversation, run: Run, pinned: ModelRef, settings: GenerationSettings
    ) -> Generator[Update, None, Reply]:
        answer = self.router.start(pinned, asked.messages(), settings)
        run.follow(answer)
        text = ""
        for delta in paced(answer.listen()):
            if delta.waiting is not None:
                if not run.dropped:
                    yield waiting(queue_line(delta.waiting))
                continue
            text += delta.text
            if delta.finish is None and not run.dropped:
                yield writing(asked, text)
        return answer.reply()

    def _refuse_while(self, running: str | None) -> None:
        """One answer at a time in a conversation: two would end as one, and the other would be lost."""
        if self.runs.get(running) is not None:
            raise UserInputError("An answer is being written. Stop it first, or wait for its end.")

    def _settled(self, conversation: Conversation, text: Any, status: str) -> Update:
        """The screen when nothing is being written."""
        conversation = self.ratings.applied(conversation)
        return Update(
            text,
            gr.Chatbot(value=shown_messages(conversation), feedback_value=thumbs(conversation)),
            conversation,
            None,
            gr.Button(visible=True),
            gr.Button(visible=False),
            status,
        )


def asking(asked: Conversation, running: str) -> Update:
    """The screen right after the click. Only here the box is emptied: what is typed from now on is the next message."""
    return Update(
        "", shown_messages(asked, ""), asked, running, gr.Button(visible=False),
        gr.Button(visible=True, interactive=True), "Waiting for the model",
    )  # fmt: skip


def waiting(status: str) -> Update:
    """Only the status line changes while the model is being prepared."""
    skip = gr.skip()
    return Update(skip, skip, skip, skip, skip, skip, status)


def writing(asked: Conversation, partial: str) -> Update:
    """The screen while words arrive."""
    skip = gr.skip()
    return Update(skip, shown_messages(asked, partial), skip, skip, skip, skip, "")


def seed_of(text: str) -> int | None:
    """The seed box: a whole number, or nothing."""
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise UserInputError("The seed has to be a whole number; leave it empty for a random one.") from error


def settings_of(
    temperature: float, top_p: float, max_new_tokens: float, seed: str | float | None
) -> GenerationSettings:
    """The controls as settings, checked; a crafted request gets the same check as the screen. No seed: a random one."""
    try:
        if isinstance(seed, str):
            seed = seed_of(seed)
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
            dtype=turn.reply.dtype or None,
        ),
        prompt=conversation.prompt_of(turn.id),
        completion=(turn.message,),
        label=label,
        by=contender(turn.reply),
    )
