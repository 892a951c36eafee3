"""What the votes say, in a real browser: opened by a click, changed by a filter, taken away as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.contract.outbox_rows import preference
from tests.contract.test_evidence_published import votes
from tests.fakes import FakeRouter, FakeStore, services
from tests.serving import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = FakeStore()
    store.save([*votes(150), *(preference(str(number)) for number in range(4))])
    with served(services(FakeRouter(), store), tmp_path_factory.mktemp("evidence")) as address:
        yield address


def opened(page: Page, url: str) -> None:
    """The Feedback tab with its rows on it. The first look imports what computes, and a loaded machine takes its time."""
    page.set_default_timeout(60_000)
    page.goto(f"{url}?tab=feedback")
    expect(page.locator("#rows .pg-row").first).to_be_visible(timeout=60_000)


def test_leaderboard_agreement_and_export(page: Page, url: str, tmp_path: Path) -> None:
    opened(page, url)
    page.get_by_role("tab", name="Leaderboard").click()
    expect(page.locator("#board .pg-lead")).to_be_visible(timeout=60_000)
    rows = page.locator("#board .pg-board tbody tr")
    expect(rows).to_have_count(3)
    # Numbers stand under each other by their last digit.
    for number in page.locator("#board .pg-board .n").all()[:8]:
        expect(number).to_have_css("text-align", "right")
    page.locator("#board-merge").get_by_label("Settings").check()
    expect(rows).to_have_count(2)
    expect(page.locator("#board")).to_contain_text("puts together 2 settings")
    page.locator("#board-prompt textarea, #board-prompt input").first.fill("no such prompt")
    page.locator("#board-prompt textarea, #board-prompt input").first.press("Enter")
    expect(page.locator("#board .pg-empty")).to_contain_text("Clear one")
    page.get_by_role("button", name="Clear filters").click()
    expect(rows).to_have_count(3)

    with page.expect_download() as table:
        page.locator("#board").get_by_role("link", name="standings.csv").click()
    table.value.save_as(tmp_path / "standings.csv")
    assert (tmp_path / "standings.csv").read_text(encoding="utf-8").count("\n") == 4

    page.get_by_role("tab", name="Agreement").click()
    expect(page.locator("#agreement")).to_contain_text("Reviewers")
    expect(page.locator("#agreement .pg-board").last.locator("tbody tr")).to_have_count(3)

    page.get_by_role("tab", name="Export").click()
    page.get_by_label("JSON lines").check()
    page.get_by_role("button", name="Export files").click()
    expect(page.locator("#exported .pg-lead")).to_contain_text("4 rows")
    with page.expect_download() as waiting:
        page.locator("#files").get_by_role("link").filter(has_text="KB").first.click()
    waiting.value.save_as(tmp_path / "train.jsonl")
    found = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert found and all(set(row) >= {"prompt", "chosen", "rejected"} for row in found)


def test_nothing_to_rank_says_what_to_do_and_on_a_phone_it_stands_first(page: Page, url: str) -> None:
    opened(page, url)
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Leaderboard").click()
    expect(page.locator("#board .pg-lead")).to_be_visible(timeout=60_000)
    expect(page.locator("#board-kind")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#board-filters .label-wrap").click()
    page.locator("#board-kind").get_by_label("Pictures").check()
    expect(page.locator("#board .pg-empty")).to_contain_text("No votes yet")
