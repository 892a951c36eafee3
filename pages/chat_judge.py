"""Chat tab: what a person says of answers: a thumb with its reasons, and which of two answers is better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.chat_panels import REASONS, Standing, prefer_panel, rating_panel
from components.ratings import Ratings
from core.attached import NONE_HERE, AttachedPictures
from core.chat import Message, images_of
from core.conversation import Conversation, Preferred, Turn
from core.errors import UserInputError
from core.feedback import saved_sentence
from core.feedback_protocols import FeedbackStore
from core.identity import code_of, pseudonym
from core.preferring import preference_of, rating_of, rivals
from core.rubric import Rubric, Score, checked_scores
from pages.shared import waiting_badge

TAKEN_BACK = "Preference taken back."


class Judging:
    """Saves thumbs and preferences, changes them, and takes them back. Whoever changes one has to be who said it."""

    def __init__(
        self,
        store: FeedbackStore,
        secret: str,
        ratings: Ratings,
        rubric: Rubric,
        pictures: AttachedPictures = NONE_HERE,
    ) -> None:
        self.store, self.secret, self.ratings, self.rubric = store, secret, ratings, rubric
        self.pictures = pictures

    def thumb(
        self,
        conversation: Conversation,
        turn: Turn | None,
        label: bool | None,
        visitor: str,
        more: Standing | None = None,
    ) -> tuple[Conversation, str]:
        """Save a thumb, change it, or take it back when it is clicked away; the sentence says which.

        `more` is what is said with it, in place of all that was said before; None: nothing but the thumb was clicked.
        """
        if turn is None or turn.reply is None:
            raise UserInputError("Only an answer that is finished can be rated.")
        rater = pseudonym(self.secret, visitor)
        if label == turn.label and more in (None, self._said(turn.rating_id, rater)):
            return conversation, saved_sentence(self.store.status())
        more = more or Standing()
        standing = self._mine(turn.rating_id, rater)
        if label is None:
            if standing:
                self.store.withdraw(standing)
            self.ratings.remember(turn.id, None, None)
            return self.ratings.applied(conversation), "Rating taken back."
        scores = tuple(Score(question, 0, value) for question, value in more.scores.items())
        row = rating_of(
            conversation, turn, label, rater, more.reasons, more.comment, standing, scores, self.rubric.version
        )  # fmt: skip
        row = replace(row, images=self._pngs(row.prompt))
        # The row names the one it supersedes; the store takes that one back in the same transaction.
        self.store.save([row])
        self.ratings.remember(turn.id, row.provenance.id, label)
        # Not only returned: an answer that is being written meanwhile ends with a conversation of its own.
        return self.ratings.applied(conversation), saved_sentence(self.store.status())

    def why(self, conversation: Conversation, turn: Turn, visitor: str, reasons: tuple[str, ...] = REASONS) -> str:
        """The panel that asks for the reasons of a thumb; "" when there is none."""
        turn = conversation.turn(turn.id)
        if turn.label is None:
            return ""
        return rating_panel(turn, reasons, self.rubric, self._said(turn.rating_id, pseudonym(self.secret, visitor)))

    def offer(
        self,
        conversation: Conversation,
        chosen_id: str,
        over: str | None,
        visitor: str,
        reasons: tuple[str, ...] = REASONS,
    ) -> str:
        """The panel with both texts and their difference."""
        others = rivals(conversation, chosen_id)
        chosen = conversation.turn(chosen_id)
        rejected = next((one for one in others if one.id == over), others[0])
        if rejected.edited == chosen.id:
            # An edit says what the answer should have been.
            chosen, rejected = rejected, chosen
            others = rivals(conversation, chosen.id)
        standing = conversation.preference(chosen.id, rejected.id)
        said = self._said(standing.row_id if standing else None, pseudonym(self.secret, visitor))
        return prefer_panel(conversation, chosen, rejected, reasons, others, said)

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
        row = replace(row, images=self._pngs(row.prompt))
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

    def scored(self, found: object) -> dict[str, str]:
        """The rubric's questions as a page answered them for one answer; nothing that is not asked passes."""
        return {score.question: score.value for score in checked_scores(self.rubric, found, 1)}

    def badge(self) -> Any:
        """How many rows wait, for the header."""
        return waiting_badge(self.store.status().waiting)

    def _said(self, row_id: str | None, rater: str | None) -> Standing:
        """What this person's row that stands says, so that saving it again loses nothing of it."""
        row = self.store.row(mine) if (mine := self._mine(row_id, rater)) else None
        if row is None:
            return Standing()
        reasons, scores = row.columns.get("reasons"), row.columns.get("scores")
        return Standing(
            tuple(str(one) for one in reasons) if isinstance(reasons, list) else (),
            str(row.columns.get("comment") or ""),
            {str(cell["question"]): str(cell["value"]) for cell in scores} if isinstance(scores, list) else {},
        )

    def _pngs(self, prompt: tuple[Message, ...]) -> tuple[bytes, ...]:
        """The files of the pictures that were asked about: without them nothing is saved."""
        try:
            return tuple(self.pictures.png(image) for image in images_of(prompt))
        except UserInputError as error:
            raise UserInputError(f"Not saved: a row without its picture would say something else. {error}") from error

    def _mine(self, row_id: str | None, rater: str | None) -> str | None:
        """`row_id` if that row stands and this person said it: a conversation may have come out of somebody's file."""
        row = self.store.row(row_id) if row_id else None
        if row is None:
            return None
        by = row.columns.get("rater")
        return row_id if (code_of(str(by)) if by else None) == rater else None
