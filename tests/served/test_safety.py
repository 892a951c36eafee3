"""What a stranger may try on the served app: other addresses, other files, other visitors, and more than their share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from components.gate import MEGABYTE, MOST_BODY
from core.limits import WITHOUT, Limit
from core.origins import read_proxies
from tests.accounts import access, key_of
from tests.fakes import FakeRouter, FakeStore, png, services
from tests.serving import served, wait_until


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The default: a page on loopback."""
    with served(services(FakeRouter(), FakeStore()), tmp_path_factory.mktemp("safety")) as address:
        yield address


@pytest.fixture
def bait() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine that nobody may be led to, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(png(1))

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret.png", asked
    server.shutdown()
    server.server_close()
    thread.join()


def draw_from(url: str, picture: dict[str, str]) -> httpx.Response:
    """Ask for a drawing that starts from a file, past gradio's own client, which would send the file itself."""
    sent = {**picture, "meta": {"_type": "gradio.FileData"}}
    data = ["a pear", "", "", 0, 0, 0, -1, "", -1, sent, None, -1, []]
    return httpx.post(
        f"{url}gradio_api/run/generate_image", json={"data": data, "session_hash": "stranger"}, timeout=60
    )


def test_the_server_opens_no_address_a_visitor_names(url: str, bait: tuple[str, list[str]]) -> None:
    address, asked = bait
    for path in (f"gradio_api/file={address}", f"gradio_api/proxy={address}", f"file={address}", f"proxy={address}"):
        assert httpx.get(url + path, timeout=60).status_code in (403, 404), path
    for sent in ({"path": address}, {"path": "x.png", "url": address}, {"path": address, "url": address}):
        assert draw_from(url, sent).status_code == 500
    # A file that was uploaded before is what it is for.
    [kept] = httpx.post(f"{url}gradio_api/upload", files={"files": ("x.png", png(1), "image/png")}, timeout=60).json()
    assert draw_from(url, {"path": kept}).status_code == 200
    client = Client(url, verbose=False)
    for name in (address, "127.0.0.1:80/x", "../../etc/passwd", "org/..", "file:///etc/passwd"):
        with pytest.raises(AppError):
            client.predict(name, api_name="/model_card")
    assert asked == []


