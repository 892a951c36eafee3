"""What the audit log holds of one act: who, when, what, on what, and how it ended. Never a prompt, a password or a token."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.refs import ModelRef

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
