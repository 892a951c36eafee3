"""How much one visitor, and all of them together, may ask for; and what is said when it is more."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from time import monotonic
from typing import Protocol

from core.errors import Busy, QuotaExceeded, UserInputError

NO_LIMIT = float("inf")
MINUTE, HOUR = 60.0, 3600.0
MOST_KNOWN = 20_000
# From one address, and for one user from wherever: few enough to guess nothing, too many to lock somebody out in passing.
ATTEMPTS, ATTEMPTS_USER, ATTEMPTS_SECONDS = 10, 100, 600.0
FAILED, OF_USER = "failed", "user:"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most for one visitor and for all together; infinite where there is none."""

    each: float
    all: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may ask for. Rates are over a window that moves with the clock."""

    requests: Limit = Limit(300, 6000)
    """Events of the page and calls of the API, per minute."""
    running: Limit = Limit(4, 16)
    """Answers and drawings that run or wait for an engine at one moment."""
    queue: Limit = Limit(24, 200)
    """Events that wait for their turn at one moment."""
    tokens: Limit = Limit(40_000, 1_000_000)
    """Tokens of answers, per hour."""
    pixels: Limit = Limit(2_000, 40_000)
    """Million pixels of pictures times their steps, per hour: 20 steps at 512 x 512 are 5.2."""
    upload: Limit = Limit(200, 5_000)
    """Megabytes of uploads, per hour. One file has 20 MB at most, always."""


WITHOUT = Limits(*(Limit(NO_LIMIT, NO_LIMIT) for _ in fields(Limits)))


def read_limits(text: str) -> Limits:
    """Read PROVING_LIMITS: `off`, or `name=each/all` parted by commas, semicolons or lines; `-` is no limit.

    What is not named keeps its default. Raises `UserInputError`.
    """
    if text.strip().lower() == "off":
        return WITHOUT
    found = Limits()
    names = [field.name for field in fields(Limits)]
    for part in filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text))):
        match = re.fullmatch(r"(\w+)\s*=\s*(-|\d{1,12})(?:\s*/\s*(-|\d{1,12}))?", part)
        if match is None or match[1] not in names:
            raise UserInputError(
                f"PROVING_LIMITS: “{part}” is no name=each/all. The names are {', '.join(names)}; write for example "
                "requests=300/6000; running=2/8, or off."
            )
        before: Limit = getattr(found, match[1])
        each = NO_LIMIT if match[2] == "-" else float(match[2])
        everybody = before.all if match[3] is None else NO_LIMIT if match[3] == "-" else float(match[3])
        found = replace(found, **{match[1]: Limit(each, everybody)})
    if found.running.each >= found.running.all < NO_LIMIT:
        raise UserInputError(
            f"PROVING_LIMITS: one visitor may run {found.running.each:g} at once and all together {found.running.all:g}, so "
            "one could hold every place. Make the second number the larger one."
        )
    return found


@dataclass(slots=True)
class Window:
    """What was used in the last `seconds`, and when each part of it is forgotten."""

    seconds: float
    used: float = 0.0
    parts: deque[tuple[float, float]] = field(default_factory=deque)

    def at(self, now: float) -> float:
        """How much is used at this moment."""
        while self.parts and self.parts[0][0] <= now - self.seconds:
            self.used -= self.parts.popleft()[1]
        if not self.parts:
            self.used = 0.0
        return self.used

    def add(self, now: float, amount: float) -> None:
        """Use `amount` now. Parts of one second are kept as one, so that a flood does not fill memory."""
        self.used += amount
        if self.parts and now - self.parts[-1][0] < self.seconds / 60:
            then, before = self.parts[-1]
            self.parts[-1] = (then, before + amount)
        else:
            self.parts.append((now, amount))

    def take_back(self, now: float, amount: float) -> float:
        """Use `amount` less: of the newest parts, and never less than nothing. Returns how much less it is."""
        amount = left = min(amount, self.at(now))
        for place in range(len(self.parts) - 1, -1, -1):
            then, part = self.parts[place]
            less = min(part, left)
            self.parts[place] = (then, part - less)
            left -= less
        self.used -= amount
        return amount

    def free_in(self, now: float, amount: float, most: float) -> float:
        """Seconds until `amount` more fits below `most`; a window if it never does."""
        over = self.at(now) + amount - most
        for then, part in self.parts:
            over -= part
            if over <= 0:
                return max(1.0, then + self.seconds - now)
        return self.seconds


def wait(seconds: float) -> str:
    """A time to wait, in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{round(seconds / 60)} minutes"


UNITS = {
    "requests": ("requests", 1.0),
    "tokens": ("tokens of answers", 1.0),
    "pixels": ("million pixel-steps of pictures", 1.0),
    "upload": ("megabytes of uploads", 1.0),
}


class Book(Protocol):
    """Remembers what was used beyond the end of the process, for windows of minutes and hours."""

    def add(self, what: str, key: str, amount: float) -> None:
        """`key` used `amount` of `what` now; less than nothing is what was given back. Never raises."""
        ...

    def recent(self) -> Iterable[tuple[str, str, float, float]]:
        """What, by whom, seconds ago and how much, the oldest first."""
        ...


