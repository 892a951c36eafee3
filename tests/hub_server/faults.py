"""What can be made to go wrong, and for which requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.hub_server.web import RecordedRequest, Refusal, Reply


@dataclass(frozen=True)
class Status:
    """Reply with an error status; the request has no effect."""

    status: int
    message: str = "Something went wrong"
    headers: dict[str, str] = field(default_factory=dict)

    def reply(self) -> Reply:
        """Make the reply in the Hub's form."""
        return Refusal(self.status, self.message, headers=self.headers).reply()


@dataclass(frozen=True)
class RateLimited:
    """Reply 429 and name the seconds to wait, by `Retry-After` or by the `RateLimit` header."""

    retry_after: int = 0
    header: str = "Retry-After"

    def reply(self) -> Reply:
        """Make the reply with the chosen header."""
        headers = {"Retry-After": str(self.retry_after)}
        if self.header == "RateLimit":
            headers = {
                "RateLimit": f'"api";r=0;t={self.retry_after}',
                "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
            }
        return Refusal(429, "We had to rate limit you", headers=headers).reply()


@dataclass(frozen=True)
class Slow:
    """Answer as usual, but only after some seconds."""

    seconds: float


class Hold:
    """Never answer; or, once a test calls `release`, answer as usual."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        """Let the held requests go on."""
        self._released.set()

    def wait(self, stopping: threading.Event) -> bool:
        """Block until released (True) or until the server stops (False)."""
        self.arrived.set()
        while not self._released.wait(0.02):
            if stopping.is_set():
                return False
        return True


@dataclass(frozen=True)
class CloseConnection:
    """Close the connection before anything is done or said."""


@dataclass(frozen=True)
class DropAfterCommit:
    """Do what was asked, then close the connection without a reply."""


@dataclass(frozen=True)
class SilentAfterCommit:
    """Do what was asked, then say nothing and keep the connection open, until the server stops."""


@dataclass(frozen=True)
class Alter:
    """Do what was asked, then change the reply: another type, a missing header, flipped bytes."""

    change: Callable[[Reply], Reply]


Fault: TypeAlias = Status | RateLimited | Slow | Hold | CloseConnection | DropAfterCommit | SilentAfterCommit | Alter


@dataclass
class _Planned:
    match: str
    fault: Fault
    left: int | None


class Faults:
    """The faults still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def plan(self, match: str, fault: Fault, times: int | None) -> None:
        """Let the next matching requests fail; None means all of them."""
        with self._lock:
            self._planned.append(_Planned(match, fault, times))

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._planned.clear()

    @property
    def pending(self) -> int:
        """How many planned faults have not been used up."""
        return len(self._planned)

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return the fault this request meets, and count it."""
        with self._lock:
            for planned in self._planned:
                if request.fits(planned.match):
                    if planned.left is not None:
                        planned.left -= 1
                        if planned.left == 0:
                            self._planned.remove(planned)
                    return planned.fault
        return None
