"""Whether reviewers agree, and which habits colour the votes: each figure with what to do about it.

The unit of agreement is the column `item`: one prompt and one pair of contenders. Of several votes of one reviewer on an
item the last counts. Outcomes are compared by who won, not by the side it stood on.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import erfc, sqrt

from backends.evidence.contenders import grouped
from core.evidence import (
    Agreement,
    AgreementOf,
    Habits,
    Merge,
    RaterHealth,
    Share,
    VoteFilter,
    Votes,
)

QUESTION = "Which answer is better?"
# Fewer say nothing about a habit.
LEAST_FOR_HABIT = 20
LEAST_SHARED = 10
# One reviewer in a hundred looks like this by chance.
SURE = 0.01
FAST_SECONDS = 2.0
# Conventional readings of Krippendorff's alpha (K. Krippendorff, Content Analysis, 2004, p. 241).
RELIABLE, TENTATIVE = 0.8, 0.667
MOST_PAIRS = 50
Z = 1.959963984540054

# item -> reviewer -> what was said
_Said = dict[str, dict[str, str]]
# The same with when it was said: in which order votes are read differs between a store and its published files.
_Dated = dict[str, dict[str, tuple[float, str]]]


def agreement(votes: Votes, wanted: VoteFilter) -> Agreement:
    """Agreement and habits of the votes that `wanted` names."""
    makers = votes.contenders()
    people = votes.habits(wanted)
    said: _Said = {}
    pair_of: dict[str, tuple[int, int]] = {}
    questions: dict[str, _Said] = defaultdict(dict)
    # Numbers of makers differ between a store and its published files too.
    names = grouped(makers, Merge())
    place = {number: index for index, group in enumerate(names) for number in group.numbers}
    for batch in votes.shared(wanted):
        votes_on: _Dated = defaultdict(dict)
        answers: dict[str, _Dated] = defaultdict(lambda: defaultdict(dict))
        for one in batch:
            sides = place[one.left], place[one.right]
            _last(votes_on[one.item], one.rater, one.at, _winner(one.outcome, *sides))
            pair_of[one.item] = (min(sides), max(sides))
            for question, subject, value in _answers(one.scores, *sides):
                _last(answers[question][f"{one.item}:{subject}"], one.rater, one.at, value)
        # All votes of an item are in one batch.
        said |= _undated(votes_on)
        for question, told in answers.items():
            questions[question] |= _undated(told)
    overall = _agreement(QUESTION, said)
    by_question = [_agreement(name, told) for name, told in sorted(questions.items())]
    agrees = _with_the_others(said)
    raters = tuple(
        _health(one.rater, one, agrees.get(one.rater, (0, 0)), agrees) for one in people if one.rater is not None
    )
    left = share(sum(one.left for one in people), sum(one.decided for one in people))
    longer = share(sum(one.longer for one in people), sum(one.unequal for one in people))
    total = sum(one.votes for one in people)
    return Agreement(
        total,
        overall,
        (overall, *by_question),
        _pairs(said, pair_of, [group.name for group in names]),
        raters,
        left,
        longer,
        tuple(_findings(total, overall, left, longer, raters)),
    )


def share(count: int, total: int) -> Share:
    """A share with its Wilson interval at 95 %."""
    if not total:
        return Share(0, 0)
    p, n = count / total, total
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Share(count, total, max(0.0, middle - half), min(1.0, middle + half))


def percent_of(said: Mapping[str, Mapping[str, str]]) -> float | None:
    """The share of pairs of reviewers of one item who said the same, over all items; None without a pair."""
    same = pairs = 0
    for told in said.values():
        count = len(told)
        pairs += count * (count - 1)
        same += sum(times * (times - 1) for times in Counter(told.values()).values())
    return same / pairs if pairs else None


def alpha_of(said: Mapping[str, Mapping[str, str]]) -> float | None:
    """Krippendorff's alpha for names (nominal); None when nobody shares an item or everybody always said the same."""
    import numpy as np
    from krippendorff import alpha

    shared = [told for told in said.values() if len(told) > 1]
    values = sorted({value for told in shared for value in told.values()})
    if len(values) < 2:
        # With one value there is nothing that could have been said differently.
        return None
    place = {value: number for number, value in enumerate(values)}
    counts = np.zeros((len(shared), len(values)), dtype=np.int64)
    for row, told in enumerate(shared):
        for value in told.values():
            counts[row, place[value]] += 1
    return float(alpha(value_counts=counts, level_of_measurement="nominal"))


def _last(told: dict[str, tuple[float, str]], rater: str, at: float, value: str) -> None:
    told[rater] = max(told.get(rater, (at, value)), (at, value))


def _undated(dated: _Dated) -> _Said:
    return {item: {rater: value for rater, (_, value) in told.items()} for item, told in dated.items()}


