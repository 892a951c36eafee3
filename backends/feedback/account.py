"""What the Hub says of a token: whose it is, what it may do, and what the operator should know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NARROWEST = (
    "A fine-grained token with read and write access to the contents of {repo} alone is enough once that dataset exists; "
    "to let the app make it, give that access to everything under {owner}."
)


@dataclass(frozen=True, slots=True)
class Account:
    """`label` is for the page. Never the token."""

    label: str
    warnings: tuple[str, ...] = ()


def account_of(whoami: Mapping[str, Any], repo_id: str) -> Account:
    """Read `whoami-v2`'s answer with the dataset in mind."""
    name = str(whoami.get("name") or "unknown")
    auth = whoami.get("auth")
    token = auth.get("accessToken") if isinstance(auth, Mapping) else None
    token = token if isinstance(token, Mapping) else {}
    role = token.get("role")
    narrowest = NARROWEST.format(repo=repo_id, owner=repo_id.partition("/")[0])
    if role == "fineGrained":
        return _fine_grained(name, token, repo_id, narrowest)
    if role == "read":
        return Account(
            f"account {name}, token may only read",
            (f"The access token may only read, so nothing can be sent to {repo_id}. {narrowest}",),
        )
    if role == "write":
        return Account(
            f"account {name}, token may write to everything it owns",
            (f"The access token may write to everything {name} owns. {narrowest}",),
        )
    return Account(f"account {name}")


def _fine_grained(name: str, token: Mapping[str, Any], repo_id: str, narrowest: str) -> Account:
    scopes = token.get("fineGrained")
    scoped = scopes.get("scoped") if isinstance(scopes, Mapping) else None
    writes = [
        entry["entity"]
        for entry in scoped or ()
        if isinstance(entry, Mapping)
        and isinstance(entry.get("entity"), Mapping)
        and "repo.write" in (entry.get("permissions") or ())
    ]
    owner = repo_id.partition("/")[0]
    if any(entity.get("type") == "dataset" and entity.get("name") == repo_id for entity in writes):
        return Account(f"account {name}, token may write to {repo_id}")
    if any(entity.get("type") in ("user", "org") and entity.get("name") == owner for entity in writes):
        return Account(f"account {name}, token may write to everything under {owner}")
    return Account(
        f"account {name}, token may not write to {repo_id}",
        (f"The access token may not write to {repo_id}. {narrowest}",),
    )
