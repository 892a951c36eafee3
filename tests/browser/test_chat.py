"""A conversation in two real browsers: branched, continued, judged, kept, and found again in the middle of an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backends.feedback.build import build_feedback
from backends.pins import PinBook
from backends.router import Router
from core.chat import Capabilities, GenerationSettings, Message
from core.refs import ModelRef
from pages.chat_settings import AFTER
from tests.fakes import OTHER, REF, FakeCatalog, services
from tests.scripted_engine import ScriptedChat
from tests.serving import served, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# What a tab keeps that hears of an answer which another tab was told: read before the app can tell it everything again.
TOLD_TO_ANOTHER_TAB = """() => {
  const turn = {id: "q", parent: null, role: "user", content: "q"};
  const head = (running) => ({id: "two tabs", title: "q", updated: "2026-01-01T00:00:00Z", running});
  const told = (running, turns, count) => window.provingKept(
    JSON.stringify({op: "keep", id: "two tabs", head: head(running), turns, count}));
  const now = sessionStorage.getItem("proving-chat");
  told("the run", [turn], 1);
  told(null, [], 2);
  const kept = JSON.parse(localStorage.getItem("proving-chat:two tabs"));
  localStorage.removeItem("proving-chat:two tabs");
  sessionStorage.setItem("proving-chat", now);
  return {running: kept.head.running, turns: kept.turns.length};
}"""
EXACT = "  \tAn answer,\n\n    code\tstays  \n🙂 <b>&amp; "


class Engine:
    """Says a numbered answer to each question; the one to “hold” stops after its first words until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.count = 0
        self.holds = False
        self.asked: list[tuple[Message, ...]] = []
        self.settings: list[GenerationSettings] = []

    def script(self, messages: tuple[Message, ...], settings: GenerationSettings) -> Sequence[str]:
        self.asked.append(messages)
        self.settings.append(settings)
        last = messages[-1]
        if last.role == "assistant":
            return ["and this", " is its end."]
        self.count += 1
        if "exact" in last.content:
            return [EXACT]
        if "hold" in last.content:
            self.holds = True
            return ["held words ", "and the rest."]
        self.holds = False
        return [f"answer {self.count} to {last.content}"]

    def pace(self) -> None:
        # The first words come at once; then the test says when.
        if self.holds and self.begun:
            self.go_on.wait(300)
        self.begun = not self.begun if self.holds else False

    begun = False


class Author(ScriptedChat):
    """An engine whose models recommend settings; what they are is known when the test says so."""

    known = threading.Event()

    def capabilities(self, ref: ModelRef) -> Capabilities:
        self.known.wait(300)
        own = GenerationSettings(temperature=0.2 if ref == REF else 0.3, top_p=0.9, top_k=40)
        return Capabilities(max_context=2048, sampling=own, sampling_from="generation_config.json")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat")


@pytest.fixture(scope="module")
def url(folder: Path, engine: Engine) -> Iterator[str]:
    router = Router(
        (Author(engine.script, pace=engine.pace, orphan_seconds=600),),
        catalog=FakeCatalog(),
        pins=PinBook(folder / "pins.json"),
        start=REF,
    )
    Author.known.set()
    store = build_feedback(folder, dataset="", token=None, endpoint="http://127.0.0.1:9")
    try:
        with served(replace(services(), router=router, store=store), folder / "served") as address:
            yield address
    finally:
        store.close()


def opened(page: Page, url: str) -> None:
    page.goto(f"{url}?tab=chat")
    expect(page.locator("#chip summary")).to_contain_text("tiny-model")


def send(page: Page, text: str, answers: int) -> None:
    page.locator("#chat-text textarea").fill(text)
    page.locator("#send").click()
    expect(page.locator("#chatbot .pg-figures [data-copy]")).to_have_count(answers)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).last.click()


def pairs(folder: Path) -> list[dict[str, object]]:
    """Every preference row that is in the dataset by now."""
    from datasets import load_dataset

    shards = list((folder / "dataset" / "data" / "preferences").glob("*.parquet"))
    if not shards:
        return []
    files = [str(shard) for shard in shards]
    return list(
        load_dataset("parquet", data_files=files, split="train", cache_dir=str(folder / "cache" / str(len(files))))
    )


