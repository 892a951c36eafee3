"""Long conversations: opening one of 200 turns with 50 branches, switching a sibling, and memory for each idle visitor."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import Served, first_byte, serving
from components.transcript import shown_messages
from core.transcripts import read_file

TURNS, BRANCHES = 200, 50
WORDS = "The parcel left our warehouse on Monday and the carrier says that it will arrive within three working days. "
VISITORS = 100
RUNS = 9
# What is measured is from the click to the last change of the screen, when every message that is shown has its buttons.
OPENED = "() => document.querySelectorAll('#chatbot .pg-figures [data-copy]').length"


def long_conversation() -> str:
    """As a file: a hundred questions and answers on the path, and fifty more answers beside them."""
    turns: list[dict[str, Any]] = []
    parent = None
    for number in range(TURNS // 2):
        question, answer = f"q{number}", f"a{number}"
        turns.append({"id": question, "parent": parent, "role": "user", "content": f"Question {number}. {WORDS}"})
        if number % 2 == 0:
            beside = f"Another answer to question {number}. {WORDS * 3}"
            turns.append({"id": f"b{number}", "parent": question, "role": "assistant", "content": beside})
        turns.append(
            {"id": answer, "parent": question, "role": "assistant", "content": f"Answer {number}. {WORDS * 3}"}
        )
        parent = answer
    assert len(turns) == TURNS + BRANCHES
    return json.dumps({"format": "proving-ground/conversation", "turns": turns, "tip": parent})


def on_screen() -> int:
    """How many of the answers are on the screen when it has been opened; the earlier ones come when they are asked for."""
    return len(shown_messages(read_file(long_conversation(), ""))) // 2


def in_browser(served: Served, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds to open the conversation, and to switch a sibling in it, each until the page has been painted."""
    from playwright.sync_api import sync_playwright

    from tests.browser.find_chromium import chromium

    file = folder / "long.json"
    file.write_text(long_conversation(), encoding="utf-8")
    opened, switched = [], []
    there_are = (
        f"({OPENED})() === {on_screen()} && document.querySelector('#chatbot').textContent.includes('Answer 99')"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for _ in range(3):
            page = browser.new_page()
            page.goto(f"{served.url}?tab=chat")
            page.wait_for_selector("#chip summary")
            page.locator('.pg-kept input[type="file"]').set_input_files(file)
            page.wait_for_function(there_are, timeout=60_000)
            page.locator(".pg-kept > summary").click()
            page.get_by_role("button", name="Clear", exact=True).last.click()
            page.wait_for_function(f"({OPENED})() === 0")
            opened.append(timed(page, ".pg-kept-open", there_are))
            for number in range(RUNS):
                there = number % 2 == 0
                button = "Previous answer" if there else "Next answer"
                page.locator(f'button[title="{button}"]:not([disabled])').last.scroll_into_view_if_needed()
                want = "Another answer to question 98" if there else "Answer 98"
                says = f"document.querySelector('#chatbot').textContent.includes('{want}')"
                switched.append(timed(page, f'button[title="{button}"]:not([disabled]) >> nth=-1', says))
            page.close()
        browser.close()
    return opened, switched


def timed(page: Any, selector: str, done: str) -> float:
    """Seconds from a click to the first frame in which `done` holds, by the browser's own clock."""
    element = page.locator(selector).first.element_handle()
    milliseconds = page.evaluate(
        f"""(element) => new Promise((resolve) => {{
            const started = performance.now();
            const look = () => ({done}) ? resolve(performance.now() - started) : requestAnimationFrame(look);
            element.click(); requestAnimationFrame(look);
        }})""",
        element,
    )
    return float(milliseconds) / 1000


def idle_visitors(served: Served) -> float:
    """Resident MB that each of a hundred visitors adds who opened the page, asked one thing and left it open."""
    config = _json(served, "config")
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    arrives = next(one for one in config["dependencies"] if any(target[1] == "load" for target in one["targets"]))
    sends = next(one for one in config["dependencies"] if [ids["chat-text"], "submit"] in one["targets"])
    parts = {part["id"]: part for part in config["components"]}

    def visit(session: str) -> None:
        """As the page sends it: every control as it was built, the message, and who asks."""
        own = {ids["chat-text"]: "hello"} | {one: session for one in parts if parts[one]["type"] == "browserstate"}
        held = [None if parts[one]["type"] == "state" else parts[one]["props"].get("value") for one in sends["inputs"]]
        _call(served, arrives["id"], [""], session)
        _call(
            served,
            sends["id"],
            [own.get(one, value) for one, value in zip(sends["inputs"], held, strict=True)],
            session,
        )

    for number in range(10):
        visit(f"warm{number}")
    before = served.resident_mb()
    for number in range(VISITORS):
        visit(f"visitor{number}")
    return (served.resident_mb() - before) / VISITORS


def _json(served: Served, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(served.url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.load(reply)


def _call(served: Served, event: int, data: list[object], session: str) -> None:
    """One event of the page, as its browser sends it, to its end."""
    body = {"data": data, "fn_index": event, "session_hash": session, "trigger_id": None, "event_data": None}
    _json(served, "gradio_api/queue/join", body)
    with urllib.request.urlopen(f"{served.url}gradio_api/queue/data?session_hash={session}", timeout=60) as reply:
        for line in reply:
            if b'"process_completed"' in line:
                assert b'"success":true' in line.replace(b" ", b""), line[:400]
                return
    raise RuntimeError("the event did not end")


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with serving(["-m", "benchmarks.scripted_app"], data, PEER_TOKENS="8") as served:
            first_byte(served)
            opened, switched = in_browser(served, data)
            each = idle_visitors(served)
    return [
        (
            f"Opening a conversation of {TURNS} turns with {BRANCHES} branches",
            f"{median(opened) * 1000:.0f} ms",
            f"from the click to the frame that shows its newest {2 * on_screen()} messages; at most 300 ms",
        ),
        ("Switching a sibling in it", f"{median(switched) * 1000:.0f} ms", "as above; at most 100 ms"),
        ("Memory for each idle visitor", f"{each:.2f} MB", f"{VISITORS} visitors after one answer each; at most 1 MB"),
    ]
