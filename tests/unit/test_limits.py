"""What one visitor and all together may use, and that what is refused is not counted."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from backends.accounts.usage import SqliteUsage
from components.access import Usage
from core.errors import AppError, Busy, QuotaExceeded, UserInputError
from core.limits import (
    ATTEMPTS,
    ATTEMPTS_SECONDS,
    NO_LIMIT,
    WITHOUT,
    Attempts,
    Limit,
    Limits,
    Meter,
    check_waiting,
    read_limits,
)
from core.roles import Account, Role
from core.settings import Settings

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


def test_what_is_given_back_never_gives_more_than_the_share() -> None:
    clock = Clock()
    meter = Meter(Limits(tokens=Limit(1000, 5000)), clock)
    meter.spend("tokens", "a", 900)
    # The answer took minutes; what was counted for it ends earlier than what is given back would.
    clock.now += 600
    meter.give_back("tokens", "a", 800)
    clock.now += 3100
    meter.spend("tokens", "a", 1000)
    with pytest.raises(QuotaExceeded):
        meter.spend("tokens", "a", 1)


def test_what_is_given_back_late_takes_nothing_from_what_others_used() -> None:
    clock = Clock()
    meter = Meter(Limits(tokens=Limit(1000, 1000)), clock)
    meter.spend("tokens", "a", 500)
    clock.now += 3500
    meter.spend("tokens", "b", 400)
    clock.now += 200
    meter.give_back("tokens", "a", 500)
    with pytest.raises(QuotaExceeded, match="All visitors together"):
        meter.spend("tokens", "c", 601)
    meter.spend("tokens", "c", 600)


class Restarts:
    """The app on one disk, started again and again; both clocks move together."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.clock = Clock()
        self.book: SqliteUsage | None = None

    def start(self) -> tuple[Meter, Attempts]:
        if self.book is not None:
            self.book.close()
        self.book = SqliteUsage(self.path, lambda: 1_800_000_000 + self.clock.now)
        # The monotonic clock of another process begins anywhere.
        began = self.clock.now
        own = lambda: self.clock.now - began  # noqa: E731
        return Meter(self.limits, own, self.book), Attempts(own, self.book)


def test_a_restart_gives_nobody_a_new_share_of_the_hour(tmp_path: Path) -> None:
    app = Restarts(tmp_path / "usage.sqlite", Limits(tokens=Limit(1000, 1500), requests=Limit(3, 100)))
    meter, _ = app.start()
    meter.spend("tokens", "a", 900)
    meter.give_back("tokens", "a", 200)
    meter.spend("requests", "a")
    app.clock.now += 1200
    meter, _ = app.start()
    with pytest.raises(QuotaExceeded, match="You have used the 1,000 tokens"):
        meter.spend("tokens", "a", 301)
    meter.spend("tokens", "a", 300)
    with pytest.raises(QuotaExceeded, match="All visitors together"):
        meter.spend("tokens", "b", 600)
    # A minute's requests are over before a restart is.
    for _ in range(3):
        meter.spend("requests", "a")
    app.clock.now += 2460
    meter, _ = app.start()
    meter.spend("tokens", "a", 700)
    app.clock.now += 3700
    meter, _ = app.start()
    meter.spend("tokens", "b", 1000)
    assert app.path.stat().st_mode & 0o077 == 0
    with sqlite3.connect(app.path) as other:
        assert {key for (key,) in other.execute("SELECT key FROM used")} == {"b"}, "an hour later nobody else is known"
    other.close()


def test_a_restart_gives_nobody_more_passwords_to_try(tmp_path: Path) -> None:
    app = Restarts(tmp_path / "usage.sqlite", WITHOUT)
    _, attempts = app.start()
    for _ in range(ATTEMPTS - 1):
        attempts.count("10.0.0.1")
    _, attempts = app.start()
    assert not attempts.too_often("10.0.0.1")
    attempts.count("10.0.0.1")
    _, attempts = app.start()
    assert attempts.too_often("10.0.0.1") and not attempts.too_often("10.0.0.2")
    app.clock.now += ATTEMPTS_SECONDS + 61
    assert not app.start()[1].too_often("10.0.0.1")


def test_a_clock_that_was_set_back_and_a_disk_that_fails_stop_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Restarts(tmp_path / "usage.sqlite", Limits(tokens=Limit(1000, 1500)))
    meter, _ = app.start()
    meter.spend("tokens", "a", 900)
    app.clock.now -= 86_400
    meter, _ = app.start()
    meter.spend("tokens", "a", 900)
    assert app.book is not None
    app.book.close()
    meter.spend("tokens", "a", 50)
    assert "counted in memory only" in caplog.text
    with pytest.raises(QuotaExceeded):
        meter.spend("tokens", "a", 100)


def test_the_app_keeps_what_is_used_where_strangers_come(tmp_path: Path) -> None:
    from app import build_access

    settings = replace(Settings.from_env({"PROVING_ROLES": "anonymous=visitor"}), data_dir=tmp_path)
    build_access(settings, "secret").usage.spend("tokens", ANNE, 30_000)
    again = build_access(settings, "secret").usage
    with pytest.raises(QuotaExceeded, match="You have used"):
        again.spend("tokens", ANNE, 20_000)
