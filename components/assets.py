"""The scripts and styles of gradio's page from memory: read and made small once, and for good in the browser's cache."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from components.asgi import in_thread
from components.headers import Asgi, Message, Receive, Send
from core.origins import is_loopback

TYPES = {".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8", ".woff2": b"font/woff2"}
MOST = 1_000_000
"""Bytes of one file that is held; a larger one (plots, videos) is left to gradio."""


def folder() -> Path:
    """Where gradio has them. Their names end in a hash of what is in them."""
    import gradio

    return Path(gradio.__file__).parent / "templates" / "frontend" / "assets"


class WithAssets:
    """Pure ASGI, behind the gate.

    A page asks for a hundred of these files before it shows anything. gradio (6.31) reads and compresses each anew each time,
    some five milliseconds of the one thread that serves everybody, and lets no browser keep it without asking again.
    """

    def __init__(self, app: Asgi, files: Path | None = None) -> None:
        found = (files or folder()).iterdir()
        self._app = app
        self._files = {file.name: file for file in found if file.suffix in TYPES and file.stat().st_size <= MOST}
        self._read = cache(Path.read_bytes)
        self._small = cache(_compressed)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer for the files that are held; pass everything else on."""
        name = scope["path"].removeprefix("/assets/") if scope["type"] == "http" else ""
        file = self._files.get(name)
        if file is None or scope["path"] == name or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body, encoding = await in_thread(self._read, file), b"identity"
        asked = {key.lower(): value for key, value in scope["headers"]}
        # A browser on this machine is served sooner by what is not compressed; who comes through a proxy is elsewhere.
        here = is_loopback((scope.get("client") or ("",))[0]) and b"x-forwarded-for" not in asked
        if not here and file.suffix != ".woff2" and b"br" in asked.get(b"accept-encoding", b""):
            body, encoding = await in_thread(self._small, body), b"br"
        headers = [
            (b"content-type", TYPES[file.suffix]),
            (b"content-length", str(len(body)).encode()),
            # Said even where nothing was done: gradio compresses whatever does not say.
            (b"content-encoding", encoding),
            (b"vary", b"accept-encoding"),
            (b"cache-control", b"public, max-age=31536000, immutable"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _compressed(body: bytes) -> bytes:
    import brotli  # type: ignore[import-untyped]

    made: bytes = brotli.compress(body, quality=5)
    return made
