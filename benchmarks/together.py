"""Many visitors at once: tokens per second and first words over a plain chat, a batch without a server, and turn ten.

`python -m benchmarks.together` prints these rows alone, in about five minutes; with `--small` it only shows that everything
runs. The plain chats and the thirty-two visitors are asked once: they take longest, and are far from their limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import ROOT, Served, first_byte, serving

Row = tuple[str, str, str]
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Size:
    """How much is asked. `conversations`: after how many memory is looked at; `scripted` tokens come at fifty a second."""

    tokens: int = 96
    runs: int = 3
    crowd: int = 32
    conversations: tuple[int, int] = (10, 200)
    spoken: int = 16
    scripted: int = 4000


SMALL = Size(tokens=6, runs=1, crowd=10, conversations=(4, 12), spoken=4, scripted=150)


@dataclass(frozen=True)
class Visit:
    """One answer as a client saw it: seconds to the first text and in all, and the text."""

    first: float
    seconds: float
    text: str


def ask(url: str, prompt: str, **given: Any) -> Visit:
    """Ask once over a client that is connected before the clock starts."""
    from gradio_client import Client

    client = Client(url, verbose=False, httpx_kwargs={"timeout": 600})
    started = time.monotonic()
    first, text = 0.0, ""
    for text in client.submit(prompt, **given, api_name="/chat"):
        if text and not first:
            first = time.monotonic() - started
    return Visit(first, time.monotonic() - started, str(text))


def connected(url: str, number: int) -> list[Any]:
    """So many clients, each a visitor of its own."""
    from gradio_client import Client

    return [Client(url, verbose=False, httpx_kwargs={"timeout": 600}) for _ in range(number)]


def at_once(clients: list[Any], prompts: list[str], **given: Any) -> tuple[float, list[Visit]]:
    """All prompts together, each by a visitor of its own; (seconds until the last was answered, what each saw)."""
    visits: list[Visit | None] = [None] * len(prompts)
    begin = threading.Barrier(len(prompts) + 1)

    def visit(number: int) -> None:
        begin.wait()
        started = time.monotonic()
        first = 0.0
        job = clients[number].submit(prompts[number], **given, api_name="/chat")
        # Going through a job asks it a thousand times a second: a crowd of those takes the processor from any server.
        while not job.done():
            if not first and any(job.outputs()):
                first = time.monotonic() - started
            time.sleep(LOOK_SECONDS)
        took = time.monotonic() - started
        visits[number] = Visit(first or took, took, str(job.outputs()[-1]))

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    whole = [each for each in visits if each is not None and each.text]
    assert len(whole) == len(prompts), f"{len(prompts) - len(whole)} of {len(prompts)} visitors got no answer"
    return seconds, whole


def stories(number: int, run: int) -> list[str]:
    """Prompts whose answers are long, no two alike, so that nothing is answered from what is kept."""
    return [
        f"{run}.{each}: Write a long story about a lighthouse keeper and the sea, with many details."
        for each in range(number)
    ]


@contextmanager
def unserved(model: Path, dtype: str, tokens: int) -> Iterator[Callable[[list[str]], float]]:
    """`generate_batch` in its own process: prompts to seconds."""
    command = [sys.executable, "-m", "benchmarks.plain_batch", str(model), dtype, str(tokens)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def take(prompts: list[str]) -> float:
        print(json.dumps(prompts), file=process.stdin, flush=True)
        return float(json.loads(process.stdout.readline()))

    try:
        yield take
    finally:
        process.stdin.close()
        process.wait(60)


@contextmanager
def plain_chat(model: Path, dtype: str, data: Path, tokens: int, at_once: int) -> Iterator[str]:
    """A plain `gr.ChatInterface` that answers so many at the same time."""
    settings = {"PEER_MODEL": str(model), "PEER_DTYPE": dtype, "PEER_TOKENS": str(tokens), "PEER_AT_ONCE": str(at_once)}
    with serving(["benchmarks/plain_chat.py"], data, **settings) as peer:
        first_byte(peer, 120)
        ask(peer.url, "Hello")
        yield peer.url


def run(size: Size = Size()) -> Iterator[Row]:
    """(figure, value, against) rows, each as soon as it is known."""
    from transformers import AutoTokenizer

    from backends.bundled import FOLDER, prepare
    from backends.chat.loading import best_dtype
    from backends.chat.metadata import read_config

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for _ in prepare(data / "models"):
            pass
        model = data / "models" / FOLDER
        dtype = best_dtype(read_config(model, FOLDER), "cpu")
        tokenizer = AutoTokenizer.from_pretrained(model)

        def speed(seconds: float, visits: list[Visit]) -> float:
            return sum(len(tokenizer(visit.text)["input_ids"]) for visit in visits) / seconds

        with serving(["app.py"], data) as served:
            first_byte(served)
            ask(served.url, "Hello", max_new_tokens=4)
            yield from _speeds(served, model, dtype, data, speed, size)
            yield from _turn_ten(served, size)
            # What follows is told in bytes, steps and processor time, not in seconds, so it may run side by side.
            with ThreadPoolExecutor(2) as pool:
                streamed = pool.submit(_streaming, data, size)
                stopped = pool.submit(_stopped, data)
                yield from _memory(served, size)
                yield from stopped.result()
                yield from streamed.result()


def _stopped(data: Path) -> list[Row]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stop_steps", str(data / "models")],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [("Tokens made after Stop", done.stdout.strip(), "at most 2")]


def _speeds(
    served: Served, model: Path, dtype: str, data: Path, speed: Callable[[float, list[Visit]], float], size: Size
) -> list[Row]:
    greedy = {"max_new_tokens": size.tokens, "temperature": 0}
    eight: list[tuple[float, float]] = []
    many: list[tuple[float, float]] = []
    batch: list[float] = []
    queue: list[tuple[float, float]] = []
    threads: list[tuple[float, float]] = []
    visitors = connected(served.url, size.crowd)

    def asked(clients: list[Any], number: int, run: int, kept: list[tuple[float, float]], **given: Any) -> None:
        seconds, visits = at_once(clients[:number], stories(number, run), **given)
        kept.append((speed(seconds, visits), max(visit.first for visit in visits)))

    with unserved(model, dtype, size.tokens) as take:
        take(stories(1, 0))
        for run in range(size.runs):  # in turns: whatever else the machine does meets both
            asked(visitors, 8, run, eight, **greedy)
            batch.append(8 * size.tokens / take(stories(8, run)))
    asked(visitors, size.crowd, size.runs, many, **greedy)
    # One peer at a time, and none idle beside another: each would keep memory and threads.
    for limit, kept in ((1, queue), (8, threads)):
        with plain_chat(model, dtype, data, size.tokens, limit) as url:
            asked(connected(url, 8), 8, 0, kept)

    def middle(values: list[tuple[float, float]]) -> tuple[float, float]:
        return median(value for value, _ in values), median(first for _, first in values)

    ours, first = middle(eight)
    crowd, crowd_first = middle(many)
    one_by_one, queue_first = middle(queue)
    at_a_time, _ = middle(threads)
    best = max(one_by_one, at_a_time)
    return [
        (
            "8 visitors, together",
            f"{ours:.0f} tokens/s",
            f"plain `gr.ChatInterface`, the better of its queue ({one_by_one:.0f}) and eight threads ({at_a_time:.0f}): "
            f"{ours / best:.1f} times (at least 3)",
        ),
        ("", "", f"`generate_batch` without a server {median(batch):.0f}: {ours / median(batch):.2f} (0.8 or better)"),
        (
            "8 visitors, slowest first text",
            f"{first:.2f} s",
            f"plain queue {queue_first:.1f} s: {first / queue_first:.3f} (below 0.1)",
        ),
        (
            f"{size.crowd} visitors, together",
            f"{crowd:.0f} tokens/s, slowest first text {crowd_first:.1f} s",
            f"8 visitors {ours:.0f}: {crowd / ours:.2f} (1 or better), all answered",
        ),
    ]


def _turn_ten(served: Served, size: Size) -> list[Row]:
    line = "The keeper counted the waves, lit the lamp, wrote in the log, and waited for the ship that never came. "
    ratios, warm, cold = [], [], []
    for number in range(size.runs):

        def history(mark: str, turns: int) -> list[dict[str, str]]:
            kept = []
            for turn in range(turns):
                kept.append({"role": "user", "content": f"{mark}, part {turn}: {line * 5}"})
                kept.append({"role": "assistant", "content": f"Part {turn}. {line * 4}"})
            return kept

        def first(mark: str, turns: int) -> float:
            earlier = history(mark, turns)
            return ask(served.url, "And then?", history=earlier, max_new_tokens=4, temperature=0).first

        first(f"warm {number}", 8)
        warm.append(first(f"warm {number}", 9))
        cold.append(first(f"cold {number}", 9))
        ratios.append(warm[-1] / cold[-1])
    return [
        (
            "First text of turn 10, 2,000 tokens",
            f"{median(warm):.2f} s",
            f"the same length read for the first time {median(cold):.2f} s: {median(ratios):.2f} (at most 0.25)",
        )
    ]


def _memory(served: Served, size: Size) -> list[Row]:
    visitors = connected(served.url, 8)
    resident: list[float] = []
    done = 0
    for wanted in size.conversations:
        while done < wanted:
            number = min(8, wanted - done)
            prompts = [f"Conversation {done + each}: say hello." for each in range(number)]
            at_once(visitors[:number], prompts, max_new_tokens=size.spoken)
            done += number
        resident.append(served.resident_mb())
    before, after = resident
    return [
        (
            f"Resident memory after {size.conversations[1]} conversations",
            f"{after:.0f} MB",
            f"after {size.conversations[0]}: {before:.0f} MB, {100 * (after / before - 1):+.1f} % (within 3 %)",
        )
    ]


def _streaming(data: Path, size: Size) -> list[Row]:
    with serving(["-m", "benchmarks.scripted_app"], data / "scripted", PEER_TOKENS=str(size.scripted)) as served:
        first_byte(served)
        before, started = served.processor_seconds(), time.monotonic()
        ask(served.url, "Go", max_new_tokens=size.scripted)
        share = (served.processor_seconds() - before) / (time.monotonic() - started)
    return [("The app's own work while streaming 50 tokens/s", f"{100 * share:.0f} % of a core", "below 15 %")]


if __name__ == "__main__":
    for row in run(SMALL if "--small" in sys.argv else Size()):
        print("| " + " | ".join(row) + " |", flush=True)
