"""Conversations that are kept: what a list of them shows, what is found in it, and the seam to where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.conversation import Conversation
from core.refs import shown

MOST_TITLE = 120
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Head:
    """One conversation in a list. `updated` is UTC, ISO 8601; `turns` counts every branch."""

    id: str
    title: str
    updated: str
    turns: int

    def as_record(self) -> dict[str, Any]:
        """As a page reads it."""
        return {"id": self.id, "title": self.title, "updated": self.updated, "turns": self.turns}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a conversation since it was kept last: its head, and the turns that are new or different.

    Turns are records of `core.turn_record`. `running` names an answer that is being written under the tip.
    """

    id: str
    head: dict[str, Any]
    turns: tuple[dict[str, Any], ...]


class ConversationStore(Protocol):
    """Every signed-in visitor's conversations on this machine. `owner` comes from `core.identity.owner_of`; others' do not exist.

    All raise `ConversationError` when the disk or the database fails.
    """

    def keep(self, owner: str, change: Change) -> None:
        """Put a change on disk before this returns. Turns are added or replaced by id, none is removed by it."""
        ...

    def list(self, owner: str, words: str = "", limit: int = MOST_LISTED) -> Sequence[Head]:
        """The conversations whose title or text has every one of `words`, the newest first."""
        ...

    def read(self, owner: str, conversation_id: str) -> dict[str, Any]:
        """The whole record, as `core.transcripts` reads it; `UserInputError` when it is not here."""
        ...

    def rename(self, owner: str, conversation_id: str, title: str) -> None:
        """Give it a title; nothing happens when it is not here."""
        ...

    def delete(self, owner: str, conversation_id: str) -> bool:
        """Delete it and all its branches; False when it was not here."""
        ...

    def turns_with(self, owner: str, conversation_id: str, text: str) -> Sequence[dict[str, Any]]:
        """The records of a conversation's turns that have this text in them; () when it is not here."""
        ...

    def mentions(self, owner: str, text: str) -> bool:
        """Whether the record of any turn that is kept has this text: a picture's name, for example."""
        ...

    def latest(self, owner: str) -> str | None:
        """The conversation that was kept last and says that an answer is on its way; None when there is none."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...


def title_of(conversation: Conversation) -> str:
    """The title a person gave it, else the beginning of what was asked first."""
    if conversation.title:
        return conversation.title
    first = next((turn.message.content for turn in conversation.turns if turn.message.role == "user"), "")
    return shown(" ".join(first.split()), 60) or "Conversation"
