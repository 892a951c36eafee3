"""A card page in a real browser on the test Hub: an adapter whose chain ends in a gated model with terms of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.card_services import card_hub, card_services
from tests.hub_server import HubServer
from tests.hub_server.hostile_card import CARD
from tests.hub_server.seed_cards import ADAPTER, MERGE, ROOT
from tests.serving import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub() -> Iterator[tuple[HubServer, dict[str, str]]]:
    with card_hub() as found:
        yield found


@pytest.fixture(scope="module")
def url(hub: tuple[HubServer, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("card")
    with served(card_services(hub[0].url, folder), folder, endpoint=hub[0].url) as address:
        yield address


def test_everything_about_an_adapter_on_one_page(page: Page, url: str, hub: tuple[HubServer, dict[str, str]]) -> None:
    commits = hub[1]
    page.goto(f"{url}?tab=card&model={ADAPTER}")
    # The verdict says what the chain means, once it is read.
    verdict = page.locator("#card-findings .pg-verdict")
    expect(verdict).to_contain_text("only under conditions")
    expect(verdict).to_contain_text("Llama 3.1 Community License, whatever its own card says")
    expect(page.locator("#card-findings .pg-high")).to_contain_text("The card says Apache 2.0")
    tree = page.locator("#card-tree .pg-tree li")
    expect(tree).to_have_count(4)
    expect(tree.last).to_contain_text(ROOT)
    expect(tree.last).to_contain_text("asks for access")
    evaluation = page.locator("#card-evaluation")
    expect(evaluation.locator("tbody tr").first).to_contain_text("MMLU")
    expect(evaluation.locator("tbody tr").first).to_contain_text("author")
    expect(evaluation.locator("tbody tr").first).to_contain_text("55.1 (+8.3)")
    expect(evaluation.locator(".pg-sections .pg-absent").first).to_be_visible()
    expect(page.locator("#card-facts")).to_contain_text("adapter_model.safetensors")
    expect(page.locator("#card-code")).to_contain_text(commits["new"])
    expect(page.locator("#card-body")).to_contain_text("A LoRA that answers support tickets")

    page.locator("#card-body .pg-code button").first.click()
    expect(page.locator("#card-body .pg-code button").first).to_have_text("Copied")
    assert "use_auth_token=True" in page.evaluate("navigator.clipboard.readText()")

    page.get_by_role("button", name="History and differences").click()
    expect(page.locator("#card-commits .pg-chosen")).to_contain_text("Say what it was trained on")
    page.locator("#card-compare input").click()
    page.get_by_role("option").filter(has_text="v0.1").click()
    expect(page.locator("#card-difference")).to_contain_text("old.txt")
    expect(page.locator("#card-difference .pg-removed")).to_contain_text("First version.")

    page.get_by_role("button", name="Inside the weights").click()
    expect(page.locator("#card-header")).to_contain_text("1 tensor, 1,024 parameters")
    page.get_by_role("button", name="Chat template").click()
    expect(page.locator("#card-template-text .pg-prompt")).to_contain_text("<|im_start|>assistant")
    page.get_by_role("button", name="Publisher and discussions").click()
    expect(page.locator("#card-people-list")).to_contain_text("Which licence holds?")

    page.get_by_role("button", name="Make a fact sheet").click()
    with page.expect_download() as waiting:
        page.locator("#card-sheet-files").get_by_role("link").first.click()
    sheet = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert commits["new"] in sheet
    assert "only under conditions" in sheet
    assert "<script" not in sheet

    # Another commit, then the parent: each is a page of its own.
    page.locator("#card-commits").get_by_role("link", name="Open").first.click()
    expect(page.locator("#card-head")).to_contain_text(commits["old"])
    expect(page.locator("#card-body")).to_contain_text("First version.")
    page.locator("#card-tree").get_by_role("link", name=MERGE).click()
    expect(page.locator("#card-head h2")).to_have_text(MERGE)
    page.get_by_role("button", name="Use this model").click()
    expect(page.locator("#chat-text textarea")).to_be_visible()
    expect(page.locator("#chip")).to_contain_text("calm-merge")


def test_a_gated_model_says_what_can_be_seen_and_where_to_ask(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=card&model={ROOT}")
    expect(page.get_by_role("link", name="Ask for access on the Hub")).to_be_visible()
    expect(page.locator("#card-findings .pg-verdict")).to_contain_text("each user has to be let in")
    expect(page.locator("#card-evaluation")).to_contain_text("not read")


def test_a_hostile_card_runs_nothing_and_fetches_nothing(
    page: Page, url: str, hub: tuple[HubServer, dict[str, str]]
) -> None:
    """The page fixture fails on any request to another host; this test looks for what ran, and for what covers."""
    hub[0].add_model("mallory/storm", {"README.md": CARD.encode(), "config.json": b"{}", '"><img src=x>.bin': b"x"})
    page.goto(f"{url}?tab=card&model=mallory/storm")
    expect(page.locator("#card-body")).to_contain_text("The text after the storm is readable.")
    expect(page.locator("#card-body")).to_contain_text("Still here.")
    expect(page.locator("#card-tree")).to_contain_text("no model made from it")
    for link in page.locator("#card-body a").all():
        assert (link.get_attribute("href") or "#").startswith(("http://", "https://", "mailto:", "#"))
    page.locator("#card-body #card-click-1").click(no_wait_after=True)
    assert page.evaluate("window.cardRan") is None
    held = "script, style, iframe, object, embed, form, input, video, audio, svg, math, link, meta, base, [style], [onerror]"
    assert page.locator("#card-body .pg-card").locator(held).count() == 0
    # Nothing lies over the page: the tabs still answer.
    page.get_by_role("tab", name="Chat").click()
    expect(page.locator("#chat-text textarea")).to_be_visible()
