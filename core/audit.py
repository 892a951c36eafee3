"""What the audit log holds of one act: who, when, what, on what, and how it ended. Never a prompt, a password or a token."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.refs import ModelRef
from core.settings import SECRETS

MOST = 200
# Tokens of the Hub, keys of this app and of the usual providers, and anything that follows "Bearer".
_SECRET = re.compile(r"(hf_|pg_|sk-)[A-Za-z0-9_.\-]{6,}|(?i:bearer)\s+\S+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `number` grows by one; `how` is how they signed in; `outcome` is done, refused or failed."""

    number: int
    at: str
    who: str
    role: str
    how: str
    action: str
    detail: str = ""
    outcome: str = "done"


def detail_of(values: tuple[object, ...]) -> str:
    """What an act was about, from what its handler was given: models, names and numbers, one line, no secret."""
    parts = [text for value in values if (text := _told(value))]
    return _SECRET.sub("…", " · ".join(parts))[:MOST]


def _told(value: object) -> str:
    if isinstance(value, ModelRef):
        return str(value)
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())[:MOST]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(" ".join(one.split()) for one in value)[:MOST]
    repo_id, revision = getattr(value, "repo_id", ""), getattr(value, "revision", "")
    return f"{repo_id}@{revision}" if repo_id and isinstance(repo_id, str) else ""


CHANGED_SETTING = "changed a setting"
_MOST_VALUE = 120
# Where this process happens to run is no decision of anybody's.
_NOT_DECIDED = ("HF_HOME", "PORT", "PROVING_DATA_DIR")


def changed_settings(before: Iterable[str], given: Mapping[str, str], secret: str) -> list[str]:
    """What the log has to say of the settings of this start: `NAME=value` for each that is not as it was.

    `before` are the details of earlier entries, the oldest first. Of a secret, and of what is long, only a mark is told that
    changes with it; `secret` is the app's own.
    """
    was = {name: value for name, _, value in (detail.partition("=") for detail in before)}
    now = {name: _shown(name, value, secret) for name, value in given.items() if name not in _NOT_DECIDED}
    return [f"{name}={now.get(name, '')}" for name in sorted({*was, *now}) if was.get(name, "") != now.get(name, "")]


def _shown(name: str, value: str, secret: str) -> str:
    mark = hmac.new(secret.encode(), f"setting\0{name}\0{value}".encode(), hashlib.sha256).hexdigest()[:8]
    if name in SECRETS:
        return f"… {mark}"
    text = _SECRET.sub("…", " ".join(value.split()))
    return text if text == value and len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}… {mark}"
