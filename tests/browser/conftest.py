"""A browser for the session, a fresh context per test, and the page's own rules checked after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.find_chromium import ADVICE, chromium

# A condition is waited for, not timed: a busy machine may take its time.
expect.set_options(timeout=60_000)
ARTIFACTS = Path(__file__).parents[1] / "artifacts"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def connected() -> Iterator[Callable[[], Browser]]:
    """One Chromium for all tests, and another one should it have gone: one that crashed must not fail every later test.

    It is never skipped: without one the tests fail with what to do.
    """
    path = chromium()
    assert path, ADVICE
    with sync_playwright() as playwright:
        launched: list[Browser] = []

        def running() -> Browser:
            if not launched or not launched[-1].is_connected():
                launched.append(playwright.chromium.launch(executable_path=path, args=FLAGS))
            return launched[-1]

        yield running
        if launched and launched[-1].is_connected():
            launched[-1].close()


@pytest.fixture
def browser(connected: Callable[[], Browser]) -> Browser:
    """A Chromium that runs."""
    return connected()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor of their own: no cookies or storage of another test."""
    made = browser.new_context(
        viewport={"width": 1440, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    made.set_default_timeout(60_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page whose console errors and requests to other hosts fail the test; a failed test leaves its picture."""
    made = context.new_page()
    problems: list[str] = []
    loads: list[Page] = []
    made.on("domcontentloaded", lambda loaded: loads.append(loaded))
    made.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    made.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type == "error" and not left_behind(message.text) else None
        ),
    )
    made.on(
        "request",
        lambda sent: (
            problems.append(f"request to another host: {sent.url}")
            if urlsplit(sent.url).scheme in ("http", "https", "ws", "wss")
            and urlsplit(sent.url).hostname != "127.0.0.1"
            else None
        ),
    )
    failed_before = request.session.testsfailed
    yield made
    if request.session.testsfailed > failed_before:
        ARTIFACTS.mkdir(exist_ok=True)
        made.screenshot(path=ARTIFACTS / f"{request.node.name}.png", full_page=True)
    # A page that was left for another one, or loaded again, says of its open requests that they broke off.
    left = len(loads) > 1
    assert [problem for problem in problems if not (left and BROKE_OFF in problem)] == []


BROKE_OFF = "Connection errored out."


def left_behind(text: str) -> bool:
    """Whether an error is gradio's own word for a request that ended because the page was left."""
    return text.startswith("AbortError: signal is aborted")
