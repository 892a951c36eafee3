"""Answers the gate gives itself: a page with its own policy, JSON, or a refusal in the form the caller reads."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

from components.access import Access
from components.asgi import Request, reply
from components.headers import HUB_FRAMES, Send
from components.sign_in_page import STYLE, refused

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
NO_STORE = (b"cache-control", b"no-store")


async def refuse(access: Access, request: Request, send: Send, status: int, title: str, sentence: str) -> None:
    """Why not, and what to do: a page for browsers, JSON for programs."""
    if "text/html" in request.header("accept"):
        ways = access.can_sign_in and not access.open and status in (401, 403)
        sign_in = f"/sign-in?next={quote(request.path, safe='')}" if ways else ""
        # Under a name that is not this app's, its first page is refused as well.
        await html(access, send, status, refused(title, sentence, sign_in=sign_in, back=status != 421), [])
        return
    extra = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await reply(send, status, "application/json", json.dumps({"detail": sentence, "error": sentence}).encode(), extra)


async def html(access: Access, send: Send, status: int, text: str, cookies: list[bytes]) -> None:
    """A page of ours, under a policy that allows its one style and nothing else."""
    frames = f"'self' {HUB_FRAMES}" if access.on_space else "'none'"
    hub = access.sign_in.hub if access.sign_in else ""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors {frames}; "
        # A form that is led on to the Hub has to be allowed to go there.
        f"form-action 'self' {hub}".rstrip()
    )
    extra = [(b"content-security-policy", policy.encode()), NO_STORE, *((b"set-cookie", one) for one in cookies)]
    await reply(send, status, "text/html; charset=utf-8", text.encode(), extra)


async def as_json(send: Send, value: object) -> None:
    """A record that nobody may keep."""
    await reply(send, 200, "application/json", json.dumps(value).encode(), [NO_STORE])
