"""The little of HTTP that the gate and its pages need: a request as they read it, and answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from anyio import to_thread

from components.access import Access
from components.headers import Message, Receive, Send
from core.origins import address_of

MOST_FORM = 16_384
T = TypeVar("T")


class TooMuch(Exception):
    """A body that is larger than it may be."""


class Request:
    """What the gate reads of a request."""

    def __init__(self, scope: Message, receive: Receive, access: Access) -> None:
        self.scope, self.receive = scope, receive
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            # What stands twice is read as one list, so that a caller's own line never stands in for the proxy's.
            parted = "; " if key == "cookie" else ", "
            self.headers[key] = f"{self.headers[key]}{parted}{text}" if key in self.headers else text
        self.path: str = scope["path"]
        self.peer: str = (scope.get("client") or ("",))[0]
        self.address = address_of(self.peer, self.header("x-forwarded-for"), access.proxies)
        forwarded = self.header("x-forwarded-host") if access.proxies.trusts(self.peer) else ""
        self.hosts = (self.header("host"), forwarded, *access.hosts)
        self._hub = bool(access.sign_in and access.sign_in.hub)
        self.query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))

    def header(self, name: str) -> str:
        """A header's value, "" when it is not there."""
        return self.headers.get(name, "")

    @property
    def bearer(self) -> str:
        """The key a program sends. gradio_client sends its Hub token under a name of its own, to every app and unasked: it
        counts only where the Hub signs people in."""
        for name in ("authorization", *(("x-hf-authorization",) if self._hub else ())):
            kind, _, key = self.header(name).partition(" ")
            if kind.lower() == "bearer" and key.strip():
                return key.strip()
        return ""

    def cookie(self, name: str) -> str:
        """A cookie's value, "" when it is not there or cannot be read."""
        try:
            found = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return found.value if found else ""

    async def form(self) -> dict[str, str]:
        """The form that was sent; raises `TooMuch`."""
        body = b""
        while True:
            message = await self.receive()
            body += message.get("body", b"")
            if len(body) > MOST_FORM:
                raise TooMuch
            if message["type"] != "http.request" or not message.get("more_body"):
                return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Away from the event loop: a password takes a moment, the Hub may take seconds."""
    return await to_thread.run_sync(partial(function, *args))


async def reply(
    send: Send, status: int, kind: str, body: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    """A whole answer."""
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def redirect(send: Send, target: str, cookies: list[bytes] | None = None) -> None:
    """Lead the browser on."""
    extra = [
        (b"location", target.encode()),
        (b"cache-control", b"no-store"),
        *((b"set-cookie", one) for one in cookies or []),
    ]
    await reply(send, 303, "text/plain", b"", extra)
