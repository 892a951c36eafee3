"""Chat tab: an answer on its way to the screen: asked, prepared, followed, settled. The page listens; the engine owns it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

import gradio as gr

from components.chat_panels import bar
from components.pace import paced
from components.progress import progress_line, queue_line, writing_line
from components.ratings import Ratings
from components.runs import Run, Runs
from components.transcript import first_shown, shown_messages, thumbs, with_earlier
from core.attached import Attached
from core.chat import (
    Capabilities,
    GenerationSettings,
    Message,
    Reply,
    check_messages,
    check_settings,
    refuse_images,
)
from core.chat_protocols import ChatRouter
from core.conversation import Conversation
from core.errors import AppError, BackendError, UserInputError
from core.presets import Preset
from core.refs import ModelRef
from core.template_kwargs import read_template_kwargs
from pages.chat_keeping import Keeper

NOT_ANSWERED = "Not answered. Nothing of the message is lost."
FIGURES_SECONDS = 0.5
"""How often the figures of an answer that is being written change: with a message that is sent anyway, never with one more."""


class Given(NamedTuple):
    """What every handler that asks a model is given, in the order of its inputs."""

    conversation: Conversation
    pinned: ModelRef | None
    system: str
    temperature: float
    top_p: float
    max_new_tokens: float
    seed: str | float | None
    running: str | None = None
    visitor: str = ""
    incognito: bool = False
    thinking: str = ""
    task: Preset | None = None
    template: str = ""
    attached: tuple[Attached, ...] = ()
    top_k: str | float | None = ""
    repetition_penalty: str | float | None = ""

    def settings(self) -> GenerationSettings:
        """The controls as settings, checked."""
        settings = settings_of(
            self.temperature, self.top_p, self.max_new_tokens, self.seed, self.top_k, self.repetition_penalty
        )
        return replace(
            settings,
            thinking={"on": True, "off": False}.get(self.thinking or ""),
            template_kwargs=read_template_kwargs(self.template or ""),
        )

    def asking(self) -> Conversation:
        """The conversation under the system prompt as it is now."""
        return self.conversation.with_system(self.system)


class Update(NamedTuple):
    """What a chat handler puts on the screen, in the order of its outputs. `keep` goes to components/kept.js."""

    text: Any
    chatbot: Any
    conversation: Any
    running: Any
    send: Any
    stop: Any
    status: Any
    desk: Any
    keep: Any
    outbox: Any = gr.skip()
    attached: Any = gr.skip()


class Answers:
    """Asks the engine and follows what it writes, for a new answer, for one that goes on, and for a page that came back."""

    def __init__(self, router: ChatRouter, keeper: Keeper) -> None:
        self.router = router
        self.keeper = keeper
        self.pictures = keeper.pictures
        self.runs = Runs()
        self.ratings = Ratings()

    def answer(
        self, given: Given, asked: Conversation, *, unsent: str | None, begun: str = "", turn: str | None = None
    ) -> Iterator[Update]:
        """Stream the answer to the tip of `asked`; when nothing came of it, the screen is as it was before.

        `begun` is how the answer begins, and `turn` the answer of that text that goes on.
        """
        pinned = given.pinned
        if pinned is None:
            raise UserInputError("No model is pinned. Find one under Search and choose Use this model.")
        settings = given.settings()
        messages = asked.messages()
        if turn is not None:
            messages = asked.prompt_of(turn)
        if begun:
            messages = (*messages, Message("assistant", begun))
        check_messages(messages)
        self._refuse_pictures(pinned, messages)
        given_back = gr.skip() if unsent is None else unsent
        # With the words the pictures go back to where they were.
        tray = asked.turn(asked.tip).message.images if unsent is not None and asked.tip else gr.skip()
        run = Run(asked=asked, before=given.conversation.tip, begun=begun, turn=turn, context=self._context(pinned))
        self.runs.open(run)
        try:
            yield self._asking(given, asked, run)
            for step in self.router.prepare(pinned):
                if run.stopped:
                    break
                if step.stage != "ready":
                    yield waiting(progress_line(step))
            if run.dropped:
                return
            if run.stopped:
                yield self.settled(given, given.conversation, given_back, "Stopped.")._replace(attached=tray)
                return
            yield waiting("Waiting for the first word")
            run.follow(self.router.start(pinned, messages, settings))
            yield from self._to_the_end(given, run, given_back, tray)
        except Exception:
            if not run.dropped:
                # What went wrong is said beside it, for some seconds; this stays until the next answer.
                yield self.settled(given, given.conversation, given_back, NOT_ANSWERED)._replace(attached=tray)
            raise
        finally:
            self.runs.close(run)

    def rejoin(self, given: Given, run: Run) -> Iterator[Update]:
        """Go on showing an answer that another page, or this one before it was reloaded, asked for."""
        self.runs.open(run)
        try:
            yield self._asking(given, run.asked, run)
            yield from self._to_the_end(given._replace(conversation=run.asked), run, gr.skip(), gr.skip())
        except Exception:
            yield self.settled(given, run.asked, gr.skip(), "")
            raise
        finally:
            self.runs.close(run)

    def settled(self, given: Given, conversation: Conversation, text: Any, status: str, desk: Any = None) -> Update:
        """The screen when nothing is being written."""
        conversation = self.ratings.applied(conversation)
        return Update(
            text,
            gr.Chatbot(value=self.shown(conversation), feedback_value=thumbs(conversation)),
            conversation,
            None,
            gr.Button(visible=True),
            gr.Button(visible=False),
            status,
            self.bar(conversation, given.pinned) if desk is None else desk,
            self.keeper.change(conversation, given.visitor, incognito=given.incognito, page=given.conversation),
        )

    def shown(self, conversation: Conversation, partial: str | None = None) -> list[dict[str, Any]]:
        """The conversation for the Chatbot, its pictures with it."""
        return shown_messages(conversation, partial, self.pictures.small)

    def earlier(self, given: Given) -> Update:
        """More of the earlier messages; an answer that is being written goes on under them."""
        run = self.runs.get(given.running)
        partial = None
        if run is None:
            conversation = shown = with_earlier(self.ratings.applied(given.conversation))
        else:
            conversation = run.asked = with_earlier(run.asked)
            shown, reply = before_answer(run), run.reply()
            partial = run.begun + (reply.content if reply else "")
        skip = gr.skip()
        messages = gr.Chatbot(value=self.shown(shown, partial), feedback_value=thumbs(shown))
        return Update(skip, messages, conversation, skip, skip, skip, skip, skip, skip)

    def bar(self, conversation: Conversation, pinned: ModelRef | None) -> str:
        """The steps that are possible now."""
        return bar(conversation, self.abilities(pinned))

    def abilities(self, pinned: ModelRef | None) -> Capabilities | None:
        """What the engine can do with a model; None when there is none, or it says why when it is asked to answer."""
        try:
            return None if pinned is None else self.router.capabilities(pinned)
        except AppError:
            return None

    def refuse_while(self, running: str | None) -> None:
        """One answer at a time in a conversation: two would end as one, and the other would be lost."""
        if self.runs.get(running) is not None:
            raise UserInputError("An answer is being written. Stop it first, or wait for its end.")

    def _refuse_pictures(self, pinned: ModelRef, messages: tuple[Message, ...]) -> None:
        """Before minutes of loading. What a host can do is found out while it is prepared, and its engine refuses."""
        can = None if pinned.host else self.abilities(pinned)
        if can is not None and not can.images:
            refuse_images(messages, dict(can.why_not).get("images", "This model reads text only."))

    def _to_the_end(self, given: Given, run: Run, given_back: Any, tray: Any) -> Iterator[Update]:
        try:
            reply = yield from self._follow(run)
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
            yield self.settled(given, given.conversation, given_back, "Stopped.")._replace(attached=tray)
            return
        said = {
            "cancelled": "Stopped.",
            "length": self._cut(given.pinned, run, reply),
            None: "Cut short by an error. Regenerate asks again.",
        }
        whole = with_answer(run, reply)
        yield self.settled(given, whole, gr.skip(), said.get(reply.finish, ""))

    def _follow(self, run: Run) -> Generator[Update, None, Reply]:
        answer = run.answer
        assert answer is not None
        text = run.begun
        figures_due = 0.0
        status: Any = ""
        for delta in paced(answer.listen()):
            if delta.waiting is not None:
                if not run.dropped:
                    yield waiting(queue_line(delta.waiting))
                continue
            text += delta.text
            if delta.finish is None and not run.dropped:
                if delta.so_far is not None and (now := monotonic()) >= figures_due:
                    status, figures_due = writing_line(delta.so_far, run.context), now + FIGURES_SECONDS
                yield writing(self.shown(before_answer(run), text), status)
                status = gr.skip()
        return answer.reply()

    def _asking(self, given: Given, asked: Conversation, run: Run) -> Update:
        """The screen right after the click. Only here the box is emptied: what is typed from now on is the next message."""
        before = before_answer(run)
        messages: Any = self.shown(before, run.begun)
        if first_shown(before) != first_shown(given.conversation):
            # The thumbs stand at other places now.
            messages = gr.Chatbot(value=messages, feedback_value=thumbs(before))
        return Update(
            "", messages, asked, run.id, gr.Button(visible=False),
            gr.Button(visible=True, interactive=True), "Waiting for the model", "",
            self.keeper.change(asked, given.visitor, incognito=given.incognito, running=run.id),
            attached=() if given.attached and asked.tip and asked.turn(asked.tip).message.images == given.attached else gr.skip(),
        )  # fmt: skip

    def _context(self, pinned: ModelRef) -> int | None:
        can = self.abilities(pinned)
        return can.max_context if can else None

    def _cut(self, pinned: ModelRef | None, run: Run, reply: Reply) -> str:
        """Why an answer ends in the middle, and what can be done about it."""
        usage, can = reply.usage, self.abilities(pinned)
        if usage and run.context and usage.prompt_tokens + usage.completion_tokens >= run.context:
            return "Cut: the model reads no more than this. Edit an earlier message, or clear the conversation."
        if can is None or can.continues:
            return "Cut at max new tokens. Continue goes on with it."
        return "Cut at max new tokens. Raise them under Settings, then Regenerate."


def before_answer(run: Run) -> Conversation:
    """What stands above the answer that is being written."""
    return run.asked if run.turn is None else replace(run.asked, tip=run.asked.turn(run.turn).parent)


def with_answer(run: Run, reply: Reply) -> Conversation:
    """The conversation with the answer in it, whole or as far as it came."""
    whole = replace(reply, content=run.begun + reply.content)
    if run.turn is not None:
        longer = run.asked.continued(run.turn, whole, context=run.context)
        return longer.moved_from(run.asked.tip, longer.tip)
    if any(turn.id == reply.id for turn in run.asked.turns):
        return run.asked
    done = run.asked.answer(whole, prefilled=len(run.begun), context=run.context)
    return replace(done, tip=run.before).moved_from(run.before, done.tip)


def waiting(status: str) -> Update:
    """Only the status line changes while the model is being prepared."""
    skip = gr.skip()
    return Update(skip, skip, skip, skip, skip, skip, status, skip, skip)


def writing(shown: list[dict[str, Any]], status: Any) -> Update:
    """The screen while words arrive."""
    skip = gr.skip()
    return Update(skip, shown, skip, skip, skip, skip, status, skip, skip)


def seed_of(text: str) -> int | None:
    """The seed box: a whole number, or nothing."""
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise UserInputError("The seed has to be a whole number; leave it empty for a random one.") from error


def number_of(text: str | float | None, name: str) -> float | None:
    """A box for a number: what is written there, None when it is empty."""
    if not isinstance(text, str):
        return text
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        # A comma is a point to some and a thousand to others.
        raise UserInputError(
            f"{name} has to be a number, without a comma; leave it empty for the model's own."
        ) from error


def settings_of(
    temperature: float,
    top_p: float,
    max_new_tokens: float,
    seed: str | float | None,
    top_k: str | float | None = None,
    repetition_penalty: str | float | None = None,
) -> GenerationSettings:
    """The controls as settings, checked; a crafted request gets the same check as the screen. No seed: a random one."""
    try:
        if isinstance(seed, str):
            seed = seed_of(seed)
        likeliest = number_of(top_k, "Top-k")
        if likeliest is not None and not float(likeliest).is_integer():
            raise UserInputError("Top-k has to be a whole number; leave it empty for the model's own.")
        penalty = number_of(repetition_penalty, "Repetition penalty")
        return check_settings(
            GenerationSettings(
                max_new_tokens=int(max_new_tokens),
                temperature=float(temperature),
                top_p=float(top_p),
                top_k=None if likeliest is None else int(likeliest),
                repetition_penalty=None if penalty is None else float(penalty),
                seed=None if seed is None else int(seed),
            )
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserInputError("The settings have to be numbers.") from error
