"""What one visitor and all together may use, and that what is refused is not counted."""

from __future__ import annotations

import pytest

from components.access import Usage
from core.errors import AppError, Busy, QuotaExceeded, UserInputError
from core.limits import NO_LIMIT, WITHOUT, Limit, Limits, Meter, check_waiting, read_limits
from core.roles import Account, Role

ANNE, BOB = Account(Role.VISITOR, address="10.1.1.1"), Account(Role.VISITOR, "bob", how="password")


class Clock:
    """Time that moves when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_limits_are_read_strictly() -> None:
    found = read_limits("requests=10/100; running = 2/5\npixels=-")
    assert (found.requests, found.running) == (Limit(10, 100), Limit(2, 5))
    assert found.pixels.each == NO_LIMIT
    assert found.tokens == Limits().tokens
    assert read_limits("off") == WITHOUT
    for wrong in ("requests", "requests=x", "nothing=1", "requests=1/2/3", "requests=-1"):
        with pytest.raises(UserInputError, match="PROVING_LIMITS"):
            read_limits(wrong)


def test_a_window_moves_and_what_is_refused_is_not_counted() -> None:
    clock = Clock()
    meter = Meter(Limits(requests=Limit(3, 100)), clock)
    for _ in range(3):
        meter.spend("requests", "a")
    for _ in range(5):
        with pytest.raises(QuotaExceeded, match="Go on in") as refused:
            meter.spend("requests", "a")
    assert refused.value.retry_after == pytest.approx(60)
    meter.spend("requests", "b")
    clock.now += 61
    meter.spend("requests", "a")


def test_all_together_have_a_limit_as_well() -> None:
    meter = Meter(Limits(tokens=Limit(100, 250)), Clock())
    meter.spend("tokens", "a", 100)
    meter.spend("tokens", "b", 100)
    with pytest.raises(QuotaExceeded, match="All visitors together"):
        meter.spend("tokens", "c", 100)
    meter.give_back("tokens", "b", 80)
    meter.spend("tokens", "c", 100)
    with pytest.raises(QuotaExceeded, match="this alone asks for 101"):
        meter.spend("tokens", "d", 101)


class Work:
    """A place in the engines."""

    def __init__(self) -> None:
        self.forgotten = False

    def gone(self) -> bool:
        return self.forgotten


def test_one_visitor_cannot_hold_every_place() -> None:
    usage = Usage(Limits(running=Limit(2, 3)))
    mine = [Work(), Work()]
    usage.take(mine, ANNE)
    with pytest.raises(Busy, match="2 of your answers"):
        usage.take([Work()], ANNE)
    usage.take([Work()], BOB)
    with pytest.raises(Busy, match="All 3 places"):
        usage.take([Work()], BOB)
    usage.leave(mine[0])
    usage.leave(mine[0])
    usage.take([Work()], BOB)
    # A battle takes both of its places or none.
    mine[1].forgotten = True
    with pytest.raises(Busy, match="would start 3 at once"):
        usage.take([Work(), Work(), Work()], ANNE)


def test_one_visitor_cannot_fill_the_queue() -> None:
    limit = Limit(2, 4)
    check_waiting(["a", "b"], "a", limit)
    with pytest.raises(Busy, match="2 of your requests wait"):
        check_waiting(["a", "b", "a"], "a", limit)
    with pytest.raises(Busy, match="4 requests wait"):
        check_waiting(["a", "b", "c", "d"], "e", limit)


def test_every_refusal_is_one_for_the_screen() -> None:
    assert issubclass(Busy, AppError)
    assert issubclass(QuotaExceeded, AppError)
