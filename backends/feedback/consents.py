"""Who agreed to which consent text, in SQLite, and the version every row is stamped with."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from core.consent import Consent
from core.dataset import Row
from core.errors import NotConsented, UserInputError
from core.identity import code_of, now

R = TypeVar("R", bound=Row)
REFUSED = (
    "Not saved. Whoever runs this app asks reviewers to agree to a text first: read it at the top of the page, choose "
    "“I agree”, then do it again. What you entered is still on the screen."
)


def remember_text(db: sqlite3.Connection, consent: Consent) -> None:
    """Keep the text itself, so that a row's version can be read years later."""
    db.execute(
        "INSERT INTO consent_texts (version, text, first_shown) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (consent.version, consent.text, now()),
    )


def record(db: sqlite3.Connection, consent: Consent, rater: str, version: str) -> None:
    """One reviewer agreed to the text that was shown; refuses a version that is not the current one."""
    if version != consent.version:
        raise UserInputError("The consent text has changed since it was shown. Reload the page and read it again.")
    remember_text(db, consent)
    db.execute(
        "INSERT INTO consents (rater, version, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (rater, version, now())
    )


def has_agreed(db: sqlite3.Connection, consent: Consent, rater: str | None) -> bool:
    """Whether this reviewer agreed to exactly this text."""
    found = db.execute("SELECT 1 FROM consents WHERE rater = ? AND version = ?", (rater, consent.version)).fetchone()
    return found is not None


def texts(db: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    """(version, text) of every consent text ever shown here, oldest first."""
    found = db.execute("SELECT version, text FROM consent_texts ORDER BY first_shown, version").fetchall()
    return tuple((version, text) for version, text in found)


def stamped(rows: Sequence[R], consent: Consent) -> tuple[R, ...]:
    """The rows with the version of the text; one that a program sent under another version is refused."""
    for row in rows:
        about = row.provenance
        if about.source == "api" and about.consent_version != consent.version:
            raise NotConsented(
                f"Not saved. This app asks reviewers to agree to a text: /feedback_status gives it as consent_text. Send "
                f"consent_version=“{consent.version}” once the reviewer has agreed to it."
            )
    return tuple(replace(row, provenance=replace(row.provenance, consent_version=consent.version)) for row in rows)


def refuse_without(db: sqlite3.Connection, rows: Sequence[Row], consent: Consent) -> None:
    """Raise `NotConsented` unless every rater on the screen agreed. Programs said so with the row itself."""
    for rater in {row.provenance.rater for row in rows if row.provenance.source != "api"}:
        if not has_agreed(db, consent, code_of(rater) if rater else None):
            raise NotConsented(REFUSED)
