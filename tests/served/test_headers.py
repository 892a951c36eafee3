"""What every answer of the served page carries, and that a stream still arrives in pieces behind it."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.request
from collections.abc import Iterator

import pytest

from components.headers import WithHeaders, headers
from tests.fakes import FakeRouter, FakeStore, services
from tests.serving import served


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(services(FakeRouter(), FakeStore()), tmp_path_factory.mktemp("headers")) as address:
        yield address


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "theme.css"])
def test_nobody_else_frames_the_page_and_no_file_is_taken_for_another_kind(url: str, path: str) -> None:
    with urllib.request.urlopen(url + path, timeout=60) as reply:
        assert reply.headers.get_all("Content-Security-Policy")[-1].endswith("frame-ancestors 'self'")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"


def test_only_scripts_of_the_page_itself_run(url: str) -> None:
    """Every inline script of the page as it is served is known by its hash, and none is let through unknown."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        page, policies = reply.read(), reply.headers.get_all("Content-Security-Policy")
    assert len(policies) == 1
    rules = {rule.split()[0]: rule.split()[1:] for rule in policies[0].split("; ")}
    assert rules["default-src"] == ["'self'"]
    assert rules["object-src"] == ["'none'"]
    assert "'unsafe-inline'" not in rules["script-src"]
    inline = re.findall(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(inline) >= 3
    for script in inline:
        made = base64.b64encode(hashlib.sha256(script).digest()).decode()
        assert f"'sha256-{made}'" in rules["script-src"], script[:80]
    allowed = {source for source in rules["script-src"] if not source.startswith("'sha256-")}
    assert allowed == {"'self'", "'unsafe-eval'"}


def test_on_a_space_the_hub_frames_the_page_and_nobody_else() -> None:
    (_, policy), *_ = headers(on_space=True)
    assert policy == b"frame-ancestors 'self' https://huggingface.co https://*.huggingface.co"


def test_a_header_that_is_there_stays_and_pieces_pass_one_by_one() -> None:
    sent: list[dict] = []
    seen_at_first_piece: list[int] = []

    async def app(scope: dict, receive: object, send: object) -> None:
        own = [(b"Referrer-Policy", b"no-referrer")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        seen_at_first_piece.append(len(sent))
        await send({"type": "http.response.body", "body": b"b"})

    async def send(message: dict) -> None:
        sent.append(message)

    served_app = WithHeaders(app, headers(on_space=False))
    # Nothing here waits, so one step runs it to its end; another test may have an event loop on this thread.
    coroutine = served_app({"type": "http"}, None, send)
    try:
        coroutine.send(None)
    except StopIteration:
        pass
    assert seen_at_first_piece == [2]
    names = [name.lower() for name, _ in sent[0]["headers"]]
    assert sorted(names) == [b"content-security-policy", b"referrer-policy", b"x-content-type-options"]
    assert (b"Referrer-Policy", b"no-referrer") in sent[0]["headers"]
