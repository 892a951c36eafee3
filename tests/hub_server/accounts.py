"""Who may do what: users, organisations and their access tokens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from tests.hub_server.web import Refusal

Role = Literal["read", "write", "fineGrained"]


def object_id(*parts: str) -> str:
    """Return a stable 24-hex id, as the Hub's database has them."""
    return hashlib.sha1("/".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Token:
    """One access token and the user it speaks for."""

    value: str
    user: str
    role: Role
    orgs: tuple[str, ...] = ()
    scopes: dict[str, tuple[str, ...]] | None = None
    """For a fine-grained token: permissions by entity, `alice`, `model:alice/x` or `dataset:alice/x`."""
    global_scopes: tuple[str, ...] = ()
    can_read_gated_repos: bool = False
    expired: bool = False

    def has_permission(self, permission: str, kind: str, repo_id: str) -> bool:
        """Tell whether a fine-grained scope covers this repository."""
        owner = repo_id.partition("/")[0]
        scopes = self.scopes or {}
        return permission in (*scopes.get(owner, ()), *scopes.get(f"{kind}:{repo_id}", ()))

    def belongs_to(self, namespace: str) -> bool:
        """Tell whether the namespace is the user's own or one of their organisations."""
        return namespace in (self.user, *self.orgs)

    def may_write(self, kind: str, repo_id: str) -> bool:
        """Tell whether this token may change a repository of that name."""
        if not self.belongs_to(repo_id.partition("/")[0]) or self.role == "read":
            return False
        return self.role == "write" or self.has_permission("repo.write", kind, repo_id)

    def may_see_private(self, kind: str, repo_id: str) -> bool:
        """Tell whether this token may see a private repository of that name."""
        if not self.belongs_to(repo_id.partition("/")[0]):
            return False
        if self.role != "fineGrained":
            return True
        return any(self.has_permission(p, kind, repo_id) for p in ("repo.content.read", "repo.write"))


class Accounts:
    """Every token the Hub knows."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def add(self, token: Token) -> None:
        """Make a token valid (or replace it, to let it expire)."""
        self._tokens[token.value] = token

    def users(self) -> set[str]:
        """The names of everybody with a token."""
        return {token.user for token in self._tokens.values()}

    def authenticate(self, value: str | None) -> Token | None:
        """Return the token's owner and rights, None for a visitor; a bad token is refused everywhere."""
        if value is None:
            return None
        token = self._tokens.get(value)
        if token is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        if token.expired:
            raise Refusal(401, f'User Access Token "{_display_name(token)}" is expired')
        return token


def whoami(token: Token) -> dict[str, object]:
    """Describe the user and the token as `whoami-v2` does."""
    access: dict[str, object] = {
        "displayName": _display_name(token),
        "role": token.role,
        "createdAt": "2026-01-01T00:00:00.000Z",
    }
    if token.role == "fineGrained":
        access["fineGrained"] = {
            "canReadGatedRepos": token.can_read_gated_repos,
            "global": list(token.global_scopes),
            "scoped": [
                {"entity": _entity(name, token), "permissions": list(permissions)}
                for name, permissions in (token.scopes or {}).items()
            ],
        }
    return {
        "type": "user",
        "id": object_id("user", token.user),
        "name": token.user,
        "fullname": token.user.title(),
        "email": f"{token.user}@example.com",
        "emailVerified": True,
        "canPay": False,
        "isPro": False,
        "periodEnd": None,
        "avatarUrl": f"/avatars/{object_id('avatar', token.user)}.svg",
        "orgs": [
            {"type": "org", "id": object_id("org", org), "name": org, "fullname": org, "roleInOrg": "write"}
            for org in token.orgs
        ],
        "auth": {"type": "access_token", "accessToken": access},
    }


def _display_name(token: Token) -> str:
    return f"{token.user}-{token.role}"


def _entity(name: str, token: Token) -> dict[str, str]:
    kind, separator, repo_id = name.partition(":")
    if separator:
        return {"_id": object_id(kind, repo_id), "type": kind, "name": repo_id}
    kind = "user" if name == token.user else "org"
    return {"_id": object_id(kind, name), "type": kind, "name": name}
