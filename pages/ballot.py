"""Casting a vote, the same for answers and for pictures: checked, saved once, and told as it counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from components.battles import B, Battles
from core.capture import MOST_COMMENT
from core.comparison import OUTCOMES, Strength, Vote
from core.dataset import Row
from core.errors import UserInputError
from core.feedback import saved_sentence
from core.feedback_protocols import FeedbackStore
from core.identity import pseudonym
from core.rubric import Rubric, Score, checked_reasons, checked_scores
from pages.shared import waiting_badge


class Cast(NamedTuple):
    """How a vote counted: the outcome that stands, the sentence for the screen, and the header's badge."""

    outcome: str
    said: str
    badge: str


class Said(NamedTuple):
    """What was marked beside a vote, already checked against the rubric."""

    strength: Strength | None = None
    reasons: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    rubric_version: str | None = None


def said_in(data: Mapping[str, Any], rubric: Rubric, sides: int) -> Said:
    """What a page sent beside its vote; nothing that this rubric does not ask passes."""
    strength = data.get("strength") or None
    if strength not in (None, "slightly", "clearly"):
        raise UserInputError("How much better has to be slightly or clearly.")
    return Said(
        strength,
        checked_reasons(rubric, data.get("reasons", [])),
        checked_scores(rubric, data.get("scores", []), sides),
        rubric.version,
    )


def cast(
    battles: Battles[B],
    store: FeedbackStore,
    battle: B,
    outcome: str,
    comment: str,
    rater: tuple[str, str],
    rows: Callable[[Vote], tuple[Row, ...]],
    *,
    allowed: Collection[str] = OUTCOMES,
    said: Said | None = None,
) -> Cast:
    """Save a vote on a finished battle; a second one changes nothing. `rater` is (secret, visitor).

    `allowed` are the outcomes of that many sides; `said` is what was marked beside the vote.
    """
    if outcome not in allowed:
        names = ", ".join(name.replace("_", " ") for name in allowed).rpartition(", ")
        raise UserInputError(f"The vote has to be {names[0]} or {names[2]}.")
    if len(comment) > MOST_COMMENT:
        raise UserInputError(f"The comment is too long: {len(comment):,} of {MOST_COMMENT:,} characters.")
    vote = Vote(
        outcome,
        rater=pseudonym(*rater),
        comment=comment.strip(),
        decision_seconds=round(time.monotonic() - battle.finished_at, 3) if battle.finished_at else None,
        **({} if said is None else said._asdict()),
    )
    if battle.outcome is None and store.save(rows(vote)).fresh:
        battles.decide(battle.id, outcome)
        battle = replace(battle, outcome=outcome)
    counted = battles.get(battle.id).outcome or outcome
    again = "" if counted == outcome else "This comparison was voted on before; the first vote stands. "
    status = store.status()
    return Cast(counted, again + saved_sentence(status), waiting_badge(status.waiting))
