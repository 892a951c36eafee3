"""Battles kept on the server until they are voted on, under random ids that say nothing of the contenders."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from core.candidates import Candidate, Setup
from core.chat import Reply
from core.comparison import Field, PictureComparison
from core.conversation import Conversation
from core.errors import UserInputError
from core.images import Picture
from core.refs import ModelRef

MOST_BATTLES = 2_000


@dataclass(frozen=True, slots=True)
class Battle:
    """One battle: the conversation it continues, who answers on which side, the replies once all are finished, the vote.

    `owner` is the visitor who asked; nobody else votes on it. `flat`: the answers are shown without Markdown.
    `problem` is what went wrong, told to whoever ends the battle and not before.
    """

    id: str
    asked: Conversation
    answer_ids: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    owner: str = ""
    flat: bool = False
    replies: tuple[Reply, ...] = ()
    leaked: bool = False
    problem: str = ""
    finished_at: float | None = None
    outcome: str | None = None

    @property
    def question(self) -> str:
        """What was asked, as it was typed."""
        assert self.asked.tip is not None
        return self.asked.turn(self.asked.tip).message.content

    @property
    def left(self) -> Reply:
        """The first reply of a finished battle."""
        return self.replies[0]

    @property
    def right(self) -> Reply:
        """The second one."""
        return self.replies[1]

    @property
    def best(self) -> Reply | None:
        """The reply a decided battle goes on from: the first one of a tie, none where all were bad."""
        if self.outcome is None or self.outcome == "both_bad":
            return None
        place = {"left": 0, "right": 1, "tie": 0}
        return self.replies[place[self.outcome] if self.outcome in place else int(self.outcome) - 1]

    def comparison(self) -> Field:
        """The finished battle as what is voted on; refuses one whose answers are not all there."""
        if not self.replies or self.finished_at is None:
            raise UserInputError(f"{all_of(len(self.answer_ids))} answers have to be finished before a vote counts.")
        systems = tuple(candidate.system for candidate in self.candidates) or (None,) * len(self.replies)
        safety = tuple(reply.safety for reply in self.replies)
        return Field(self.id, self.asked.messages(), self.replies, systems, self.leaked, safety)


def all_of(sides: int) -> str:
    """Both of two, all of more."""
    return "Both" if sides == 2 else "All"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A setup somebody chose, with its contenders' exact models where they do not follow the pinned one."""

    id: str
    setup: Setup
    refs: tuple[ModelRef | None, ...]
    owner: str = ""
    problem: str = ""


class Setups:
    """A bounded table of chosen contenders, safe for many visitors at once."""

    def __init__(self, most: int = MOST_BATTLES) -> None:
        self._most = most
        self._kept: OrderedDict[str, Chosen] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, setup: Setup, refs: tuple[ModelRef | None, ...], owner: str = "", problem: str = "") -> str:
        """Keep a choice; returns the random id it has from now on. The oldest goes when there are too many."""
        chosen = Chosen(secrets.token_urlsafe(16), setup, refs, owner, problem)
        with self._lock:
            self._kept[chosen.id] = chosen
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return chosen.id

    def find(self, setup_id: str | None) -> Chosen | None:
        """The choice of that id; None when there is none, or not any more."""
        with self._lock:
            return self._kept.get(setup_id or "")


@dataclass(frozen=True, slots=True)
class PictureBattle:
    """One battle of two pictures."""

    id: str
    prompt: str
    answer_ids: tuple[str, str]
    left: Picture | None = None
    right: Picture | None = None
    finished_at: float | None = None
    outcome: str | None = None

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

    def newest(self, fits: Callable[[B], bool]) -> B | None:
        """The newest battle that fits; None when none does."""
        with self._lock:
            return next((battle for battle in reversed(self._battles.values()) if fits(battle)), None)

    def finish(self, battle: B) -> None:
        """Both sides are there: from now on a vote counts."""
        with self._lock:
            if battle.id in self._battles:
                self._battles[battle.id] = replace(battle, finished_at=time.monotonic())

    def drop(self, battle_id: str | None) -> None:
        """A battle that came to nothing is not voted on."""
        with self._lock:
            self._battles.pop(battle_id or "", None)

    def decide(self, battle_id: str, outcome: str) -> None:
        """Remember the vote after it was saved."""
        with self._lock:
            known = self._battles.get(battle_id)
            if known is not None:
                self._battles[battle_id] = replace(known, outcome=outcome)
