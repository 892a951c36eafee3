"""The leaderboard from votes: counted, rated, ranked where the votes can tell, and said in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.evidence.contenders import Group, grouped
from backends.evidence.rating import Meetings, bounds, groups, rate, resampled
from backends.evidence.style import Duels, controlled, difference
from core.dataset import Contender
from core.evidence import (
    LEAST_VOTES,
    Facts,
    Kind,
    Leaderboard,
    Measured,
    Merge,
    Standing,
    StyleEffect,
    Tally,
    VoteFilter,
    Votes,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_CONTENDERS = 200


@dataclass(frozen=True, slots=True)
class _Counted:
    """Meetings of the groups that met anybody, and what was left out."""

    groups: tuple[Group, ...]
    meetings: Meetings
    votes: int
    unknown: int
    same: int


def leaderboard(
    votes: Votes,
    wanted: VoteFilter,
    merge: Merge,
    *,
    rounds: int = 200,
    style: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Leaderboard:
    """The leaderboard of the votes that `wanted` names. With `style`, every vote is looked at, which takes longer."""
    counted = _counted(votes.contenders(), votes.tallies(wanted), merge)
    days = tuple(votes.days(wanted))
    if not counted.groups:
        reading = _nothing(counted, wanted)
        return Leaderboard((), (), (), days, counted.votes, counted.unknown, counted.same, reading=reading)
    effects: tuple[StyleEffect, ...] = ()
    if style:
        fit = controlled(_duels(votes, wanted, counted.groups), rounds, progress)
        ratings, low, high, effects = fit.ratings, fit.low, fit.high, fit.effects
    else:
        ratings = rate(counted.meetings)
        low, high = bounds(resampled(counted.meetings, rounds))
        progress(rounds, rounds)
    found = _board(counted, ratings, low, high, days, rounds, effects)
    facts = {group.name: _facts(votes.measured(group.numbers), wanted.kind) for group in counted.groups}
    return replace(found, standings=tuple(replace(row, facts=facts[row.contender]) for row in found.standings))


def _facts(measured: Measured, kind: Kind) -> Facts:
    if kind == "image":
        return Facts(picture_s=measured.seconds)
    return Facts(first_token_s=measured.first_token_s, tokens_per_s=measured.tokens_per_s)


def _counted(makers: Mapping[int, Contender], tallies: Sequence[Tally], merge: Merge) -> _Counted:
    import numpy as np

    met = {number for tally in tallies if tally.left is not None and tally.right is not None for number in tally[:2]}
    every = grouped({number: maker for number, maker in makers.items() if number in met}, merge)
    of = {number: index for index, group in enumerate(every) for number in group.numbers}
    wins, ties = np.zeros((len(every), len(every))), np.zeros((len(every), len(every)))
    total = unknown = same = 0
    for left, right, outcome, times in tallies:
        total += times
        if left is None or right is None:
            unknown += times
        elif of[left] == of[right]:
            same += times
        elif outcome == "left":
            wins[of[left], of[right]] += times
        elif outcome == "right":
            wins[of[right], of[left]] += times
        else:
            ties[of[left], of[right]] += times
            ties[of[right], of[left]] += times
    seen = Meetings(wins, ties).met.sum(axis=1)
    # The busiest, where there are too many to fit or to read; those that only met themselves cannot be rated.
    kept = sorted(sorted((i for i in range(len(every)) if seen[i]), key=lambda i: -seen[i])[:MOST_CONTENDERS])
    grid = np.ix_(kept, kept)
    return _Counted(tuple(every[i] for i in kept), Meetings(wins[grid], ties[grid]), total, unknown, same)


def _duels(votes: Votes, wanted: VoteFilter, rows: Sequence[Group]) -> Duels:
    import numpy as np

    place = np.full(max((number for group in rows for number in group.numbers), default=0) + 1, -1)
    for index, group in enumerate(rows):
        place[list(group.numbers)] = index
    parts = []
    for batch in votes.duels(wanted):
        found = np.array(batch, np.float64)
        found = found[(found[:, :2] < len(place)).all(axis=1)]
        found[:, :2] = place[found[:, :2].astype(np.int64)]
        parts.append(found[(found[:, 0] >= 0) & (found[:, 1] >= 0) & (found[:, 0] != found[:, 1])])
    every = np.concatenate(parts)
    looks = difference(every[:, 3:7], every[:, 7:11])
    # The bootstrap deals weights in this order, and a published dataset has its votes in another one. Of one number for
    # each vote, because seven columns take ten times as long to sort.
    order = np.argsort(_mixed(every), kind="stable")
    left, right = every[order, 0].astype(np.int64), every[order, 1].astype(np.int64)
    return Duels(len(rows), left, right, every[order, 2], looks[order])


def _mixed(columns: Array) -> NDArray[np.uint64]:
    """A hash of each row of whole (or half) numbers: the same for the same row and for hardly any other."""
    import numpy as np

    mixed = np.zeros(len(columns), np.uint64)
    for column in (columns * 2).astype(np.uint64).T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _board(
    counted: _Counted, ratings: Array, low: Array, high: Array, days: tuple[tuple[object, int], ...], rounds: int,
    effects: tuple[StyleEffect, ...],
) -> Leaderboard:  # fmt: skip
    import numpy as np

    met, wins = counted.meetings.met, counted.meetings.wins
    low, high = np.minimum(low, ratings), np.maximum(high, ratings)
    component = groups(met)
    together = len(set(component)) == 1
    order = sorted(range(len(ratings)), key=lambda i: (-ratings[i], counted.groups[i].name))
    ranks = {i: _rank(i, low, high, met) if together else None for i in order}
    standings = tuple(
        Standing(
            contender=counted.groups[i].name,
            model=counted.groups[i].maker.model,
            revision=counted.groups[i].maker.revision,
            adapter=counted.groups[i].maker.adapter,
            settings=counted.groups[i].settings,
            rating=float(ratings[i]),
            low=float(low[i]),
            high=float(high[i]),
            votes=int(met[i].sum()),
            wins=int(wins[i].sum()),
            losses=int(wins[:, i].sum()),
            ties=int(counted.meetings.ties[i].sum()),
            rank=ranks[i],
            merged=counted.groups[i].merged,
        )
        for i in order
    )
    share = np.divide(wins + counted.meetings.ties / 2, met, out=np.full_like(met, np.nan), where=met > 0)
    return Leaderboard(
        standings,
        tuple(tuple(None if np.isnan(share[i, j]) else float(share[i, j]) for j in order) for i in order),
        tuple(tuple(int(met[i, j]) for j in order) for i in order),
        days,  # type: ignore[arg-type]
        counted.votes,
        counted.unknown,
        counted.same,
        rounds,
        _reading(standings, int(met.sum() / 2), together),
        tuple(_notes(counted, component, together)),
        effects,
    )


def _rank(one: int, low: Array, high: Array, met: Array) -> int | None:
    """The place of a contender whose interval touches nobody else's, and which was voted on often enough."""
    if met[one].sum() < LEAST_VOTES:
        return None
    others = [other for other in range(len(low)) if other != one]
    if any(low[other] <= high[one] and low[one] <= high[other] for other in others):
        return None
    return 1 + sum(bool(low[other] > high[one]) for other in others)


