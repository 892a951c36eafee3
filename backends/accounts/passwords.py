"""The password file: users, their hashed passwords, and the roles and groups it gives them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserInputError
from core.roles import USER, Role, role_named

# 32 MB and about 80 ms for each attempt: what the scrypt paper calls interactive, doubled.
COST, BLOCK, PARALLEL = 2**15, 8, 1
_HASH = re.compile(r"scrypt\.(\d{4,7})\.(\d{1,2})\.(\d{1,2})\.([A-Za-z0-9_-]{16,64})\.([A-Za-z0-9_-]{43})")
MAKE_ONE = "`python -m backends.accounts` makes one."
# Sign-ins at once: each takes memory and a core, and a flood of them should not take all.
_AT_ONCE = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Entry:
    """One user of the password file. `hashed` never leaves it."""

    user: str
    hashed: str
    role: Role = Role.NOBODY
    orgs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Entry({self.user!r}, {self.role!r})"


def hashed(password: str, *, cost: int = COST) -> str:
    """The password as the file keeps it: scrypt with a salt of its own."""
    salt = secrets.token_bytes(16)
    return ".".join(("scrypt", str(cost), str(BLOCK), str(PARALLEL), _text(salt), _text(_scrypt(password, salt, cost))))


def matches(password: str, kept: str) -> bool:
    """Whether it is that password, in a time that does not tell how much of it is right."""
    match = _HASH.fullmatch(kept)
    if match is None:
        return False
    cost, block, parallel = (int(number) for number in match.groups()[:3])
    with _AT_ONCE:
        made = _scrypt(password, _bytes(match[4]), cost, block, parallel)
    return hmac.compare_digest(made, _bytes(match[5]))


def read_entries(value: str) -> tuple[Entry, ...]:
    """Read PROVING_AUTH: a file, or the entries themselves; one `user:hash[:role[:@group,@group]]` a line or parted by blanks.

    Raises `UserInputError` naming the line but never what stands in it: it may be a password.
    """
    value = value.strip()
    if not value:
        return ()
    text = value
    # A hash is in every entry and in no path that anybody would choose.
    if "scrypt." not in value and ":" not in value:
        try:
            text = Path(value).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserInputError(
                "PROVING_AUTH names a file that cannot be read. Give the path of a text file, or user:hash itself. "
                + MAKE_ONE
            ) from error
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    else:
        lines = text.split()
    entries = [_entry(line, number) for number, line in enumerate(lines, 1)]
    if not entries:
        raise UserInputError(f"PROVING_AUTH names a file without a user in it. Write user:hash in a line. {MAKE_ONE}")
    names = [entry.user.lower() for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserInputError(f"PROVING_AUTH names the user {twice} twice. Leave one of the two.")
    return tuple(entries)


class Passwords:
    """Who signs in with a password."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._entries = {entry.user.lower(): entry for entry in entries}
        # Somebody who is not there takes as long as somebody who is.
        self._nobody = hashed(secrets.token_urlsafe(16))

    def check(self, user: str, password: str) -> Entry | None:
        """The entry, if the password is theirs."""
        entry = self._entries.get(user.strip().lower())
        right = matches(password[:1024], entry.hashed if entry else self._nobody)
        return entry if entry and right else None

    def entry(self, user: str) -> Entry | None:
        """The entry of that name, however written."""
        return self._entries.get(user.lower())


def _entry(line: str, number: int) -> Entry:
    user, _, rest = line.partition(":")
    kept, _, rest = rest.partition(":")
    title, _, groups = rest.partition(":")
    role = role_named(title) if title else Role.NOBODY
    orgs = tuple(group.strip().removeprefix("@") for group in groups.split(",") if group.strip())
    if not USER.fullmatch(user) or role is None or not all(USER.fullmatch(org) for org in orgs):
        raise UserInputError(
            f"PROVING_AUTH, entry {number}: write user:hash, user:hash:role or user:hash:role:@group,@group. A user has "
            "letters, digits and . _ @ + -; the roles are visitor, reviewer, curator and admin."
        )
    if not _HASH.fullmatch(kept):
        raise UserInputError(
            f"PROVING_AUTH, entry {number} ({user}): what follows the name is no hash of a password, and passwords are not "
            f"kept as they are. {MAKE_ONE}"
        )
    cost = int(kept.split(".")[1])
    if cost & (cost - 1) or not 2**12 <= cost <= 2**18:
        raise UserInputError(f"PROVING_AUTH, entry {number} ({user}): the hash was not made here. {MAKE_ONE}")
    return Entry(user, kept, role, orgs)


def _scrypt(password: str, salt: bytes, cost: int, block: int = BLOCK, parallel: int = PARALLEL) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, dklen=32, maxmem=256 * cost * block * parallel
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
