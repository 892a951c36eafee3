"""Ratings against two other implementations, ranks only where votes can tell, and style taken out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pytest

from backends.evidence.board import leaderboard
from backends.evidence.rating import Meetings, bounds, points, rate, resampled
from backends.evidence.style import Duels, controlled
from core.dataset import Contender
from core.evidence import Duel, Measured, Merge, Style, Tally, VoteFilter

PLAIN = VoteFilter()


def maker(name: str, revision: str = "1", adapter: str | None = None, settings: str | None = None) -> Contender:
    return Contender(f"org/{name}", revision * 40, adapter, settings)


class ListedVotes:
    """Votes from a list: (left, right, outcome, left style, right style)."""

    def __init__(self, makers: Sequence[Contender], votes: Sequence[tuple]) -> None:
        self.makers = dict(enumerate(makers))
        self.votes = [(*vote, None, None)[:5] for vote in votes]

    def stamp(self) -> object:
        return len(self.votes)

    def contenders(self) -> Mapping[int, Contender]:
        return self.makers

    def tallies(self, wanted: VoteFilter) -> Sequence[Tally]:
        counts: dict[tuple, int] = {}
        for vote in self.votes:
            counts[vote[:3]] = counts.get(vote[:3], 0) + 1
        return [Tally(*key, times) for key, times in counts.items()]

    def duels(self, wanted: VoteFilter) -> Iterator[Sequence[Duel]]:
        won = {"left": 1.0, "right": 0.0}
        for left, right, outcome, *styles in self.votes:
            looks = [style or Style(0, 0, 0, 0) for style in styles]
            yield [(left, right, won.get(outcome, 0.5), *looks[0], *looks[1])]

    def measured(self, makers: Sequence[int]) -> Measured:
        return Measured(first_token_s=0.5, seconds=2.0)

    def days(self, wanted: VoteFilter) -> Sequence[tuple[date, int]]:
        return []


def times(count: int, *vote: object) -> list[tuple]:
    return [vote] * count


def meetings(size: int, seed: int) -> Meetings:
    rng = np.random.default_rng(seed)
    wins = rng.integers(0, 9, (size, size)).astype(float)
    np.fill_diagonal(wins, 0)
    ties = np.triu(rng.integers(0, 4, (size, size)), 1).astype(float)
    return Meetings(wins, ties + ties.T)


@pytest.mark.parametrize("seed", range(3))
def test_ratings_are_the_maximum_of_the_likelihood_by_scipy(seed: int) -> None:
    from scipy.optimize import minimize

    found = meetings(5, seed)

    def loss(strength: np.ndarray) -> float:
        ahead = strength[:, None] - strength[None, :]
        played = (found.wins + found.ties / 2) * np.log1p(np.exp(-ahead))
        hidden = 0.5 * (np.log1p(np.exp(strength)) + np.log1p(np.exp(-strength)))
        return float(played.sum() + hidden.sum())

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    assert rate(found) == pytest.approx(points(best.x), abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_ratings_are_choix_s(seed: int) -> None:
    import choix

    found = meetings(4, seed)
    # choix knows only wins: everything counts double, a tie is a win each way, and number 4 is the hidden opponent.
    won = []
    for i in range(4):
        for j in range(4):
            won += [(i, j)] * int(2 * found.wins[i, j] + found.ties[i, j])
        won += [(i, 4), (4, i)]
    assert rate(found) == pytest.approx(points(choix.ilsr_pairwise(5, won, max_iter=1_000)[:4]), abs=0.01)


def test_a_row_of_straight_wins_still_has_ratings() -> None:
    wins = np.zeros((3, 3))
    wins[0, 1] = wins[1, 2] = 1_000
    first, second, third = rate(Meetings(wins, np.zeros((3, 3))))
    assert 3_000 > first > second > third > -1_000


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([1100.0, 1000.0, 900.0])
    chance = 1 / (1 + 10 ** ((truth[None, :] - truth[:, None]) / 400))
    held = total = 0
    for number in range(60):
        wins = np.zeros((3, 3))
        for i, j in ((0, 1), (0, 2), (1, 2)):
            wins[i, j] = rng.binomial(60, chance[i, j])
            wins[j, i] = 60 - wins[i, j]
        low, high = bounds(resampled(Meetings(wins, np.zeros((3, 3))), 200, seed=number))
        held += int(((low <= truth) & (truth <= high)).sum())
        total += 3
    assert held / total > 0.9


def test_resampling_gives_the_same_numbers_again() -> None:
    found = meetings(4, 0)
    assert np.array_equal(resampled(found, 20), resampled(found, 20))


A, B, C = maker("a"), maker("b"), maker("c")


def test_a_clear_order_has_ranks_and_a_sentence() -> None:
    votes = ListedVotes(
        [A, B, C],
        times(90, 0, 1, "left") + times(10, 0, 1, "right") + times(90, 1, 2, "left") + times(10, 2, 1, "left")
        + times(5, 0, 1, "tie") + times(5, 2, 1, "both_bad"),
    )  # fmt: skip
    board = leaderboard(votes, PLAIN, Merge())
    assert [(s.contender, s.rank) for s in board.standings] == [
        ("a @ 1111111", 1), ("b @ 1111111", 2), ("c @ 1111111", 3),
    ]  # fmt: skip
    assert board.votes == 210
    assert (board.standings[1].votes, board.standings[1].wins, board.standings[1].losses, board.standings[1].ties) == (
        210, 100, 100, 10,
    )  # fmt: skip
    assert board.share[0][1] == pytest.approx((90 + 2.5) / 105)
    assert board.share[0][2] is None and board.met[0] == (0, 105, 0)
    assert board.reading.startswith("a @ 1111111 is ahead: against b @ 1111111, the next, it is expected to win 8")
    assert sum(s.rating for s in board.standings) == pytest.approx(3_000)
    assert all(s.low <= s.rating <= s.high for s in board.standings)


def test_few_votes_cannot_tell_and_say_so() -> None:
    board = leaderboard(ListedVotes([A, B], times(7, 0, 1, "left") + times(5, 0, 1, "right")), PLAIN, Merge())
    assert [s.rank for s in board.standings] == [None, None]
    assert "12 votes cannot tell" in board.reading and "more votes" in board.reading


def test_three_straight_wins_are_not_a_rank() -> None:
    board = leaderboard(ListedVotes([A, B], times(3, 0, 1, "left")), PLAIN, Merge())
    assert [s.rank for s in board.standings] == [None, None]
    assert board.standings[0].low < board.standings[0].rating


def test_groups_that_never_met_have_no_common_order() -> None:
    makers = [A, B, C, maker("d")]
    board = leaderboard(ListedVotes(makers, times(99, 0, 1, "left") + times(99, 2, 3, "left")), PLAIN, Merge())
    assert [s.rank for s in board.standings] == [None] * 4
    assert "no common order" in board.reading
    assert any("never met" in note for note in board.notes)


def test_merging_says_what_it_merged_and_leaves_out_votes_within() -> None:
    cool, warm = '{"max": 5, "temperature": 0.1}', '{"max": 5, "temperature": 0.9}'
    makers = [maker("a", "1", None, cool), maker("a", "2", None, warm), maker("b", "1", "org/lora@" + "f" * 40, cool)]
    votes = ListedVotes(makers, times(20, 0, 1, "left") + times(20, 1, 2, "left") + times(3, None, 2, "tie"))
    split = leaderboard(votes, PLAIN, Merge())
    assert {s.contender for s in split.standings} == {
        "a @ 1111111 · temperature 0.1", "a @ 2222222 · temperature 0.9", "b @ 1111111 · lora @ fffffff · temperature 0.1",
    }  # fmt: skip
    assert split.standings[0].settings == {"temperature": 0.1}
    assert split.unknown == 3
    merged = leaderboard(votes, PLAIN, Merge(revisions=True, adapters=True, settings=True))
    assert {s.contender: s.merged for s in merged.standings} == {"a": ("2 commits", "2 settings"), "b": ()}
    assert merged.same == 20 and merged.standings[0].votes == 20
    assert any("20 votes between two answers of the same row" in note for note in merged.notes)
    assert any("a puts together 2 commits, 2 settings" in note for note in merged.notes)


def test_two_owners_of_one_name_are_told_apart() -> None:
    one, two = Contender("x/m", "1" * 40), Contender("y/m", "1" * 40)
    board = leaderboard(ListedVotes([one, two], times(3, 0, 1, "tie")), PLAIN, Merge())
    assert {s.contender for s in board.standings} == {"x/m @ 1111111", "y/m @ 1111111"}
    assert "level" in board.reading


def test_nothing_to_rate_says_what_to_do() -> None:
    assert "No votes yet" in leaderboard(ListedVotes([], []), PLAIN, Merge()).reading
    assert "Clear one" in leaderboard(ListedVotes([], []), VoteFilter(rater="x"), Merge()).reading
    assert "one contender" in leaderboard(ListedVotes([A], times(2, 0, 0, "left")), PLAIN, Merge()).reading
    assert "which models" in leaderboard(ListedVotes([A], times(2, 0, None, "left")), PLAIN, Merge()).reading


def test_style_control_finds_the_better_model_under_the_longer_answers() -> None:
    """b only wins because its answers are longer; with style held constant a is ahead."""
    rng = random.Random(3)
    votes = []
    for _ in range(1_500):
        # Mostly b writes more, sometimes a does; length decides more than quality.
        short, long = Style(100, 0, 0, 0), Style(300, 2, 3, 1)
        a, b = (long, short) if rng.random() < 0.2 else (short, long)
        ahead = 0.6 + (1.5 if a == long else -1.5)
        won = rng.random() < 1 / (1 + np.exp(-ahead))
        votes.append((0, 1, "left" if won else "right", a, b))
    plain = leaderboard(ListedVotes([A, B], votes), PLAIN, Merge())
    fair = leaderboard(ListedVotes([A, B], votes), PLAIN, Merge(), style=True, rounds=60)
    assert plain.standings[0].model == "org/b" and fair.standings[0].model == "org/a"
    assert fair.standings[0].rank == 1
    gap = fair.standings[0].rating - fair.standings[1].rating
    assert gap == pytest.approx(0.6 * 400 / np.log(10), abs=45)
    effects = {effect.name: effect for effect in fair.style}
    assert set(effects) == {"length", "headers", "lists", "bold"}
    assert sum(effect.points for effect in effects.values()) > 50


def test_with_no_difference_in_style_the_controlled_rating_is_the_plain_one() -> None:
    found = meetings(4, 5)
    votes = []
    for i in range(4):
        for j in range(4):
            votes += [(i, j, 1.0)] * int(found.wins[i, j])
            votes += [(i, j, 0.5)] * (int(found.ties[i, j]) if i < j else 0)
    left, right, won = zip(*votes, strict=True)
    steps = []
    fit = controlled(
        Duels(4, np.array(left), np.array(right), np.array(won), np.zeros((len(won), 4))),
        100,
        lambda done, total: steps.append(done),
    )
    assert fit.ratings == pytest.approx(rate(found), abs=0.01)
    assert fit.effects == () and steps[-1] == 100
    low, high = bounds(resampled(found, 400))
    assert fit.low == pytest.approx(low, abs=45) and fit.high == pytest.approx(high, abs=45)


def test_style_control_survives_straight_wins() -> None:
    looks = [(Style(10, 0, 0, 0), Style(20, 1, 0, 0))]
    board = leaderboard(ListedVotes([A, B], [(0, 1, "left", *looks[0])] * 4), PLAIN, Merge(), style=True, rounds=30)
    assert np.isfinite([s.rating for s in board.standings]).all()
    assert [s.rank for s in board.standings] == [None, None]


def test_what_engines_measured_stands_beside_the_rating() -> None:
    votes = ListedVotes([maker("a"), maker("b")], times(3, 0, 1, "left"))
    chat, image = (leaderboard(votes, VoteFilter(kind), Merge()).standings[0].facts for kind in ("chat", "image"))
    assert (chat.first_token_s, chat.tokens_per_s, chat.picture_s) == (0.5, None, None)
    assert (image.first_token_s, image.picture_s) == (None, 2.0)


def test_the_quick_draw_is_poisson_with_mean_one() -> None:
    from backends.evidence.style import _times_drawn

    drawn = _times_drawn(np.random.default_rng(0), 1_000_000)
    assert (drawn.mean(), drawn.var()) == pytest.approx((1, 1), abs=0.01)
    assert np.bincount(drawn, minlength=4)[:4] / len(drawn) == pytest.approx(
        [0.3679, 0.3679, 0.1839, 0.0613], abs=0.002
    )
