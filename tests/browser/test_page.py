"""The page in a real browser, on scripted services: movement, keyboard, copying, phones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

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
    row.evaluate("(old) => { old.dataset.before = '1'; }")
    page.keyboard.press("Enter")
    # The rows are replaced twice: by a skeleton and this machine's own, and by everything that was found.
    expect(page.locator("[data-before]")).to_have_count(0)
    row.wait_for()
    expect(page.locator("#results")).not_to_contain_text("Asking the Hub")
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
    # The rubric of that one answer, beside the reasons; opened again it says what stands.
    page.locator(".pg-panel .pg-rubric summary").click()
    page.locator('.pg-panel [data-question="tone"] label').nth(3).click()
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator(".pg-panel")).to_have_count(0)
    scored = list(STORE.kept.values())[-1].columns()
    assert scored["scores"] == [{"question": "tone", "side": "answer", "value": "4"}]
    page.get_by_role("button", name="Say why you rated it so").click()
    expect(page.locator('.pg-panel [data-question="tone"] input[value="4"]')).to_be_checked()
    page.keyboard.press("Escape")
    page.locator('#chatbot button[aria-label="Liked"]').first.click()
    expect(page.locator("#chat-status")).to_contain_text("taken back")
    assert len(STORE.kept) == before


def test_editing_a_message_branches(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill("first wording")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("second wording")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot")).to_contain_text("You said: second wording")
    expect(page.locator("#chatbot")).not_to_contain_text("You said: first wording")
    # What was edited once can be edited again.
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("third wording")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot")).to_contain_text("You said: third wording")
    expect(page.get_by_role("group", name="wording 3 of 3")).to_be_visible()


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


@contextmanager
def slowly() -> Iterator[None]:
    """Answers of a hundred words, a tenth of a second each."""
    script, pause = ROUTER.script, threading.Event()
    ROUTER.script = lambda messages, settings: ["word "] * 100
    ROUTER.gate = lambda: pause.wait(0.1) and None
    try:
        yield
    finally:
        pause.set()
        ROUTER.script, ROUTER.gate = script, None


def test_an_empty_seed_is_not_zero(page: Page, url: str) -> None:
    """gradio's number shows an empty value as 0 and sends it: every answer was then the same."""
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill("any seed")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    assert ROUTER.asked[-1][2].seed is None


def test_what_went_wrong_does_not_cover_the_conversation(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill("still here")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    page.locator("#send").click()
    expect(page.get_by_text("The message is empty")).to_be_visible()
    expect(page.locator("#chatbot .error")).to_have_count(1)
    expect(page.locator("#chatbot .error")).to_be_hidden()


def test_clear_ends_an_answer_for_good_and_what_is_typed_meanwhile_stays(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    with slowly():
        page.locator("#chat-text textarea").fill("go on and on")
        page.locator("#send").click()
        expect(page.locator("#chatbot")).to_contain_text("word word")
        page.locator("#regenerate").click()
        expect(page.get_by_text("An answer is being written")).to_be_visible()
        page.locator("#chat-text textarea").fill("my next message")
        page.get_by_role("button", name="Clear", exact=True).last.click()
        expect(page.locator("#send")).to_be_visible()
        # Longer than an answer's last words take to arrive.
        page.wait_for_timeout(1500)
    expect(page.locator("#chatbot")).not_to_contain_text("word")
    expect(page.locator("#chat-text textarea")).to_have_value("my next message")
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_have_count(1)
    assert [message.content for message in ROUTER.asked[-1][1]] == ["my next message"]


def test_a_picture_named_in_a_message_is_fetched_from_nobody(context: BrowserContext, url: str) -> None:
    """A model that was told to could send what it read as part of an address."""
    page = context.new_page()
    blocked = []
    page.on("requestfailed", lambda sent: blocked.append((sent.url, sent.failure)))
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    page.locator("#chat-text textarea").fill('![a](http://evil.invalid/1.png) <img src="http://evil.invalid/2.png">')
    page.locator("#send").click()
    expect(page.locator(".pg-figures")).to_be_visible()
    expect(page.locator("#chatbot img[src*='evil']")).to_have_count(4)
    refused = {address for address, failure in blocked if failure == "csp"}
    assert refused == {"http://evil.invalid/1.png", "http://evil.invalid/2.png"}


def test_back_leaves_the_page_however_its_address_was_written(page: Page, url: str) -> None:
    page.goto("about:blank")
    page.goto(f"{url}?__theme=light&tab=card&model={OTHER.repo_id}")
    expect(page.locator("#card-head h2")).to_have_text(OTHER.repo_id)
    expect(page).to_have_url(f"{url}?tab=card&model=org%2Fother-model&__theme=light")
    page.go_back()
    assert page.url == "about:blank"


def test_on_a_phone_what_is_asked_for_stays_on_the_screen(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")
    expect(page.locator("#send")).to_be_in_viewport(ratio=1)
    page.get_by_text("Compare blind").click()
    page.locator("#battle-text textarea").fill("which one")
    page.locator("#compare").click()
    for vote in ("#vote-left", "#vote-right", "#vote-tie", "#vote-bad"):
        expect(page.locator(vote)).to_be_in_viewport(ratio=1)
    page.locator("#vote-tie").click()
    # The names of the sides do not run over the answers.
    expect(page.locator("#side-left label")).to_contain_text("tiny-model")
    label = page.locator("#side-left label").bounding_box()
    assert label and label["height"] < 32
    context.close()
