"""Start-up: first byte and first usable page of the app over an empty `gr.Blocks`, and memory before any model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.processes import Served, first_byte, serving
from tests.browser.find_chromium import chromium

RUNS = 5


def usable(served: Served, selector: str) -> float:
    """Seconds from the start of the process until `selector` can be used in a browser that was open before."""
    import time

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        first_byte(served)
        page.goto(served.url)
        page.wait_for_selector(selector, state="visible", timeout=60_000)
        seconds = time.monotonic() - served.started
        browser.close()
    return seconds


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    bytes_app, bytes_empty, page_app, page_empty, memory, torch_early = [], [], [], [], [], False
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for _ in range(RUNS):
            with serving(["benchmarks/empty_app.py"], data) as served:
                bytes_empty.append(first_byte(served))
            with serving(["app.py"], data) as served:
                bytes_app.append(first_byte(served))
                torch_early |= served.has_mapped("libtorch_cpu")
                memory.append(served.resident_mb())
            with serving(["benchmarks/empty_app.py"], data) as served:
                page_empty.append(usable(served, "#ready textarea, #ready input"))
            with serving(["app.py"], data) as served:
                page_app.append(usable(served, "#search-text textarea, #search-text input"))
                torch_early |= served.has_mapped("libtorch_cpu")

    def row(name: str, ours: list[float], theirs: list[float]) -> tuple[str, str, str]:
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
        return (
            name,
            f"{median(ours):.2f} s",
            f"empty `gr.Blocks` {median(theirs):.2f} s: {ratio:.2f} times (at most 1.5)",
        )

    return [
        row("First byte of the page", bytes_app, bytes_empty),
        row("First usable page", page_app, page_empty),
        ("torch in memory when the page is served", "yes" if torch_early else "no", ""),
        ("Resident memory before any model", f"{median(memory):.0f} MB", ""),
    ]
