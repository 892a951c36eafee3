"""A conversation as an immutable tree of turns: every branch kept, one current path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

from core.chat import Message, Reply
from core.errors import UserInputError


@dataclass(frozen=True, slots=True)
class Turn:
    """One message in the tree. `reply` is set on the model's turns and says what made them, `system` what it was told."""

    id: str
    parent: str | None
    message: Message
    reply: Reply | None = None
    rating_id: str | None = None
    label: bool | None = None
    system: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The transcript of record. `tip` is the id of the last turn of the current path, None when empty.

    The screen shows a view of it; what is sent to a model, stored and copied comes from here, exact to the byte.
    """

    system: str = ""
    turns: tuple[Turn, ...] = ()
    tip: str | None = None

    def path(self) -> tuple[Turn, ...]:
        """The current branch, first turn first."""
        by_id = {turn.id: turn for turn in self.turns}
        found = []
        here = self.tip
        while here is not None:
            found.append(by_id[here])
            here = by_id[here].parent
        return tuple(reversed(found))

    def messages(self) -> tuple[Message, ...]:
        """What a model is asked: the system prompt, if any, then the current branch."""
        head = (Message("system", self.system),) if self.system else ()
        return head + tuple(turn.message for turn in self.path())

    def prompt_of(self, turn_id: str) -> tuple[Message, ...]:
        """The messages that the turn `turn_id` answers, under the system prompt of its own time."""
        turn = self.turn(turn_id)
        system = turn.system if turn.reply is not None else self.system
        return replace(self, system=system, tip=turn.parent).messages()

    def turn(self, turn_id: str) -> Turn:
        """The turn of that id; `UserInputError` when this conversation has none (a stale click)."""
        for turn in self.turns:
            if turn.id == turn_id:
                return turn
        raise UserInputError("That message is no longer part of this conversation.")

    def with_system(self, system: str) -> Conversation:
        """The same turns under another system prompt."""
        return replace(self, system=system)

    def ask(self, text: str) -> Conversation:
        """A user turn added after the tip."""
        return self._add(Turn(str(uuid4()), self.tip, Message("user", text)))

    def answer(self, reply: Reply) -> Conversation:
        """A model's turn added after the tip."""
        return self._add(Turn(reply.id, self.tip, Message("assistant", reply.content), reply, system=self.system))

    def joined(self, branch: Conversation, at: str | None) -> Conversation:
        """With the turns of `branch`, which left this conversation at the turn `at`.

        The branch becomes the current path only if this conversation still stands there; what was said since stays.
        """
        known = {turn.id for turn in self.turns}
        if at is not None and at not in known:
            return self
        turns = (*self.turns, *(turn for turn in branch.turns if turn.id not in known))
        return replace(self, turns=turns, tip=branch.tip if self.tip == at else self.tip)

    def back_to_question(self) -> Conversation:
        """The path up to the last user turn, for another answer beside the one that is there."""
        here = self
        while here.tip is not None and here.turn(here.tip).message.role != "user":
            here = replace(here, tip=here.turn(here.tip).parent)
        if here.tip is None:
            raise UserInputError("There is nothing to answer again yet. Write a message first.")
        return here

    def edit_last(self, text: str) -> Conversation:
        """The last user turn written anew, beside the old one, which is kept."""
        here = self.back_to_question()
        assert here.tip is not None
        return replace(here, tip=here.turn(here.tip).parent).ask(text)

    def siblings(self, turn_id: str) -> tuple[Turn, ...]:
        """All turns that stand at the same place as `turn_id`, oldest first, itself among them."""
        turn = self.turn(turn_id)
        return tuple(t for t in self.turns if t.parent == turn.parent and t.message.role == turn.message.role)

    def rated(self, turn_id: str, rating_id: str | None, label: bool | None) -> Conversation:
        """The conversation with a turn's thumb set or cleared."""
        marked = tuple(replace(t, rating_id=rating_id, label=label) if t.id == turn_id else t for t in self.turns)
        return replace(self, turns=marked)

    def _add(self, turn: Turn) -> Conversation:
        return replace(self, turns=(*self.turns, turn), tip=turn.id)