def test_a_conversation_branches_and_every_branch_is_there_by_keyboard(page: Page, url: str, engine: Engine) -> None:
    opened(page, url)
    send(page, "first", 1)
    page.locator("#regenerate").click()
    expect(page.locator("#chatbot .pg-siblings")).to_contain_text("2/2")
    send(page, "deeper", 2)
    # Back to the first answer, and on to the second with all that is under it, without a mouse.
    page.get_by_role("button", name="Previous answer").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chatbot .pg-siblings")).to_contain_text("1/2")
    expect(page.locator("#chatbot")).not_to_contain_text("deeper")
    expect(page.get_by_role("button", name="Next answer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#chatbot")).to_contain_text("to deeper")
    # An edit of my own message is a branch too, and undo leads back.
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("first, reworded")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot")).to_contain_text("to first, reworded")
    expect(page.get_by_role("group", name="wording 2 of 2")).to_be_visible()
    page.locator("#chat-desk").get_by_role("button", name="One step back").click()
    expect(page.locator("#chatbot")).to_contain_text("to deeper")
    page.locator("#chat-desk").get_by_role("button", name="The step that was undone").click()
    expect(page.locator("#chatbot")).to_contain_text("to first, reworded")


def test_an_answer_goes_on_and_is_begun_by_hand(page: Page, url: str, engine: Engine) -> None:
    opened(page, url)
    page.locator("#chat-desk").get_by_role("button", name="Write the first words").click()
    expect(page.locator(".pg-panel textarea")).to_be_focused()
    page.locator(".pg-panel textarea").fill("  Sure,\n")
    page.locator("#chat-text textarea").fill("begin")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot .pg-figures")).to_contain_text("begun by hand")
    assert engine.asked[-1] == (Message("user", "begin"), Message("assistant", "  Sure,\n"))
    page.locator("#chat-desk").get_by_role("button", name="Go on with this answer").click()
    expect(page.locator("#chatbot")).to_contain_text("its end.and this is its end.")
    assert engine.asked[-1][-1] == Message("assistant", "  Sure,\nand this is its end.")
    expect(page.locator("#chatbot .pg-figures")).to_have_count(1)


def test_an_edit_is_preferred_over_the_answer_and_trains(page: Page, url: str, folder: Path) -> None:
    opened(page, url)
    send(page, "exact", 1)
    page.evaluate("scrollTo(0, 0)")
    press(page, "Edit answer")
    # What opens is seen whole, down to its buttons.
    expect(page.locator(".pg-panel .pg-go")).to_be_in_viewport(ratio=1)
    # What is edited is the record, not what was rendered.
    expect(page.locator(".pg-panel textarea")).to_have_value(EXACT)
    page.locator(".pg-panel textarea").fill(EXACT + "better")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#chat-status")).to_contain_text("Saved.")
    expect(page.locator(".pg-panel mark").first).to_contain_text("better")
    # Why, in the same panel: the row is replaced, not doubled.
    page.locator(".pg-chip-box").filter(has_text="Clear").click()
    page.locator('.pg-panel textarea[name="comment"]').fill("it is whole")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator(".pg-panel")).to_have_count(0)
    expect(page.locator("#chatbot .pg-figures")).to_contain_text("Preferred")

    def found() -> dict[str, object] | None:
        mine = [row for row in pairs(folder) if row["comment"] == "it is whole"]
        return mine[0] if mine else None

    wait_until(lambda: found() is not None, 120, "the pair is not in the dataset")
    row = found()
    assert row is not None
    assert row["prompt"] == [{"role": "user", "content": "exact"}]
    assert row["chosen"] == [{"role": "assistant", "content": EXACT + "better"}]
    assert row["rejected"] == [{"role": "assistant", "content": EXACT}]
    assert (row["source"], row["chosen_model"], row["rejected_revision"]) == ("edit", None, REF.revision)
    assert row["reasons"] == ["Clear"]
    assert len([one for one in pairs(folder) if one["rejected"] == row["rejected"]]) == 1


