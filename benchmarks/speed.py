"""Tokens per second of one visitor through the running app, over `model.generate` with a streamer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.processes import ROOT, first_byte, serving

if TYPE_CHECKING:
    from gradio_client import Client

TOKENS = 96
RUNS = 7


def prompt(run: int) -> str:
    """No two alike, so that nothing is answered from what was kept of the one before."""
    return f"{run}: Write a long story about a lighthouse keeper and the sea, with many details."


def through_the_app(visitor: Client, run: int) -> tuple[float, float]:
    """(seconds to the first text, seconds in all) of one answer, client included."""
    started = time.monotonic()
    first = None
    for text in visitor.submit(prompt(run), max_new_tokens=TOKENS, temperature=0, api_name="/chat"):
        if text and first is None:
            first = time.monotonic() - started
    return first or 0.0, time.monotonic() - started


@contextmanager
def peer(model: Path, dtype: str) -> Iterator[Callable[[int], tuple[float, float]]]:
    """The peer's process, kept warm; calling it answers the prompt of that run and gives what `through_the_app` gives."""
    command = [sys.executable, "-m", "benchmarks.plain_generate", str(model), dtype, str(TOKENS)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(run: int) -> tuple[float, float]:
        print(json.dumps(prompt(run)), file=process.stdin, flush=True)
        _, first, seconds = json.loads(process.stdout.readline())
        return first, seconds

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(30)


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    from gradio_client import Client

    from backends.bundled import FOLDER, prepare
    from backends.chat.loading import best_dtype
    from backends.chat.metadata import read_config

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for _ in prepare(data / "models"):
            pass
        model = data / "models" / FOLDER
        # The choice the app makes when it loads the model, made here again for the peer.
        dtype = best_dtype(read_config(model, FOLDER), "cpu")
        with serving(["app.py"], data) as served, peer(model, dtype) as ask_peer:
            first_byte(served)
            visitor = Client(served.url, verbose=False)
            through_the_app(visitor, 0)  # the first of each loads and warms up
            ask_peer(0)
            ours, theirs = [], []
            for number in range(1, RUNS + 1):  # in turns: whatever else the machine does meets both
                ours.append(through_the_app(visitor, number))
                theirs.append(ask_peer(number))
            memory = served.resident_mb()
    our_speed = median(TOKENS / seconds for _, seconds in ours)
    their_speed = median(TOKENS / seconds for _, seconds in theirs)
    ratio = median(other / own for (_, own), (_, other) in zip(ours, theirs, strict=True))
    our_first, their_first = median(first for first, _ in ours), median(first for first, _ in theirs)
    return [
        (
            "One visitor, through gradio_client",
            f"{our_speed:.1f} tokens/s",
            f"`model.generate` with a streamer {their_speed:.1f}: {ratio:.2f} (0.85 or better), {dtype}",
        ),
        (
            "First text",
            f"{our_first:.2f} s",
            f"`model.generate` with a streamer {their_first:.2f} s: {our_first - their_first:.2f} s more (at most 0.1)",
        ),
        ("Resident memory with the bundled model", f"{memory:.0f} MB", ""),
    ]
