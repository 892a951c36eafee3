"""Ratings with style held constant: a logistic regression of who won on who answered and on how the answers look.

The method is Chatbot Arena's (T. Li, A. Angelopoulos, W.-L. Chiang: “Does style matter? Disentangling style and substance
in Chatbot Arena”, LMSYS blog, 28 August 2024): for length, headers, lists and bold the difference between the answers,
divided by their sum, standardised. Lengths are characters. With no difference in style it is the plain rating.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, factorial
from typing import TYPE_CHECKING

from backends.evidence.rating import POINTS, PRIOR_TIES, SMOOTHING, bounds, points
from core.evidence import StyleEffect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Numbers = NDArray[np.int64]

NAMES = ("length", "headers", "lists", "bold")
# From so many votes on one step from the whole fit is the resampled fit, to less than a tenth of a point.
ONE_STEP = 50_000
ENOUGH = 1e-7
# The chance that a Poisson variable of mean 1 is n at most; beyond these it is one in ten million.
_POISSON = tuple(sum(exp(-1) / factorial(k) for k in range(n + 1)) for n in range(10))


@dataclass(frozen=True, slots=True)
class Duels:
    """Votes one by one. `won` is 1 where the left side won, 0 the right, 0.5 nobody; `looks` N x 4 raw style differences."""

    size: int
    left: Numbers
    right: Numbers
    won: Array
    looks: Array


@dataclass(frozen=True, slots=True)
class Controlled:
    """Ratings, their intervals, and what style itself is worth."""

    ratings: Array
    low: Array
    high: Array
    effects: tuple[StyleEffect, ...]


def difference(left: Array, right: Array) -> Array:
    """(left - right) / (left + right), 0 where both are 0; for counts, N x 4."""
    import numpy as np

    total = left + right
    return np.divide(left - right, total, out=np.zeros_like(total), where=total > 0)


def controlled(duels: Duels, rounds: int, progress: Callable[[int, int], None], seed: int = 0) -> Controlled:
    """The fit and its bootstrap; `progress(done, rounds)` is called along the way."""
    import numpy as np

    spread = duels.looks.std(axis=0)
    looks = np.divide(duels.looks, spread, out=np.zeros_like(duels.looks), where=spread > 0)
    # Two half wins for every pair that met, weight 0 in the fit and drawn in the bootstrap, as in rating.resampled.
    pairs = np.unique(np.stack([np.minimum(duels.left, duels.right), np.maximum(duels.left, duels.right)]), axis=1)
    extra = pairs.shape[1] * 2
    model = _Model(
        duels.size,
        np.concatenate([duels.left, pairs[0], pairs[0]]),
        np.concatenate([duels.right, pairs[1], pairs[1]]),
        np.concatenate([duels.won, np.ones(extra // 2), np.zeros(extra // 2)]),
        np.concatenate([looks, np.zeros((extra, looks.shape[1]))]),
    )
    votes = len(duels.won)
    whole = np.concatenate([np.ones(votes), np.zeros(extra)])
    best, inverse = model.fit(whole)
    rng = np.random.default_rng(seed)
    sample = np.empty((rounds, len(best)))
    slope_at_best = model.slopes(best) if votes >= ONE_STEP else None
    for number in range(rounds):
        drawn = np.concatenate([_times_drawn(rng, votes), rng.poisson(SMOOTHING, extra)]).astype(np.float64)
        if slope_at_best is not None:
            sample[number] = best + inverse @ slope_at_best(drawn)
        else:
            sample[number], _ = model.fit(drawn, best)
        progress(number + 1, rounds)
    low, high = bounds(np.stack([points(one) for one in sample[:, : duels.size]]))
    style_low, style_high = bounds(sample[:, duels.size :])
    scale = POINTS / np.log(10)
    effects = tuple(
        StyleEffect(
            name, float(best[duels.size + n] * scale), float(style_low[n] * scale), float(style_high[n] * scale)
        )
        for n, name in enumerate(NAMES)
        if spread[n] > 0
    )
    return Controlled(points(best[: duels.size]), low, high, effects)


def _times_drawn(rng: np.random.Generator, votes: int) -> Numbers:
    """How often each vote is drawn: Poisson with mean 1, by a table of 65,536 entries, which is six times as fast."""
    import numpy as np

    table = np.searchsorted(_POISSON, np.arange(2**16) / 2**16, side="right")
    drawn: Numbers = table[rng.integers(0, 2**16, votes, dtype=np.uint16)]
    return drawn


class _Model:
    """Weighted logistic regression on sparse indicators (+1 left, -1 right) and a few dense columns."""

    def __init__(self, size: int, left: Numbers, right: Numbers, won: Array, looks: Array) -> None:
        self.size, self.left, self.right, self.won, self.looks = size, left, right, won, looks
        self.cell = left * size + right

    def fit(self, weights: Array, start: Array | None = None) -> tuple[Array, Array]:
        """The best parameters and the inverse of the curvature there, by Newton's method with step halving."""
        import numpy as np

        best: Array = np.zeros(self.size + self.looks.shape[1]) if start is None else start
        value = self._loss(best, weights)
        inverse = _inverse(self._curvature(best, weights))
        for _ in range(100):
            step = inverse @ self.slope(weights, best)
            # Below this the loss no longer tells a better point from a worse one.
            if np.abs(step).max() < ENOUGH:
                break
            share = 1.0
            while (after := self._loss(best + share * step, weights)) > value and share > 1e-6:
                share /= 2
            best, value = best + share * step, after
            inverse = _inverse(self._curvature(best, weights))
        return best, inverse

    def _chance(self, at: Array) -> Array:
        import numpy as np

        ahead = at[self.left] - at[self.right] + self.looks @ at[self.size :]
        chance: Array = 1 / (1 + np.exp(-np.clip(ahead, -500, 500)))
        return chance

    def _loss(self, at: Array, weights: Array) -> float:
        import numpy as np

        ahead = at[self.left] - at[self.right] + self.looks @ at[self.size :]
        loss = weights * (np.logaddexp(0, ahead) - self.won * ahead)
        hidden = np.logaddexp(0, at[: self.size]) - at[: self.size] / 2
        style = at[self.size :]
        return float(loss.sum() + PRIOR_TIES * hidden.sum() + 0.5 * PRIOR_TIES * (style @ style))

    def slope(self, weights: Array, at: Array) -> Array:
        """Uphill direction of the log likelihood and of the tie with the hidden opponent."""
        return self.slopes(at)(weights)

    def slopes(self, at: Array) -> Callable[[Array], Array]:
        """`slope` at one point for many weights."""
        import numpy as np

        surprise = self.won - self._chance(at)
        hidden = PRIOR_TIES * (0.5 - 1 / (1 + np.exp(-at[: self.size])))

        def slope(weights: Array) -> Array:
            missing = weights * surprise
            makers = np.bincount(self.left, missing, self.size) - np.bincount(self.right, missing, self.size) + hidden
            return np.concatenate([makers, self.looks.T @ missing - PRIOR_TIES * at[self.size :]])

        return slope

    def _curvature(self, at: Array, weights: Array) -> Array:
        import numpy as np

        chance = self._chance(at)
        heavy = weights * chance * (1 - chance)
        size, total = self.size, self.size + self.looks.shape[1]
        out = np.zeros((total, total))
        met = np.bincount(self.cell, heavy, size * size).reshape(size, size)
        met = met + met.T
        out[:size, :size] = np.diag(met.sum(axis=1)) - met
        own = 1 / (1 + np.exp(-at[:size]))
        out[:size, :size] += np.diag(PRIOR_TIES * own * (1 - own))
        for n in range(self.looks.shape[1]):
            looks = heavy * self.looks[:, n]
            out[:size, size + n] = np.bincount(self.left, looks, size) - np.bincount(self.right, looks, size)
        out[size:, :size] = out[:size, size:].T
        out[size:, size:] = (self.looks * heavy[:, None]).T @ self.looks + PRIOR_TIES * np.eye(total - size)
        return out


def _inverse(matrix: Array) -> Array:
    import numpy as np

    found: Array = np.linalg.inv(matrix).astype(np.float64)
    return found
