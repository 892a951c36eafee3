"""What stands between a request and the app: who may do what, how much of it, and where that is written down."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from components.sessions import Sessions
from core.audit import Entry
from core.identity import pseudonym
from core.limits import WITHOUT, Attempts, Book, Limits, Meter, check_places, check_waiting
from core.origins import Proxies
from core.roles import OPEN, Account, Role
from core.sign_in import AuditLog, SignIn

# What a visitor's id begins with when it is made from the account. Nobody else's id may begin so.
OF_ACCOUNT = "account-"


class Place(Protocol):
    """What holds one of the engines' places."""

    def gone(self) -> bool:
        """Whether it holds it no longer, though nobody said so."""
        ...


class Usage:
    """What everybody uses at this moment and lately; safe to ask from any thread."""

    def __init__(self, limits: Limits, book: Book | None = None) -> None:
        """`book` remembers the last hour beyond the end of the process."""
        self.limits = limits
        self.attempts = Attempts(book=book)
        self._meter = Meter(limits, book=book)
        self._lock = threading.Lock()
        self._running: dict[Place, str] = {}

    @property
    def places(self) -> int:
        """How many places are held."""
        with self._lock:
            return len(self._running)

    def spend(self, what: str, account: Account, amount: float = 1.0) -> None:
        """Count it, or raise `QuotaExceeded`."""
        with self._lock:
            self._meter.spend(what, account.key, amount)

    def give_back(self, what: str, account: Account, amount: float) -> None:
        """Count less of it again."""
        with self._lock:
            self._meter.give_back(what, account.key, amount)

    def take(self, wanted: Sequence[Place], account: Account) -> None:
        """Hold a place for each answer or drawing that is to begin; raises `Busy` and holds none."""
        with self._lock:
            self._running = {place: key for place, key in self._running.items() if not place.gone()}
            check_places(self._running.values(), account.key, len(wanted), self.limits.running)
            self._running |= dict.fromkeys(wanted, account.key)

    def leave(self, place: Place) -> None:
        """Free a place; one that is free stays so."""
        with self._lock:
            self._running.pop(place, None)

    def check_queue(self, waiting: Iterable[str], account: Account) -> None:
        """Whether one more event may wait; raises `Busy`."""
        check_waiting(waiting, account.key, self.limits.queue)


@dataclass(frozen=True)
class Access:
    """The operator's rules. The default is a page on loopback: whoever reaches it is its user, and admin.

    `secret` makes visitors' ids from accounts. `book` keeps what counts against the limits beyond a restart. `hosts` are the
    names this app is known under, beside the Host header. `tickets` let gradio's own client, through which MCP tools are
    called, speak for whoever called the tool.
    """

    open: bool = True
    sign_in: SignIn | None = None
    audit: AuditLog | None = None
    limits: Limits = WITHOUT
    proxies: Proxies = field(default_factory=Proxies)
    hosts: tuple[str, ...] = ()
    on_space: bool = False
    on_loopback: bool = True
    secret: str = field(default="", repr=False)
    book: Book | None = field(default=None, repr=False)
    sessions: Sessions = field(default_factory=Sessions, repr=False)
    usage: Usage = field(init=False, repr=False)
    tickets: dict[str, Account] = field(default_factory=dict, repr=False)
    own_client: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "usage", Usage(self.limits, self.book))

    @property
    def can_sign_in(self) -> bool:
        """Whether there is a page to sign in on."""
        return self.sign_in is not None and (self.sign_in.passwords or bool(self.sign_in.hub))

    def anonymous(self, address: str) -> Account:
        """Somebody who has not said who they are."""
        if self.open:
            return replace(OPEN, address=address)
        return Account(self.sign_in.grants.anonymous if self.sign_in else Role.VISITOR, address=address)

    def visitor(self, account: Account, claimed: str) -> str:
        """The visitor's id a handler sees: the account's where somebody is signed in, else what the browser keeps.

        What a browser sends can be anything, so an anonymous one that sends the id of an account gets another.
        """
        if account.user:
            named = f"visitor\0{account.key}".encode()
            return OF_ACCOUNT + hmac.new(self.secret.encode(), named, hashlib.sha256).hexdigest()[:32]
        if claimed.startswith(OF_ACCOUNT):
            return hashlib.sha256(b"not signed in\0" + claimed.encode()).hexdigest()[:32]
        return claimed

    def rater(self, account: Account) -> str:
        """The pseudonym under which this account's rows stand; "" for nobody in particular."""
        return (pseudonym(self.secret, self.visitor(account, "")) or "") if account.user else ""

    def write_down(self, account: Account, action: str, detail: str = "", outcome: str = "done") -> None:
        """One entry of the audit log, where there is one."""
        if self.audit is not None:
            who = account.who if account.user or not account.role >= Role.ADMIN else "the operator"
            self.audit.add(Entry(0, "", who, account.role.title, account.how, action, detail, outcome))
