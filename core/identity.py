"""Who rated and when, as rows name it: pseudonyms and moments."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from datetime import UTC, datetime

from core.errors import UserInputError


def pseudonym(secret: str, visitor: str) -> str | None:
    """A stable name for a visitor that cannot be traced back without `secret`; None for nobody."""
    if not visitor:
        return None
    return "r-" + hmac.new(secret.encode(), visitor.encode(), hashlib.sha256).hexdigest()[:16]


_SIGNED = re.compile(r".* \((r-[0-9a-f]{16})\)", re.DOTALL)
MOST_NAME = 40


def signed(name: str, code: str) -> str:
    """A reviewer with the name they chose. The pseudonym stays behind it: two of one name are still two, and it proves who
    may take a row back."""
    return f"{name} ({code})" if name else code


def code_of(rater: str) -> str:
    """The pseudonym of a reviewer as a row names them, with or without a name of their own."""
    match = _SIGNED.fullmatch(rater)
    return match[1] if match else rater


def checked_name(name: str) -> str:
    """A name a reviewer may choose, without what surrounds it; "" is none. Raises `UserInputError`."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    # Cc and Cf hold what changes the direction of text or cannot be seen.
    odd = any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn") or one in "()<>" for one in name)
    if len(name) > MOST_NAME or odd or re.match(r"r-[0-9a-f]{4,}", name):
        raise UserInputError(
            f"A name has at most {MOST_NAME} letters, digits, blanks and ordinary signs, no brackets, and is no pseudonym "
            "(r-…)."
        )
    return name


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
