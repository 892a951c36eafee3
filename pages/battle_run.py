"""A battle from the click to the ballot: every contender asked, their answers followed in step, stopped, or given up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from components.battles import Battle, Battles
from components.side_by_side import side_by_side
from core.candidates import Candidate
from core.chat import Message, Reply
from core.chat_protocols import ChatRouter
from core.conversation import Conversation
from core.errors import AppError, PromptRefused, UserInputError
from core.leaks import gives_itself_away
from core.lockstep import stride
from core.rubric import Rubric
from pages.battle_screen import Bout, closed, failed, opening, ready, streaming, waiting

log = logging.getLogger(__name__)
PACE = 0.04  # seconds between two messages of a battle, at least


class Contest:
    """Runs battles, and keeps each under its random id until it is voted on."""

    def __init__(self, router: ChatRouter, rubric: Rubric) -> None:
        self.router, self.rubric = router, rubric
        self.battles: Battles[Battle] = Battles()
        self._stopped: dict[str, threading.Event] = {}

    def held(self, battle: Battle, conversation: Conversation, text: str, chip: Callable[[], str]) -> Iterator[Bout]:
        """One battle from the first empty screen on, whatever becomes of it. `chip` names the pinned model again."""
        sides = len(battle.candidates)
        try:
            yield opening(battle.asked, sides)
            yield from self._run(battle, conversation, text)
        except Exception:
            self.battles.drop(battle.id)
            yield closed(conversation, text, chip(), "No vote: a side failed.")
            raise
        finally:
            self._stopped.pop(battle.id, None)

    def _run(self, battle: Battle, conversation: Conversation, text: str) -> Iterator[Bout]:
        requests = [
            (each.ref, messages_for(battle.asked, each), each.settings) for each in battle.candidates
        ]  # fmt: skip
        answers: tuple[Any, ...] = ()
        try:
            # In an order that is the same whichever side a contender is on, and without a figure of it.
            for ref in sorted({each.ref for each in battle.candidates}, key=str):
                for step in self.router.prepare(ref):
                    if step.stage != "ready":
                        yield waiting("Preparing the contenders")
            answers = self.router.start_together(requests)
            battle = replace(battle, answer_ids=tuple(answer.id for answer in answers))
            stopped = self._stopped.setdefault(battle.id, threading.Event())
            self.battles.add(battle)
            yield streaming([""] * len(answers), battle.id, battle.flat)
            for sides in side_by_side(answers, PACE, stride, stopped.is_set):
                if sides.failed is not None:
                    raise sides.failed
                if not sides.done:
                    yield streaming(sides.texts, None, battle.flat)
        except PromptRefused:
            # Said of the prompt alone, before any model saw it.
            raise
        except AppError as error:
            for answer in answers:
                answer.cancel()
            log.warning("a battle failed: %s: %s", type(error).__name__, error)
            self.battles.add(replace(battle, replies=(), problem=str(error)))
            yield failed(conversation, text, battle.id, len(battle.candidates))
            return
        except BaseException:
            for answer in answers:
                answer.cancel()
            raise
        replies = tuple(
            replace(answer.reply(), content=text, finish="cancelled") if sides.stopped else answer.reply()
            for answer, text in zip(answers, sides.texts, strict=True)
        )
        if not any(reply.content for reply in replies):
            raise UserInputError("The answers were stopped before they began; there is nothing to compare.")
        battle = replace(battle, replies=replies, leaked=leaked(battle, replies))
        self.battles.finish(battle)
        yield ready(battle, self.rubric, sides.stopped)

    def left_by(self, visitor: str) -> Battle | None:
        """The newest battle of a visitor when it is neither voted on nor on its way nor failed; None when there is none."""
        battle = self.battles.newest(lambda one: bool(visitor) and one.owner == visitor)
        if battle is None or battle.outcome or battle.problem or battle.id in self._stopped:
            return None
        return battle

    def stop(self, battle: Battle) -> None:
        """End every answer where it stands on the screen."""
        if (stopped := self._stopped.get(battle.id)) is not None:
            stopped.set()
        for answer_id in battle.answer_ids:
            if (answer := self.router.answer(answer_id)) is not None:
                answer.cancel()


def messages_for(asked: Conversation, candidate: Candidate) -> tuple[Message, ...]:
    """What one contender is asked: the conversation, under a system prompt of its own where it has one."""
    return (asked if candidate.system is None else asked.with_system(candidate.system)).messages()


def leaked(battle: Battle, replies: tuple[Reply, ...]) -> bool:
    """Whether an answer named its model or maker, so that whoever read it may have known."""
    prompt = "\n".join(message.content for message in battle.asked.messages())
    makers = tuple({reply.ref for reply in replies})
    return any(gives_itself_away(reply.content, prompt, makers) for reply in replies)
