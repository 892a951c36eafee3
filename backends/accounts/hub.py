"""Signing in with the Hub: OAuth with PKCE for browsers, the visitor's own Hub token for programs."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from core.errors import AppError, HubUnreachable
from core.roles import USER

CALLBACK = "/login/callback"
REMEMBERED, SECONDS = 1000, 300.0
NOT_TOLD = (
    "The Hub did not say who you are. Sign in again; if it happens again, the Space's OAuth settings are not right."
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who the Hub says it is."""

    user: str
    name: str = ""
    orgs: tuple[str, ...] = ()
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """What a Space with `hf_oauth: true` is given. `host` is the Space's own, without a scheme."""

    client_id: str
    client_secret: str = field(repr=False)
    scopes: str
    provider: str
    host: str

    @property
    def redirect_uri(self) -> str:
        """Where the Hub sends the browser back to; loopback is for trying it out."""
        scheme = "http" if urlsplit("//" + self.host).hostname == "127.0.0.1" else "https"
        return f"{scheme}://{self.host}{CALLBACK}"

    def address(self, state: str, challenge: str) -> str:
        """Where to sign in."""
        asked = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scopes,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.provider}/oauth/authorize?{urlencode(asked)}"

    def person(self, code: str, verifier: str) -> Person:
        """Exchange the code for a token and the person behind it; raises `AppError`."""
        from huggingface_hub import get_session

        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        answer = _json(
            lambda: get_session().post(
                f"{self.provider}/oauth/token",
                data=sent,
                auth=(self.client_id, self.client_secret),
                follow_redirects=False,
            )
        )
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise AppError(NOT_TOLD)
        told = _json(
            lambda: get_session().get(
                f"{self.provider}/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}, follow_redirects=False
            )
        )
        orgs = [
            one.get("preferred_username") or one.get("name") for one in told.get("orgs") or () if isinstance(one, dict)
        ]
        return _person(told.get("preferred_username"), told.get("name"), orgs, token)


class TokenHolders:
    """Whose Hub token it is, remembered for five minutes under the token's hash; a wrong one as well."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._known: OrderedDict[str, tuple[float, Person | None]] = OrderedDict()
        self._lock = threading.Lock()

    def person(self, token: str) -> Person | None:
        """Its owner; None if the Hub does not know it. Raises `HubUnreachable`: not known is not wrong."""
        name = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            known = self._known.get(name)
            if known and known[0] > time.monotonic():
                return replace(known[1], token=token) if known[1] else None
        found = self._ask(token)
        with self._lock:
            # The token itself is not kept: whoever comes again brings it.
            self._known[name] = (time.monotonic() + SECONDS, replace(found, token="") if found else None)
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _ask(self, token: str) -> Person | None:
        from huggingface_hub import get_session

        try:
            answer = get_session().get(
                f"{self._endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}, follow_redirects=False
            )
        except OSError as error:
            raise HubUnreachable(
                "The Hub does not answer, so your token cannot be checked. Try again shortly."
            ) from error
        except Exception as error:
            raise HubUnreachable("The Hub cannot be asked about your token. Try again shortly.") from error
        if answer.status_code in (401, 403):
            return None
        if answer.status_code != 200:
            raise HubUnreachable(
                f"The Hub answered {answer.status_code} when asked about your token. Try again shortly."
            )
        told = answer.json()
        if told.get("type") != "user":
            return None
        orgs = [one.get("name") for one in told.get("orgs") or () if isinstance(one, dict)]
        return _person(told.get("name"), told.get("fullname"), orgs, token)


def _json(ask: Any) -> dict[str, Any]:
    try:
        answer = ask()
        told = answer.json() if answer.status_code == 200 else None
    except Exception as error:
        raise HubUnreachable("The Hub does not answer. Sign in again in a moment.") from error
    if not isinstance(told, dict):
        raise AppError(NOT_TOLD)
    return told


def _person(user: object, name: object, orgs: list[Any], token: str) -> Person:
    if not isinstance(user, str) or not USER.fullmatch(user):
        raise AppError(NOT_TOLD)
    known = tuple(org for org in orgs if isinstance(org, str) and USER.fullmatch(org))
    return Person(user, name[:80] if isinstance(name, str) else "", known, token)
