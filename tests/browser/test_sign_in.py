"""Signing in as a person does, and no request that leaves the host on any tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from components.access import Access
from tests.accounts import PASSWORD, access
from tests.fakes import FakeRouter, services
from tests.serving import served


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Access:
    return access(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def url(rules: Access, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(replace(services(FakeRouter()), access=rules), tmp_path_factory.mktemp("signed")) as address:
        yield address


def test_no_request_leaves_the_host_on_any_tab(url: str, context: BrowserContext) -> None:
    """Every tab is opened and used a little; the page's own policy would block a request as well, and says so."""
    page = context.new_page()
    asked: list[str] = []
    refused: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda message: refused.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.goto(url)
    for tab in ("Card", "Chat", "Images", "Feedback", "Search"):
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Chat", exact=True).click()
    page.locator("#chat-text textarea").fill("hello")
    page.locator("#chat-text textarea").press("Enter")
    expect(page.locator("#chatbot")).to_contain_text("You said: hello")
    page.goto(f"{url}sign-in")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{url}?view=api")
    expect(page.locator("body")).to_contain_text("API")
    elsewhere = [
        one
        for one in asked
        if urlsplit(one).scheme in ("http", "https", "ws", "wss") and urlsplit(one).hostname != "127.0.0.1"
    ]
    assert elsewhere == []
    assert refused == []
    assert len(asked) > 20


def test_a_reviewer_signs_in_sees_who_they_are_and_signs_out(url: str, page: Page) -> None:
    page.goto(url)
    page.locator("#who").get_by_role("link", name="Sign in").click()
    page.get_by_label("User").fill("rita")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#who")).to_contain_text("rita")
    expect(page.locator("#who")).to_contain_text("reviewer")
    page.locator("#who").get_by_role("link").click()
    expect(page.get_by_text("Here you are reviewer")).to_be_visible()
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator(".key").first).to_have_text(re.compile(r"^pg_"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#who")).to_contain_text("Sign in")


def test_html_in_an_answer_runs_nothing(url: str, context: BrowserContext) -> None:
    """A model says what it was told to by whoever wrote its prompt: markup of every kind, none of it with effect.

    What gradio's own sanitiser hands to the browser to be parsed, the page's policy keeps from running: it says so in the
    console, which is why this page is not the one whose console has to be empty.
    """
    page = context.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Chat", exact=True).click()
    page.evaluate("window.ran = []")
    hostile = (
        "<script>window.ran.push('script')</script><b onmouseover=\"window.ran.push('over')\">bold</b> "
        "<a href=\"javascript:window.ran.push('link')\">link</a> <svg onload=\"window.ran.push('svg')\"></svg> "
        "<img src=x onerror=\"window.ran.push('img')\"> [md](javascript:window.ran.push('md')) the end"
    )
    page.locator("#chat-text textarea").fill(hostile)
    page.locator("#chat-text textarea").press("Enter")
    chat = page.locator("#chatbot")
    expect(chat).to_contain_text("You said:")
    expect(chat.get_by_text("the end").last).to_be_visible()
    hidden = "script, iframe, [onmouseover], [onload], [onerror], a[href^='javascript']"
    assert chat.locator('[data-testid="bot"], [data-testid="user"]').locator(hidden).count() == 0
    assert page.evaluate("window.ran") == []
