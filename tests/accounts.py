"""A page that asks who comes: users with passwords, for tests; and signing in as a browser does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from backends.accounts.audit import SqliteAudit
from backends.accounts.passwords import hashed, read_entries
from backends.accounts.service import AccountsOf
from components.access import Access
from core.limits import WITHOUT, Limits
from core.origins import Proxies
from core.roles import read_grants

USERS = {"ann": "admin", "cora": "curator", "rita": "reviewer", "vic": "visitor"}
# Small on purpose: what a guess costs is tested elsewhere.
PASSWORD, KEPT = "a long password", hashed("a long password", cost=2**12)


def access(folder: Path, roles: str = "signed-in=visitor", limits: Limits = WITHOUT, **more: Any) -> Access:
    """Rules under which the four `USERS` sign in with `PASSWORD`, and strangers are visitors."""
    entries = read_entries(" ".join(f"{user}:{KEPT}:{role}" for user, role in USERS.items()))
    accounts = AccountsOf(read_grants(roles), "secret", entries, None, "http://127.0.0.1:9")
    audit = SqliteAudit(folder / "audit.sqlite")
    settings: dict[str, Any] = {"proxies": Proxies(), "on_loopback": True, "secret": "salt", **more}
    return Access(open=False, sign_in=accounts, audit=audit, limits=limits, **settings)


def csrf_in(page: str) -> str:
    """The form's token."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return found[1]


@contextmanager
def signed_in(url: str, user: str) -> Iterator[httpx.Client]:
    """A browser of `user`'s: its cookies are those of somebody who has signed in."""
    with httpx.Client(base_url=url, timeout=60) as browser:
        form = {"csrf": csrf_in(browser.get("sign-in").text), "user": user, "password": PASSWORD}
        reply = browser.post("sign-in", data=form)
        assert reply.status_code == 303, reply.text
        yield browser


def key_of(url: str, user: str) -> str:
    """A key for programs of `user`'s, made as they make it."""
    with signed_in(url, user) as browser:
        form = {"csrf": csrf_in(browser.get("account").text)}
        found = re.search(r'class="key">(pg_[^<]+)<', browser.post("account/key", data=form).text)
    assert found
    return found[1]
