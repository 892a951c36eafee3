"""Two answers to one prompt, the vote between them, and the rows that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from core.chat import Message, Reply
from core.dataset import ComparisonRow, Contender, PreferenceRow, Provenance, Row, Source
from core.errors import UserInputError

Outcome = Literal["left", "right", "tie", "both_bad"]
Strength = Literal["slightly", "clearly"]

OUTCOMES: tuple[Outcome, ...] = ("left", "right", "tie", "both_bad")
_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prompt and the two replies as they stood on the screen."""

    id: str
    prompt: tuple[Message, ...]
    left: Reply
    right: Reply
    blind: bool = True
    source: Source = "battle"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of one comparison."""

    outcome: Outcome
    rater: str | None = None
    comment: str = ""
    reasons: tuple[str, ...] = ()
    strength: Strength | None = None
    decision_seconds: float | None = None
    campaign: str | None = None


def contender(reply: Reply) -> Contender:
    """The reply's maker, as a row names it."""
    adapter = reply.ref.adapter
    return Contender(
        model=reply.ref.repo_id,
        revision=reply.ref.revision,
        adapter=str(adapter) if adapter else None,
        settings=reply.settings.as_json(),
    )


def rows_of(comparison: Comparison, vote: Vote, *, created_at: str, app_version: str) -> tuple[Row, ...]:
    """The rows a vote makes: always a comparison, and a preference when one side won with a different text.

    Row ids follow from the comparison and the rater, so the same vote twice is the same row twice.
    """
    if vote.outcome not in OUTCOMES:
        raise UserInputError("The vote has to be left, right, tie or both_bad.")
    left, right = comparison.left, comparison.right
    makers = contender(left), contender(right)
    key = f"{comparison.id}:{vote.rater or ''}"

    def provenance(config: str, shown_left: str | None) -> Provenance:
        return Provenance(
            id=str(uuid5(_NAMESPACE, f"{key}:{config}")),
            created_at=created_at,
            source=comparison.source,
            app_version=app_version,
            rater=vote.rater,
            campaign=vote.campaign,
            item=item_of(comparison.prompt, makers),
            comparison_id=comparison.id,
            blind=comparison.blind,
            leaked=False,
            derived=False,
            shown_left=shown_left,
            strength=vote.strength,
            reasons=vote.reasons,
            comment=vote.comment or None,
            decision_seconds=vote.decision_seconds,
            backend=same(left.backend, right.backend),
            dtype=same(left.dtype, right.dtype),
        )

    compared = ComparisonRow(
        provenance("comparisons", None),
        kind="chat",
        prompt=comparison.prompt,
        left=(Message("assistant", left.content),),
        right=(Message("assistant", right.content),),
        outcome=vote.outcome,
        left_by=makers[0],
        right_by=makers[1],
    )
    if vote.outcome not in ("left", "right") or left.content == right.content:
        return (compared,)
    won, lost = (left, right) if vote.outcome == "left" else (right, left)
    preferred = PreferenceRow(
        provenance("preferences", "chosen" if vote.outcome == "left" else "rejected"),
        prompt=comparison.prompt,
        chosen=(Message("assistant", won.content),),
        rejected=(Message("assistant", lost.content),),
        chosen_by=contender(won),
        rejected_by=contender(lost),
    )
    return (compared, preferred)


def item_of(prompt: Sequence[Message], makers: Sequence[Contender]) -> str:
    """The unit of agreement: a hash of the prompt and the unordered pair of contenders."""
    pair = sorted(json.dumps([m.model, m.revision, m.adapter, m.settings]) for m in makers)
    text = json.dumps([[m.as_dict() for m in prompt], pair], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def same(left: str, right: str) -> str:
    """One name where both sides share it, both where they differ."""
    return left if left == right else f"{left} | {right}"
