"""The seams of signing in: what a page may ask of whoever knows passwords, keys and the Hub's accounts, and of the log."""

from __future__ import annotations

from typing import Protocol

from core.audit import Entry
from core.roles import Account, Grants


class SignIn(Protocol):
    """Who somebody is. Calls may take a second or ask the network: not on the event loop."""

    @property
    def grants(self) -> Grants:
        """Who has which role."""
        ...

    @property
    def passwords(self) -> bool:
        """Whether users with passwords exist."""
        ...

    @property
    def hub(self) -> str:
        """The Hub that signs people in; "" when none does."""
        ...

    def by_password(self, user: str, password: str) -> Account | None:
        """The account, if the password is theirs."""
        ...

    def by_key(self, key: str) -> Account | None:
        """The account a program's key speaks for: one made here, or a Hub token where the Hub signs people in."""
        ...

    def key_of(self, account: Account) -> str:
        """A new key for programs of this user; "" where they use their Hub token."""
        ...

    def hub_address(self, state: str, challenge: str) -> str:
        """Where the browser goes to sign in at the Hub."""
        ...

    def by_hub(self, code: str, verifier: str) -> Account:
        """The account behind what the Hub sent back; raises `AppError`."""
        ...


class AuditLog(Protocol):
    """Entries that can be added and read, and neither changed nor removed."""

    def add(self, entry: Entry) -> None:
        """Write one entry down; it is on disk on return."""
        ...

    def newest(self, limit: int = 100, before: int = 0) -> tuple[Entry, ...]:
        """The newest entries first, of those older than number `before` (0: all)."""
        ...

    def of(self, action: str) -> tuple[Entry, ...]:
        """Every entry of one kind, the oldest first."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
