"""The whole loop once, on real input: find, read, chat, compare blind, and the choice trains a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.hub_server import HubServer
from tests.serving import running_app, wait_until
from tests.tiny_models import make_tiny_chat_model

pytestmark = [pytest.mark.browser, pytest.mark.bundled, pytest.mark.timeout(900)]

NAME = "SmolLM2-135M-Instruct"
SYSTEM = "  You answer in one short sentence.\n\n\tAlways. 🙂"
FIRST = "What is the capital of France?"
SECOND = "  \tAnd of Italy?\n\n    code\tstays  \n🙂"
SLOW = 300_000  # a first answer loads the model, and five hundred tokens on a busy machine take their time


def find_and_read(page: Page, url: str) -> None:
    """Search, open the card, use the model."""
    page.goto(url)
    row = page.locator(f'[data-open*="{NAME}"]')
    expect(row).to_be_visible(timeout=20_000)
    row.click()
    expect(page.locator("#card-head h2")).to_contain_text(NAME)
    expect(page.locator("#card-body")).to_contain_text("Apache")
    expect(page.locator("#card-facts")).to_contain_text("model.safetensors")
    page.locator("#use-model").click()
    expect(page.locator("#chat-text textarea")).to_be_visible(timeout=SLOW)
    expect(page.locator("#chip summary")).to_contain_text(NAME)


def chat(page: Page) -> None:
    """One answer with a system prompt, streamed."""
    page.get_by_role("button", name="System prompt").click()
    page.locator("#chat-system textarea").fill(SYSTEM)
    page.locator("#chat-text textarea").fill(FIRST)
    page.locator("#send").click()
    # A short answer may be over before the button is looked for.
    expect(page.locator("#stop").or_(page.locator(".pg-figures")).first).to_be_visible(timeout=SLOW)
    expect(page.locator(".pg-figures").first).to_contain_text("tokens/s", timeout=SLOW)
    expect(page.locator("#chatbot")).to_contain_text("Paris")


def compare(page: Page, prompt: str, key: str, why: str = "") -> None:
    """One blind comparison and a vote."""
    page.locator("#battle-text textarea").fill(prompt)
    page.locator("#compare").click()
    expect(page.locator("#vote-left")).to_be_visible(timeout=SLOW)
    for side in ("#side-left", "#side-right"):
        expect(page.locator(side)).not_to_contain_text(NAME)
    if why:
        page.locator("#vote-why textarea, #vote-why input").fill(why)
    page.locator(key).click()
    expect(page.locator(".pg-reveal")).to_contain_text(NAME)
    expect(page.locator("#battle-status")).to_contain_text("Saved")


def loop(page: Page, url: str) -> None:
    """Everything a person does."""
    find_and_read(page, url)
    chat(page)
    page.get_by_text("Compare blind").click()
    compare(page, SECOND, "#vote-left", "shorter")
    compare(page, "Name a colour.", "#vote-tie")


def check(preferences: Any, comparisons: Any) -> None:
    """The rows are what was typed, to the byte; the tie made a comparison and no preference."""
    (row,) = list(preferences)
    assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "user"]
    assert row["prompt"][0]["content"] == SYSTEM
    assert row["prompt"][1]["content"] == FIRST
    assert row["prompt"][3]["content"] == SECOND
    assert [m["role"] for m in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]
    assert row["comment"] == "shorter"
    assert row["blind"] is True
    assert row["chosen_model"] == row["rejected_model"] == f"proving/{NAME}"
    assert len(row["chosen_revision"]) == 40
    temperatures = {json.loads(row[f"{side}_settings"])["temperature"] for side in ("chosen", "rejected")}
    assert temperatures == {0.2, 1.0}
    assert all(json.loads(row[f"{side}_settings"])["seed"] is not None for side in ("chosen", "rejected"))
    assert sorted(comparisons["outcome"]) == ["left", "tie"]


def load(where: str, config: str, cache: Path, **more: Any) -> Any:
    from datasets import load_dataset

    return load_dataset(where, config, split="train", cache_dir=str(cache), **more)


def train_one_step(preferences: Any, folder: Path) -> None:
    """One real DPO step in TRL on the rows as they are: no map call, extra columns left in."""
    from trl import DPOConfig, DPOTrainer

    model = make_tiny_chat_model(folder / "tiny")
    before = list(preferences)
    arguments = DPOConfig(
        output_dir=str(folder / "out"), use_cpu=True, report_to=[], save_strategy="no", max_steps=1,
        per_device_train_batch_size=1, disable_tqdm=True,
    )  # fmt: skip
    trained = DPOTrainer(str(model), args=arguments, train_dataset=preferences).train()
    assert trained.global_step == 1
    assert trained.training_loss > 0
    assert list(preferences) == before


def test_from_search_to_a_trained_step_without_any_network(page: Page, data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with running_app(data_dir, log) as (url, _):
        loop(page, url)
        shards = data_dir / "dataset" / "data"
        wait_until(lambda: len(list(shards.glob("*/*.parquet"))) >= 2, 60, "no shard after the vote")
        page.get_by_role("tab", name="Feedback").click()
        expect(page.locator("#rows")).to_contain_text("in the dataset")
        expect(page.locator("#rows")).to_contain_text("shorter")
    # The process has ended: whatever waited is in the folder now.
    preferences = load(str(data_dir / "dataset"), "preferences", tmp_path / "cache")
    check(preferences, load(str(data_dir / "dataset"), "comparisons", tmp_path / "cache"))
    train_one_step(preferences, tmp_path)
    assert "Traceback" not in log.read_text()


def test_the_same_row_is_in_a_hub_dataset(page: Page, data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with HubServer() as hub:
        hub.add_user("ada", "hf_canary_token", role="write")
        environment = hub.environment(tmp_path / "hf", "hf_canary_token")
        with running_app(data_dir, log, PROVING_DATASET="ada/votes", **environment) as (url, _):
            loop(page, url)
            page.get_by_role("tab", name="Feedback").click()
            page.locator("#upload-now").click()
            expect(page.locator("#outbox-health")).to_contain_text("0 waiting")
            # A token that may write everywhere is said, and who it is.
            expect(page.locator("#outbox-health")).to_contain_text("ada")
        script = (
            "import sys, json; from datasets import load_dataset\n"
            "for config in ('preferences', 'comparisons'):\n"
            "    load_dataset('ada/votes', config, split='train').to_json(f'{sys.argv[1]}/{config}.jsonl')\n"
        )
        run_with(environment, script, str(tmp_path))
        info = hub.files("ada/votes", "dataset")
        assert any(path.startswith("data/preferences/") for path in info)
        assert hub.errors == []
    from datasets import load_dataset

    read = {
        config: load_dataset(
            "json", data_files=str(tmp_path / f"{config}.jsonl"), split="train", cache_dir=str(tmp_path)
        )
        for config in ("preferences", "comparisons")
    }
    check(read["preferences"], read["comparisons"])
    assert "hf_canary_token" not in log.read_text()
    assert b"hf_canary_token" not in b"".join(p.read_bytes() for p in data_dir.glob("*") if p.is_file())


def run_with(environment: dict[str, str], script: str, *arguments: str) -> None:
    """Run a script as another program would: its own process, its own environment."""
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
