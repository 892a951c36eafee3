"""The page in a real browser, on scripted services: movement, keyboard, copying, phones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes import OTHER, REF, FakeRouter, FakeStore, services
from tests.serving import served

ROUTER, STORE = FakeRouter(), FakeStore()
EXACT = "  \tlead\n\n    code\tstays  \n🙂 <b>&amp;"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(services(ROUTER, STORE), tmp_path_factory.mktemp("page")) as address:
        yield address


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_a_link_opens_what_was_shared_and_back_and_forward_work(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=card&model={OTHER.repo_id}&revision={OTHER.revision}")
    expect(page.locator("#card-head h2")).to_have_text(OTHER.repo_id)
    tab(page, "Chat")
    expect(page).to_have_url(f"{url}?tab=chat")
    page.go_back()
    expect(page.locator("#card-head h2")).to_be_visible()
    page.go_forward()
    expect(page.locator("#chat-text textarea")).to_be_visible()


def test_search_to_card_to_chat_by_keyboard(page: Page, url: str) -> None:
    page.goto(url)
    row = page.locator(f'[data-open*="{OTHER.repo_id}"]')
    row.wait_for()
    page.keyboard.press("/")
    expect(page.locator("#search-text input, #search-text textarea")).to_be_focused()
    page.keyboard.type("other")
    page.keyboard.press("Enter")
    row.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#card-head h2")).to_have_text(OTHER.repo_id)
    expect(page).to_have_url(f"{url}?tab=card&model=org%2Fother-model&revision={OTHER.revision}")
    page.locator("#use-model").click()
    expect(page.locator("#chip summary")).to_contain_text("other-model")
    page.locator("#chat-text textarea").fill("hello")
    page.keyboard.press("Enter")
    expect(page.locator("#chatbot")).to_contain_text("You said: hello")
    assert ROUTER.asked[-1][0] == OTHER


def test_an_answer_is_sent_and_copied_exactly(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill(EXACT)
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_contain_text("tokens/s")
    assert ROUTER.asked[-1][1][-1].content == EXACT
    page.locator(".pg-figures [data-copy]").click()
    expect(page.locator(".pg-figures [data-copy]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "You said: " + EXACT


def test_a_thumb_is_saved_and_taken_back_in_the_browser(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill("rate me")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    before = len(STORE.kept)
    page.locator('#chatbot button[aria-label="Like"]').first.click()
    expect(page.locator("#chat-status")).to_contain_text("Saved.")
    assert len(STORE.kept) == before + 1
    page.locator('#chatbot button[aria-label="Liked"]').first.click()
    expect(page.locator("#chat-status")).to_contain_text("taken back")
    assert len(STORE.kept) == before


def test_editing_a_message_branches(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill("first wording")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    page.locator('#chatbot button[aria-label="Edit"]').first.click()
    box = page.locator("#chatbot textarea").first
    box.fill("second wording")
    page.locator('#chatbot button[title="Submit"], #chatbot button[aria-label="Submit"]').first.click()
    expect(page.locator("#chatbot")).to_contain_text("You said: second wording")
    expect(page.locator("#chatbot")).not_to_contain_text("You said: first wording")


def test_a_battle_by_keyboard_is_blind_until_the_vote(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.get_by_text("Compare blind").click()
    page.locator("#battle-text textarea").fill("which one")
    page.keyboard.press("Enter")
    expect(page.locator("#vote-left")).to_be_visible()
    for side in ("#side-left", "#side-right"):
        expect(page.locator(side)).not_to_contain_text("tiny-model")
    page.keyboard.press("2")
    expect(page.locator(".pg-reveal")).to_contain_text("tiny-model")
    expect(page.locator("#battle-status")).to_contain_text("Saved.")
    assert any(row.config == "comparisons" for row in STORE.kept.values())


def test_capturing_a_pair_by_hand(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=feedback")
    page.locator("#capture-prompt textarea").fill("the prompt")
    page.locator("#capture-first textarea").fill("good answer")
    page.locator("#capture-second textarea").fill("poor answer")
    page.locator("#capture-save").click()
    expect(page.get_by_text("Say which answer is better")).to_be_visible()
    # Nothing that was typed is lost by the error.
    expect(page.locator("#capture-first textarea")).to_have_value("good answer")
    page.locator("#capture-better").get_by_text("Second").click()
    page.locator("#capture-save").click()
    expect(page.locator("#capture-said")).to_contain_text("Saved.")
    expect(page.locator("#rows")).to_contain_text("poor answer")
    expect(page.locator("#capture-first textarea")).to_have_value("")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_has_no_sideways_scroll(browser: Browser, url: str, dark: bool) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    for name in ("search", "card", "chat", "feedback"):
        page.goto(f"{url}?tab={name}&model={REF.repo_id}&revision={REF.revision}")
        expect(page.get_by_role("tab", name=name.capitalize())).to_have_attribute("aria-selected", "true")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px too wide"
    context.close()
