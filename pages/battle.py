"""Compare blind: one prompt, two answers side by side, a vote, and only then the names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.battles import Battle, Battles
from components.errors import shown_to_user
from components.numbers import bytes_of
from components.progress import progress_line
from components.side_by_side import side_by_side
from components.transcript import figures, shown_messages, text_message, thumbs
from core import __version__
from core.chat import GenerationSettings, Reply, check_messages
from core.comparison import Outcome, rows_of
from core.conversation import Conversation
from core.errors import UserInputError
from core.identity import now
from core.protocols import ChatRouter, FeedbackStore
from core.refs import ModelRef
from pages.ballot import cast
from pages.chat import ChatView, settings_of
from pages.shared import Shared

PINNED = "The pinned model"
# With an adapter on the pinned model, both stand beside each other with one click.
BASE, BASE_OF_PINNED = "-", "The pinned model without its adapter"

VOTES = {
    "left": ("vote-left", "1  A is better"),
    "right": ("vote-right", "2  B is better"),
    "tie": ("vote-tie", "3  Tie"),
    "both_bad": ("vote-bad", "0  Both bad"),
}


@dataclass(frozen=True)
class BattleView:
    """The components of the comparison, inside the Chat tab. `battle` is the id of the open one."""

    group: gr.Column
    setup: gr.Accordion
    first_model: gr.Dropdown
    first_temperature: gr.Slider
    second_model: gr.Dropdown
    second_temperature: gr.Slider
    columns: gr.Row
    left: gr.Chatbot
    right: gr.Chatbot
    ballot: gr.Column
    comment: gr.Textbox
    votes: dict[str, gr.Button]
    reveal: gr.HTML
    text: gr.Textbox
    compare: gr.Button
    stop: gr.Button
    status: gr.HTML
    battle: gr.State


class Bout(NamedTuple):
    """What the comparing handler puts on the screen, in the order of its outputs."""

    text: Any
    chatbot: Any
    conversation: Any
    battle: Any
    columns: Any
    left: Any
    right: Any
    ballot: Any
    comment: Any
    reveal: Any
    compare: Any
    stop: Any
    status: Any


class BattlePage:
    """Blind comparison of two models, or of two settings of one."""

    def __init__(self, router: ChatRouter, store: FeedbackStore, secret: str, local_models: tuple[str, ...]) -> None:
        self.router = router
        self.store = store
        self.secret = secret
        self.local_models = local_models
        self.battles: Battles[Battle] = Battles()

    def build(self) -> BattleView:
        """Layout only."""
        models = [(PINNED, ""), (BASE_OF_PINNED, BASE), *((name, name) for name in self.local_models)]
        with gr.Column(visible=False) as group:
            with gr.Accordion("Contenders", open=False, elem_id="contenders") as setup:
                gr.Markdown(
                    "Which of the two stands left is drawn anew each time. Two models, or two settings of one.",
                    elem_classes="pg-meta",
                )
                with gr.Row():
                    with gr.Column(min_width=240):
                        first_model = gr.Dropdown(models, value="", label="First model", allow_custom_value=True)
                        first_temperature = gr.Slider(0, 2, value=0.2, step=0.05, label="First temperature")
                    with gr.Column(min_width=240):
                        second_model = gr.Dropdown(models, value="", label="Second model", allow_custom_value=True)
                        second_temperature = gr.Slider(0, 2, value=1.0, step=0.05, label="Second temperature")
            with gr.Row(visible=False, elem_classes="pg-sides") as columns:
                left, right = (
                    # Both start at their first line: where a side is scrolled to should not weigh in.
                    gr.Chatbot(
                        label=letter, height=340, layout="panel", autoscroll=False, buttons=["copy"], elem_id=elem_id,
                        elem_classes="pg-side",
                    )
                    for letter, elem_id in (("A", "side-left"), ("B", "side-right"))
                )  # fmt: skip
            with gr.Column(visible=False, elem_classes="pg-ballot") as ballot:
                comment = gr.Textbox(
                    label="Why (optional)", max_lines=4, elem_id="vote-why", placeholder="What made the difference"
                )
                with gr.Row(elem_classes="pg-votes"):
                    votes = {
                        outcome: gr.Button(label, elem_id=elem_id, min_width=120)
                        for outcome, (elem_id, label) in VOTES.items()
                    }
            reveal = gr.HTML("", elem_id="reveal")
            with gr.Column(elem_classes="pg-composer"):
                text = gr.Textbox(
                    label="Prompt",
                    show_label=False,
                    placeholder="One prompt for both. Enter compares, Shift+Enter starts a new line.",
                    lines=1,
                    max_lines=12,
                    elem_id="battle-text",
                )
                with gr.Row(elem_classes="pg-actions"):
                    status = gr.HTML("", elem_id="battle-status")
                    stop = gr.Button(
                        "Stop", variant="stop", visible=False, min_width=90, scale=0, elem_id="battle-stop"
                    )
                    compare = gr.Button("Compare", variant="primary", min_width=110, scale=0, elem_id="compare")
        return BattleView(
            group, setup, first_model, first_temperature, second_model, second_temperature, columns, left, right,
            ballot, comment, votes, reveal, text, compare, stop, status, gr.State(None),
        )  # fmt: skip

    def wire(self, view: BattleView, chat: ChatView, shared: Shared) -> None:
        """Events only."""
        outputs = [
            view.text, chat.chatbot, chat.conversation, view.battle, view.columns, view.left, view.right,
            view.ballot, view.comment, view.reveal, view.compare, view.stop, view.status,
        ]  # fmt: skip
        gr.on(
            [view.text.submit, view.compare.click],
            self.compare,
            [
                view.text, chat.conversation, shared.pinned, chat.system,
                view.first_model, view.first_temperature, view.second_model, view.second_temperature,
                chat.top_p, chat.max_new_tokens, view.battle, view.comment, chat.running,
            ],
            outputs,
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=None,
        )  # fmt: skip
        view.stop.click(
            self.stop, view.battle, view.stop, api_visibility="private", show_progress="hidden", concurrency_limit=16
        )
        for outcome, button in view.votes.items():
            button.click(
                self.vote,
                [gr.State(outcome), view.battle, view.comment, shared.visitor, chat.conversation],
                [*outputs, shared.outbox],
                api_visibility="private",
                show_progress="hidden",
                concurrency_limit=16,
            )
        chat.mode.change(
            self.switch,
            [chat.mode, chat.conversation, view.battle, chat.running],
            [chat.single, view.group, chat.chatbot],
            api_visibility="private",
            show_progress="hidden",
        )

    def switch(
        self, mode: str, conversation: Conversation, battle_id: str | None, running: str | None
    ) -> tuple[Any, Any, Any]:
        """Show the composer of the chosen mode; the two sides need the room more than the conversation does."""
        comparing = mode == "compare"
        height = 200 if comparing else 460
        chatbot = gr.Chatbot(height=height)
        if running is None:
            # A question that is not voted on stands above its two sides, and is no part of the conversation yet.
            battle = self.battles.find(battle_id) if comparing else None
            shown = conversation if battle is None or battle.outcome else battle.asked
            chatbot = gr.Chatbot(value=shown_messages(shown), feedback_value=thumbs(shown), height=height)
        return gr.Column(visible=not comparing), gr.Column(visible=comparing), chatbot

    def compare(
        self,
        text: str,
        conversation: Conversation,
        pinned: ModelRef | None,
        system: str,
        first_model: str,
        first_temperature: float,
        second_model: str,
        second_temperature: float,
        top_p: float,
        max_new_tokens: float,
        open_battle: str | None,
        comment: str | None = "",
        running: str | None = None,
    ) -> Iterator[Bout]:
        """Ask both contenders and show their answers in step, without names."""
        with shown_to_user():
            if running is not None:
                raise UserInputError("An answer is being written. Stop it first, or wait for its end.")
            before = self.battles.find(open_battle)
            # A box that was never shown is None.
            if (comment or "").strip() and before is not None and before.finished_at and not before.outcome:
                raise UserInputError("Your reason is not saved yet. Vote first, or empty the box, then compare again.")
            asked = conversation.with_system(system).ask(text)
            check_messages(asked.messages())
            contenders = [
                (self._ref(first_model, pinned), settings_of(first_temperature, top_p, max_new_tokens, None)),
                (self._ref(second_model, pinned), settings_of(second_temperature, top_p, max_new_tokens, None)),
            ]
            if contenders[0] == contenders[1] and contenders[0][1].temperature == 0:
                raise UserInputError(
                    "The two contenders are the same model at temperature 0 and would answer alike. Change one of them."
                )
            for ref, _ in contenders:
                self._refuse_download(ref)
            if secrets.randbelow(2):
                contenders.reverse()
            yield opening(asked)
            try:
                for ref in dict.fromkeys(ref for ref, _ in contenders):
                    for step in self.router.prepare(ref):
                        if step.stage != "ready":
                            yield waiting(progress_line(step))
                yield from self._run(asked, contenders)
            except Exception:
                yield voided(conversation, text)
                raise

    def _refuse_download(self, ref: ModelRef) -> None:
        """Bytes are fetched where their number is said first: on the card."""
        plan = self.router.plan(ref)
        if not plan.ready:
            raise UserInputError(
                f"{ref.repo_id} is not on this machine ({bytes_of(plan.download_bytes)} to download). Open its card and "
                "choose Download and use, then compare."
            )

    def _ref(self, model: str | None, pinned: ModelRef | None) -> ModelRef:
        if not model or model in (PINNED, BASE):
            if pinned is None:
                raise UserInputError("No model is pinned. Find one under Search and choose Use this model.")
            return pinned.base if model == BASE else pinned
        return self.router.pin(model)

    def _run(self, asked: Conversation, contenders: list[tuple[ModelRef, GenerationSettings]]) -> Iterator[Bout]:
        answers = self.router.start_together([(ref, asked.messages(), settings) for ref, settings in contenders])
        try:
            battle = Battle(secrets.token_urlsafe(16), asked, (answers[0].id, answers[1].id))
            self.battles.add(battle)
            yield streaming(("", ""), battle.id)
            for sides in side_by_side(answers):
                if sides.failed is not None:
                    raise sides.failed
                if not sides.done:
                    yield streaming((sides.texts[0], sides.texts[1]), None)
        except Exception:
            for answer in answers:
                answer.cancel()
            raise
        left, right = answers[0].reply(), answers[1].reply()
        if not left.content and not right.content:
            raise UserInputError("Both answers were stopped before they began; there is nothing to compare.")
        self.battles.finish(replace(battle, left=left, right=right))
        yield ready(left, right)

    def stop(self, battle_id: str | None) -> Any:
        """End both answers; what is there can be voted on."""
        with shown_to_user():
            for answer_id in self.battles.get(battle_id).answer_ids:
                if (answer := self.router.answer(answer_id)) is not None:
                    answer.cancel()
            return gr.Button(interactive=False)

    def vote(
        self,
        outcome: Outcome,
        battle_id: str | None,
        comment: str,
        visitor: str,
        conversation: Conversation | None = None,
    ) -> tuple[Any, ...]:
        """Save a vote, then show the names. A second click on the same battle changes nothing."""
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
                lambda vote: rows_of(comparison, vote, created_at=now(), app_version=__version__),
            )
            return (*decided(battle, voted.outcome, conversation, voted.said), voted.badge)


def opening(asked: Conversation) -> Bout:
    """The screen from the click to the first word: the question stands, both sides are empty."""
    return Bout(
        "", shown_messages(asked), gr.skip(), None, gr.Row(visible=True), side("A", ""), side("B", ""),
        gr.Column(visible=False), "", "", gr.Button(visible=False), gr.Button(visible=True, interactive=False),
        "Waiting for both",
    )  # fmt: skip


def waiting(status: str) -> Bout:
    """Only the status line changes while models are being prepared."""
    kept = {name: gr.skip() for name in Bout._fields}
    return Bout(**{**kept, "status": status})


def streaming(texts: tuple[str, str], battle_id: str | None) -> Bout:
    """Both sides, the same number of characters each; the id is set with the first."""
    skip = gr.skip()
    return Bout(
        skip, skip, skip, battle_id or skip, skip, shown_side(texts[0]), shown_side(texts[1]), skip, skip, skip, skip,
        gr.Button(visible=True, interactive=True) if battle_id else skip, "Both are writing" if battle_id else skip,
    )  # fmt: skip


def ready(left: Reply, right: Reply) -> Bout:
    """Both answers are whole: the vote opens."""
    skip = gr.skip()
    return Bout(
        skip, skip, skip, skip, skip, shown_side(left.content), shown_side(right.content), gr.Column(visible=True), "",
        "", gr.Button(visible=True, interactive=True), gr.Button(visible=False), "Which is better? Keys 1, 2, 3, 0.",
    )  # fmt: skip


def voided(conversation: Conversation, text: str) -> Bout:
    """The screen after a side failed: no vote, the prompt is back in the box."""
    return Bout(
        text, gr.Chatbot(value=shown_messages(conversation), feedback_value=thumbs(conversation)), gr.skip(), None,
        gr.Row(visible=False), side("A", None), side("B", None), gr.Column(visible=False), "", "",
        gr.Button(visible=True, interactive=True), gr.Button(visible=False), "No vote: a side failed.",
    )  # fmt: skip


def decided(battle: Battle, outcome: Outcome, conversation: Conversation | None, status: str) -> Bout:
    """The screen after the vote: names and figures, and the conversation goes on from the better answer.

    What was said in it while the battle was open stays the current path; the battle is then a branch.
    """
    assert battle.left is not None
    assert battle.right is not None
    winner = {"left": battle.left, "right": battle.right, "tie": battle.left, "both_bad": None}[outcome]
    before = back_before(battle.asked)
    branch = battle.asked.answer(winner) if winner else before
    went_on = (before if conversation is None else conversation).joined(branch, before.tip)
    skip = gr.skip()
    return Bout(
        skip, gr.Chatbot(value=shown_messages(went_on), feedback_value=thumbs(went_on)), went_on, skip, skip,
        side(f"A · {name_of(battle.left)}", battle.left.content),
        side(f"B · {name_of(battle.right)}", battle.right.content),
        gr.Column(visible=False), skip, reveal_of(battle.left, battle.right, outcome),
        gr.Button(visible=True, interactive=True), gr.Button(visible=False), status,
    )  # fmt: skip


def back_before(asked: Conversation) -> Conversation:
    """The conversation without its last question, which stays in the tree as a branch."""
    assert asked.tip is not None
    return replace(asked, tip=asked.turn(asked.tip).parent)


def side(label: str, text: str | None) -> Any:
    """One column under its heading; None empties it."""
    return gr.Chatbot(label=label, value=[] if text is None else shown_side(text))


def shown_side(text: str) -> list[dict[str, Any]]:
    """One answer as the only message of its column."""
    return [text_message("assistant", text or "…")]


def name_of(reply: Reply) -> str:
    """A contender's name once it may be known."""
    return f"{reply.ref.short}, temperature {reply.settings.temperature:g}"


def reveal_of(left: Reply, right: Reply, outcome: Outcome) -> str:
    """Names and figures of both sides after the vote."""
    said = {"left": "A was better", "right": "B was better", "tie": "Tie", "both_bad": "Both bad"}[outcome]
    rows = "".join(
        f"<tr><th>{letter}</th><td><b>{escape(name_of(reply))}</b><br>"
        f'<span class="pg-meta">{escape(figures(reply))}</span></td></tr>'
        for letter, reply in (("A", left), ("B", right))
    )
    return f'<div class="pg-reveal" data-vote="{outcome}"><p>You said: {said}.</p><table>{rows}</table></div>'
