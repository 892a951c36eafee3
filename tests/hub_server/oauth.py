"""Signing in at the Hub: the OAuth endpoints a Space uses, with PKCE, for whichever user is signed in here."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import urlencode

from tests.hub_server.routes import Call, Routes
from tests.hub_server.web import Refusal, Reply, json_reply

CLIENT_ID, CLIENT_SECRET = "test-client", "test-client-secret"


class Provider:
    """Who is signed in at the Hub in this browser, and what was handed out."""

    def __init__(self) -> None:
        self.user_token = ""
        self._codes: dict[str, tuple[str, str, str]] = {}

    def add_to(self, routes: Routes) -> None:
        """Register the routes; they come before the bare repository."""
        routes.add("GET", "/oauth/authorize")(self.authorize)
        routes.add("POST", "/oauth/token")(self.exchange)
        routes.add("GET", "/oauth/userinfo")(userinfo)

    def authorize(self, call: Call) -> Reply:
        """Send the browser back with a code, as if its user had agreed; without a user, with an error."""
        asked = {
            name: call.request.first(name) or "" for name in ("redirect_uri", "state", "code_challenge", "client_id")
        }
        if asked["client_id"] != CLIENT_ID or not asked["redirect_uri"].endswith("/login/callback"):
            raise Refusal(400, "Unknown client or redirect_uri")
        answer = {"error": "access_denied", "state": asked["state"]}
        if self.user_token:
            code = secrets.token_urlsafe(16)
            self._codes[code] = (self.user_token, asked["code_challenge"], asked["redirect_uri"])
            answer = {"code": code, "state": asked["state"]}
        return Reply(302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    def exchange(self, call: Call) -> Reply:
        """Give the token for a code, once, to the client that knows its secret and the verifier."""
        form = {name: values[0] for name, values in call.request.form().items()}
        kept = self._codes.pop(form.get("code", ""), None)
        secret = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode()
        right = kept and kept[1:] == (challenge.rstrip("="), form.get("redirect_uri"))
        if call.request.headers.get("authorization") != f"Basic {secret}" or not kept or not right:
            raise Refusal(400, "invalid_grant")
        return json_reply(
            {"access_token": kept[0], "token_type": "bearer", "scope": "openid profile", "expires_in": 28800}
        )


def userinfo(call: Call) -> Reply:
    """Tell whose token it is."""
    if call.token is None:
        raise Refusal(401, "Invalid token")
    orgs = [{"preferred_username": org, "name": org.title()} for org in call.token.orgs]
    return json_reply(
        {"sub": "1", "preferred_username": call.token.user, "name": call.token.user.title(), "orgs": orgs}
    )
