"""Chat tab: what a person says of answers: a thumb with its reasons, and which of two answers is better."""

from __future__ import annotations

from typing import Any

from components.chat_panels import REASONS, prefer_panel, rating_panel
from components.ratings import Ratings
from core.conversation import Conversation, Preferred, Turn
from core.errors import UserInputError
from core.feedback import saved_sentence
from core.feedback_protocols import FeedbackStore
from core.identity import code_of, pseudonym
from core.preferring import preference_of, rating_of, rivals
from pages.shared import waiting_badge

TAKEN_BACK = "Preference taken back."


class Judging:
    """Saves thumbs and preferences, changes them, and takes them back. Whoever changes one has to be who said it."""

    def __init__(self, store: FeedbackStore, secret: str, ratings: Ratings) -> None:
        self.store, self.secret, self.ratings = store, secret, ratings

    def thumb(
        self,
        conversation: Conversation,
        turn: Turn | None,
        label: bool | None,
        visitor: str,
        reasons: tuple[str, ...] = (),
        comment: str = "",
    ) -> tuple[Conversation, str]:
        """Save a thumb, change it, or take it back when it is clicked away; the sentence says which."""
        if turn is None or turn.reply is None:
            raise UserInputError("Only an answer that is finished can be rated.")
        rater = pseudonym(self.secret, visitor)
        said_more = bool(reasons or comment.strip())
        if label == turn.label and not said_more:
            return conversation, saved_sentence(self.store.status())
        standing = self._mine(turn.rating_id, rater)
        if label is None:
            if standing:
                self.store.withdraw(standing)
            self.ratings.remember(turn.id, None, None)
            return self.ratings.applied(conversation), "Rating taken back."
        row = rating_of(conversation, turn, label, rater, reasons, comment, standing)
        # The row names the one it supersedes; the store takes that one back in the same transaction.
        self.store.save([row])
        self.ratings.remember(turn.id, row.provenance.id, label)
        # Not only returned: an answer that is being written meanwhile ends with a conversation of its own.
        return self.ratings.applied(conversation), saved_sentence(self.store.status())

    def why(self, conversation: Conversation, turn: Turn, reasons: tuple[str, ...] = REASONS) -> str:
        """The panel that asks for the reasons of a thumb; "" when there is none."""
        turn = conversation.turn(turn.id)
        return rating_panel(turn, reasons) if turn.label is not None else ""

    def offer(
        self, conversation: Conversation, chosen_id: str, over: str | None, reasons: tuple[str, ...] = REASONS
    ) -> str:
        """The panel with both texts and their difference."""
        others = rivals(conversation, chosen_id)
        chosen = conversation.turn(chosen_id)
        rejected = next((one for one in others if one.id == over), others[0])
        if rejected.edited == chosen.id:
            # An edit says what the answer should have been.
            chosen, rejected = rejected, chosen
            others = rivals(conversation, chosen.id)
        return prefer_panel(conversation, chosen, rejected, reasons, others)

    def prefer(
        self,
        conversation: Conversation,
        chosen: str,
        rejected: str,
        visitor: str,
        reasons: tuple[str, ...] = (),
        comment: str = "",
    ) -> tuple[Conversation, str]:
        """Save which of two answers is better; a changed mind replaces the row that stands."""
        rater = pseudonym(self.secret, visitor)
        standing = conversation.preference(chosen, rejected)
        if standing and self._mine(standing.row_id, rater) is None:
            conversation = conversation.preferring(chosen, rejected, None)
        row = preference_of(conversation, chosen, rejected, rater, reasons, comment)
        self.store.save([row])
        self.ratings.prefer(chosen, rejected, Preferred(chosen, rejected, row.provenance.id))
        return self.ratings.applied(conversation), saved_sentence(self.store.status())

    def take_back(
        self, conversation: Conversation, chosen: str, rejected: str, visitor: str
    ) -> tuple[Conversation, str]:
        """Withdraw what was said of two answers."""
        standing = conversation.preference(chosen, rejected)
        if standing and (mine := self._mine(standing.row_id, pseudonym(self.secret, visitor))):
            self.store.withdraw(mine)
        self.ratings.prefer(chosen, rejected, None)
        return self.ratings.applied(conversation).preferring(chosen, rejected, None), TAKEN_BACK

    def badge(self) -> Any:
        """How many rows wait, for the header."""
        return waiting_badge(self.store.status().waiting)

    def _mine(self, row_id: str | None, rater: str | None) -> str | None:
        """`row_id` if that row stands and this person said it: a conversation may have come out of somebody's file."""
        row = self.store.row(row_id) if row_id else None
        if row is None:
            return None
        by = row.columns.get("rater")
        return row_id if (code_of(str(by)) if by else None) == rater else None
