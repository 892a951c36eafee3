"""Keys for programs: what a user gives an agent instead of the password. Signed, not kept; a new password ends them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

PREFIX = "pg_"
DAYS = 90


def make_key(secret: str, user: str, hashed: str, now: float | None = None) -> str:
    """A key of `user` for the next 90 days. `hashed` is their password's hash, so that changing it ends the key."""
    ends = int(time.time() if now is None else now) + DAYS * 86_400
    name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
    return f"{PREFIX}{name}.{ends}.{_mac(secret, name, str(ends), hashed)}"


def user_of(key: str) -> str:
    """Whose key it claims to be; "" when it is none."""
    parts = key.removeprefix(PREFIX).split(".")
    if not key.startswith(PREFIX) or len(parts) != 3 or len(key) > 300:
        return ""
    try:
        return base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)).decode()
    except ValueError:
        return ""


def is_key(secret: str, key: str, hashed: str, now: float | None = None) -> bool:
    """Whether the key was made here, for a user with that hash, and has not ended."""
    parts = key.removeprefix(PREFIX).split(".")
    if len(parts) != 3 or not parts[1].isdigit() or len(parts[1]) > 12:
        return False
    right = hmac.compare_digest(parts[2].encode(), _mac(secret, parts[0], parts[1], hashed).encode())
    return right and int(parts[1]) > (time.time() if now is None else now)


def _mac(secret: str, name: str, ends: str, hashed: str) -> str:
    text = "\0".join(("proving-key", name, ends, hashed)).encode()
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()[:40]
