"""Compare blind: one prompt, two to four answers side by side, a vote, and only then the names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from components import ballot_sheet, contender_sheet, prompt_sheet
from components.battles import Battle
from components.errors import shown_to_user
from components.transcript import LATEX, shown_messages, thumbs
from core import __version__
from core.attached import NONE_HERE, AttachedPictures
from core.candidates import BASE, DEFAULT
from core.chat import check_messages, images_of
from core.chat_protocols import ChatRouter
from core.comparison import field_rows_of, outcomes_of
from core.conversation import Conversation
from core.errors import UserInputError
from core.feedback_protocols import FeedbackStore
from core.gold import NOTHING, Gold
from core.identity import now
from core.prompt_list import read_prompts
from core.refs import ModelRef
from core.rubric import DEFAULT as DEFAULT_RUBRIC
from core.rubric import Rubric
from pages.ballot import Said, cast, said_in
from pages.battle_run import Contest
from pages.battle_screen import SIDES, SKIPPED, Bout, blind_messages, closed, decided, reopened, void_of
from pages.battle_setup import BASE_NAME, PINNED_NAME, Limits, SetupPage
from pages.chat import EXAMPLES, PLACEHOLDER, ChatView
from pages.shared import Frame, Shared

PINNED, BASE_OF_PINNED = PINNED_NAME, BASE_NAME
BLIND = (
    "**Which answer is better?**\n\nOne prompt, two to four answers beside each other. Names, settings and speeds are shown "
    "after your vote. Without a choice under Contenders, the pinned model answers under two settings."
)
# Controls that are set together change one after the other, and what they send may arrive in any order: all send the last.
NEWEST = """async (...now) => {
  window.provingLimits = now;
  await new Promise((resolve) => setTimeout(resolve, 50));
  return window.provingLimits;
}"""
NO_PICTURES = (
    "Battles are on text alone, and there are pictures in this conversation. Clear it first, or ask under Single answer and "
    "say which of two answers is better there."
)


@dataclass(frozen=True)
class BattleView:
    """The components of the comparison, inside the Chat tab. `battle` is the id of the open one, `chosen` that of the setup.

    `first_model` and `second_model` take two models that another tab hands over; `models` is the list to pick from.
    """

    group: gr.Column
    setup: gr.Accordion
    contenders: gr.HTML
    said: gr.HTML
    models: gr.HTML
    prompts: gr.HTML
    columns: gr.Row
    sides: tuple[gr.Chatbot, ...]
    ballot: gr.Column
    comment: gr.Textbox
    sheet: gr.HTML
    reveal: gr.HTML
    text: gr.Textbox
    compare: gr.Button
    stop: gr.Button
    status: gr.HTML
    battle: gr.State
    chosen: gr.State
    limits: gr.State
    first_model: gr.State
    second_model: gr.State


class BattlePage:
    """Blind comparison of models, adapters, quantisations, settings or system prompts."""

    def __init__(
        self,
        router: ChatRouter,
        store: FeedbackStore,
        secret: str,
        local_models: tuple[str, ...],
        rubric: Rubric = DEFAULT_RUBRIC,
        gold: Gold = NOTHING,
        pictures: AttachedPictures = NONE_HERE,
    ) -> None:
        self.pictures = pictures
        self.router, self.store, self.secret = router, store, secret
        self.local_models, self.rubric, self.gold = local_models, rubric, gold
        self.setup = SetupPage(router, store)
        self.contest = Contest(router, rubric)
        self.battles = self.contest.battles
        # What a test replaces to know which side is which.
        self.shuffle = secrets.SystemRandom().shuffle

    def build(self) -> BattleView:
        """Layout only."""
        models = [(name, "") for name in (PINNED, BASE_OF_PINNED, *self.local_models)]
        with gr.Column(visible=False) as group:
            with gr.Accordion("Contenders", open=False, elem_id="contenders") as setup:
                models_list = gr.HTML(contender_sheet.options(models), js_on_load=None, elem_classes="pg-unseen")
                contenders = gr.HTML(
                    contender_sheet.contenders(DEFAULT), elem_id="contender-sheet", js_on_load=contender_sheet.ON_LOAD
                )
                said = gr.HTML("", elem_id="contenders-said", js_on_load=None)
            with gr.Accordion("Prompt list", open=False, elem_id="prompt-list"):
                prompts = gr.HTML(prompt_sheet.prompt_sheet(), elem_id="prompt-sheet", js_on_load=prompt_sheet.ON_LOAD)
            with gr.Row(visible=False, elem_classes="pg-sides") as columns:
                sides = tuple(
                    # All start at their first line: where a side is scrolled to should not weigh in.
                    gr.Chatbot(
                        label=letter, height=340, layout="panel", autoscroll=False, buttons=["copy"],
                        elem_id=f"side-{name}", elem_classes="pg-side", visible=number < 2, min_width=280,
                        latex_delimiters=LATEX,
                    )
                    for number, (letter, name) in enumerate(zip(ballot_sheet.LETTERS, SIDES, strict=True))
                )  # fmt: skip
            with gr.Column(visible=False, elem_classes="pg-ballot") as ballot:
                sheet = gr.HTML("", elem_id="ballot-sheet", js_on_load=ballot_sheet.ON_LOAD)
                comment = gr.Textbox(
                    label="Why (optional)", max_lines=4, elem_id="vote-why", placeholder="What made the difference"
                )
            reveal = gr.HTML("", elem_id="reveal", js_on_load=ON_REVEAL)
            with gr.Column(elem_classes="pg-composer"):
                text = gr.Textbox(
                    label="Prompt",
                    show_label=False,
                    placeholder="One prompt for all. Shift+Enter: new line.",
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
            group, setup, contenders, said, models_list, prompts, columns, sides, ballot, comment, sheet, reveal, text,
            compare, stop, status, gr.State(None), gr.State(None), gr.State(None), gr.State(""), gr.State(""),
        )  # fmt: skip

    def wire(self, view: BattleView, chat: ChatView, shared: Shared) -> None:
        """Events only. What a contender is made of is in no event from Send to the vote: its setup is a state's id."""
        outputs = [
            view.text, chat.chatbot, chat.conversation, view.battle, view.columns, *view.sides, view.ballot, view.comment,
            view.sheet, view.reveal, shared.chip, view.compare, view.stop, view.status,
        ]  # fmt: skip
        asked = [
            chat.conversation, shared.pinned, chat.system, view.chosen, view.limits, view.battle, view.comment,
            chat.running, shared.visitor,
        ]  # fmt: skip
        stream: dict[str, Any] = {
            "api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None,
        }  # fmt: skip
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        gr.on([view.text.submit, view.compare.click], self.compare, [view.text, *asked], outputs, **stream)
        view.prompts.select(self.ask_listed, asked[1:], outputs, **stream)
        view.prompts.submit(self.read_list, None, view.prompts, **quick)
        view.sheet.retry(self.retry, [view.battle, chat.conversation, shared.pinned, shared.visitor], outputs, **stream)
        view.sheet.clear(self.void, [view.battle, chat.conversation, shared.pinned, shared.visitor], outputs, **quick)
        view.sheet.submit(
            self.vote_cast,
            [view.battle, view.comment, shared.visitor, chat.conversation, shared.pinned],
            [*outputs, shared.outbox],
            **quick,
        )
        view.stop.click(self.stop, [view.battle, shared.visitor], view.stop, **quick)
        view.contenders.submit(
            self.setup.choose,
            [shared.pinned, shared.visitor],
            [view.chosen, view.said],
            trigger_mode="always_last",
            **quick,
        )
        gr.on(
            [view.first_model.change, view.second_model.change],
            self.setup.handed,
            [view.first_model, view.second_model, shared.visitor],
            [view.contenders, view.chosen, view.said],
            **quick,
        )
        gr.on(
            [chat.settings.temperature.change, chat.settings.top_p.change, chat.settings.max_new_tokens.change],
            self.limit,
            [chat.settings.temperature, chat.settings.top_p, chat.settings.max_new_tokens],
            view.limits,
            trigger_mode="always_last",
            js=NEWEST,
            **quick,
        )
        chat.mode.change(
            self.switch,
            [chat.mode, chat.conversation, view.battle, chat.running, view.text, shared.visitor],
            [chat.single, view.group, *outputs],
            **quick,
        )

    def limit(self, temperature: float, top_p: float, max_new_tokens: float) -> Limits:
        """What is set under Settings, for contenders that have nothing of their own; checked when a prompt is sent."""
        return temperature, top_p, max_new_tokens

    def switch(
        self,
        mode: str,
        conversation: Conversation,
        battle_id: str | None,
        running: str | None,
        text: str | None = "",
        visitor: str = "",
    ) -> tuple[Any, ...]:
        """Show the composer of the chosen mode; the sides need the room more than the conversation does.

        A page that was opened anew finds the battle that was left open, or the prompt of one that was cut off.
        """
        comparing = mode == "compare"
        height = 200 if comparing else 460
        # What stands in an empty conversation is of the mode too: an example under Single answer asks one model.
        empty: dict[str, Any] = (
            {"placeholder": BLIND, "examples": []} if comparing else {"placeholder": PLACEHOLDER, "examples": EXAMPLES}
        )
        bout = SKIPPED._replace(chatbot=gr.Chatbot(height=height, **empty))
        if running is None:
            # A question that is not voted on stands above its sides, and is no part of the conversation yet.
            battle = self.battles.find(battle_id) if comparing else None
            left = self.contest.left_by(visitor) if comparing and battle_id is None else None
            if battle is not None and not battle.outcome:
                shown = gr.Chatbot(value=blind_messages(battle.asked), feedback_value=[], height=height, **empty)
                bout = SKIPPED._replace(chatbot=shown)
            elif left is not None and left.replies:
                bout = reopened(left, self.rubric, height)
            else:
                shown = gr.Chatbot(
                    value=shown_messages(conversation, small=self.pictures.small),
                    feedback_value=thumbs(conversation),
                    height=height,
                    **empty,
                )
                status = self.router.text_checks() if comparing else gr.skip()
                if comparing and images_of(turn.message for turn in conversation.path()):
                    status = f"{NO_PICTURES} {status}"
                bout = SKIPPED._replace(chatbot=shown, status=status)
                if left is not None and not (text or "").strip():
                    self.battles.drop(left.id)
                    bout = bout._replace(text=left.question, status="Your last battle was cut off. Its prompt is back.")
        return (gr.Column(visible=not comparing), gr.Column(visible=comparing), *bout)

    def compare(
        self,
        text: str,
        conversation: Conversation,
        pinned: ModelRef | None = None,
        system: str = "",
        chosen: str | None = None,
        limits: Limits | None = None,
        open_battle: str | None = None,
        comment: str | None = "",
        running: str | None = None,
        visitor: str = "",
    ) -> Iterator[Bout]:
        """Ask every contender and show their answers in step, without names."""
        with shown_to_user():
            if running is not None:
                raise UserInputError("An answer is being written. Stop it first, or wait for its end.")
            before = self.battles.find(open_battle)
            # A box that was never shown is None.
            if (comment or "").strip() and before is not None and before.finished_at and not before.outcome:
                raise UserInputError("Your reason is not saved yet. Vote first, or empty the box, then compare again.")
            asked = conversation.with_system(system).ask(text)
            check_messages(asked.messages())
            if images_of(asked.messages()):
                raise UserInputError(NO_PICTURES)
            setup = self.setup.chosen(chosen)
            found = self.setup.candidates(setup, pinned, limits)
            battle = Battle(
                secrets.token_urlsafe(16),
                asked,
                (),
                self.setup.drawn(setup, found, self.shuffle),
                visitor,
                setup.setup.flat,
            )
            yield from self.contest.held(battle, conversation, text, lambda: self._chip(pinned))

    def ask_listed(
        self,
        pinned: ModelRef | None,
        system: str,
        chosen: str | None,
        limits: Limits | None,
        open_battle: str | None,
        comment: str | None,
        running: str | None,
        visitor: str,
        event: gr.EventData,
    ) -> Iterator[Bout]:
        """Ask a prompt of the list, each in a conversation of its own."""
        data = event._data if isinstance(event._data, dict) else {}
        prompt = str(data.get("prompt", ""))
        rest = (pinned, system, chosen, limits, open_battle, comment, running, visitor)
        yield from self.compare(prompt, Conversation(), *rest)

    def read_list(self, event: gr.EventData) -> str:
        """Read a list that was pasted or chosen as a file."""
        with shown_to_user():
            data = event._data if isinstance(event._data, dict) else {}
            text, name = data.get("text"), data.get("name")
            if not isinstance(text, str) or not isinstance(name, str):
                raise UserInputError("The list cannot be read. Paste it, or choose a text file.")
            return prompt_sheet.prompt_sheet(read_prompts(text, name), secrets.token_hex(4))

    def retry(
        self,
        battle_id: str | None,
        conversation: Conversation,
        pinned: ModelRef | None,
        visitor: str,
        event: gr.EventData,
    ) -> Iterator[Bout]:
        """Ask the same contenders again after a side failed, drawn anew; still blind."""
        with shown_to_user():
            battle = self._mine(self._same(battle_id, event), visitor)
            if not battle.problem:
                raise UserInputError("This battle cannot be asked again. Compare again instead.")
            self.battles.drop(battle.id)
            sides = list(battle.candidates)
            self.shuffle(sides)
            again = replace(battle, id=secrets.token_urlsafe(16), answer_ids=(), candidates=tuple(sides), problem="")
            yield from self.contest.held(again, conversation, battle.question, lambda: self._chip(pinned))

    def void(
        self,
        battle_id: str | None,
        conversation: Conversation,
        pinned: ModelRef | None,
        visitor: str,
        event: gr.EventData,
    ) -> Bout:
        """End a battle in which a side failed: no vote, and now what went wrong may be told."""
        with shown_to_user():
            battle = self._mine(self._same(battle_id, event), visitor)
            if not battle.problem:
                raise UserInputError("This battle did not fail. Vote on it, or compare again.")
            self.battles.drop(battle.id)
            said = void_of(battle.candidates, battle.problem)
            return closed(conversation, gr.skip(), self._chip(pinned), "Void: no vote was saved.", said)

    def stop(self, battle_id: str | None, visitor: str = "") -> Any:
        """End every answer where it stands on the screen; what is there can be voted on."""
        with shown_to_user():
            battle = self._mine(self.battles.get(battle_id), visitor)
            self.contest.stop(battle)
            return gr.Button(interactive=False)

    def vote_cast(
        self,
        battle_id: str | None,
        comment: str | None,
        visitor: str,
        conversation: Conversation | None,
        pinned: ModelRef | None,
        event: gr.EventData,
    ) -> tuple[Any, ...]:
        """A vote as the ballot sends it; one that names another battle than the open one is refused."""
        with shown_to_user():
            battle = self._same(battle_id, event)
            said = said_in(event._data, self.rubric, max(2, len(battle.candidates)))
            outcome = str(event._data.get("outcome", ""))
        return self.vote(outcome, battle.id, comment or "", visitor, conversation, pinned, said)

    def vote(
        self,
        outcome: str,
        battle_id: str | None,
        comment: str,
        visitor: str,
        conversation: Conversation | None = None,
        pinned: ModelRef | None = None,
        said: Said | None = None,
    ) -> tuple[Any, ...]:
        """Save a vote, then show the names. A second click on the same battle changes nothing."""
        with shown_to_user():
            battle = self._mine(self.battles.get(battle_id), visitor)
            field = battle.comparison()
            said_of = self.gold.holders(field.prompt[-1].content, [reply.content for reply in field.replies])
            field = replace(field, holders=said_of)
            voted = cast(
                self.battles,
                self.store,
                battle,
                outcome,
                comment,
                (self.secret, visitor),
                lambda vote: field_rows_of(field, vote, created_at=now(), app_version=__version__),
                allowed=outcomes_of(len(field.replies)),
                said=said,
            )
            shown = decided(replace(battle, outcome=voted.outcome), conversation, self._chip(pinned), voted.said)
            return (*shown, voted.badge)

    def _same(self, battle_id: str | None, event: gr.EventData) -> Battle:
        """The open battle, when it is the one the page speaks of: a replayed request names an older one."""
        data = event._data if isinstance(event._data, dict) else {}
        battle = self.battles.get(battle_id)
        if data.get("battle") != battle.id:
            raise UserInputError("This is not the battle that is open here. Vote on the one on the screen.")
        return battle

    def _mine(self, battle: Battle, visitor: str) -> Battle:
        """The battle, when this visitor asked it."""
        if battle.owner and battle.owner != visitor:
            raise UserInputError("This comparison belongs to somebody else. Compare again to vote.")
        return battle

    def _chip(self, pinned: ModelRef | None) -> str:
        return Frame(self.router, self.store).describe(pinned)


# The prompt list hears of a saved vote from the page, not from the click.
ON_REVEAL = """
watch('value', () => {
  if (element.querySelector('[data-voted]')) document.dispatchEvent(new CustomEvent('proving-voted'));
});
"""


__all__ = ["BASE", "BASE_OF_PINNED", "PINNED", "BattlePage", "BattleView", "Bout"]
