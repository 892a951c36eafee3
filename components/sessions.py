"""Who has signed in, by a random id in a cookie. In memory only: a session, and the token in it, end with the process."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from core.roles import Account

HOURS = 8
MOST, MOST_EACH = 10_000, 20


@dataclass(frozen=True, slots=True)
class _Session:
    account: Account
    ends: float


class Sessions:
    """Sessions under the hash of their id, so that what is in memory opens none."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, account: Account, before: str = "") -> str:
        """A new id for somebody who has just signed in. The one they came with ends: it may be known to others."""
        made = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions.pop(_name(before), None)
            # Nobody signs in so often that others are signed out.
            own = [name for name, session in self._sessions.items() if session.account.key == account.key]
            for name in own[: max(0, len(own) - MOST_EACH + 1)]:
                del self._sessions[name]
            self._sessions[_name(made)] = _Session(account, self._clock() + HOURS * 3600)
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return made

    def account(self, session: str) -> Account | None:
        """Whose session it is, until it ends."""
        if not session:
            return None
        with self._lock:
            found = self._sessions.get(_name(session))
            if found and found.ends <= self._clock():
                del self._sessions[_name(session)]
                return None
        return found.account if found else None

    def end(self, session: str) -> None:
        """Sign out."""
        with self._lock:
            self._sessions.pop(_name(session), None)


def _name(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()