class Meter:
    """Counts what everybody uses. One per app; every method is quick and is called under the caller's lock.

    What was used lately stands in `book`, where there is one: a restart gives nobody a new share of the hour.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic, book: Book | None = None) -> None:
        self.limits = limits
        self._clock, self._book = clock, book
        self._each: dict[tuple[str, str], Window] = {}
        self._all: dict[str, Window] = {}
        now = clock()
        for what, key, ago, amount in book.recent() if book else ():
            if what in UNITS and seconds_of(what) == HOUR:
                for window in self._windows(what, key, now):
                    if amount > 0:
                        window.add(now - ago, amount)
                    else:
                        window.take_back(now, -amount)

    def spend(self, what: str, key: str, amount: float = 1.0) -> None:
        """Count `amount` of requests, tokens, pixels or upload; raises `QuotaExceeded` and counts nothing when it is too much."""
        limit: Limit = getattr(self.limits, what)
        if limit.each == limit.all == NO_LIMIT:
            return
        now = self._clock()
        own, everybody = self._windows(what, key, now)
        unit = UNITS[what][0]
        per = "minute" if seconds_of(what) == MINUTE else "hour"
        if amount > limit.each:
            raise QuotaExceeded(
                f"One visitor may use {limit.each:,.0f} {unit} an hour here, and this alone asks for {amount:,.0f}. Ask for "
                "less of it."
            )
        for window, most, whose in (
            (own, limit.each, "You have"),
            (everybody, limit.all, "All visitors together have"),
        ):
            if window.at(now) + amount > most:
                after = window.free_in(now, amount, most)
                raise QuotaExceeded(
                    f"{whose} used the {most:,.0f} {unit} of this {per}. Go on in {wait(after)}; what is on the page stays.",
                    after,
                )
        own.add(now, amount)
        everybody.add(now, amount)
        self._remember(what, key, amount)

    def give_back(self, what: str, key: str, amount: float) -> None:
        """Of what was counted beforehand, `amount` was not used after all."""
        now = self._clock()
        own, everybody = self._windows(what, key, now)
        amount = own.take_back(now, amount)
        if amount > 0:
            everybody.take_back(now, amount)
            self._remember(what, key, -amount)

    def _remember(self, what: str, key: str, amount: float) -> None:
        if self._book is not None and seconds_of(what) == HOUR:
            self._book.add(what, key, amount)

    def _windows(self, what: str, key: str, now: float) -> tuple[Window, Window]:
        """What `key` uses, and all together."""
        own = self._each.get((key, what))
        if own is None:
            if len(self._each) > MOST_KNOWN:
                # Addresses are cheap to come by; those who used nothing lately need not be remembered.
                self._each = {name: kept for name, kept in self._each.items() if kept.at(now) > 0}
            own = self._each[(key, what)] = Window(seconds_of(what))
        return own, self._all.setdefault(what, Window(seconds_of(what)))


class Attempts:
    """Wrong passwords and keys, by the address they came from and by the user they were meant for."""

    def __init__(self, clock: Callable[[], float] = monotonic, book: Book | None = None) -> None:
        self._clock, self._book = clock, book
        self._failed: dict[str, Window] = {}
        now = clock()
        for what, name, ago, amount in book.recent() if book else ():
            if what == FAILED:
                self._failed.setdefault(name, Window(ATTEMPTS_SECONDS)).add(now - ago, amount)

    def too_often(self, name: str) -> bool:
        """Whether so many failed lately that the next is not looked at."""
        window = self._failed.get(name)
        most = ATTEMPTS_USER if name.startswith(OF_USER) else ATTEMPTS
        return window is not None and window.at(self._clock()) >= most

    def count(self, name: str) -> None:
        """One more that failed."""
        now = self._clock()
        if len(self._failed) > MOST_KNOWN:
            self._failed = {known: window for known, window in self._failed.items() if window.at(now) > 0}
        self._failed.setdefault(name, Window(ATTEMPTS_SECONDS)).add(now, 1)
        if self._book is not None:
            self._book.add(FAILED, name, 1)


def seconds_of(what: str) -> float:
    """How long the window of a limit is."""
    return MINUTE if what == "requests" else HOUR


def check_places(running: Iterable[str], key: str, wanted: int, limit: Limit) -> None:
    """Whether `wanted` more may run beside those of `running`, one key for each; raises `Busy`."""
    keys = list(running)
    mine = keys.count(key)
    if mine + wanted > limit.each:
        raise Busy(
            f"{mine} of your answers and drawings run already, and one visitor may run {limit.each:.0f} at once. Stop one, or "
            "wait until it is done."
            if mine
            else f"This would start {wanted} at once, and one visitor may run {limit.each:.0f}. Ask for fewer.",
            10.0,
        )
    if len(keys) + wanted > limit.all:
        raise Busy(
            f"All {limit.all:.0f} places are taken by visitors who came before. Try again in a minute; what you wrote stays.",
            30.0,
        )


def check_waiting(waiting: Iterable[str], key: str, limit: Limit) -> None:
    """Whether one more event of `key` may wait beside those of `waiting`; raises `Busy`."""
    keys = list(waiting)
    if keys.count(key) >= limit.each:
        raise Busy(f"{keys.count(key)} of your requests wait already. Wait until one of them is done.", 10.0)
    if len(keys) >= limit.all:
        raise Busy(f"{len(keys)} requests wait before yours, as many as may. Try again in a minute.", 30.0)
