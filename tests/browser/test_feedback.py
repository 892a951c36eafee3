"""The Feedback tab in a real browser on a real store: consent, a captured pair, a changed vote, everything withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backends.feedback.build import build_feedback
from backends.feedback.store import SqliteFeedbackStore
from tests.contract.outbox_rows import ids, preference
from tests.fakes import FakeRouter, png, services
from tests.serving import served, wait_until

CONSENT = "My votes are kept under a pseudonym.\n<b>They</b> may be published."

pytestmark = pytest.mark.browser


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[SqliteFeedbackStore]:
    made = build_feedback(data, dataset="", token=None, endpoint="", consent=CONSENT)
    yield made
    made.close()


@pytest.fixture
def url(store: SqliteFeedbackStore, data: Path) -> Iterator[str]:
    with served(services(FakeRouter(), store), data) as address:
        yield address


def fill(page: Page, prompt: str) -> None:
    page.locator("#capture-prompt textarea").fill(prompt)
    page.locator("#capture-first textarea").fill("salt comes from rocks")
    page.locator("#capture-second textarea").fill("salt comes from fish")
    expect(page.locator("#capture-difference mark").first).to_have_text("rocks")
    page.locator("#capture-better").get_by_text("First").click()
    page.locator("#capture-save").click()


def test_from_consent_to_withdrawal(page: Page, url: str, store: SqliteFeedbackStore, data: Path) -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{url}?tab=feedback")
    expect(page.locator("#consent-text")).to_contain_text("<b>They</b> may be published.")
    fill(page, "Why is the sea salty?")
    # Nothing is kept before the text is agreed to, and nothing that was entered is lost.
    expect(page.get_by_text("Not saved.")).to_be_visible()
    expect(page.locator("#capture-prompt textarea")).to_have_value("Why is the sea salty?")
    assert store.status().saved == 0
    page.locator("#consent-agree").click()
    expect(page.locator("#consent")).to_be_hidden()
    page.locator("#capture-save").click()
    expect(page.locator("#capture-said")).to_contain_text("Saved.")
    # It goes on telling the truth when the row has left.
    expect(page.locator("#capture-said")).to_have_text("Saved. Nothing is waiting to upload.")
    (row,) = store.newest()
    assert store.consent is not None and row.columns["consent_version"] == store.consent.version

    page.reload()
    expect(page.locator("#rows article")).to_have_count(1)
    expect(page.locator("#consent")).to_be_hidden()
    page.locator("#rows button[data-to=swap]").click()
    expect(page.locator("#row-said")).to_contain_text("Changed")
    expect(page.locator("#rows .pg-text").first).to_have_text("salt comes from fish")
    wait_until(lambda: store.status().pushed == 1, 60, "the changed row was not sent")
    (changed,) = store.newest()
    assert changed.columns["supersedes"] == row.id and ids(data / "dataset") == [changed.id]

    # The first click only asks.
    back = page.locator("#rows button[data-sure]")
    back.click()
    expect(back).to_have_text("Take back for good?")
    assert store.status().saved == 1
    # Somebody else's row comes meanwhile, and the cards are made anew: the question stands.
    store.agree("somebody", store.consent.version)
    store.save([theirs := preference("theirs", rater="somebody")])
    expect(page.locator("#rows article")).to_have_count(2)
    expect(back).to_have_text("Take back for good?")
    expect(back).to_be_focused()
    store.withdraw(theirs.provenance.id)
    expect(page.locator("#rows article")).to_have_count(1)
    expect(back).to_have_text("Take back for good?")
    page.locator("#my-votes .label-wrap").click()
    page.locator("#withdraw-all").click()
    page.locator("#withdraw-surely").click()
    expect(page.locator("#me")).to_contain_text("1 row taken back")
    expect(page.locator("#rows")).to_contain_text("Nothing has been said yet")
    wait_until(lambda: ids(data / "dataset") == [], 60, "the withdrawn row is still in the dataset")


def test_somebody_elses_row_has_no_buttons_and_pictures_are_captured_too(
    page: Page, browser: Browser, url: str, tmp_path: Path
) -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{url}?tab=feedback")
    page.locator("#consent-agree").click()
    expect(page.locator("#consent")).to_be_hidden()
    for number, name in ((1, "first"), (200, "second")):
        (tmp_path / f"{name}.png").write_bytes(png(number))
    page.locator("#capture-kind").get_by_text("Two pictures").click()
    for name in ("first", "second"):
        page.locator(f"#capture-{name}-picture input[type=file]").set_input_files(tmp_path / f"{name}.png")
    expect(page.locator("#capture-slider img").first).to_be_visible()
    page.locator("#capture-prompt textarea").fill("a cat")
    page.locator("#capture-better").get_by_text("Second").click()
    page.locator("#capture-save").click()
    expect(page.locator("#capture-said")).to_contain_text("Saved.")
    expect(page.locator("#rows article img")).to_have_count(2)
    expect(page.locator("#rows button[data-sure]")).to_have_count(1)

    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(60_000)
    other = context.new_page()
    other.goto(f"{url}?tab=feedback")
    expect(other.locator("#rows article img")).to_have_count(2)
    expect(other.locator("#rows button[data-sure]")).to_have_count(0)
    other.locator("#rows-search input, #rows-search textarea").first.fill("nothing like it")
    expect(other.locator("#rows")).to_contain_text("No row fits")
    other.locator("#rows-search input, #rows-search textarea").first.fill("cat")
    expect(other.locator("#rows article")).to_have_count(1)
    # Nothing is wider than the phone.
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
