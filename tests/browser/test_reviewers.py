"""Three reviewers, one model, two settings: what their votes say, one who takes hers back, and a store rebuilt from the dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_first_light import run_with, train_one_step
from tests.hub_server import HubServer
from tests.serving import running_app

pytestmark = [pytest.mark.browser, pytest.mark.bundled, pytest.mark.timeout(900)]

SLOW = 240_000
PROMPTS = (
    "Name a colour.", "Name a fruit.", "Say hello.", "Name a city.", "Name an animal.", "Name a river.", "Name a month.",
    "Name a tree.", "Say thank you.", "Name a metal.", "Name a planet.", "Name a tool.",
)  # fmt: skip
KEYS = ("1", "2", "3")  # left, right, tie
TOKEN = "hf_canary_token"
CONSENT = "Votes are published under CC0 as a dataset."


def arrive(page: Page) -> None:
    """A reviewer who agrees to the text, asks for short answers and brings the list of prompts."""
    expect(page.locator("#consent-text")).to_contain_text(CONSENT, timeout=SLOW)
    page.locator("#consent-agree").click()
    expect(page.locator("#consent-agree")).to_be_hidden()
    # Not before the page has its model: what is typed while it is still being put together is lost.
    expect(page.locator("#chip summary")).to_contain_text("SmolLM2", timeout=SLOW)
    page.locator("#chat-mode").get_by_text("Compare blind").click()
    page.locator("#contenders > button, #contenders .label-wrap").first.click()
    limit = page.locator("#contender-sheet [data-limit]")
    limit.fill("6")
    limit.press("Tab")
    expect(page.locator("#contenders-said")).to_contain_text("2 contenders are set", timeout=SLOW)
    page.locator("#prompt-list > button, #prompt-list .label-wrap").first.click()
    page.locator("#prompt-sheet [data-text]").fill("\n".join(PROMPTS))
    page.locator("#prompt-sheet [data-use]").click()
    expect(page.locator("#prompt-sheet")).to_contain_text(f"Prompt 1 of {len(PROMPTS)}")


def vote(page: Page, number: int, key: str) -> None:
    """The answers to a prompt of the list, and the vote, on disk before the page says so and goes on to the next."""
    expect(page.locator("#vote-left")).to_be_visible(timeout=SLOW)
    page.keyboard.press(key)
    expect(page.locator("#prompt-sheet")).to_contain_text(f"{number + 1} voted", timeout=SLOW)
    expect(page.locator("#battle-status")).to_contain_text("Saved")


def uploaded(page: Page) -> None:
    """Everything that waited is in the dataset."""
    page.get_by_role("tab", name="Feedback").click()
    page.locator("#upload-now").click()
    expect(page.locator("#outbox-health")).to_contain_text("· 0 waiting")


def board(url: str) -> list[dict[str, Any]]:
    """What the API's leaderboard says."""
    found: list[dict[str, Any]] = Client(url, verbose=False).predict(kind="chat", api_name="/leaderboard")
    return found


def published(environment: dict[str, str], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of both configs, read by another process as anybody would."""
    script = (
        "import sys; from datasets import load_dataset\n"
        "for config in ('preferences', 'comparisons'):\n"
        "    load_dataset('ada/votes', config, split='train').to_json(f'{sys.argv[1]}/{config}.jsonl')\n"
    )
    run_with(environment, script, str(folder))
    return {
        config: [json.loads(line) for line in (folder / f"{config}.jsonl").read_text().splitlines()]
        for config in ("preferences", "comparisons")
    }


def test_three_reviewers(browser: Browser, data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with HubServer() as hub:
        hub.add_user("ada", TOKEN, role="write")
        environment = hub.environment(tmp_path / "hf", TOKEN)
        settings = {
            "PROVING_DATASET": "ada/votes", "PROVING_SECRET": "a secret of this test", "PROVING_CONSENT": CONSENT,
            **environment,
        }  # fmt: skip
        with running_app(data_dir, log, **settings) as (url, _):
            contexts = [browser.new_context(viewport={"width": 1440, "height": 900}) for _ in range(3)]
            for context in contexts:
                context.set_default_timeout(60_000)
            pages = [context.new_page() for context in contexts]
            for page in pages:
                page.goto(f"{url}?tab=chat", wait_until="commit")
            for page in pages:
                arrive(page)
                page.keyboard.press("Enter")
            for number in range(len(PROMPTS)):
                for who, page in enumerate(pages):
                    vote(page, number, KEYS[(number + who) % 2 if who < 2 else number % 3])
                    if number + 1 < len(PROMPTS):
                        # The next prompt of her list, while the others still vote.
                        page.keyboard.press("Enter")
            uploaded(pages[0])

            before = board(url)
            assert len(before) == 2
            assert sum(row["votes"] for row in before) == 2 * 3 * len(PROMPTS)
            page = pages[0]
            page.get_by_role("tab", name="Leaderboard").click()
            expect(page.locator("#board .pg-board tbody tr")).to_have_count(2)
            page.get_by_role("tab", name="Agreement").click()
            expect(page.locator("#agreement .pg-board").last.locator("tbody tr")).to_have_count(3)

            # What trains is taken from the page and trains as it is.
            page.get_by_role("tab", name="Export").click()
            page.get_by_label("JSON lines").check()
            page.get_by_role("button", name="Export files").click()
            expect(page.locator("#exported .pg-lead")).to_contain_text("rows")
            with page.expect_download() as waiting:
                page.locator("#files").get_by_role("link").filter(has_text="KB").first.click()
            waiting.value.save_as(tmp_path / "train.jsonl")

            # The third one takes everything back.
            leaver = pages[2]
            leaver.get_by_role("tab", name="Feedback").click()
            leaver.get_by_role("button", name="My votes").click()
            expect(leaver.locator("#me")).to_contain_text("pseudonym")
            gone = leaver.locator("#me code").inner_text()
            leaver.locator("#withdraw-all").click()
            leaver.locator("#withdraw-surely").click()
            expect(leaver.locator("#me")).to_contain_text("taken back")
            page.get_by_role("tab", name="Rows").click()
            uploaded(page)
            after = board(url)
            assert sum(row["votes"] for row in after) == 2 * 2 * len(PROMPTS)
            for context in contexts:
                context.close()

        found = published(environment, tmp_path)
        rows = found["comparisons"]
        assert len(rows) == 2 * len(PROMPTS)
        assert gone not in {row["rater"] for row in [*rows, *found["preferences"]]}
        assert len({row["rater"] for row in rows}) == 2
        assert {row["prompt"][-1]["content"] for row in rows} == set(PROMPTS)
        assert len({row["consent_version"] for row in rows}) == 1
        card = hub.files("ada/votes", "dataset")["README.md"].decode()
        assert CONSENT in card
        assert "SmolLM2-135M-Instruct" in card

        # Everything local but the model is lost; the dataset brings it back.
        for path in data_dir.iterdir():
            if path.name != "models":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with running_app(data_dir, log, **settings) as (url, _):
            assert board(url) == after
        assert hub.errors == []

    from datasets import load_dataset

    train_one_step(
        load_dataset("json", data_files=str(tmp_path / "train.jsonl"), split="train", cache_dir=str(tmp_path / "c")),
        tmp_path,
    )
    assert TOKEN not in log.read_text()
    assert "Traceback" not in log.read_text()
