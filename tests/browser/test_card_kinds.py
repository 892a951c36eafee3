"""Datasets, Spaces and papers in a real browser on the test Hub: found, opened, their rows looked at, their links followed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.card_services import card_hub, card_services
from tests.hub_server import HubServer
from tests.hub_server.seed_cards import ADAPTER
from tests.hub_server.seed_kinds import PICTURES, SPACE, TICKETS
from tests.serving import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub() -> Iterator[tuple[HubServer, dict[str, str]]]:
    with card_hub() as found:
        yield found


@pytest.fixture(scope="module")
def url(hub: tuple[HubServer, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kinds")
    with served(card_services(hub[0].url, folder), folder, endpoint=hub[0].url) as address:
        yield address


def test_a_dataset_from_the_search_to_its_rows(page: Page, url: str, hub: tuple[HubServer, dict[str, str]]) -> None:
    page.goto(f"{url}?tab=search&kind=dataset&q=tickets")
    row = page.locator("#results [data-open]").filter(has_text=TICKETS)
    expect(row).to_be_visible()
    row.click()
    expect(page.locator("#card-head")).to_contain_text(hub[1]["tickets"])
    page.wait_for_url("**repo=dataset**")
    splits = page.locator("#card-tree .pg-splits tbody tr")
    expect(splits.filter(has_text="train")).to_contain_text("412")
    expect(page.locator("#card-tree")).to_contain_text("ClassLabel(2)")
    expect(page.locator("#card-facts")).to_contain_text("cc-by-4.0")
    rows = page.locator("#card-preview tbody tr")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("the printer is on fire <again>")
    splits.filter(has_text="test").get_by_role("button", name="First rows").click()
    expect(page.locator("#card-preview h3")).to_contain_text("default / test")
    expect(rows).to_have_count(3)
    # The paper its card names, and the model that names the same.
    page.locator("#card-facts").get_by_role("button", name="arXiv:2106.09685").click()
    expect(page.locator("#card-papers")).to_contain_text("Low-Rank Adaptation of Large Language Models")
    expect(page.locator("#card-papers")).to_contain_text("Edward J. Hu")
    page.locator("#card-papers").get_by_role("link", name=ADAPTER).click()
    expect(page.locator("#card-head h2")).to_have_text(ADAPTER)
    expect(page.locator("#card-preview")).not_to_contain_text("First rows")
    # And back, as a link opens it.
    page.go_back()
    expect(page.locator("#card-head h2")).to_contain_text(TICKETS)


def test_a_space_names_what_it_uses_and_a_picture_is_shown_from_inside_its_row(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=card")
    page.locator("#card-which textarea, #card-which input").fill(f"spaces/{SPACE}")
    page.get_by_role("button", name="Open card").click()
    expect(page.locator("#card-tree")).to_contain_text("Built with gradio on zero-a10g")
    page.locator("#card-tree").get_by_role("link", name=TICKETS).click()
    expect(page.locator("#card-head h2")).to_contain_text(TICKETS)
    page.goto(f"{url}?tab=card&repo=dataset&model={PICTURES}")
    picture = page.locator("#card-preview img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32


def test_the_card_is_compared_with_the_shortlist(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=card&model={ADAPTER}")
    expect(page.locator("#card-head h2")).to_have_text(ADAPTER)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("There is nothing to compare it with yet")).to_be_visible()
    page.goto(f"{url}?tab=search&q=tiny-chat-tuned")
    page.locator("#results [data-pin]").first.click()
    expect(page.locator("#shortlist-panel")).to_contain_text("tiny-chat-tuned")
    page.goto(f"{url}?tab=card&model={ADAPTER}")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#compare-table")).to_contain_text("support-adapter")
    expect(page.locator("#compare-table")).to_contain_text("tiny-chat-tuned")