def test_a_reload_and_a_second_tab_see_the_running_answer_end(page: Page, url: str, engine: Engine) -> None:
    engine.go_on.clear()
    opened(page, url)
    page.locator("#chat-text textarea").fill("hold it")
    page.locator("#send").click()
    expect(page.locator("#chatbot")).to_contain_text("held words")
    asked = len(engine.asked)
    page.reload()
    expect(page.locator("#chatbot")).to_contain_text("held words")
    expect(page.locator("#stop")).to_be_visible()
    other = page.context.new_page()
    opened(other, url)
    expect(other.locator("#chatbot")).to_contain_text("held words")
    engine.go_on.set()
    for each in (page, other):
        expect(each.locator("#chatbot")).to_contain_text("held words and the rest.")
        expect(each.locator("#chatbot .pg-figures")).to_have_count(1)
    assert len(engine.asked) == asked
    # Each tab goes on by itself, and neither takes from what is kept what the other said.
    send(other, "from the second tab", 2)
    send(page, "from the first tab", 2)
    other.close()
    # Of two tabs one is told of the answer. The other's copy lacks it for a moment: it must not say that all is over.
    left = page.evaluate(TOLD_TO_ANOTHER_TAB)
    assert left["running"] == "the run" and left["turns"] == 1
    # And what is over is there after another reload, ready to go on.
    page.reload()
    expect(page.locator("#chatbot")).to_contain_text("to from the first tab")
    page.get_by_role("button", name="Previous wording").click()
    expect(page.locator("#chatbot")).to_contain_text("to from the second tab")
    send(page, "and then", 3)
    words = [message.content for message in engine.asked[-1]]
    assert words[:3] == ["hold it", "held words and the rest.", "from the second tab"] and words[4:] == ["and then"]


def kept(page: Page) -> None:
    """The list, unfolded."""
    if not page.locator(".pg-kept[open]").count():
        page.locator(".pg-kept > summary").click()


def test_conversations_are_kept_found_renamed_exported_imported_and_deleted(
    page: Page, url: str, browser: Browser, tmp_path: Path
) -> None:
    opened(page, url)
    send(page, "about cats", 1)
    press(page, "Clear")
    expect(page.locator("#chatbot .pg-figures")).to_have_count(0)
    send(page, "about dogs", 1)
    kept(page)
    rows = page.locator(".pg-kept-list li")
    expect(rows).to_have_count(2)
    page.get_by_label("Search conversations").fill("CATS")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Rename: about cats").click()
    page.get_by_label("New title").fill("Felines")
    page.keyboard.press("Enter")
    page.get_by_label("Search conversations").fill("")
    page.get_by_role("button", name="Open: Felines").click()
    expect(page.locator("#chatbot")).to_contain_text("to about cats")
    with page.expect_download() as download:
        page.locator('[data-export="json"]').click()
    file = tmp_path / "felines.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["title"] == "Felines"
    page.get_by_role("button", name="Delete: about dogs").click()
    page.get_by_role("button", name="Delete: about dogs").click()
    expect(rows).to_have_count(1)
    # Somebody else's browser shows none of it, until they are given the file.
    context = browser.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    opened(phone, url)
    kept(phone)
    expect(phone.locator(".pg-kept-none")).to_contain_text("Nothing is kept yet")
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[{"role": "assistant", "content": "x"}]')
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 50_000_000)
    phone.locator('.pg-kept input[type="file"]').set_input_files(wrong)
    expect(phone.get_by_text("Message 1 of the file has the role assistant")).to_be_visible()
    phone.locator('.pg-kept input[type="file"]').set_input_files(large)
    expect(phone.locator(".pg-kept-said")).to_contain_text("50 MB")
    phone.locator('.pg-kept input[type="file"]').set_input_files(file)
    expect(phone.locator("#chatbot")).to_contain_text("to about cats")
    context.close()


def test_a_link_opens_the_chat_as_it_was_set_up_and_locked(page: Page, url: str, engine: Engine) -> None:
    opened(page, url)
    page.get_by_role("button", name="Task").click()
    page.locator("#chat-tasks select").select_option("Summarise a ticket")
    expect(page.locator('.pg-panel textarea[name="field:Ticket"]')).to_be_focused()
    page.locator("#chat-text textarea").fill("a first message")
    page.locator('.pg-tasks [name="locked"]').check()
    page.locator(".pg-tasks [data-share]").click()
    # Said where it is seen: the list of conversations is folded.
    said = page.locator("#chat-tasks").get_by_text("The link is in the clipboard.")
    expect(said).to_be_visible()
    link = str(page.evaluate("navigator.clipboard.readText()"))
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("#chat-text textarea")).to_have_value("a first message")
    page.get_by_role("button", name="System prompt").click()
    expect(page.locator("#chat-system textarea")).to_be_disabled()
    expect(page.locator("#chat-settings")).to_contain_text("locked by the link")
    page.locator('.pg-panel textarea[name="field:Ticket"]').fill("  {x} My parcel\tis late.")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot .pg-figures")).to_have_count(1)
    assert engine.asked[-1][-1].content.endswith("\n\n  {x} My parcel\tis late.")
    assert engine.asked[-1][0].content.startswith("You summarise support tickets")
    # The draft was not what was sent.
    expect(page.locator("#chat-text textarea")).to_have_value("a first message")


