"""The whole app as on a ZeroGPU Space, in its own process under the emulation: it starts, answers and draws."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from backends.image.png import text_chunks
from core.recipe import recipe_in
from tests.markov_model import make_markov_model
from tests.serving import running_app

PROGRAM = ("-m", "tests.zerogpu", "app.py")
TEXT = "".join(chr(c) for c in range(ord("A"), ord("Z") + 1))
SECONDS = 600


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A client of the running app, and the app's log."""
    folder = tmp_path_factory.mktemp("space")
    model = make_markov_model(folder / "chat-model", TEXT)
    log = folder / "log"
    with running_app(folder / "data", log, program=PROGRAM, seconds=SECONDS, PROVING_CHAT_MODEL=str(model)) as (url, _):
        yield Client(url, verbose=False), log


@pytest.mark.timeout(2 * SECONDS)
def test_it_answers_and_draws_in_forked_workers_for_several_visitors(space: tuple[Client, Path]) -> None:
    client, log = space
    answers: list[str] = []

    def ask() -> None:
        answers.append(client.predict("Say it.", temperature=0, api_name="/chat"))

    visitors = [threading.Thread(target=ask) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    file, _ = client.predict("a red apple", steps=3, seed=7, api_name="/generate_image")
    for visitor in visitors:
        visitor.join(SECONDS)
    assert answers == [TEXT] * 3
    recipe = recipe_in(text_chunks(Path(file).read_bytes()))
    assert recipe is not None
    assert (recipe.backend, recipe.settings.prompt, recipe.settings.seed) == ("ZeroGPU", "a red apple", 7)
    said = log.read_text(errors="replace")
    # `spaces` says this for each worker it forks.
    assert said.count("SPACES_ZERO_GPU_DEBUG self.arg_queue") >= 2
    assert "Traceback" not in said, said[-4000:]


@pytest.mark.timeout(2 * SECONDS)
def test_a_stream_arrives_in_pieces_and_can_be_left(space: tuple[Client, Path]) -> None:
    client, _ = space
    job = client.submit("Say it.", temperature=0, api_name="/chat")
    pieces = list(job)
    assert pieces[-1] == TEXT and all(TEXT.startswith(piece) for piece in pieces)
    left = client.submit("Say it.", temperature=0, api_name="/chat")
    left.cancel()
    assert client.predict("Say it.", temperature=0, api_name="/chat") == TEXT
