"""A conversation as an immutable tree of turns: every branch kept, one current path, and the steps that led to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import uuid4

from core.attached import Attached
from core.chat import Message, Reply, Usage
from core.errors import UserInputError

MOST_STEPS = 100
"""How many steps can be undone."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message in the tree. `reply` is set on the model's turns and says what made them, `system` what it was told.

    `edited` names the turn that this is a person's edit of. The first `prefilled` characters of an answer were written by
    a person. `earlier` is the turn as it was before it was continued. `context` is how many tokens the model reads at most.
    """

    id: str
    parent: str | None
    message: Message
    reply: Reply | None = None
    rating_id: str | None = None
    label: bool | None = None
    system: str = ""
    edited: str | None = None
    prefilled: int = 0
    earlier: Turn | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Preferred:
    """Two turns of one place, which of them a person prefers, and the row that says so."""

    chosen: str
    rejected: str
    row_id: str

    def of(self, one: str, other: str) -> bool:
        """Whether it is about these two."""
        return {self.chosen, self.rejected} == {one, other}


@dataclass(frozen=True, slots=True)
class Conversation:
    """The transcript of record. `tip` is the id of the last turn of the current path, None when empty.

    The screen shows a view of it; what is sent to a model, stored and copied comes from here, exact to the byte. `back` and
    `ahead` are the tips that undo and redo lead to. `id` is "" until something was said; `title` "" is the first message.
    `since` is the turn from which on a screen was asked to show the path; None: the newest turns. It is not kept.
    """

    system: str = ""
    turns: tuple[Turn, ...] = ()
    tip: str | None = None
    id: str = ""
    title: str = ""
    preferred: tuple[Preferred, ...] = ()
    back: tuple[str | None, ...] = ()
    ahead: tuple[str | None, ...] = ()
    since: str | None = None

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
        system = turn.system if turn.message.role == "assistant" else self.system
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

    def ask(self, text: str, images: tuple[Attached, ...] = ()) -> Conversation:
        """A user turn added after the tip, with its pictures. Whoever writes on is at the newest turns again."""
        return replace(self._add(Turn(str(uuid4()), self.tip, Message("user", text, images))), since=None)

    def answer(self, reply: Reply, *, prefilled: int = 0, context: int | None = None) -> Conversation:
        """A model's turn added after the tip. The first `prefilled` characters of the reply were given to it."""
        return self._add(
            Turn(
                reply.id, self.tip, Message("assistant", reply.content), reply, system=self.system,
                prefilled=prefilled, context=context,
            )
        )  # fmt: skip

    def edited(self, turn_id: str, text: str) -> Conversation:
        """A person's edit of an answer, beside it; no model made it."""
        turn = self.turn(turn_id)
        if turn.message.role != "assistant":
            raise UserInputError("Only an answer is edited here. Your own message is edited in its place.")
        if not text.strip():
            raise UserInputError("The edited answer is empty. Write what the answer should have been.")
        if text == turn.message.content:
            raise UserInputError("Nothing was changed. Edit the answer first, then save it.")
        made = Turn(str(uuid4()), turn.parent, Message("assistant", text), system=turn.system, edited=turn_id)
        return replace(self, turns=(*self.turns, made), tip=made.id)

    def continued(self, turn_id: str, reply: Reply, *, context: int | None = None) -> Conversation:
        """An answer that goes on: `reply` holds all of it.

        What was judged or answered, or came from somebody else, stays as it is; then it goes on beside it.
        """
        turn = self.turn(turn_id)
        if not reply.content.startswith(turn.message.content):
            raise ValueError("a continued answer begins with the answer")
        whole = replace(reply, usage=_together(turn.reply, reply))
        other_maker = turn.reply is None or turn.reply.ref != reply.ref
        fixed = turn.label is not None or any(turn_id in (pair.chosen, pair.rejected) for pair in self.preferred)
        longer = replace(
            turn,
            message=Message("assistant", reply.content),
            reply=whole,
            prefilled=len(turn.message.content) if other_maker else turn.prefilled,
            earlier=turn,
            context=context or turn.context,
        )
        if fixed or other_maker or any(other.parent == turn_id for other in self.turns):
            longer = replace(longer, id=reply.id, rating_id=None, label=None, edited=None, earlier=None)
            return replace(self, turns=(*self.turns, longer), tip=longer.id)
        return replace(self, turns=tuple(longer if one.id == turn_id else one for one in self.turns), tip=turn_id)

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
        last = here.turn(here.tip)
        return replace(here, tip=last.parent).ask(text, last.message.images)

    def siblings(self, turn_id: str) -> tuple[Turn, ...]:
        """All turns that stand at the same place as `turn_id`, oldest first, itself among them."""
        turn = self.turn(turn_id)
        return tuple(t for t in self.turns if t.parent == turn.parent and t.message.role == turn.message.role)

    def places(self) -> tuple[tuple[int, int], ...]:
        """For each turn of the current path: which of how many siblings it is, from 1 on."""
        groups: dict[tuple[str | None, str], list[str]] = {}
        for turn in self.turns:
            groups.setdefault((turn.parent, turn.message.role), []).append(turn.id)
        found = []
        for turn in self.path():
            group = groups[(turn.parent, turn.message.role)]
            found.append((group.index(turn.id) + 1, len(group)))
        return tuple(found)

    def switched(self, turn_id: str, by: int) -> Conversation:
        """The path through the sibling `by` places on, down to the newest turn under it. At the ends it stays."""
        group = self.siblings(turn_id)
        at = next(number for number, turn in enumerate(group) if turn.id == turn_id)
        to = group[max(0, min(len(group) - 1, at + by))]
        return self if to.id == turn_id else self.through(to.id)

    def through(self, turn_id: str) -> Conversation:
        """The path through a turn, down to the newest one under it."""
        newest: dict[str | None, str] = {}
        for turn in self.turns:
            newest[turn.parent] = turn.id
        tip = self.turn(turn_id).id
        while tip in newest:
            tip = newest[tip]
        return self.moved_from(self.tip, tip)

    def moved_from(self, before: str | None, tip: str | None) -> Conversation:
        """At `tip`, with the way back to `before` kept."""
        if before == tip:
            return self
        return replace(self, tip=tip, back=(*self.back, before)[-MOST_STEPS:], ahead=())

    def undone(self) -> Conversation:
        """One step back. Nothing is deleted: the branch is kept, and redo leads to it again."""
        turn = self.turn(self.tip) if self.tip else None
        answered = any(other.parent == self.tip for other in self.turns)
        if turn is not None and turn.earlier is not None and turn.label is None and not answered:
            return replace(self, turns=tuple(turn.earlier if one.id == turn.id else one for one in self.turns))
        if not self.back:
            raise UserInputError("There is nothing to undo in this conversation.")
        return replace(self, tip=self.back[-1], back=self.back[:-1], ahead=(*self.ahead, self.tip))

    def redone(self) -> Conversation:
        """The step that was undone last, again."""
        if not self.ahead:
            raise UserInputError("There is nothing to redo in this conversation.")
        return replace(self, tip=self.ahead[-1], ahead=self.ahead[:-1], back=(*self.back, self.tip))

    def rated(self, turn_id: str, rating_id: str | None, label: bool | None) -> Conversation:
        """The conversation with a turn's thumb set or cleared."""
        marked = tuple(replace(t, rating_id=rating_id, label=label) if t.id == turn_id else t for t in self.turns)
        return replace(self, turns=marked)

    def preferring(self, one: str, other: str, judged: Preferred | None) -> Conversation:
        """With what is preferred of these two said anew, or taken back."""
        others = tuple(pair for pair in self.preferred if not pair.of(one, other))
        return replace(self, preferred=(*others, judged) if judged else others)

    def preference(self, one: str, other: str) -> Preferred | None:
        """What was said of these two; None when nothing was, or it was taken back."""
        return next((pair for pair in self.preferred if pair.of(one, other)), None)

    def having(self, turns: Iterable[Turn]) -> Conversation:
        """With these turns too; those that are there already stay as they are."""
        known = {turn.id for turn in self.turns}
        return replace(self, turns=(*self.turns, *(turn for turn in turns if turn.id not in known)))

    def _add(self, turn: Turn) -> Conversation:
        return replace(self, id=self.id or str(uuid4()), turns=(*self.turns, turn), tip=turn.id)


def _together(first: Reply | None, rest: Reply) -> Usage | None:
    """The tokens and seconds of both parts; what the prompt took is counted once."""
    if first is None or first.usage is None or rest.usage is None:
        return rest.usage
    return Usage(
        first.usage.prompt_tokens,
        first.usage.completion_tokens + rest.usage.completion_tokens,
        first.usage.first_token_s,
        first.usage.seconds + rest.usage.seconds,
    )
