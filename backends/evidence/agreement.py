"""Whether reviewers agree, and which habits colour the votes: each figure with what to do about it.

The unit of agreement is the column `item`: one prompt and one pair of contenders. Of several votes of one reviewer on an
item the last counts. Outcomes are compared by who won, not by the side it stood on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from backends.evidence.contenders import grouped
from backends.evidence.readings import (
    FAST_SECONDS,
    GOLD_RIGHT,
    LEAST_FOR_HABIT,
    LEAST_GOLD,
    LEAST_SHARED,
    findings,
    reading,
    unlikely,
)
from core.evidence import (
    OUTCOMES,
    Agreement,
    AgreementOf,
    Ballot,
    Merge,
    RaterHealth,
    Scored,
    Share,
    VoteFilter,
    Votes,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Numbers = NDArray[np.int64]

QUESTION = "Which answer is better?"
MOST_PAIRS = 50
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class _Cast:
    """Ballots as columns. `left` and `right` are places of contenders, -1 for none."""

    item: Numbers
    rater: Numbers
    left: Numbers
    right: Numbers
    outcome: Numbers
    at: Array
    seconds: Array
    left_length: Numbers
    right_length: Numbers
    gold: Numbers


class Habits(NamedTuple):
    """What one reviewer (None: those without a name) did, counted: votes, those with a winner (`decided`), how often it was
    the left side, how often lengths differed (`unequal`), how often the longer won then, how many outcomes were known
    before (`known`) and met (`right`), and the median time in seconds."""

    rater: str | None
    votes: int
    decided: int
    left: int
    unequal: int
    longer: int
    known: int
    right: int
    seconds: float | None


# Who won, whichever side it stood on, in the order of the alphabet as `OUTCOMES` is.
_SAID = ("both_bad", "either", "first", "second", "tie")
_BOTH_BAD, _EITHER, _FIRST, _SECOND, _TIE = range(5)


def agreement(votes: Votes, wanted: VoteFilter) -> Agreement:
    """Agreement and habits of the votes that `wanted` names."""
    import numpy as np

    # Numbers of makers differ between a store and its published files, so what is told of them is their place by name.
    groups = grouped(votes.contenders(), Merge())
    names = [group.name for group in groups]
    place = np.full(max((number for group in groups for number in group.numbers), default=0) + 2, -1)
    for index, group in enumerate(groups):
        place[list(group.numbers)] = index
    cast = _cast(votes.ballots(wanted), place)
    raters = votes.raters()
    item, rater, said, pair = _last_said(cast, len(names))
    table = _counts(item, said, len(_SAID))
    overall = _measure(QUESTION, table)
    questions = tuple(_measure(name, counted) for name, counted in _rubric(votes.scored(wanted), place))
    people = _habits(cast, raters)
    agrees = _with_the_others(item, rater, said, table, raters)
    met = [sum(found[n] for found in agrees.values()) for n in (0, 1)]
    healthy = tuple(
        _health(one.rater, one, agrees.get(one.rater, (0, 0)), met) for one in people if one.rater is not None
    )
    left = share(sum(one.left for one in people), sum(one.decided for one in people))
    longer = share(sum(one.longer for one in people), sum(one.unequal for one in people))
    gold = share(sum(one.right for one in people), sum(one.known for one in people))
    return Agreement(
        len(cast.item),
        overall,
        (overall, *questions),
        _pairs(item, table, pair, names),
        healthy,
        left,
        longer,
        gold,
        tuple(findings(len(cast.item), overall, left, longer, gold, healthy)),
    )


def _cast(batches: Iterable[Sequence[Ballot]], place: Numbers) -> _Cast:
    import numpy as np

    parts = [np.array(batch, np.float64) for batch in batches]
    every = np.concatenate(parts) if parts else np.zeros((0, 10))
    whole = every[:, [0, 1, 2, 3, 4, 7, 8, 9]].T.astype(np.int64)
    item, rater, left, right, outcome, left_length, right_length, gold = whole
    # The number -1 finds the last entry, which is -1.
    return _Cast(
        item, rater, place[left], place[right], outcome, every[:, 5], every[:, 6], left_length, right_length, gold
    )


def _last_said(cast: _Cast, contenders: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """(item from 0 on, reviewer, what was said, pair) of each reviewer's last vote on each item that has two reviewers."""
    import numpy as np

    known = np.flatnonzero((cast.item >= 0) & (cast.rater >= 0) & (cast.left >= 0) & (cast.right >= 0))
    item, rater, left, right, outcome = (
        column[known] for column in (cast.item, cast.rater, cast.left, cast.right, cast.outcome)
    )
    won = (outcome == OUTCOMES.index("left")) == (left < right)
    said = np.where(left == right, _EITHER, np.where(won, _FIRST, _SECOND))
    said = np.where(outcome == OUTCOMES.index("tie"), _TIE, said)
    said = np.where(outcome == OUTCOMES.index("both_bad"), _BOTH_BAD, said)
    last = _last(item, rater, cast.at[known], said)
    item, rater, said = item[last], rater[last], said[last]
    pair = np.minimum(left, right)[last] * contenders + np.maximum(left, right)[last]
    item, (rater, said, pair) = _shared(item, rater, said, pair)
    return item, rater, said, pair