def _winner(outcome: str, left: int, right: int) -> str:
    """Who won; between two answers of one contender a side says nothing."""
    if outcome not in ("left", "right"):
        return outcome
    if left == right:
        return "either"
    return "first" if (outcome == "left") == (left < right) else "second"


def _answers(scores: str | None, left: int, right: int) -> list[tuple[str, str, str]]:
    """(question, whom it is about, answer) of a rubric; the side as the contender that stood there."""
    try:
        found = json.loads(scores) if scores else []
    except ValueError:
        return []
    side = {"left": str(left), "right": str(right)}
    return [
        (str(entry["question"]), side.get(str(entry["side"]), str(entry["side"])), str(entry["value"]))
        for entry in found
        if isinstance(entry, dict) and {"question", "side", "value"} <= set(entry)
    ]


def _agreement(name: str, said: _Said) -> AgreementOf:
    shared = {item: told for item, told in said.items() if len(told) > 1}
    alpha, percent = alpha_of(shared), percent_of(shared)
    count = sum(len(told) for told in shared.values())
    return AgreementOf(name, len(shared), count, percent, alpha, _reading(len(shared), percent, alpha))


def _reading(items: int, percent: float | None, alpha: float | None) -> str:
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


def _pairs(said: _Said, pair_of: Mapping[str, tuple[int, int]], names: Sequence[str]) -> tuple[AgreementOf, ...]:
    by_pair: dict[tuple[int, int], _Said] = defaultdict(dict)
    for item, told in said.items():
        if len(told) > 1:
            by_pair[pair_of[item]][item] = told
    found = [_agreement(" against ".join(names[place] for place in pair), told) for pair, told in by_pair.items()]
    return tuple(sorted(found, key=lambda one: (-one.items, one.name))[:MOST_PAIRS])


def _with_the_others(said: _Said) -> dict[str, tuple[int, int]]:
    """For each reviewer (agreeing, all) of their meetings with another reviewer on one item."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for told in said.values():
        counts = Counter(told.values())
        for rater, value in told.items():
            found[rater][0] += counts[value] - 1
            found[rater][1] += len(told) - 1
    return {rater: (same, met) for rater, (same, met) in found.items() if met}


def _health(
    name: str, habits: Habits, agrees: tuple[int, int], everybody: Mapping[str, tuple[int, int]]
) -> RaterHealth:
    left, longer, own = share(habits.left, habits.decided), share(habits.longer, habits.unequal), share(*agrees)
    seconds = habits.seconds
    advice = []
    if habits.decided >= LEAST_FOR_HABIT and _unlikely(habits.left, habits.decided):
        side = "left" if habits.left * 2 > habits.decided else "right"
        advice.append(f"Chooses the {side} side more than chance would. Ask whether they read both answers.")
    if habits.unequal >= LEAST_FOR_HABIT and _unlikely(habits.longer, habits.unequal):
        which = "longer" if habits.longer * 2 > habits.unequal else "shorter"
        advice.append(f"Mostly takes the {which} answer. Ask why, and look at the leaderboard with style control.")
    if habits.votes >= LEAST_FOR_HABIT and seconds is not None and seconds < FAST_SECONDS:
        advice.append("Votes faster than two answers can be read. Look at their votes before training on them.")
    others = [sum(found[n] for rater, found in everybody.items() if rater != name) for n in (0, 1)]
    if agrees[1] >= LEAST_SHARED and others[1] and own.high is not None and own.high < others[0] / others[1]:
        advice.append("Agrees with the others less than they do among themselves. Go through some items together.")
    return RaterHealth(name, habits.votes, left, longer, seconds, own, None, " ".join(advice))


def _unlikely(count: int, total: int) -> bool:
    """Whether a fair coin would be this uneven less often than `SURE` (normal approximation with continuity)."""
    away = (abs(count - total / 2) - 0.5) / sqrt(total / 4)
    return away > 0 and erfc(away / sqrt(2)) < SURE


def _findings(total: int, overall: AgreementOf, left: Share, longer: Share, raters: Sequence[RaterHealth]) -> list[str]:
    if not total:
        return ["No votes yet. When two reviewers vote on the same prompts, this shows whether they agree."]
    said = [overall.reading]
    if left.total < LEAST_FOR_HABIT:
        said.append(f"{left.total} decided votes are too few to see a habit; {LEAST_FOR_HABIT} give a first idea.")
        return said
    if _unlikely(left.count, left.total):
        side = "left" if left.count * 2 > left.total else "right"
        said.append(
            f"The {side} side wins {max(left.value or 0, 1 - (left.value or 0)):.0%} of decided votes, more than chance "
            "would. Sides are shuffled, so no contender gains, but votes are noisier: ask reviewers to read both."
        )
    else:
        said.append(f"No side is favoured: left wins {left.value:.0%} of decided votes.")
    if longer.total >= LEAST_FOR_HABIT:
        if _unlikely(longer.count, longer.total):
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
