"""Battles in the browser: what the network carries before the vote, two people at once on a real model, the keyboard alone."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from backends.bundled import FOLDER
from core.chat import GenerationSettings
from tests.fakes import REF, FakeRouter, FakeStore, services
from tests.serving import running_app, served, wait_until
from tests.tiny_chat_adapters import make_tiny_chat_lora

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

SLOW = 240_000
NAME = "SmolLM2-135M-Instruct"
BETTER = "  A lake,\n\tstill and dark."
# Every byte that the page is sent and sends, in order: responses are read as they stream.
LISTEN = """
window.__traffic = [];
const fetched = window.fetch;
window.fetch = async (...args) => {
  const sent = args[1] && args[1].body;
  window.__traffic.push({way: 'out', url: String(args[0].url || args[0]), text: typeof sent === 'string' ? sent : ''});
  const response = await fetched(...args);
  const note = {way: 'in', url: response.url, text: ''};
  window.__traffic.push(note);
  const copy = response.clone();
  (async () => {
    const reader = copy.body && copy.body.getReader();
    const decoder = new TextDecoder();
    while (reader) {
      const {done, value} = await reader.read();
      if (done) break;
      note.text += decoder.decode(value, {stream: true});
    }
  })().catch(() => {});
  return response;
};
const Source = window.EventSource;
window.EventSource = function (...args) {
  const source = new Source(...args);
  const note = {way: 'in', url: String(args[0]), text: ''};
  window.__traffic.push(note);
  source.addEventListener('message', (event) => { note.text += 'data: ' + event.data + '\\n\\n'; });
  return source;
};
"""


class Sides:
    """Stands in for chance: puts the contenders on the sides that a test asks for."""

    swapped = False

    def shuffle(self, sides: list[Any]) -> None:
        """In the order of the choice, or the other way round."""
        if self.swapped:
            sides.reverse()


@pytest.fixture
def listened(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    context.add_init_script(LISTEN)
    yield context.new_page()
    context.close()


def traffic(page: Page, since: int) -> list[dict[str, str]]:
    """What went over the network after the first `since` entries."""
    found: list[dict[str, str]] = page.evaluate("window.__traffic")[since:]
    return found


def messages(found: list[dict[str, str]]) -> list[tuple[str, Any]]:
    """What the battle's stream puts on the screen, message by message; not its id, nor how long things took on the server."""
    read: dict[str, list[tuple[str, Any]]] = {}
    for entry in found:
        for line in entry["text"].splitlines() if entry["way"] == "in" else ():
            if line.startswith("data: "):
                told = json.loads(line.removeprefix("data: "))
                if told.get("msg") in ("process_generating", "process_completed"):
                    read.setdefault(told["event_id"], []).append((told["msg"], told["output"].get("data")))
    # Other parts of the page have streams of their own.
    return max(read.values(), key=len)


def compare_mode(page: Page, url: str, model: str = "tiny") -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text(model, timeout=SLOW)
    page.get_by_text("Compare blind").click()
    expect(page.locator("#battle-text textarea")).to_be_visible()


def choose(page: Page, *contenders: dict[str, str]) -> None:
    """Fill in the contenders, and wait until the server has them."""
    page.locator("#contenders > button, #contenders .label-wrap").first.click()
    for number, fields in enumerate(contenders):
        row = page.locator("#contender-sheet [data-contender]").nth(number)
        row.locator("summary").click()
        for name, value in fields.items():
            box = row.locator(f'[data-field="{name}"]')
            box.fill(value)
            box.press("Tab")
    expect(page.locator("#contenders-said")).to_contain_text("contenders are set", timeout=SLOW)


def battled(page: Page, prompt: str) -> list[dict[str, str]]:
    """One battle up to the ballot; returns the traffic from Send to there."""
    since = page.evaluate("window.__traffic.length")
    page.locator("#battle-text textarea").fill(prompt)
    page.locator("#compare").click()
    expect(page.locator("#vote-left")).to_be_visible(timeout=SLOW)
    return traffic(page, since)


