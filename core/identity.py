"""Who rated and when, as rows name it: pseudonyms and moments."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

from core.errors import UserInputError


def pseudonym(secret: str, visitor: str) -> str | None:
    """A stable name for a visitor that cannot be traced back without `secret`; None for nobody."""
    if not visitor:
        return None
    return "r-" + hmac.new(secret.encode(), visitor.encode(), hashlib.sha256).hexdigest()[:16]


def owner_of(secret: str, visitor: str) -> str:
    """Whose pictures these are, on disk: nobody who reads the disk learns the visitor's id, which opens the gallery.

    Another name than `pseudonym`, so that published rows do not point at a folder of pictures. Raises `UserInputError`.
    """
    if not 8 <= len(visitor) <= 200:
        raise UserInputError("This page does not know whose pictures these are yet. Reload it, then try again.")
    return hmac.new(secret.encode(), b"gallery\0" + visitor.encode(), hashlib.sha256).hexdigest()[:32]


def now() -> str:
    """This moment in UTC, as ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
