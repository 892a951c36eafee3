"""What the figures of agreement mean, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt

from core.evidence import AgreementOf, RaterHealth, Share

# Fewer say nothing about a habit.
LEAST_FOR_HABIT = 20
LEAST_SHARED = 10
LEAST_GOLD = 5
# Whoever reads both answers finds the one that holds what is known; now and then everybody slips.
GOLD_RIGHT = 0.8
# One reviewer in a hundred looks like this by chance.
SURE = 0.01
FAST_SECONDS = 2.0
# Conventional readings of Krippendorff's alpha (K. Krippendorff, Content Analysis, 2004, p. 241).
RELIABLE, TENTATIVE = 0.8, 0.667


def reading(items: int, percent: float | None, alpha: float | None) -> str:
    """What agreement on so many shared items means; `percent` and `alpha` as in `core.evidence.AgreementOf`."""
    if percent is None:
        return "No item was voted on by two reviewers, so agreement cannot be measured. Give two reviewers the same prompts."
    if alpha is None:
        return "Everybody always said the same, so there is nothing chance could explain. Add harder prompts to learn more."
    if items < LEAST_SHARED:
        return f"Only {items} items have two reviewers; {LEAST_SHARED} give a first idea. Share more prompts."
    if alpha >= RELIABLE:
        return "Reviewers agree well. The votes can be trained on as they are."
    if alpha >= TENTATIVE:
        return "Reviewers agree tolerably. Good for tentative conclusions; look at the items they disagree on."
    if alpha > 0.2:
        return "Reviewers agree little. Talk about ten items they disagree on and write down what better means."
    return "Reviewers agree no more than chance would. Stop and agree on what better means before voting on."


def gold_reading(gold: Share) -> str:
    """What the share of right votes says, no more than its interval can."""
    told = f"On questions with a known answer, {gold.count} of {gold.total} votes were right"
    if gold.low is not None and gold.low >= GOLD_RIGHT:
        return f"{told}. Votes are made with care."
    if gold.high is not None and gold.high < GOLD_RIGHT and gold.total >= LEAST_GOLD:
        return f"{told}. Check the gold questions themselves, then talk with the reviewers who are often wrong."
    return f"{told}. Ask more of them before you conclude anything from it."


def unlikely(count: int, total: int) -> bool:
    """Whether a fair coin would be this uneven less often than `SURE` (normal approximation with continuity)."""
    away = (abs(count - total / 2) - 0.5) / sqrt(total / 4)
    return away > 0 and erfc(away / sqrt(2)) < SURE


def findings(
    total: int, overall: AgreementOf, left: Share, longer: Share, gold: Share, raters: Sequence[RaterHealth]
) -> list[str]:
    """What to know before the votes are trusted, the most important first; `total` votes, `raters` with their advice."""
    if not total:
        return ["No votes yet. When two reviewers vote on the same prompts, this shows whether they agree."]
    said = [overall.reading]
    if gold.value is not None:
        said.append(gold_reading(gold))
    if left.total < LEAST_FOR_HABIT:
        said.append(f"{left.total} decided votes are too few to see a habit; {LEAST_FOR_HABIT} give a first idea.")
        return said
    if unlikely(left.count, left.total):
        side = "left" if left.count * 2 > left.total else "right"
        said.append(
            f"The {side} side wins {max(left.value or 0, 1 - (left.value or 0)):.0%} of decided votes, more than chance "
            "would. Sides are shuffled, so no contender gains, but votes are noisier: ask reviewers to read both."
        )
    else:
        said.append(f"No side is favoured: left wins {left.value:.0%} of decided votes.")
    if longer.total >= LEAST_FOR_HABIT:
        if unlikely(longer.count, longer.total):
            which = "longer" if longer.count * 2 > longer.total else "shorter"
            said.append(
                f"The {which} answer wins {max(longer.value or 0, 1 - (longer.value or 0)):.0%} of the time. Switch style "
                "control on in the leaderboard before concluding that its author is better."
            )
        else:
            said.append(f"Length does not decide: the longer answer wins {longer.value:.0%} of the time.")
    troubled = sum(bool(rater.advice) for rater in raters)
    if troubled:
        said.append(f"{troubled} of {len(raters)} reviewers need a look; the table says why.")
    return said
