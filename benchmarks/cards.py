"""Cards: a long one rendered and sanitised, and a whole page with a chain of four against a Hub on loopback.

The peer of rendering is the Markdown parser alone, which neither sanitises nor resolves a link.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

REPEATS = 5
_BLOCK = "## A heading\n\n" + "Some *text* with [a link](notes.md) and `code`, and more words to fill the line.\n\n" * 3
_WORDS = "and words that a person wrote about a model, its data and its limits. " * 60 + "\n\n"


def long_card(size: int = 2_000_000) -> str:
    """A card of `size` characters with headings, links, tables and long paragraphs."""
    table = "| benchmark | value |\n| --- | --- |\n" + "| a | 1 |\n" * 20 + "\n"
    block = _BLOCK + table + _WORDS * 4
    return (block * (size // len(block) + 1))[:size]


def run() -> Iterator[tuple[str, str, str]]:
    """Name, value and peer of each figure."""
    yield _rendering()
    yield from _page()


def _rendering() -> tuple[str, str, str]:
    from markdown_it import MarkdownIt

    from components.card_html import render_card

    text = long_card()
    here = _milliseconds(lambda: render_card(text, repo_id="org/m", revision="a" * 40, endpoint="https://hub.example"))
    parser = MarkdownIt("commonmark").enable("table")
    bare = _milliseconds(lambda: parser.render(text))
    return (
        "a card of 2 MB rendered and sanitised (its first megabyte is shown)",
        f"{here:.0f} ms",
        f"{bare:.0f} ms the parser alone, all of it",
    )


def _page() -> Iterator[tuple[str, str, str]]:
    from core.address import Address
    from pages.card import CardPage
    from tests.card_services import card_hub, card_services
    from tests.hub_server.seed_cards import GGUF

    with card_hub() as (hub, _):
        services = card_services(hub.url, Path(mkdtemp(prefix="proving-bench-")))
        page = CardPage(services.catalog, services.router, hub.url, None, services.details)
        started = time.perf_counter()
        text = whole = 0.0
        for step in page._steps(Address("card", GGUF)):
            whole = 1000 * (time.perf_counter() - started)
            if step.shown is not None and not text:
                text = whole
        cold = len(hub.requests)
        list(page._steps(Address("card", GGUF)))
        warm = len(hub.requests) - cold
        yield "requests of a card page, four models above it", f"{cold} cold, {warm} warm", "at most 10, and 0"
        yield "its text on the screen, the whole page", f"{text:.0f} ms, {whole:.0f} ms", "Hub on loopback"


def _milliseconds(call: object) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


if __name__ == "__main__":
    for row in run():
        print(" | ".join(row), flush=True)
