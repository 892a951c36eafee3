"""Two answers to one prompt, the vote between them, and the rows that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from core.chat import Message, Reply
from core.dataset import (
    ComparisonRow,
    Config,
    Contender,
    ImagePreferenceRow,
    PreferenceRow,
    Provenance,
    Row,
    ScoreCell,
    Source,
)
from core.errors import UserInputError
from core.evidence import without_chance
from core.gold import expected
from core.images import Picture
from core.rubric import Score
from core.text_safety import column_of

Outcome = Literal["left", "right", "tie", "both_bad"]
Strength = Literal["slightly", "clearly"]

OUTCOMES: tuple[Outcome, ...] = ("left", "right", "tie", "both_bad")
_NAMESPACE = uuid5(NAMESPACE_URL, "proving-ground")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prompt and the two replies as they stood on the screen.

    `systems` are the sides' own system prompts, where a contender had one that is not the prompt's. `leaked`: an answer
    told whose it is. `derived`: one pair of a best of n, which share an id. `safety` is the column, as JSON, `gold` the
    outcome that is known to be right.
    """

    id: str
    prompt: tuple[Message, ...]
    left: Reply
    right: Reply
    blind: bool = True
    source: Source = "battle"
    systems: tuple[str | None, str | None] = (None, None)
    leaked: bool = False
    derived: bool = False
    safety: str | None = None
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A prompt and two to four replies in the order of the screen, of which the best is picked.

    `holders`: which of them hold the known answer; empty where none is known.
    """

    id: str
    prompt: tuple[Message, ...]
    replies: tuple[Reply, ...]
    systems: tuple[str | None, ...]
    leaked: bool = False
    safety: tuple[str | None, ...] = ()
    holders: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of one comparison. `outcome` is one of `OUTCOMES`; of a `Field`, one of `outcomes_of` its size."""

    outcome: str
    rater: str | None = None
    comment: str = ""
    reasons: tuple[str, ...] = ()
    strength: Strength | None = None
    decision_seconds: float | None = None
    campaign: str | None = None
    scores: tuple[Score, ...] = ()
    rubric_version: str | None = None


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """A prompt and the two pictures as they stood on the screen. `derived`: one pair of a best of n, which share an id."""

    id: str
    prompt: str
    left: Picture
    right: Picture
    blind: bool = True
    source: Source = "battle"
    derived: bool = False


def contender(made: Reply | Picture, system: str | None = None) -> Contender:
    """The maker of a reply or a picture, as a row names it. `system` is a system prompt of its own."""
    adapter = made.ref.adapter
    return Contender(
        model=made.ref.repo_id,
        revision=made.ref.revision or None,
        adapter=str(adapter) if adapter else None,
        settings=_settings(made, system),
        timings=_timings(made),
    )


def _settings(made: Reply | Picture, system: str | None) -> str:
    """The settings as rows keep them; weights in fewer bits or another system prompt answer otherwise, so they are told too."""
    more = {"weights": made.ref.weights} if made.ref.weights else {}
    if system is not None:
        more["system"] = system
    if not more:
        return made.settings.as_json()
    return json.dumps(json.loads(made.settings.as_json()) | more, sort_keys=True, ensure_ascii=False)


def _timings(made: Reply | Picture) -> str | None:
    """What the engine measured, as rows keep it; None when it measured nothing."""
    if isinstance(made, Picture):
        found: dict[str, float | int | None] = {"seconds": made.timings.drawing, "waited_s": made.timings.waited}
    elif made.usage is None:
        return None
    else:
        found = {
            "first_token_s": made.usage.first_token_s,
            "seconds": made.usage.seconds,
            "tokens": made.usage.completion_tokens,
            "tokens_per_s": made.usage.tokens_per_second,
        }
    known = {name: round(value, 3) for name, value in found.items() if value is not None and isfinite(value)}
    return json.dumps(known, sort_keys=True) if known else None


def rows_of(comparison: Comparison, vote: Vote, *, created_at: str, app_version: str) -> tuple[Row, ...]:
    """The rows a vote makes: always a comparison, and a preference when one side won with a different text.

    Row ids follow from the comparison and the rater, so the same vote twice is the same row twice.
    """
    about = _Told(comparison, vote, created_at, app_version, comparison.prompt)
    left, right = comparison.left, comparison.right
    makers = {"left": contender(left, comparison.systems[0]), "right": contender(right, comparison.systems[1])}
    compared = ComparisonRow(
        about.provenance("comparisons", None),
        kind="chat",
        prompt=comparison.prompt,
        left=(Message("assistant", left.content),),
        right=(Message("assistant", right.content),),
        outcome=vote.outcome,
        left_by=makers["left"],
        right_by=makers["right"],
        gold=comparison.gold,
    )
    if vote.outcome not in ("left", "right") or left.content == right.content:
        return (compared,)
    won, lost = (left, right) if vote.outcome == "left" else (right, left)
    preferred = PreferenceRow(
        about.provenance("preferences", "chosen" if vote.outcome == "left" else "rejected"),
        prompt=comparison.prompt,
        chosen=(Message("assistant", won.content),),
        rejected=(Message("assistant", lost.content),),
        chosen_by=makers[vote.outcome],
        rejected_by=makers["right" if vote.outcome == "left" else "left"],
    )
    return (compared, preferred)


def outcomes_of(sides: int) -> tuple[str, ...]:
    """What can be said of that many sides: of more than two, the number of the best one, a tie, or all bad."""
    return OUTCOMES if sides == 2 else (*(str(number) for number in range(1, sides + 1)), "tie", "both_bad")


