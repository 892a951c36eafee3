"""Chat tab: the buttons of components/transcript.py and components/chat_panels.py: branches, edits, preferences, reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from components.chat_panels import REASONS, Standing, begin_panel, edit_panel, message_panel
from components.errors import shown_to_user
from core.chat import check_messages
from core.conversation import Conversation, Turn
from core.errors import UserInputError
from pages.chat_judge import Judging
from pages.chat_stream import Answers, Given, Update

STALE = "That button belongs to an older view of this page. Try again."


class Acts:
    """What the buttons between the messages do: `act` looks and steps, `ask` asks the model, `judge` saves what is better."""

    def __init__(
        self, answers: Answers, judging: Judging, ask_task: Callable[[Mapping[str, Any], Given], Iterator[Update]]
    ) -> None:
        self.answers, self.judging, self.ask_task = answers, judging, ask_task

    def act(self, event: gr.EventData, text: str, *given: Any) -> Update:
        """A step in the tree, or a panel that opens, by the `act` the button sends."""
        with shown_to_user():
            asked, said = Given(*given), values_of(event)
            what = str(said.get("act"))
            if what in ("edit", "begin", "close", "prefer", "why"):
                return self._panel(what, said, asked)
            if what == "earlier":
                return self.answers.earlier(asked)
            self.answers.refuse_while(asked.running)
            if what in ("switch", "undo", "redo"):
                return self._step(what, said, asked, text)
            if what == "save_edit":
                after, _ = self._edited(said, asked)
                return self.answers.settled(asked, after, gr.skip(), "Edit kept beside the answer.")
            raise UserInputError(STALE)

    def judge(self, event: gr.EventData, *given: Any) -> Update:
        """What is better, why, or that it is taken back: rows under the visitor's pseudonym."""
        with shown_to_user():
            asked, said = Given(*given), values_of(event)
            self.answers.refuse_while(asked.running)
            if said.get("act") == "save_edit":
                after, made = self._edited(said, asked)
                saved, sentence = self.judging.prefer(after, made, str(said.get("turn")), asked.visitor)
                return self._said(
                    asked,
                    saved,
                    sentence,
                    self.judging.offer(saved, made, str(said.get("turn")), asked.visitor, rubric(asked)),
                )
            return self._judged(str(said.get("act")), said, asked)

    def ask(self, event: gr.EventData, text: str, *given: Any) -> Iterator[Update]:
        """A button after which the model writes: going on with an answer, or with the beginning of one."""
        with shown_to_user():
            asked = Given(*given)
            self.answers.refuse_while(asked.running)
            said = values_of(event)
            conversation = asked.asking()
            if said.get("act") == "continue":
                turn = conversation.turn(str(said.get("turn")))
                if turn.id != conversation.tip:
                    raise UserInputError(STALE)
                if not turn.message.content:
                    raise UserInputError("There is nothing of this answer to go on from. Regenerate asks again.")
                yield from self.answers.answer(
                    asked, conversation, unsent=None, begun=turn.message.content, turn=turn.id
                )
                return
            if said.get("act") == "task":
                yield from self.ask_task(said, asked)
                return
            if said.get("act") == "reword":
                yield from self._reworded(said, asked)
                return
            begun = str(said.get("begun") or "")
            if not begun:
                raise UserInputError("Write how the answer begins, or send your message without it.")
            if text.strip() or asked.attached:
                question = conversation.ask(text, asked.attached)
                yield from self.answers.answer(asked, question, unsent=text, begun=begun)
            else:
                yield from self.answers.answer(asked, conversation.back_to_question(), unsent=None, begun=begun)

    def _reworded(self, said: Mapping[str, Any], asked: Given) -> Iterator[Update]:
        """Answer an edited message; the old branch is kept. Until it is asked, the panel stays with what was typed."""
        conversation = asked.asking()
        turn = conversation.turn(str(said.get("turn")))
        if turn.message.role != "user":
            raise UserInputError("Only your own messages can be asked again. Edit the answer instead.")
        text = _typed(said, turn)
        question = replace(conversation, tip=turn.parent).ask(text, turn.message.images)
        asked.settings()
        check_messages(question.messages())
        yield from self.answers.answer(asked, question, unsent=text)

    def _step(self, what: str, said: Mapping[str, Any], asked: Given, text: str) -> Update:
        before = asked.conversation
        if what == "switch":
            after = before.switched(str(said.get("turn")), -1 if said.get("by") == -1 else 1)
            return self.answers.settled(asked, after, gr.skip(), "")
        after = before.undone() if what == "undo" else before.redone()
        gone = [turn for turn in before.path() if turn not in after.path() and turn.message.role == "user"]
        # What was asked comes back into the box, unless something else is being written there.
        back = gone[-1].message.content if what == "undo" and gone and not text.strip() else gr.skip()
        update = self.answers.settled(asked, after, back, "Undone." if what == "undo" else "")
        images = gone[-1].message.images if what == "undo" and gone else ()
        return update._replace(attached=images) if images and not asked.attached else update

    def _panel(self, what: str, said: Mapping[str, Any], asked: Given) -> Update:
        conversation = self.answers.ratings.applied(asked.conversation)
        if what == "close":
            return only(desk=self.answers.bar(conversation, asked.pinned))
        if what == "begin":
            return only(desk=begin_panel())
        turn = conversation.turn(str(said.get("turn")))
        if what == "edit":
            return only(desk=message_panel(turn) if turn.message.role == "user" else edit_panel(turn))
        if what == "why":
            return only(desk=self.judging.why(conversation, turn, asked.visitor, rubric(asked)))
        over = said.get("over")
        offered = self.judging.offer(
            conversation, turn.id, str(over) if over else None, asked.visitor, rubric(asked)
        )  # fmt: skip
        return only(desk=offered)

    def _edited(self, said: Mapping[str, Any], asked: Given) -> tuple[Conversation, str]:
        """(the conversation with an answer edited, the new turn's id)."""
        before, turn_id = asked.conversation, str(said.get("turn"))
        edited = before.edited(turn_id, _typed(said, before.turn(turn_id)))
        assert edited.tip is not None
        return replace(edited, tip=before.tip).moved_from(before.tip, edited.tip), edited.tip

    def _judged(self, what: str, said: Mapping[str, Any], asked: Given) -> Update:
        conversation = self.answers.ratings.applied(asked.conversation)
        turn, over = str(said.get("turn")), str(said.get("over"))
        comment, reasons = str(said.get("comment") or ""), reasons_of(said)
        if what == "save_preference":
            saved, sentence = self.judging.prefer(conversation, turn, over, asked.visitor, reasons, comment)
        elif what == "withdraw_preference":
            saved, sentence = self.judging.take_back(conversation, turn, over, asked.visitor)
        elif what == "save_reasons":
            rated = conversation.turn(turn)
            more = Standing(reasons, comment.strip(), self.judging.scored(said.get("scores") or ()))
            saved, sentence = self.judging.thumb(conversation, rated, rated.label, asked.visitor, more)
        else:
            raise UserInputError(STALE)
        return self._said(asked, saved, sentence)

    def _said(self, asked: Given, conversation: Conversation, sentence: str, desk: Any = None) -> Update:
        update = self.answers.settled(asked, conversation, gr.skip(), sentence, desk)
        return update._replace(outbox=self.judging.badge())


def values_of(event: gr.EventData) -> Mapping[str, Any]:
    """What a button sent; a crafted event is refused like a stale one."""
    found = event._data
    if not isinstance(found, Mapping):
        raise UserInputError(STALE)
    return found


def _typed(said: Mapping[str, Any], turn: Turn) -> str:
    """What was typed over a turn's text. A browser's box knows one kind of line break."""
    text = str(said.get("text") or "")
    return text.replace("\n", "\r\n") if "\r\n" in turn.message.content and "\r" not in text else text


def reasons_of(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The reasons that were ticked."""
    found = said.get("reasons")
    if isinstance(found, str):
        return (found,)
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def rubric(asked: Given) -> tuple[str, ...]:
    """The reasons that are offered: those of the task, else the usual ones."""
    return asked.task.rubric if asked.task is not None and asked.task.rubric else REASONS


def only(**changed: Any) -> Update:
    """An update of some of the screen; the rest stays as it is."""
    return Update(**{name: changed.get(name, gr.skip()) for name in Update._fields})
