"""Seconds per picture through the running app, over the bare pipeline plus one empty call through the same client."""

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
from typing import Any, Literal
from uuid import uuid4

from benchmarks.processes import ROOT, Served, first_byte, serving

STEPS = 20
RUNS = 9
PROMPT = "a red apple"
MODEL = ROOT / "models" / "tiny-emoji-diffusion"


@contextmanager
def peer() -> Iterator[Callable[[], float]]:
    """The bare pipeline's process, kept warm; calling it draws once and gives the seconds."""
    command = [sys.executable, "-m", "benchmarks.plain_image", str(MODEL), "float32", PROMPT, str(STEPS)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask() -> float:
        print("go", file=process.stdin, flush=True)
        return float(json.loads(process.stdout.readline()))

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(30)


def drawn(client: Any) -> float:
    """Seconds of one picture through the API: no previews; the client fetches the file, which no empty call does."""
    started = time.monotonic()
    client.predict(PROMPT, steps=STEPS, guidance=3.5, api_name="/generate_image")
    return time.monotonic() - started


def empty(client: Any) -> float:
    """Seconds of a call that does nothing, through the same client to an empty app."""
    started = time.monotonic()
    client.predict("", api_name="/nothing")
    return time.monotonic() - started


class Page:
    """Draws as the page does, previews and all: its private event over the page's own protocol."""

    def __init__(self, served: Served) -> None:
        import httpx

        self._url = served.url.rstrip("/")
        self._http = httpx.Client(timeout=120)
        config = self._http.get(f"{self._url}/config").json()
        by_id = {part["id"]: part for part in config["components"]}
        draw = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "draw")
        self._event = next(d for d in config["dependencies"] if [draw, "click"] in d["targets"])
        self._trigger = draw
        values = {"image-prompt": PROMPT, "image-steps": STEPS, "image-guidance": 3.5}
        # A visitor of its own: what is drawn is also put into the gallery, as for everybody.
        self._data = [
            uuid4().hex
            if by_id[part]["type"] == "browserstate"
            else values.get(by_id[part]["props"].get("elem_id") or "", by_id[part]["props"].get("value"))
            for part in self._event["inputs"]
        ]

    def draw(self) -> tuple[float, int]:
        """(seconds, previews that arrived) of one picture."""
        session = f"bench{time.monotonic_ns()}"
        started = time.monotonic()
        joined = self._http.post(
            f"{self._url}/gradio_api/queue/join",
            json={
                "data": self._data,
                "fn_index": self._event["id"],
                "trigger_id": self._trigger,
                "session_hash": session,
            },
        )
        joined.raise_for_status()
        previews = 0
        with self._http.stream("GET", f"{self._url}/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                previews += "data:image/png" in line and "Preview" in line
                if '"process_completed"' in line:
                    if '"success":true' not in line.replace(" ", ""):
                        raise RuntimeError(line[:400])
                    return time.monotonic() - started, previews
        raise RuntimeError("the page's stream ended before the picture")


def run() -> list[tuple[str, str, str]]:
    """(figure, value, against) rows."""
    from gradio_client import Client

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(["app.py"], Path(folder)) as served,
        serving(["-m", "benchmarks.empty_app"], Path(folder)) as nothing,
        peer() as bare,
    ):
        first_byte(served)
        first_byte(nothing)
        client, other = Client(served.url, verbose=False), Client(nothing.url, verbose=False)
        page = Page(served)
        for warm in (lambda: drawn(client), lambda: empty(other), bare, page.draw):
            warm()
        rounds = [(drawn(client), page.draw(), bare(), empty(other)) for _ in range(RUNS)]
    ours = [plain for plain, _, _, _ in rounds]
    shown = [seconds for _, (seconds, _), _, _ in rounds]
    base = [pipe + call for _, _, pipe, call in rounds]
    off = median(own / peers for own, peers in zip(ours, base, strict=True))
    on = median(own / peers for own, peers in zip(shown, base, strict=True))
    previews = median(count for _, (_, count), _, _ in rounds)
    against = f"bare pipeline and an empty call {median(base):.2f} s"
    return [
        (
            f"One picture, {STEPS} steps, no preview",
            f"{median(ours):.2f} s",
            f"{against}: {off:.2f} times (1.05 or better)",
        ),
        (
            f"The same with previews ({previews:.0f} of them)",
            f"{median(shown):.2f} s",
            f"{against}: {on:.2f} times (1.15 or better)",
        ),
        *switching(),
    ]


def switching() -> list[tuple[str, str, str]]:
    """What it costs to change between text, a picture and a mask: the pipeline for each made in turns, nothing loaded."""
    from backends.bundled.image import IMAGE_REF
    from backends.image.loading import load

    loaded = load(IMAGE_REF, MODEL, "cpu", None)
    tasks: tuple[Literal["text", "image", "inpaint"], ...] = ("text", "image", "inpaint")
    for task in tasks:  # the first of each imports its class
        loaded.pipeline(task, "DDIM")
    parts = {id(part) for part in loaded.base.components.values() if part is not None}
    seconds, strangers = [], 0
    for _ in range(RUNS):
        for task in tasks:
            started = time.monotonic()
            pipe = loaded.pipeline(task, "DDIM")
            seconds.append(time.monotonic() - started)
            shared = {name: part for name, part in pipe.components.items() if name != "scheduler" and part is not None}
            strangers += sum(id(part) not in parts for part in shared.values())
    return [
        (
            "From text to a picture to a mask",
            f"{1000 * max(seconds):.1f} ms at most",
            f"50 ms; {strangers} components loaded again in {len(seconds)} changes",
        )
    ]
