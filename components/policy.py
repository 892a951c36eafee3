"""What gradio's page may load and run: a policy made for each page as it is served, with the hashes of its inline scripts."""

from __future__ import annotations

import base64
import hashlib
import re

from components.headers import HUB_FRAMES, Asgi, Message, Receive, Send
from components.theme import SCRIPT, policy

_INLINE = re.compile(rb"<script(?![^>]*\bsrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
MOST_PAGE = 32_000_000


def script_hashes(page: bytes) -> tuple[str, ...]:
    """The sources of script-src that allow the inline scripts of `page`, and the one gradio puts into its head later."""
    scripts = [*_INLINE.findall(page), SCRIPT.read_bytes()]
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    return tuple(dict.fromkeys(f"'sha256-{one}'" for one in hashes))


def page_policy(page: bytes, endpoint: str, *, on_space: bool) -> str:
    """The policy for one page of gradio's.

    'unsafe-eval': gradio makes functions of the `js` of an event and of what an HTML component does when it loads.
    'unsafe-inline' is for styles alone: Svelte writes them into attributes. Both are named in docs/security.md.
    """
    frames = f"'self' {HUB_FRAMES}" if on_space else "'self'"
    return (
        f"default-src 'self'; script-src 'self' 'unsafe-eval' {' '.join(script_hashes(page))}; "
        "style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        f"form-action 'self'; {policy(endpoint)}; frame-ancestors {frames}"
    )


class WithPolicy:
    """Pure ASGI: holds a page of HTML until it is whole, and nothing else."""

    def __init__(self, app: Asgi, endpoint: str, on_space: bool) -> None:
        self._app, self._endpoint, self._on_space = app, endpoint, on_space

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on; a page gets the policy that its own scripts fulfil."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        page = bytearray()

        async def answer(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_page(message):
                held = message
                return
            if held is None:
                await send(message)
                return
            page.extend(message.get("body", b""))
            if message.get("more_body") and len(page) < MOST_PAGE:
                return
            made = page_policy(bytes(page), self._endpoint, on_space=self._on_space).encode()
            start, held = {**held, "headers": [*held["headers"], (b"content-security-policy", made)]}, None
            await send(start)
            await send({**message, "body": bytes(page)})

        await self._app(scope, receive, answer)


def _is_page(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start.get("headers", ())}
    html = headers.get(b"content-type", b"").startswith(b"text/html")
    return html and b"content-security-policy" not in headers and b"content-encoding" not in headers