def test_what_is_set_before_the_models_own_settings_are_known_stays(page: Page, url: str, engine: Engine) -> None:
    """They used to arrive late and take back what had been typed since."""
    Author.known.clear()
    try:
        page.goto(f"{url}?tab=card&model={OTHER.repo_id}&revision={OTHER.revision}")
        # The page has arrived where the link leads: from here on it stays where it is sent.
        expect(page.get_by_role("tab", name="Card")).to_have_attribute("aria-selected", "true")
        page.get_by_role("tab", name="Chat").click()
        page.locator("#chat-settings > button, #chat-settings .label-wrap").first.click()
        page.locator("#chat-advanced > button, #chat-advanced .label-wrap").first.click()
        temperature, top_p = (page.get_by_label(f"number input for {name}") for name in ("Temperature", "Top-p"))
        temperature.fill("0.55")
        temperature.press("Tab")
    finally:
        Author.known.set()
    expect(page.locator("#chat-settings").get_by_text("Starts from generation_config.json")).to_be_visible()
    expect(top_p).to_have_value("0.9")
    expect(page.locator("#chat-top-k textarea, #chat-top-k input")).to_have_value("40")
    expect(temperature).to_have_value("0.55")
    page.locator("#chat-top-k textarea, #chat-top-k input").fill("7")
    send(page, "as it is set", 1)
    assert (engine.settings[-1].temperature, engine.settings[-1].top_k) == (0.55, 7)
    # The same model with another adapter, or held otherwise, is no other model.
    own = page.locator("#chat-own textarea, #chat-own input").first.input_value()
    stays = page.evaluate(f"() => ({AFTER})({json.dumps(own)}, 1.5, 0.9, '7', '', '', '')")
    assert stays[:4] == [{"__type__": "update"}] * 4 and stays[4:] == ["", ""]
    # Another model starts anew: what was set for the one before was set for that one.
    page.get_by_role("tab", name="Card").click()
    page.get_by_role("button", name="Use this model").click()
    expect(page.locator("#chip summary")).to_contain_text("other-model")
    expect(temperature).to_have_value("0.3")
    expect(page.locator("#chat-top-k textarea, #chat-top-k input")).to_have_value("40")


def test_a_long_conversation_opens_at_its_end_and_earlier_messages_come_above_what_is_read(
    page: Page, url: str, tmp_path: Path
) -> None:
    said = [
        {"role": role, "content": f"{role} {number}"} for number in range(40) for role in ("user", "assistant")
    ]  # fmt: skip
    file = tmp_path / "long.json"
    file.write_text(json.dumps(said), encoding="utf-8")
    opened(page, url)
    page.locator('.pg-kept input[type="file"]').set_input_files(file)
    expect(page.locator("#chatbot")).to_contain_text("assistant 39")
    expect(page.locator("#chat-earlier")).to_contain_text("of 80 messages are shown")
    answers = page.locator("#chatbot .pg-figures [data-copy]")
    shown = answers.count()
    first = page.locator("#chatbot .message.user").first.inner_text()
    # The one that is read is the first on the screen; it stays where it is.
    page.locator("#chatbot [role=log]").evaluate("(log) => { log.scrollTop = 0; }")
    place = f"() => [...document.querySelectorAll('#chatbot .message.user')].find((one) => one.innerText === {json.dumps(first)}).getBoundingClientRect().top"
    before = page.evaluate(place)
    page.get_by_role("button", name="Earlier messages").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('#chatbot .pg-figures [data-copy]').length > {shown}")
    page.wait_for_function(f"Math.abs(({place})() - {before}) < 5")
    while page.locator("#chat-earlier button").count():
        many = answers.count()
        page.locator("#chat-earlier button").click()
        page.wait_for_function(f"document.querySelectorAll('#chatbot .pg-figures [data-copy]').length > {many}")
        expect(page.locator("#chat-earlier")).not_to_contain_text(f"last {2 * many} of")
    expect(page.locator("#chatbot")).to_contain_text("user 0")
    # A message in the middle is the one that its buttons are of.
    page.get_by_role("button", name="Edit this message").first.click()
    page.locator(".pg-panel textarea").fill("the very first")
    page.locator(".pg-panel .pg-go").click()
    expect(page.locator("#chatbot")).to_contain_text("to the very first")
    expect(answers).to_have_count(1)
