"""Who asks, for whatever is done on their behalf: set around every event, read where it matters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.roles import OPEN, Account, Role

_CALLER: ContextVar[Account | None] = ContextVar("proving_caller", default=None)
_NOTES: ContextVar[list[tuple[str, str]] | None] = ContextVar("proving_notes", default=None)


def caller() -> Account | None:
    """Whose event is being handled; None outside of one, and where nobody has to sign in.

    A thread started by hand does not know it: run the work there in `contextvars.copy_context()`.
    """
    return _CALLER.get()


def token_of_caller() -> str:
    """The Hub token of whoever asks, "" when they have none: for their own requests, kept nowhere."""
    account = _CALLER.get()
    return account.token if account else ""


def curates() -> bool:
    """Whether whoever asks has signed in and may deal with rows of others."""
    account = _CALLER.get()
    return account is not None and bool(account.user) and account.role >= Role.CURATOR


def note(action: str, detail: str) -> None:
    """Have the audit log say that whoever asks did this, once the event is through."""
    notes = _NOTES.get()
    if notes is not None:
        notes.append((action, detail))


@contextmanager
def called_by(account: Account) -> Iterator[list[tuple[str, str]]]:
    """Handle an event of `account`; gives what `note` was told meanwhile."""
    notes: list[tuple[str, str]] = []
    token, noting = _CALLER.set(None if account is OPEN else account), _NOTES.set(notes)
    try:
        yield notes
    finally:
        _CALLER.reset(token)
        _NOTES.reset(noting)
