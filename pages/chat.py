"""Chat tab: one conversation with the pinned model, streamed, stopped, answered again, branched, judged and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from components.chat_panels import bar
from components.errors import shown_to_user
from components.transcript import LATEX, earlier_line, turn_at
from core.attached import NONE_HERE, AttachedPictures, Take
from core.chat import GenerationSettings
from core.chat_protocols import ChatRouter
from core.conversation import Conversation
from core.conversations import ConversationStore
from core.errors import AppError
from core.feedback_protocols import FeedbackStore
from core.refs import ModelRef
from core.rubric import DEFAULT as DEFAULT_RUBRIC
from core.rubric import Rubric
from pages.chat_attach import AttachPage, AttachView
from pages.chat_judge import Judging
from pages.chat_keeping import Keeper, told
from pages.chat_kept import KeptPage, KeptView
from pages.chat_presets import PresetsPage, PresetsView
from pages.chat_settings import SettingsPage, SettingsView
from pages.chat_stream import Answers, Given, Update, seed_of, settings_of
from pages.chat_tree import Acts
from pages.shared import Shared

__all__ = ["ChatPage", "ChatView", "Update", "seed_of", "settings_of"]

SCRIPT = Path(__file__).parents[1] / "components" / "chat.js"
PLACEHOLDER = (
    "**Ask the pinned model something.**\n\nIts name, commit and engine stand in the header. Others are under Search."
)
EXAMPLES = [
    {"text": text}
    for text in (
        "Explain what a commit hash is in two sentences.",
        "Write a polite reply to a customer whose parcel is late.",
        "List three questions to ask before choosing a language model.",
    )
]


@dataclass(frozen=True)
class ChatView:
    """The tab's components. `running` is the id of the run that is on its way, None when there is none.

    `desk` is what stands between the messages and the box: steps back and on, and what a button under a message opened.
    """

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
    settings: SettingsView
    conversation: gr.State
    running: gr.State
    cost: gr.HTML
    desk: gr.HTML
    presets: PresetsView
    kept: KeptView
    attach: AttachView
    earlier: gr.HTML


class Rated(NamedTuple):
    """What a thumb puts on the screen, in the order of its outputs."""

    conversation: Any
    status: Any
    badge: Any
    desk: Any
    chatbot: Any
    keep: Any


class ChatPage:
    """The single conversation. `conversations` keeps those of signed-in visitors, `pictures` what goes with messages.

    `take` reads pictures that came in a file of a conversation, and not as uploads.
    """

    def __init__(
        self,
        router: ChatRouter,
        store: FeedbackStore,
        secret: str,
        conversations: ConversationStore | None = None,
        rubric: Rubric = DEFAULT_RUBRIC,
        pictures: AttachedPictures = NONE_HERE,
        take: Take | None = None,
    ) -> None:
        self.router = router
        self.store = store
        keeper = Keeper(conversations, secret, pictures)
        self.answers = Answers(router, keeper)
        self.runs = self.answers.runs
        self.judging = Judging(store, secret, self.answers.ratings, rubric, pictures)
        self.attach = AttachPage(self.answers)
        self.presets = PresetsPage(self.answers)
        self.settings = SettingsPage(self.answers)
        self.acts = Acts(self.answers, self.judging, self.presets.ask)
        self.kept = KeptPage(self.answers, keeper, take or pictures.take)

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
                earlier = gr.HTML("", elem_id="chat-earlier", js_on_load=None)
                chatbot = gr.Chatbot(
                    label="Conversation",
                    show_label=False,
                    placeholder=PLACEHOLDER,
                    examples=EXAMPLES,
                    height=460,
                    layout="bubble",
                    buttons=["copy"],
                    feedback_options=("Like", "Dislike"),
                    latex_delimiters=LATEX,
                    elem_id="chatbot",
                )
                with gr.Column(visible=True, elem_classes="pg-composer") as single:
                    desk = gr.HTML(bar(Conversation()), elem_id="chat-desk", js_on_load=SCRIPT.read_text("utf-8"))
                    attach = self.attach.build()
                    text = gr.Textbox(
                        label="Message",
                        show_label=False,
                        placeholder="Message. Shift+Enter starts a new line.",
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
            with gr.Column(scale=2, min_width=240):
                presets = self.presets.build()
                settings = self.settings.build()
                kept = self.kept.build()
        return ChatView(
            left, mode, single, system, chatbot, text, send, stop, again, clear, status, settings,
            gr.State(Conversation()), gr.State(None), cost, desk, presets, kept, attach, earlier,
        )  # fmt: skip

    def wire(self, view: ChatView, shared: Shared) -> None:
        """Events only."""
        kept = view.kept
        controls = view.settings
        settings = [controls.temperature, controls.top_p, controls.max_new_tokens, controls.seed]
        given = [
            view.conversation, shared.pinned, view.system, *settings, view.running, shared.visitor, kept.incognito,
            controls.thinking, view.presets.task, controls.template, view.attach.attached, controls.top_k, controls.repetition_penalty,
        ]  # fmt: skip
        outputs = [
            view.text, view.chatbot, view.conversation, view.running, view.send, view.stop, view.status, view.desk,
            kept.told, shared.outbox, view.attach.attached,
        ]  # fmt: skip
        # Streams wait for the engine, not for each other; the engine decides who is served when.
        # While one of them writes, the messages know it: nothing in them can be edited then.
        stream = {
            "api_visibility": "private", "show_progress": "hidden", "show_progress_on": view.chatbot,
            "concurrency_limit": None,
        }  # fmt: skip
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        gr.on([view.text.submit, view.send.click], self.send, [view.text, *given], outputs, **stream)
        view.chatbot.example_select(self.send_example, given, outputs, **stream)
        gr.on([view.again.click, view.chatbot.retry], self.regenerate, given, outputs, **stream)
        view.desk.submit(self.acts.ask, [view.text, *given], outputs, **stream)
        # Not queued: what is only looked up is on the screen within a tenth of a second.
        at_once = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        looked = view.desk.select(self.acts.act, [view.text, *given], outputs, **at_once)
        view.desk.like(self.acts.judge, given, outputs, **quick)
        self.attach.wire(view.attach, view.conversation, shared)
        kept.shown.submit(self.kept.open, given, outputs, **stream)
        kept.shown.select(self.kept.manage, given, outputs, **quick)
        arranged = [
            view.system, *settings, view.text, view.presets.task, view.desk, kept.told,
            controls.thinking, controls.template, controls.top_k, controls.repetition_penalty, controls.aside,
        ]  # fmt: skip
        view.presets.shown.select(self.presets.choose, [view.text, *given], arranged, **quick)
        shared.opened.change(self.presets.arrive, shared.opened, arranged, **quick)
        kept.told.change(None, kept.told, None, js="(told) => window.provingKept?.(told)", api_visibility="private")
        around = [view.conversation, shared.pinned, view.system, controls.max_new_tokens]
        changes = [shared.pinned.change, view.conversation.change, controls.max_new_tokens.release, view.system.blur]
        gr.on(changes, self.around, around, [view.cost, view.earlier], **quick)
        # Of what is not queued, gradio's page hears no change of a state.
        looked.then(self.around, around, [view.cost, view.earlier], **at_once)
        self.settings.wire(controls, shared, view.desk, view.conversation)
        view.stop.click(self.stop, view.running, view.stop, **quick)
        gr.on([view.clear.click, view.chatbot.clear], self.clear, [view.system, view.running], outputs, **quick)
        view.chatbot.like(
            self.rate,
            [view.conversation, shared.visitor, kept.incognito],
            [view.conversation, view.status, shared.outbox, view.desk, view.chatbot, kept.told],
            **quick,
        )

    def send(self, text: str, *given: Any) -> Iterator[Update]:
        """Answer a new message. On failure the message is back in the box."""
        with shown_to_user():
            asked = Given(*given)
            self.answers.refuse_while(asked.running)
            yield from self.answers.answer(asked, asked.asking().ask(text, asked.attached), unsent=text)

    def send_example(self, event: gr.SelectData, *given: Any) -> Iterator[Update]:
        """Answer one of the example messages."""
        chosen = event.value["text"] if isinstance(event.value, dict) else str(event.value)
        yield from self.send(chosen, *given)

    def regenerate(self, *given: Any) -> Iterator[Update]:
        """Another answer to the last message, beside the one that is there."""
        with shown_to_user():
            asked = Given(*given)
            self.answers.refuse_while(asked.running)
            yield from self.answers.answer(asked, asked.asking().back_to_question(), unsent=None)

    def around(
        self, conversation: Conversation, pinned: ModelRef | None, system: str, max_new_tokens: float
    ) -> tuple[str, str]:
        """What stands around a conversation that has changed: what the next answer costs, and how much of it is shown."""
        return self.cost(conversation, pinned, system, max_new_tokens), earlier_line(conversation)

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
        """Start a new conversation; what is in the message box stays, and the old conversation stays in the list."""
        with shown_to_user():
            if (run := self.runs.get(running)) is not None:
                run.drop()
            return Update(
                gr.skip(), gr.Chatbot(value=[], feedback_value=[]), Conversation(system), None,
                gr.Button(visible=True), gr.Button(visible=False), "", bar(Conversation()),
                told(op="current", id=None), attached=(),
            )  # fmt: skip

    def rate(self, event: gr.LikeData, conversation: Conversation, visitor: str, incognito: bool = False) -> Rated:
        """Save a thumb, change it, or take it back when it is clicked away; then ask why."""
        with shown_to_user():
            conversation = self.answers.ratings.applied(conversation)
            index = event.index[0] if isinstance(event.index, list | tuple) else event.index
            turn = turn_at(conversation, int(index))
            label = event.liked if isinstance(event.liked, bool) else None
            rated, sentence = self.judging.thumb(conversation, turn, label, visitor)
            assert turn is not None
            panel = self.judging.why(rated, turn, visitor) or bar(rated)
            return Rated(
                rated, sentence, self.judging.badge(), panel, gr.skip(),
                self.answers.keeper.change(rated, visitor, incognito=incognito),
            )  # fmt: skip
