"""The operator's consent text: what reviewers agree to before their first vote, under a version of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MOST_CONSENT = 8_000  # characters


@dataclass(frozen=True, slots=True)
class Consent:
    """One text. Another text, however little it differs, is another version, and everybody is asked again."""

    text: str

    @property
    def version(self) -> str:
        """What rows record: the first 16 hex digits of the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def consent_of(text: str) -> Consent | None:
    """The consent of a setting's value; None when there is nothing to agree to."""
    return Consent(text.strip()) if text.strip() else None