def _last(item: Numbers, rater: Numbers, at: Array, said: Numbers) -> Numbers:
    """Places of each reviewer's last vote on each item."""
    import numpy as np

    order = np.lexsort((said, at, rater, item))
    following = np.append((item[order][1:] != item[order][:-1]) | (rater[order][1:] != rater[order][:-1]), True)
    last: Numbers = order[following[: len(order)]]
    return last


def _shared(item: Numbers, *columns: Numbers) -> tuple[Numbers, list[Numbers]]:
    """Only what is on an item that stands here more than once, items numbered from 0 on."""
    import numpy as np

    _, number, times = np.unique(item, return_inverse=True, return_counts=True)
    several = times[number] > 1
    return np.unique(number[several], return_inverse=True)[1], [column[several] for column in columns]


def _counts(item: Numbers, said: Numbers, values: int) -> Numbers:
    """How often each value was said of each item, items x values."""
    import numpy as np

    items = int(item.max()) + 1 if len(item) else 0
    return np.bincount(item * values + said, minlength=items * values).reshape(items, values)


def share(count: int, total: int) -> Share:
    """A share with its Wilson interval at 95 %."""
    if not total:
        return Share(0, 0)
    p, n = count / total, total
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Share(count, total, max(0.0, middle - half), min(1.0, middle + half))


def percent_of(counts: Numbers) -> float | None:
    """The share of pairs of reviewers of one item who said the same, over all items; None without a pair.

    `counts` is how often each value was said of each item, items x values.
    """
    total = counts.sum(axis=1)
    pairs = int((total * (total - 1)).sum())
    return float((counts * (counts - 1)).sum() / pairs) if pairs else None


def alpha_of(counts: Numbers) -> float | None:
    """Krippendorff's alpha for names (nominal); None when nobody shares an item or everybody always said the same."""
    from krippendorff import alpha

    shared = counts[counts.sum(axis=1) > 1]
    shared = shared[:, shared.any(axis=0)]
    if shared.shape[1] < 2:
        # With one value there is nothing that could have been said differently.
        return None
    return float(alpha(value_counts=shared, level_of_measurement="nominal"))


def _rubric(batches: Iterable[Sequence[Scored]], place: Numbers) -> list[tuple[str, Numbers]]:
    """For each question of a rubric how often each answer was given of each item and contender."""
    import numpy as np

    told: dict[str, list[tuple[str, int, float, str]]] = defaultdict(list)
    for batch in batches:
        for item, rater, left, right, at, scores in batch:
            for question, subject, value in _answers(scores, int(place[left]), int(place[right])):
                told[question].append((f"{item}:{subject}", rater, at, value))
    found = []
    for question, answers in sorted(told.items()):
        items = np.unique([one[0] for one in answers], return_inverse=True)[1]
        raters, moments = np.array([one[1] for one in answers]), np.array([one[2] for one in answers])
        names, values = np.unique([one[3] for one in answers], return_inverse=True)
        last = _last(items, raters, moments, values)
        shared, (told_of,) = _shared(items[last], values[last])
        found.append((question, _counts(shared, told_of, len(names))))
    return found


def _answers(scores: str, left: int, right: int) -> list[tuple[str, str, str]]:
    """(question, whom it is about, answer) of a rubric; the side as the contender that stood there."""
    try:
        found = json.loads(scores)
    except ValueError:
        return []
    side = {"left": str(left), "right": str(right)}
    return [
        (str(entry["question"]), side.get(str(entry["side"]), str(entry["side"])), str(entry["value"]))
        for entry in found
        if isinstance(entry, dict) and {"question", "side", "value"} <= set(entry)
    ]


def _measure(name: str, counts: Numbers) -> AgreementOf:
    """Agreement over items that all have several reviewers."""
    percent, alpha = percent_of(counts), alpha_of(counts)
    return AgreementOf(name, len(counts), int(counts.sum()), percent, alpha, reading(len(counts), percent, alpha))


