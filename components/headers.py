"""Headers of every answer of the server: who may frame the page, and that a file is what it says it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]

HUB_FRAMES = "https://huggingface.co https://*.huggingface.co"


def headers(*, on_space: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer carries. A Space is shown in a frame of the Hub's pages; anywhere else only the app frames itself.

    What a page may load stands in its head (`theme.policy`): a browser heeds `frame-ancestors` only in a header.
    """
    frames = f"'self' {HUB_FRAMES}" if on_space else "'self'"
    return (
        (b"content-security-policy", f"frame-ancestors {frames}".encode()),
        (b"x-content-type-options", b"nosniff"),
        # A card's links lead elsewhere; which model and commit somebody looked at is not theirs to know.
        (b"referrer-policy", b"same-origin"),
    )


class WithHeaders:
    """Pure ASGI: Starlette's own base class would hold back streams until they end."""

    def __init__(self, app: Asgi, added: tuple[tuple[bytes, bytes], ...]) -> None:
        self._app, self._added = app, added

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on; the start of an answer gets the headers it does not have yet."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                more = [pair for pair in self._added if pair[0] not in there]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)