def _reading(standings: Sequence[Standing], votes: int, together: bool) -> str:
    first, second = standings[0], standings[1]
    counted = f"{votes:,} {'vote' if votes == 1 else 'votes'}"
    if not together:
        return f"{counted}, but not every contender met the others, so there is no common order yet."
    if first.rank == 1:
        chance = 1 / (1 + 10 ** ((second.rating - first.rating) / 400))
        return (
            f"{first.contender} is ahead: against {second.contender}, the next, it is expected to win "
            f"{chance:.0%} ({counted}, 95 % sure)."
        )
    if first.rating - second.rating < 0.05:
        return f"{first.contender} and {second.contender} are level, and {counted} cannot tell them apart."
    return f"{first.contender} is ahead, but {counted} cannot tell. {_more(first, second)}"


def _more(first: Standing, second: Standing) -> str:
    """How many more votes would tell, if it goes on like this: intervals narrow with the square root of the votes."""
    gap, reach = first.rating - second.rating, (first.rating - first.low) + (second.high - second.rating)
    have = min(first.votes, second.votes)
    need = max(LEAST_VOTES, have * (reach / gap) ** 2) - have
    if need > 20 * max(have, 50):
        return "They are so close that many more votes would not tell either."
    rounded = 10 * max(1, round(need / 10))
    return f"About {rounded} more votes on each of the first two would, if it goes on like this."


def _notes(counted: _Counted, component: Sequence[int], together: bool) -> list[str]:
    notes = []
    if not together:
        parts = [[counted.groups[i].name for i in range(len(component)) if component[i] == part] for part in dict.fromkeys(component)]  # fmt: skip
        told = "; ".join(", ".join(names[:3]) + (" …" if len(names) > 3 else "") for names in parts)
        notes.append(
            f"These groups never met, so their ratings cannot be set against each other: {told}. Compare across."
        )
    notes += [f"{group.name} puts together {', '.join(group.merged)}." for group in counted.groups if group.merged]
    if counted.same:
        notes.append(f"{counted.same:,} votes between two answers of the same row do not count.")
    if counted.unknown:
        notes.append(f"{counted.unknown:,} votes name no model on one side and do not count.")
    return notes


def _nothing(counted: _Counted, wanted: VoteFilter) -> str:
    if counted.votes and counted.same == counted.votes:
        return "Every vote here is between answers of one contender. Split what is merged, or compare two models."
    if counted.votes:
        return "The votes here do not say which models answered, so nobody can be rated."
    if wanted != VoteFilter(wanted.kind):
        return "No vote fits these filters. Clear one."
    where = "Images: Compare" if wanted.kind == "image" else "Chat: Compare blind"
    return f"No votes yet. Compare two answers ({where}) and vote; the first {LEAST_VOTES} give a first idea."
