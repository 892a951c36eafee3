"""Casting a vote, the same for answers and for pictures: checked, saved once, and told as it counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from components.battles import B, Battles
from core.capture import MOST_COMMENT
from core.comparison import OUTCOMES, Outcome, Vote
from core.dataset import Row
from core.errors import UserInputError
from core.feedback import saved_sentence
from core.identity import pseudonym
from core.protocols import FeedbackStore
from pages.shared import waiting_badge


class Cast(NamedTuple):
    """How a vote counted: the outcome that stands, the sentence for the screen, and the header's badge."""

    outcome: Outcome
    said: str
    badge: str


def cast(
    battles: Battles[B],
    store: FeedbackStore,
    battle: B,
    outcome: Outcome,
    comment: str,
    rater: tuple[str, str],
    rows: Callable[[Vote], tuple[Row, ...]],
) -> Cast:
    """Save a vote on a finished battle; a second one changes nothing. `rater` is (secret, visitor)."""
    if outcome not in OUTCOMES:
        raise UserInputError("The vote has to be left, right, tie or both bad.")
    if len(comment) > MOST_COMMENT:
        raise UserInputError(f"The comment is too long: {len(comment):,} of {MOST_COMMENT:,} characters.")
    vote = Vote(
        outcome,
        rater=pseudonym(*rater),
        comment=comment.strip(),
        decision_seconds=round(time.monotonic() - battle.finished_at, 3) if battle.finished_at else None,
    )
    if battle.outcome is None and store.save(rows(vote)).fresh:
        battles.decide(battle.id, outcome)
        battle = replace(battle, outcome=outcome)
    counted = battles.get(battle.id).outcome or outcome
    again = "" if counted == outcome else "This comparison was voted on before; the first vote stands. "
    status = store.status()
    return Cast(counted, again + saved_sentence(status), waiting_badge(status.waiting))
