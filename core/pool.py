"""Drawing a battle from a pool of contenders: the pair that was compared least comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

Pair = tuple[int, int]


def least_compared(size: int, counts: Mapping[Pair, int], choose: Callable[[int], int]) -> Pair:
    """Two of `size` contenders: of the pairs with the fewest comparisons, one drawn with `choose(how_many)`.

    Among those, pairs whose contenders took part least come first, so that a new contender is not left waiting.
    `counts` has each pair with the smaller number first; what is not in it was never compared.
    """
    pairs = list(combinations(range(size), 2))
    taken = [sum(count for pair, count in counts.items() if number in pair) for number in range(size)]
    rank = {pair: (counts.get(pair, 0), taken[pair[0]] + taken[pair[1]]) for pair in pairs}
    fewest = min(rank.values())
    best = [pair for pair in pairs if rank[pair] == fewest]
    return best[choose(len(best))]