def field_rows_of(field: Field, vote: Vote, *, created_at: str, app_version: str) -> tuple[Row, ...]:
    """The rows of a vote on two to four replies: the best against each other one; of a tie or all bad, the first against each.

    n replies make n - 1 comparisons with one comparison id, `derived` where n is more than two.
    """
    sides = len(field.replies)
    if vote.outcome not in outcomes_of(sides):
        raise UserInputError("The vote has to be " + ", ".join(outcomes_of(sides)) + ".")
    safety = field.safety or (None,) * sides
    best = int(vote.outcome) - 1 if sides > 2 and vote.outcome.isdigit() else None
    rows: list[Row] = []
    for other in range(sides):
        anchor = best or 0
        if other == anchor:
            continue
        # The one that stood further left stays left.
        left, right = sorted((anchor, other))
        pair = Comparison(
            field.id, field.prompt, field.replies[left], field.replies[right],
            systems=(field.systems[left], field.systems[right]), leaked=field.leaked, derived=sides > 2,
            safety=column_of(left=safety[left], right=safety[right]),
            gold=expected(field.holders[left], field.holders[right]) if field.holders else None,
        )  # fmt: skip
        said = vote.outcome if best is None else ("left" if best == left else "right")
        places = {left: 0, right: 1}
        scores = tuple(replace(score, side=places[score.side]) for score in vote.scores if score.side in places)
        rows += rows_of(
            pair, replace(vote, outcome=said, scores=scores), created_at=created_at, app_version=app_version
        )
    return tuple(rows)


def picture_rows_of(comparison: PictureComparison, vote: Vote, *, created_at: str, app_version: str) -> tuple[Row, ...]:
    """As `rows_of`, for two pictures: the preference goes to `image_preferences`, both rows carry the PNG bytes."""
    prompt = (Message("user", comparison.prompt),)
    about = _Told(comparison, vote, created_at, app_version, prompt)
    left, right = comparison.left, comparison.right
    compared = ComparisonRow(
        about.provenance("comparisons", None),
        kind="image",
        prompt=prompt,
        left=None,
        right=None,
        outcome=vote.outcome,
        left_by=contender(left),
        right_by=contender(right),
        left_image=left.png,
        right_image=right.png,
    )
    if vote.outcome not in ("left", "right") or left.png == right.png:
        return (compared,)
    won, lost = (left, right) if vote.outcome == "left" else (right, left)
    preferred = ImagePreferenceRow(
        about.provenance("image_preferences", "chosen" if vote.outcome == "left" else "rejected"),
        prompt=comparison.prompt,
        chosen=won.png,
        rejected=lost.png,
        chosen_by=contender(won),
        rejected_by=contender(lost),
    )
    return (compared, preferred)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the rows of one vote share."""

    comparison: Comparison | PictureComparison
    vote: Vote
    created_at: str
    app_version: str
    prompt: tuple[Message, ...]

    def __post_init__(self) -> None:
        if self.vote.outcome not in OUTCOMES:
            raise UserInputError("The vote has to be left, right, tie or both_bad.")

    def provenance(self, config: Config, shown_left: str | None) -> Provenance:
        """The provenance of the row for `config`."""
        comparison, vote = self.comparison, self.vote
        left, right = comparison.left, comparison.right
        systems = comparison.systems if isinstance(comparison, Comparison) else (None, None)
        derived = comparison.derived
        # The best of n is several pairs with one comparison id.
        pair = f":{left.id}:{right.id}" if derived else ""
        return Provenance(
            id=str(uuid5(_NAMESPACE, f"{comparison.id}:{vote.rater or ''}:{config}{pair}")),
            created_at=self.created_at,
            source=comparison.source,
            app_version=self.app_version,
            rater=vote.rater,
            campaign=vote.campaign,
            item=item_of(self.prompt, (contender(left, systems[0]), contender(right, systems[1]))),
            comparison_id=comparison.id,
            blind=comparison.blind,
            rubric_version=vote.rubric_version if vote.scores or vote.reasons else None,
            leaked=comparison.leaked if isinstance(comparison, Comparison) else False,
            derived=derived,
            shown_left=shown_left,
            strength=vote.strength,
            reasons=vote.reasons,
            scores=self._scores(shown_left),
            comment=vote.comment or None,
            decision_seconds=vote.decision_seconds,
            safety=comparison.safety if isinstance(comparison, Comparison) else None,
            backend=same(left.backend, right.backend),
            dtype=same(left.dtype, right.dtype),
        )

    def _scores(self, shown_left: str | None) -> tuple[ScoreCell, ...] | None:
        """The answers to the rubric, the sides called as the row's config calls them."""
        sides = ("left", "right") if shown_left is None else (shown_left, _OTHER[shown_left])
        return tuple(ScoreCell(s.question, sides[s.side], s.value) for s in self.vote.scores) or None


_OTHER = {"chosen": "rejected", "rejected": "chosen"}


def item_of(prompt: Sequence[Message], makers: Sequence[Contender]) -> str:
    """The unit of agreement: a hash of the prompt and the unordered pair of contenders, whatever seeds they drew."""
    pair = sorted(json.dumps([m.model, m.revision, m.adapter, m.settings]) for m in map(without_chance, makers))
    # Which pictures they were is part of what was asked.
    asked = [m.as_dict() | ({"images": [i.sha256 for i in m.images]} if m.images else {}) for m in prompt]
    text = json.dumps([asked, pair], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def same(left: str, right: str) -> str | None:
    """One name where both sides share it, both where they differ; None where neither is known."""
    return (left or None) if left == right else f"{left or 'unknown'} | {right or 'unknown'}"
