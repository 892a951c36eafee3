"""Eight visitors of the real app on a real (tiny) model: all stream at once in one batch, whoever leaves frees a slot."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gradio_client import Client

from backends.chat.plain import LocalChat
from backends.router import Router, build_chat
from tests.fakes import services
from tests.markov_model import make_markov_model
from tests.serving import served, wait_until

VISITOR = """
import sys
from gradio_client import Client
client = Client(sys.argv[1], verbose=False, httpx_kwargs={"timeout": 120})
client.predict("Visitor", max_new_tokens=1500, temperature=0, api_name="/chat")
"""
TEXT = "".join(chr(code) for code in range(ord("A"), ord("Z") + 1))


class Pace:
    """Lets the batch take a step only when a test says so."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.free = threading.Event()
        self.steps = 0
        self.sizes: list[int] = []

    def let(self, steps: int) -> None:
        for _ in range(steps):
            self.allowed.release()

    def before(self, size: int) -> None:
        if not self.free.is_set():
            while not self.allowed.acquire(timeout=0.1):
                if self.free.is_set():
                    break
        self.steps += 1
        self.sizes.append(size)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pace]:
    from backends.chat.batched import BatchedEngine

    pace, step = Pace(), BatchedEngine.step

    def paced(self: BatchedEngine) -> None:
        if self._seats:
            pace.before(len(self._seats))
        step(self)

    monkeypatch.setattr(BatchedEngine, "step", paced)
    yield pace
    pace.free.set()


@pytest.fixture
def router(tmp_path: Path) -> Router:
    """The real router and engine, on a model that says the alphabet again and again."""
    folder = make_markov_model(tmp_path / "alphabet", TEXT, loop=True)
    router = build_chat(data_dir=tmp_path / "data", chat_model=str(folder), endpoint="http://127.0.0.1:9")
    # Importing torch beside the server would keep it from answering for seconds.
    for _ in router.prepare(router.start_model()):
        pass
    return router


@pytest.fixture
def gone() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Visitors in processes of their own, so that they can vanish without a word."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def visitor(url: str) -> Client:
    return Client(url, verbose=False, httpx_kwargs={"timeout": 120})


def engine_of(router: Router) -> LocalChat:
    return router._backends[0]  # type: ignore[return-value]


@pytest.mark.timeout(400)
def test_eight_stream_at_once_one_stops_one_vanishes_and_the_others_finish(
    router: Router, pace: Pace, tmp_path: Path, gone: list[subprocess.Popen[bytes]]
) -> None:
    with served(replace(services(), router=router), tmp_path) as url:
        clients = [visitor(url) for _ in range(7)]
        vanishing = subprocess.Popen([sys.executable, "-c", VISITOR, url])
        gone.append(vanishing)
        jobs = [
            client.submit(f"Visitor {number}", max_new_tokens=60 if number else 1500, temperature=0, api_name="/chat")
            for number, client in enumerate(clients)
        ]

        looks: list[int] = []

        def letting(condition: object, most: int = 20) -> bool:
            """A step at a time until the condition holds."""
            if condition():  # type: ignore[operator]
                return True
            looks.append(1)
            if pace.steps < most and len(looks) % 2:
                pace.let(1)
            return False

        # Nobody is finished before all have begun.
        wait_until(lambda: len(router._desk._answers) == 8, 150, "not all have begun")
        wait_until(lambda: letting(lambda: 8 in pace.sizes), 120, "the eight were never in one batch")
        wait_until(lambda: letting(lambda: all(job.outputs() for job in jobs)), 120, "somebody has no word yet")
        assert not any(job.done() for job in jobs)

        # gradio hears of a stop between two yields only: this call returns after the next token.
        threading.Thread(target=jobs[0].cancel, daemon=True).start()
        vanishing.kill()

        def ends() -> list[str | None]:
            return [str(answer.reply().finish) for answer in router._desk._answers.values()]

        wait_until(lambda: letting(lambda: ends().count("cancelled") == 2, 1400), 150, "somebody left and holds a slot")
        pace.free.set()
        for job in jobs[1:]:
            assert job.result(timeout=120) == (TEXT * 3)[:60]
        wait_until(lambda: not engine_busy(), 120, "a slot was never freed")
        registry = engine_of(router)._registry
        assert all(slot.users == 0 for slot in registry._slots.values())
        resident = next(iter(registry._slots.values())).model
        assert resident.engine._batch.reserved == 0

        after = visitor(url)
        assert after.predict("again", max_new_tokens=5, temperature=0, api_name="/chat") == "ABCDE"


def engine_busy() -> bool:
    return any(thread.name == "answer-batches" for thread in threading.enumerate())


def test_forty_who_wait_do_not_stop_the_rest_of_the_page(router: Router, pace: Pace, tmp_path: Path) -> None:
    with served(replace(services(), router=router), tmp_path) as url:
        # A client of its own waits for at most forty at once.
        clients = [visitor(url) for _ in range(3)]
        jobs = [
            client.submit("Hello", max_new_tokens=3, temperature=0, api_name="/chat")
            for client in clients[:2]
            for _ in range(25)
        ]
        wait_until(lambda: len(router._desk._answers) == 50, 120, "not all have begun")
        assert clients[2].submit("tiny", api_name="/search_models").result(timeout=120)
        assert not any(job.done() for job in jobs)
        pace.free.set()
        assert [job.result(timeout=120) for job in jobs] == ["ABC"] * 50
