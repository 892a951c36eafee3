"""Who asks, for whatever is done on their behalf: set around every event, read where it matters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.roles import OPEN, Account

_CALLER: ContextVar[Account | None] = ContextVar("proving_caller", default=None)


def caller() -> Account | None:
    """Whose event is being handled; None outside of one, and where nobody has to sign in.

    A thread started by hand does not know it: run the work there in `contextvars.copy_context()`.
    """
    return _CALLER.get()


def token_of_caller() -> str:
    """The Hub token of whoever asks, "" when they have none: for their own requests, kept nowhere."""
    account = _CALLER.get()
    return account.token if account else ""


@contextmanager
def called_by(account: Account) -> Iterator[None]:
    """Handle an event of `account`."""
    token = _CALLER.set(None if account is OPEN else account)
    try:
        yield
    finally:
        _CALLER.reset(token)