def test_the_network_tells_nothing_and_the_same_battle_swapped_is_the_same_trace(
    listened: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One side has all of its answer at once, the other comes in many small pieces: whichever is left, the trace is one."""
    sides = Sides()
    monkeypatch.setattr("pages.battle.secrets.SystemRandom", lambda: sides)
    router, store = FakeRouter(), FakeStore()
    pause = threading.Event()

    def script(messages: Any, settings: GenerationSettings) -> list[str]:
        return ["Q" * 320] if settings.temperature == 0.37 else ["ZZ"] * 160

    router.script = script
    router.gate_of = lambda settings: None if settings.temperature == 0.37 else (lambda: pause.wait(0.001))
    page = listened
    with served(services(router, store), tmp_path) as url:
        compare_mode(page, url)
        choose(page, {"temperature": "0.37", "top_k": "17"}, {"temperature": "1.13"})
        traces = []
        for swapped in (False, True):
            sides.swapped = swapped
            found = battled(page, "the same question")
            expect(page.locator("#chip")).to_contain_text("Battle")
            sent = "".join(entry["url"] + entry["text"] for entry in found)
            assert "the same question" in sent and "QQQQ" in sent and "ZZZZ" in sent
            for secret in (
                "tiny-model",
                REF.repo_id,
                REF.revision[:7],
                "0.37",
                "1.13",
                "top_k",
                "temperature",
                '"seed"',
            ):
                assert secret not in sent, f"{secret} was on the network before the vote"
            visible = page.locator("body").inner_text()
            assert "tiny-model" not in visible and "0.37" not in visible
            battle = page.locator("#ballot-sheet [data-battle]").get_attribute("data-battle")
            text = json.dumps(messages(found)).replace(str(battle), "id")
            traces.append(text.replace("Q", "*").replace("Z", "*"))
            shown = [json.dumps(data).replace(str(battle), "id") for _, data in messages(found)]
            grown = [data for data in shown if "QQ" in data]
            assert len(grown) > 15
            for data in grown:
                assert data.count("Q") == data.count("Z"), "a message carried more of one side"
            page.keyboard.press("1")
            expect(page.locator(".pg-reveal")).to_contain_text("temperature 0.37")
            expect(page.locator("#chip")).to_contain_text("tiny-model")
            page.locator("#chat-mode").get_by_text("Single answer").click()
            page.get_by_role("button", name="Clear", exact=True).first.click()
            expect(page.locator("#chatbot")).not_to_contain_text("the same question")
            page.locator("#chat-mode").get_by_text("Compare blind").click()
        assert traces[0] == traces[1]
        # A vote for a battle that is not open here, sent as the page would send it, changes nothing.
        page.locator("#prompt-list > button, #prompt-list .label-wrap").first.click()
        battled(page, "another one")
        # However much stands above the answers, the vote is in reach without scrolling.
        page.evaluate("scrollTo(0, 0)")
        expect(page.locator("#vote-left")).to_be_in_viewport(ratio=1)
        kept = set(store.kept)
        page.evaluate("document.querySelector('#ballot-sheet [data-battle]').dataset.battle = 'forged'")
        page.locator("#vote-left").click()
        expect(page.locator(".toast-body").first).to_contain_text("not the battle that is open")
        assert set(store.kept) == kept
        assert len(kept) == 4


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is on `selector`, as somebody without a mouse does."""
    for _ in range(200):
        if page.evaluate("(s) => document.activeElement && document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} was not reached with Tab")


def by_keyboard(page: Page, url: str, adapter: str) -> None:
    """The model against itself with an adapter, from the first key to the vote."""
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text(NAME, timeout=SLOW)
    # Gradio gives each radio a name of its own: Tab reaches every one of them.
    tab_to(page, '#chat-mode input[value="compare"]')
    page.keyboard.press("Space")
    expect(page.locator("#battle-text textarea")).to_be_visible()
    tab_to(page, "#contenders button")
    page.keyboard.press("Enter")
    expect(page.locator('#contender-sheet [data-field="adapter"]').first).to_be_visible()
    tab_to(page, '#contender-sheet [data-contender]:nth-of-type(2) [data-field="adapter"]')
    page.keyboard.type(adapter)
    tab_to(page, "#contender-sheet [data-limit]")
    page.keyboard.type("24")
    page.keyboard.press("Tab")
    expect(page.locator("#contenders-said")).to_contain_text("contenders are set", timeout=SLOW)
    tab_to(page, "#battle-text textarea")
    page.keyboard.type("which is which")
    page.keyboard.press("Enter")
    expect(page.locator("#vote-left")).to_be_visible(timeout=SLOW)
    page.keyboard.press("c")
    expect(page.locator('[data-strength="clearly"]')).to_have_attribute("aria-pressed", "true")
    tab_to(page, "[data-reason]")
    page.keyboard.press("Space")
    tab_to(page, "#rubric summary")
    page.keyboard.press("Enter")
    tab_to(page, '[data-question="tone"][data-side="1"] input')
    page.keyboard.press("Space")
    tab_to(page, "#vote-why textarea, #vote-why input")
    page.keyboard.type("the tone")
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    expect(page.locator("#battle-status")).to_contain_text("Saved", timeout=SLOW)


def answered(page: Page, answers: int) -> None:
    """Wait until nothing is being written and so many answers are on the current path."""
    expect(page.locator("#send")).to_be_visible(timeout=SLOW)
    expect(page.locator("#chatbot .pg-figures [data-copy]")).to_have_count(answers, timeout=SLOW)


def send(page: Page, text: str) -> None:
    page.locator("#chat-text textarea").fill(text)
    page.locator("#chat-text textarea").press("Enter")


def setting(page: Page, name: str, value: int) -> None:
    box = page.locator("#chat-settings").get_by_label(f"number input for {name}")
    box.fill(str(value))
    box.press("Tab")


def converse(page: Page, url: str) -> None:
    """An answer that is cut goes on, is made anew, is left by a branch, asked otherwise, and is corrected by hand."""
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text(NAME, timeout=SLOW)
    page.locator("#chat-settings > button, #chat-settings .label-wrap").first.click()
    # Greedy: the same words in every run, and none of them the last one too early.
    setting(page, "Temperature", 0)
    setting(page, "Max new tokens", 16)
    send(page, "Describe the sea at night in many words.")
    answered(page, 1)
    expect(page.locator("#chat-status")).to_contain_text("Cut at max new tokens. Continue goes on with it.")
    first = str(page.locator("#chatbot .pg-figures [data-copy]").get_attribute("data-copy"))
    page.locator("#chat-desk").get_by_role("button", name="Go on with this answer").click()
    expect(page.locator("#chatbot .pg-figures")).to_contain_text(re.compile(r"\b(1[7-9]|2\d|3[0-2]) out"), timeout=SLOW)
    assert str(page.locator("#chatbot .pg-figures [data-copy]").get_attribute("data-copy")).startswith(first)
    page.locator("#regenerate").click()
    expect(page.locator("#chatbot .pg-siblings")).to_contain_text("2/2", timeout=SLOW)
    answered(page, 1)
    send(page, "And by day?")
    answered(page, 2)
    page.get_by_role("button", name="Previous answer").first.click()
    expect(page.locator("#chatbot")).not_to_contain_text("And by day?")
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("Describe a lake.")
    page.locator(".pg-panel .pg-go").click()
    expect(page.get_by_role("group", name="wording 2 of 2")).to_be_visible(timeout=SLOW)
    answered(page, 1)
    page.get_by_role("button", name="Edit answer").click()
    page.locator(".pg-panel textarea").fill(BETTER)
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chat-status")).to_contain_text("Saved.", timeout=SLOW)


def reloaded_in_the_middle(page: Page) -> None:
    """A long answer that is seen in figures, and a page that is reloaded while it is written."""
    setting(page, "Max new tokens", 160)
    send(page, "Now tell a long story about a lighthouse.")
    expect(page.locator("#chat-status .pg-live")).to_contain_text("tokens/s", timeout=SLOW)
    expect(page.locator("#chat-status .pg-live")).to_contain_text("context")
    page.reload()


def listed(page: Page, url: str) -> None:
    """Two settings of the model, over a list of three prompts: one is skipped, and the list survives a reload."""
    compare_mode(page, url, NAME)
    choose(page, {"temperature": "0.37", "top_k": "17"}, {"temperature": "1.13"})
    page.locator("#contender-sheet [data-limit]").fill("16")
    page.locator("#contender-sheet [data-limit]").press("Tab")
    page.locator("#prompt-list > button, #prompt-list .label-wrap").first.click()
    page.locator("#prompt-sheet [data-text]").fill(
        '{"prompt": "list one"}\n{"prompt": "list two"}\n{"prompt": "list three"}'
    )
    page.locator("#prompt-sheet [data-use]").click()
    expect(page.locator("#prompt-sheet")).to_contain_text("Prompt 1 of 3")
    page.locator("#prompt-sheet [data-ask]").click()
    expect(page.locator("#vote-left")).to_be_visible(timeout=SLOW)


@pytest.mark.bundled
def test_two_people_at_once_on_the_bundled_model_and_every_row_is_found(
    browser: Browser, data_dir: Path, tmp_path: Path
) -> None:
    """What issue 8 ends with: one converses and votes, the other battles against an adapter without a mouse, at one time."""
    make_tiny_chat_lora(data_dir / "adapters" / "loud", data_dir / "models" / FOLDER, seed=1)
    log = tmp_path / "app.log"
    contexts: list[BrowserContext] = []
    with running_app(data_dir, log) as (url, _):
        for _ in range(2):
            contexts.append(browser.new_context(viewport={"width": 1440, "height": 900}))
            contexts[-1].set_default_timeout(60_000)
            contexts[-1].add_init_script(LISTEN)
        first, second = (context.new_page() for context in contexts)
        converse(first, url)
        reloaded_in_the_middle(first)
        by_keyboard(second, url, "local/loud")
        expect(second.locator(".pg-reveal")).to_contain_text("loud")
        # Meanwhile the answer has ended where it was asked for.
        answered(first, 2)
        expect(first.locator("#chatbot .pg-figures").last).to_contain_text("tokens/s")
        listed(first, url)
        before = traffic(first, 0)
        first.keyboard.press("3")
        expect(first.locator("#battle-status")).to_contain_text("Saved", timeout=SLOW)
        expect(first.locator("#prompt-sheet")).to_contain_text("1 voted")
        first.locator("#prompt-sheet [data-skip]").click()
        expect(first.locator("#prompt-sheet")).to_contain_text("1 voted, 1 skipped")
        first.reload()
        expect(first.locator("#chip summary")).to_contain_text(NAME, timeout=SLOW)
        first.get_by_text("Compare blind").click()
        first.locator("#prompt-list > button, #prompt-list .label-wrap").first.click()
        first.locator("#prompt-sheet [data-resume]").click()
        expect(first.locator("#prompt-sheet")).to_contain_text("Prompt 3 of 3")
        shards = data_dir / "dataset" / "data"
        wait_until(lambda: len(list(shards.glob("*/*.parquet"))) >= 3, 120, "no shard")
        for context in contexts:
            context.close()
    assert "Traceback" not in log.read_text()
    from datasets import load_dataset

    def rows_of(config: str) -> list[dict[str, Any]]:
        cache = str(tmp_path / "cache")
        return list(load_dataset(str(data_dir / "dataset"), config, split="train", cache_dir=cache))

    pair = next(row for row in rows_of("preferences") if row["source"] == "edit")
    assert pair["prompt"] == [{"role": "user", "content": "Describe a lake."}]
    assert pair["chosen"] == [{"role": "assistant", "content": BETTER}]
    assert pair["rejected"][0]["content"] not in ("", BETTER)
    assert pair["rejected_model"] == f"proving/{NAME}"
    rows = rows_of("comparisons")
    two, adapted = sorted(rows, key=lambda row: row["outcome"], reverse=True)
    assert (two["outcome"], adapted["outcome"]) == ("tie", "right")
    assert two["prompt"][-1]["content"] == "list one"
    settings = [json.loads(two[f"{side}_settings"]) for side in ("left", "right")]
    assert {each["temperature"] for each in settings} == {0.37, 1.13}
    assert {each["max_new_tokens"] for each in settings} == {16}
    assert {adapted["left_adapter"] is None, adapted["right_adapter"] is None} == {True, False}
    assert (adapted["strength"], adapted["reasons"], adapted["comment"]) == ("clearly", ["more correct"], "the tone")
    assert adapted["scores"] == [{"question": "tone", "side": "right", "value": "1"}]
    assert two["rater"] != adapted["rater"]
    told = "".join(entry["text"] for entry in before)
    for each in settings:
        assert str(each["seed"]) not in told, "a seed was on the network before the vote"
