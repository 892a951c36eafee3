"""Who rated and when, as rows name it: pseudonyms and moments."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime


def pseudonym(secret: str, visitor: str) -> str | None:
    """A stable name for a visitor that cannot be traced back without `secret`; None for nobody."""
    if not visitor:
        return None
    return "r-" + hmac.new(secret.encode(), visitor.encode(), hashlib.sha256).hexdigest()[:16]


def now() -> str:
    """This moment in UTC, as ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
