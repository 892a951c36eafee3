"""Whose token the Hub is asked with: that of whoever asks, where they have signed in; what it reads is kept for them alone."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from core.caller import token_of_caller
from core.origins import is_loopback

MOST_VISITORS = 64
"""Views of visitors that are kept: what each has read is remembered for a while, so that one page asks once."""


class HasTokenView(Protocol):
    """A service of the Hub that can be had with another token."""

    def for_token(self, token: str) -> Any:
        """The same as the owner of `token` sees it."""
        ...


T = TypeVar("T", bound=HasTokenView)


class ForCaller(Generic[T]):
    """Stands in for a service: every call goes to the view of whoever asks, to the service itself where they have no token.

    Whoever signed in is asked for with their own token and with no other, whatever this machine has.
    """

    def __init__(self, service: T, token: Callable[[], str] = token_of_caller) -> None:
        self._service, self._token = service, token
        self._lock = threading.Lock()
        self._views: OrderedDict[str, T] = OrderedDict()

    def view(self) -> T:
        """The service as whoever asks sees it."""
        token = self._token()
        if not token:
            return self._service
        key = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            found = self._views.pop(key, None) or self._service.for_token(token)
            self._views[key] = found
            while len(self._views) > MOST_VISITORS:
                self._views.popitem(last=False)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.view(), name)


def is_open_to_strangers(host: str, space_id: str | None) -> bool:
    """Whether others than the machine's owner can reach the page: on a Space, and on any address but loopback."""
    return bool(space_id) or not is_loopback(host)
