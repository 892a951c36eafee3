"""Tokens per second of one visitor through the running app, over `model.generate` with a streamer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.processes import ROOT, first_byte, serving

TOKENS = 96
RUNS = 3
PROMPT = "Write a long story about a lighthouse keeper and the sea, with many details."


def through_the_app(url: str) -> tuple[float, float]:
    """(seconds to the first text, seconds in all) of one answer, client included."""
    from gradio_client import Client

    client = Client(url, verbose=False)
    started = time.monotonic()
    first = None
    for text in client.submit(PROMPT, max_new_tokens=TOKENS, temperature=0, api_name="/chat"):
        if text and first is None:
            first = time.monotonic() - started
    return first or 0.0, time.monotonic() - started


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    from backends.bundled import FOLDER, prepare
    from backends.chat.loading import best_dtype
    from backends.chat.metadata import read_config

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for _ in prepare(data / "models"):
            pass
        model = data / "models" / FOLDER
        with serving(["app.py"], data) as served:
            first_byte(served)
            through_the_app(served.url)  # loads the model
            ours = [through_the_app(served.url) for _ in range(RUNS)]
            memory = served.resident_mb()
        # The choice the app makes when it loads the model, made here again for the peer.
        dtype = best_dtype(read_config(model, FOLDER), "cpu")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.plain_generate", str(model), dtype, PROMPT, str(TOKENS), str(RUNS)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    theirs = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    our_speed = median(TOKENS / seconds for _, seconds in ours)
    their_speed = median(tokens / seconds for tokens, _, seconds in theirs)
    our_first, their_first = median(first for first, _ in ours), median(first for _, first, _ in theirs)
    return [
        (
            "One visitor, through gradio_client",
            f"{our_speed:.1f} tokens/s",
            f"`model.generate` with a streamer {their_speed:.1f}: {our_speed / their_speed:.2f} (0.85 or better), {dtype}",
        ),
        ("First text", f"{our_first:.2f} s", f"`model.generate` with a streamer {their_first:.2f} s"),
        ("Resident memory with the bundled model", f"{memory:.0f} MB", ""),
    ]
