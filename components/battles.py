"""Battles kept on the server until they are voted on, under random ids that say nothing of the contenders."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from core.chat import Reply
from core.comparison import Comparison, Outcome, PictureComparison
from core.conversation import Conversation
from core.errors import UserInputError
from core.images import Picture

MOST_BATTLES = 2_000


@dataclass(frozen=True, slots=True)
class Battle:
    """One battle: the conversation it continues, the replies once both are finished, the vote once it is cast."""

    id: str
    asked: Conversation
    answer_ids: tuple[str, str]
    left: Reply | None = None
    right: Reply | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None

    def comparison(self) -> Comparison:
        """The finished battle as a comparison; refuses one whose answers are not both there."""
        if self.left is None or self.right is None:
            raise UserInputError("Both answers have to be finished before a vote counts.")
        return Comparison(self.id, self.asked.messages(), self.left, self.right)


@dataclass(frozen=True, slots=True)
class PictureBattle:
    """One battle of two pictures."""

    id: str
    prompt: str
    answer_ids: tuple[str, str]
    left: Picture | None = None
    right: Picture | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None

    def comparison(self) -> PictureComparison:
        """The finished battle as a comparison; refuses one whose pictures are not both there."""
        if self.left is None or self.right is None:
            raise UserInputError("Both pictures have to be finished before a vote counts.")
        return PictureComparison(self.id, self.prompt, self.left, self.right)


B = TypeVar("B", Battle, PictureBattle)


class Battles(Generic[B]):
    """A bounded table of battles, safe for many visitors at once."""

    def __init__(self, most: int = MOST_BATTLES) -> None:
        self._most = most
        self._battles: OrderedDict[str, B] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, battle: B) -> None:
        """Keep a battle; the oldest goes when there are too many."""
        with self._lock:
            self._battles[battle.id] = battle
            while len(self._battles) > self._most:
                self._battles.popitem(last=False)

    def get(self, battle_id: str | None) -> B:
        """The battle of that id, or `UserInputError` when it is gone (a restart, or too long ago)."""
        battle = self.find(battle_id)
        if battle is None:
            raise UserInputError("This comparison is no longer open. Compare again to vote.")
        return battle

    def find(self, battle_id: str | None) -> B | None:
        """As `get`; None when it is gone."""
        with self._lock:
            return self._battles.get(battle_id or "")

    def finish(self, battle: B) -> None:
        """Both sides are there: from now on a vote counts."""
        with self._lock:
            if battle.id in self._battles:
                self._battles[battle.id] = replace(battle, finished_at=time.monotonic())

    def decide(self, battle_id: str, outcome: Outcome) -> None:
        """Remember the vote after it was saved."""
        with self._lock:
            known = self._battles.get(battle_id)
            if known is not None:
                self._battles[battle_id] = replace(known, outcome=outcome)