def test_no_file_of_the_machine_is_served(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "feedback.sqlite"
    secret.write_text("canary")
    root = Path(__file__).parents[2]
    for path in (
        secret,
        "/etc/passwd",
        root / "app.py",
        "app.py",
        "../app.py",
        "data/secret",
        "..%2f..%2fetc%2fpasswd",
    ):
        reply = httpx.get(f"{url}gradio_api/file={path}", timeout=60)
        assert reply.status_code in (403, 404), path
        assert "canary" not in reply.text
    for path in (secret, "/etc/passwd", str(root / "app.py")):
        assert draw_from(url, {"path": str(path)}).status_code == 500


def test_an_uploads_name_is_a_name_and_no_path(url: str) -> None:
    files = {"files": ("../../../etc/cron.d/evil", png(2), "image/png")}
    [kept] = httpx.post(f"{url}gradio_api/upload", files=files, timeout=60).json()
    assert ".." not in kept
    assert Path(kept).name == "evil"
    # What another visitor uploaded is found only by who knows the hash of what is in it.
    assert len(Path(kept).parent.name) == 64
    assert httpx.get(f"{url}gradio_api/file={Path(kept).parents[1]}", timeout=60).status_code in (403, 404)


def test_a_body_is_bounded_before_it_is_read_and_counts_as_an_upload(url: str, tmp_path: Path) -> None:
    """gradio holds a whole JSON body in memory, and the files sent to a component's own function."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    for path in ("queue/join", "run/chat", "call/chat", "mcp/"):
        with socket.create_connection((host, int(port)), timeout=60) as sent:
            head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            sent.sendall(f"{head}Content-Length: {MOST_BODY + 1}\r\n\r\n".encode())
            assert sent.recv(12) == b"HTTP/1.1 413", path

    def endless() -> Iterator[bytes]:
        yield b'{"data": [], "session_hash": "'
        for _ in range(MOST_BODY // MEGABYTE + 10):
            yield b"x" * MEGABYTE
        yield b'"}'

    with pytest.raises(httpx.HTTPError):
        # Without a length: the connection ends where it becomes too much.
        httpx.post(
            f"{url}gradio_api/run/feedback_status",
            content=endless(),
            headers={"Content-Type": "application/json"},
            timeout=60,
        ).raise_for_status()
    files = {"data": ("x", b"x")}
    assert httpx.post(f"{url}gradio_api/component_server", files=files, timeout=60).status_code == 404
    with served(
        replace(services(), access=access(tmp_path, limits=replace(WITHOUT, upload=Limit(3, 100)))), tmp_path
    ) as own:
        body = {"data": ["x" * 2_000_000, "c", True], "session_hash": "x"}
        said = [httpx.post(f"{own}gradio_api/run/submit_rating", json=body, timeout=60) for _ in range(2)]
        assert [reply.status_code for reply in said] == [500, 429]
        # What people write is no upload.
        small = {"data": [], "session_hash": "x"}
        assert httpx.post(f"{own}gradio_api/run/feedback_status", json=small, timeout=60).status_code == 200


def test_a_page_elsewhere_cannot_use_the_machine_of_its_visitor(url: str) -> None:
    """Its own name may point to 127.0.0.1, and a form of its needs no permission to be sent."""
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.nip.io"):
        reply = httpx.get(url + "config", headers={"Host": host}, timeout=60)
        assert reply.status_code == 421
        assert "PROVING_TRUSTED_PROXY" in reply.text
    # A form that a page sends by itself is a navigation, and may carry a file.
    form = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, form):
        assert (
            httpx.post(url + "gradio_api/upload", files={"files": b"x"}, headers=headers, timeout=60).status_code == 403
        )
        assert httpx.post(url + "gradio_api/queue/join", json={}, headers=headers, timeout=60).status_code == 403
    assert httpx.get(url + "config", headers={"Host": "localhost:1"}, timeout=60).status_code == 200
    assert httpx.get(url + "?tab=card", headers=form, timeout=60).status_code == 200, "a link from elsewhere is fine"


def test_a_visitor_who_asks_too_often_is_told_so_and_others_are_not(tmp_path: Path) -> None:
    rules = access(tmp_path, limits=replace(WITHOUT, requests=Limit(5, 1000)), proxies=read_proxies("127.0.0.9"))
    with served(replace(services(), access=rules), tmp_path) as url:
        first, signed = Client(url, verbose=False), key_of(url, "rita")
        for _ in range(5):
            first.predict(api_name="/feedback_status")
        with pytest.raises(AppError, match=r"You have used the 5 requests of this minute\. Go on in"):
            first.predict(api_name="/feedback_status")
        # Neither another name for the same address, nor a claim to come from another one, helps.
        for headers in (
            {"X-Forwarded-For": "203.0.113.5"},
            {"Forwarded": "for=203.0.113.6"},
            {"X-Real-IP": "203.0.113.7"},
        ):
            with pytest.raises(AppError, match="5 requests of this minute"):
                Client(url, verbose=False, headers=headers).predict(api_name="/feedback_status")
        other = Client(url, verbose=False, headers={"Authorization": f"Bearer {signed}"})
        assert other.predict(api_name="/feedback_status")["saved"] == 0


def test_one_visitor_cannot_hold_every_place_of_the_engine(tmp_path: Path) -> None:
    router = FakeRouter()
    held = threading.Event()
    router.gate = lambda: held.wait(0.02) and None
    router.script = lambda messages, settings: ["word "] * 100_000
    rules = access(tmp_path, limits=replace(WITHOUT, running=Limit(2, 3)))
    with served(replace(services(router), access=rules), tmp_path) as url:
        stranger = Client(url, verbose=False)
        jobs = [stranger.submit("go on", api_name="/chat") for _ in range(2)]
        wait_until(lambda: len(router.answers) == 2, 60, "two answers did not begin")
        with pytest.raises(AppError, match="2 of your answers and drawings run already"):
            Client(url, verbose=False).predict("hello", api_name="/chat")
        other = Client(url, verbose=False, headers={"Authorization": f"Bearer {key_of(url, 'rita')}"})
        third = other.submit("go on", api_name="/chat")
        wait_until(lambda: len(router.answers) == 3, 60, "the other visitor got no place")
        with pytest.raises(AppError, match="All 3 places are taken"):
            other.predict("hello", api_name="/chat")
        for job in (*jobs, third):
            job.cancel()
        wait_until(lambda: not rules.usage.places, 60, "the places were not free again")
        router.gate, router.script = None, lambda messages, settings: ["said: ", messages[-1].content]
        assert "hello" in stranger.predict("hello", api_name="/chat")


def test_tokens_pixels_and_uploads_are_counted_and_what_was_not_used_is_given_back(tmp_path: Path) -> None:
    limits = replace(WITHOUT, tokens=Limit(600, 10_000), pixels=Limit(10, 1000), upload=Limit(1, 100))
    rules = access(tmp_path, limits=limits)
    with served(replace(services(), access=rules), tmp_path) as url:
        client = Client(url, verbose=False)
        # Each may write 512 and writes a few: three of them would not fit otherwise.
        for _ in range(3):
            client.predict("hello", max_new_tokens=512, api_name="/chat")
        with pytest.raises(AppError, match="may use 600 tokens of answers an hour here, and this alone asks for 1,000"):
            client.predict("hello", max_new_tokens=1000, api_name="/chat")
        with pytest.raises(AppError, match="million pixel-steps"):
            client.predict("a pear", width=512, height=512, steps=50, api_name="/generate_image")
        small = httpx.post(f"{url}gradio_api/upload", files={"files": b"x" * 500_000}, timeout=60)
        assert small.status_code == 200
        large = httpx.post(f"{url}gradio_api/upload", files={"files": b"x" * 700_000}, timeout=60)
        assert large.status_code == 429
        assert "megabytes of uploads" in large.json()["error"]


def test_a_model_that_is_not_here_is_fetched_for_a_curator_only(tmp_path: Path) -> None:
    from components.metered import metered_chat
    from core.caller import called_by
    from core.errors import NotAllowed
    from core.roles import Account, Role
    from tests.fakes import OTHER

    router = FakeRouter()
    router.ready = False
    rules = access(tmp_path)
    metered = metered_chat(router, rules)
    with called_by(Account(Role.REVIEWER, "rita")), pytest.raises(NotAllowed, match="has to be fetched first"):
        list(metered.prepare(OTHER))
    with called_by(Account(Role.CURATOR, "cora")):
        assert list(metered.prepare(OTHER))
    assert rules.audit is not None
    assert [(entry.who, entry.action, entry.outcome) for entry in rules.audit.newest()] == [
        ("cora", "fetched a model", "done"),
        ("rita", "fetched a model", "refused"),
    ]
