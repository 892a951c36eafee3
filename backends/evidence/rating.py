"""Bradley-Terry ratings with ties, and how sure they are, from counted meetings.

A tie is half a win for both (as Chatbot Arena counts; “both bad” is a tie as well). Every contender has one tie with an
opponent nobody sees, so that a contender that won everything has a rating too, and so that all are on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEAN = 1000.0
# 400 points more are odds of ten to one.
POINTS = 400.0
PRIOR_TIES = 1.0
# Resampling three wins out of three would never give anything else: half a win for both sides of every pair that met.
SMOOTHING = 0.5
LOW, HIGH = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Meetings:
    """`wins[i, j]`: how often i beat j. `ties[i, j]`, symmetric: how often nobody won. Both K x K, zero diagonals."""

    wins: Array
    ties: Array

    @property
    def met(self) -> Array:
        """How often each pair met, symmetric."""
        met: Array = self.wins + self.wins.T + self.ties
        return met


def rate(meetings: Meetings) -> Array:
    """The K ratings, mean 1000. Fitted by evalica (Newman's and Bradley-Terry's iteration in Rust)."""
    return _Fit(len(meetings.wins)).ratings(meetings)


def resampled(meetings: Meetings, rounds: int, seed: int = 0) -> Array:
    """Ratings of `rounds` resampled collections, rounds x K. The same votes always give the same numbers.

    Drawing every vote again with replacement is drawing how often each pair had each outcome, from one multinomial.
    """
    import numpy as np

    size = len(meetings.wins)
    upper = np.triu_indices(size, 1)
    met = meetings.met[upper] > 0
    first, second = upper[0][met], upper[1][met]
    cells = np.stack([meetings.wins[first, second], meetings.wins[second, first], meetings.ties[first, second]])
    total = int(cells.sum())
    chances = cells + np.array([[SMOOTHING], [SMOOTHING], [0.0]])
    rng, fit = np.random.default_rng(seed), _Fit(size)
    drawn = rng.multinomial(total, (chances / chances.sum()).ravel(), rounds) if total else np.zeros((rounds, 0))
    out = np.empty((rounds, size))
    for number in range(rounds):
        wins, ties = np.zeros((size, size)), np.zeros((size, size))
        if total:
            won, lost, tied = drawn[number].reshape(cells.shape)
            wins[first, second], wins[second, first] = won, lost
            ties[first, second] = ties[second, first] = tied
        out[number] = fit.ratings(Meetings(wins, ties))
    return out


def bounds(sample: Array) -> tuple[Array, Array]:
    """The 95 % interval of each column."""
    import numpy as np

    low, high = np.percentile(sample, [LOW, HIGH], axis=0)
    return low, high


def points(strength: Array) -> Array:
    """Log strengths as points with mean 1000."""
    import numpy as np

    scaled = strength * (POINTS / np.log(10))
    centred: Array = scaled - scaled.mean() + MEAN
    return centred


def groups(met: Array) -> list[int]:
    """For each contender the number of its group: those that met, directly or through others."""
    size = len(met)
    group = [-1] * size
    for start in range(size):
        if group[start] >= 0:
            continue
        waiting, group[start] = [start], start
        while waiting:
            one = waiting.pop()
            for other in range(size):
                if met[one][other] > 0 and group[other] < 0:
                    group[other] = start
                    waiting.append(other)
    return group


class _Fit:
    """Calls evalica with the same frame of pairs every time; only the weights differ."""

    def __init__(self, size: int) -> None:
        import numpy as np
        from evalica import Winner, indexing

        self._size = size
        self._upper = np.triu_indices(size, 1)
        hidden = np.arange(size)
        pairs = len(self._upper[0])
        first = np.concatenate([np.tile(self._upper[0], 3), hidden])
        second = np.concatenate([np.tile(self._upper[1], 3), np.full(size, size)])
        self._first, self._second = first.tolist(), second.tolist()
        self._winners = [Winner.X] * pairs + [Winner.Y] * pairs + [Winner.Draw] * (pairs + size)
        *_, self._index = indexing(self._first, self._second)

    def ratings(self, meetings: Meetings) -> Array:
        import numpy as np
        from evalica import bradley_terry

        if not self._size:
            return np.zeros(0)
        first, second = self._upper
        weights = np.concatenate([
            meetings.wins[first, second],
            meetings.wins[second, first],
            meetings.ties[first, second],
            np.full(self._size, PRIOR_TIES),
        ])  # fmt: skip
        found = bradley_terry(
            self._first, self._second, self._winners, index=self._index, weights=weights.tolist(), tolerance=1e-10,
            limit=20_000,
        )  # fmt: skip
        scores = found.scores.reindex(range(self._size)).to_numpy()
        return points(np.log(scores))
