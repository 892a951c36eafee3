"""Signing in as a person does, and no request that leaves the host on any tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from backends.conversations.store import SqliteConversations
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


def signed_in(context: BrowserContext, url: str, user: str) -> Page:
    """The Chat tab of somebody who signed in by the form, the list of their conversations unfolded."""
    page = context.new_page()
    page.goto(f"{url}sign-in?next=/%3Ftab%3Dchat")
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#who")).to_contain_text(user)
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator(".pg-kept > summary").click()
    expect(page.locator(".pg-kept-where")).to_have_text("Kept with your account.")
    return page


def said(page: Page, text: str) -> None:
    page.locator("#chat-text textarea").fill(text)
    page.locator("#chat-text textarea").press("Enter")
    expect(page.locator("#chatbot")).to_contain_text(f"You said: {text}")


def test_conversations_of_an_account_are_kept_for_it_and_for_nobody_else(browser: Browser, tmp_path: Path) -> None:
    """By real sign-ins, over a restart: listed, found, renamed, exported, imported, deleted; another account sees none."""

    def page_of_the_app() -> AbstractContextManager[str]:
        # Nothing of it outlives the process but the folder.
        made = replace(services(FakeRouter()), access=access(tmp_path), conversations=SqliteConversations(tmp_path))
        return served(made, tmp_path / "served")

    contexts = [browser.new_context(viewport={"width": 1440, "height": 900}) for _ in range(3)]
    mine, theirs, later = contexts
    with page_of_the_app() as url:
        page = signed_in(mine, url, "rita")
        rows = page.locator(".pg-kept-list li")
        said(page, "about cats")
        page.get_by_role("button", name="Clear", exact=True).first.click()
        expect(page.locator("#chatbot")).not_to_contain_text("about cats")
        said(page, "about dogs")
        expect(rows).to_have_count(2)
        page.get_by_label("Search conversations").fill("CATS")
        expect(rows).to_have_count(1)
        page.get_by_role("button", name="Rename: about cats").click()
        page.get_by_label("New title").fill("Felines")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Open: Felines")).to_be_visible()
        # In nobody's browser: what is kept with the account is not kept beside it.
        assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('proving-chat:'))") == []
        stolen = str(rows.first.get_attribute("data-id"))

        other = signed_in(theirs, url, "cora")
        expect(other.locator(".pg-kept-none")).to_have_text("Nothing is kept yet.")
        said(other, "of cora's own")
        expect(other.locator(".pg-kept-list li")).to_have_count(1)
        # The id of somebody else's conversation, asked for as the page asks for one of its own.
        other.evaluate(
            """(id) => { const list = {op: "list", entries: [{id, title: "stolen", turns: 2, updated: "2026-01-01"}]};
            window.provingKept(JSON.stringify(list)); }""",
            stolen,
        )
        other.get_by_role("button", name="Open: stolen").click()
        expect(other.locator(".toast-body").first).to_contain_text("not kept here")
        expect(other.locator("#chatbot")).not_to_contain_text("cats")
    with page_of_the_app() as url:
        page = signed_in(later, url, "rita")
        rows = page.locator(".pg-kept-list li")
        expect(rows).to_have_count(2)
        page.get_by_role("button", name="Open: Felines").click()
        expect(page.locator("#chatbot")).to_contain_text("You said: about cats")
        with page.expect_download() as download:
            page.locator('[data-export="json"]').click()
        file = tmp_path / "felines.json"
        download.value.save_as(file)
        page.get_by_role("button", name="Delete: Felines").click()
        page.get_by_role("button", name="Delete: Felines").click()
        expect(rows).to_have_count(1)
        expect(page.locator("#chatbot")).not_to_contain_text("about cats")
        page.locator('.pg-kept input[type="file"]').set_input_files(file)
        expect(page.locator("#chatbot")).to_contain_text("You said: about cats")
        expect(rows).to_have_count(2)
        # A reload goes on where the account was.
        page.reload()
        expect(page.locator("#chatbot")).to_contain_text("You said: about cats")
    for context in contexts:
        context.close()


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