def _pairs(item: Numbers, table: Numbers, pair: Numbers, names: Sequence[str]) -> tuple[AgreementOf, ...]:
    """The pairs of contenders with the most items."""
    import numpy as np

    if not len(item):
        return ()
    pair_of = np.zeros(len(table), np.int64)
    pair_of[item] = pair
    pairs, number, times = np.unique(pair_of, return_inverse=True, return_counts=True)
    titles = [" against ".join(names[place] for place in divmod(int(one), len(names))) for one in pairs]
    kept = sorted(range(len(pairs)), key=lambda one: (-times[one], titles[one]))[:MOST_PAIRS]
    return tuple(_measure(titles[one], table[number == one]) for one in kept)


def _with_the_others(
    item: Numbers, rater: Numbers, said: Numbers, table: Numbers, names: Mapping[int, str]
) -> dict[str, tuple[int, int]]:
    """For each reviewer (agreeing, all) of their meetings with another reviewer on one item."""
    import numpy as np

    same, met = table[item, said] - 1, table.sum(axis=1)[item] - 1
    size = int(rater.max()) + 1 if len(rater) else 0
    agreed, all_ = np.bincount(rater, same, size), np.bincount(rater, met, size)
    return {names[number]: (int(agreed[number]), int(all_[number])) for number in np.flatnonzero(all_).tolist()}


def _habits(cast: _Cast, names: Mapping[int, str]) -> list[Habits]:
    """What each reviewer did, the busiest first."""
    import numpy as np

    if not len(cast.rater):
        return []
    # Who gave no name is -1, and stands first here.
    who, size = cast.rater + 1, int(cast.rater.max()) + 2
    decided = (cast.outcome == OUTCOMES.index("left")) | (cast.outcome == OUTCOMES.index("right"))
    left = cast.outcome == OUTCOMES.index("left")
    # Pictures have no length.
    unequal = decided & (cast.left_length != cast.right_length) & (cast.left_length >= 0) & (cast.right_length >= 0)
    longer = unequal & (left == (cast.left_length > cast.right_length))
    known = cast.gold >= 0
    masks = (decided, left, unequal, longer, known, known & (cast.outcome == cast.gold))
    counts = [np.bincount(who[mask], minlength=size) for mask in masks]
    votes, medians = np.bincount(who, minlength=size), _medians(who, cast.seconds, size)
    found = []
    for number in np.flatnonzero(votes).tolist():
        decided_, left_, unequal_, longer_, known_, right_ = (int(count[number]) for count in counts)
        name = names[number - 1] if number else None
        seconds = None if np.isnan(medians[number]) else float(medians[number])
        found.append(Habits(name, int(votes[number]), decided_, left_, unequal_, longer_, known_, right_, seconds))
    return sorted(found, key=lambda one: (-one.votes, one.rater or ""))


def _medians(who: Numbers, seconds: Array, size: int) -> Array:
    """The median of the known seconds of each; not a number where none is known."""
    import numpy as np

    known = seconds >= 0
    order = np.lexsort((seconds[known], who[known]))
    times = np.bincount(who[known], minlength=size)
    first = np.cumsum(times) - times
    found = np.full(size, np.nan)
    some = times > 0
    ordered = seconds[known][order]
    found[some] = (ordered[(first + (times - 1) // 2)[some]] + ordered[(first + times // 2)[some]]) / 2
    return found


def _health(name: str, habits: Habits, agrees: tuple[int, int], met: Sequence[int]) -> RaterHealth:
    """`met`: (agreeing, all) meetings of everybody together."""
    left, longer, own = share(habits.left, habits.decided), share(habits.longer, habits.unequal), share(*agrees)
    seconds = habits.seconds
    advice = []
    if habits.decided >= LEAST_FOR_HABIT and unlikely(habits.left, habits.decided):
        side = "left" if habits.left * 2 > habits.decided else "right"
        advice.append(f"Chooses the {side} side more than chance would. Ask whether they read both answers.")
    if habits.unequal >= LEAST_FOR_HABIT and unlikely(habits.longer, habits.unequal):
        which = "longer" if habits.longer * 2 > habits.unequal else "shorter"
        advice.append(f"Mostly takes the {which} answer. Ask why, and look at the leaderboard with style control.")
    if habits.votes >= LEAST_FOR_HABIT and seconds is not None and seconds < FAST_SECONDS:
        advice.append("Votes faster than two answers can be read. Look at their votes before training on them.")
    others = [met[0] - agrees[0], met[1] - agrees[1]]
    if agrees[1] >= LEAST_SHARED and others[1] and own.high is not None and own.high < others[0] / others[1]:
        advice.append("Agrees with the others less than they do among themselves. Go through some items together.")
    gold = share(habits.right, habits.known)
    if gold.total >= LEAST_GOLD and gold.high is not None and gold.high < GOLD_RIGHT:
        advice.append(
            f"Right on {gold.count} of {gold.total} questions with a known answer. Read some of their votes with them before "
            "training on any."
        )
    return RaterHealth(name, habits.votes, left, longer, seconds, own, gold, " ".join(advice))
