"""`transformers serve` on loopback, as an operator starts it, on a tiny real model. Session-scoped: it takes seconds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.markov_model import make_markov_model
from tests.serving import wait_until
from tests.tiny_models import make_tiny_chat_model

TINY, SAYS, LOOPS = "tiny/random", "tiny/says", "tiny/loops"
COMMIT = "f" * 40
TEXT = " Zwölf\t😀bird"


@dataclass(frozen=True)
class Serving:
    """The address, and what its log says."""

    url: str
    log: Path


@pytest.fixture(scope="session")
def transformers_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Three models in a cache of its own: random, saying `TEXT`, saying it for ever. Never with HF_HUB_OFFLINE."""
    home = tmp_path_factory.mktemp("serve")
    makers: dict[str, Callable[[Path], Path]] = {
        TINY: make_tiny_chat_model,
        SAYS: lambda folder: make_markov_model(folder, TEXT),
        LOOPS: lambda folder: make_markov_model(folder, TEXT, loop=True),
    }
    for name, make in makers.items():
        repo = home / "hub" / f"models--{name.replace('/', '--')}"
        (repo / "refs").mkdir(parents=True)
        (repo / "refs" / "main").write_text(COMMIT)
        made = make(repo / "snapshots" / COMMIT)
        if name == TINY:
            _samples(made)
        # Listed because it is in the cache, loaded because a folder of that name is where the server runs: a closed
        # HF_ENDPOINT would be asked six times for each file a model does not have.
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).symlink_to(made, target_is_directory=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "serve.log"
    environment = {**os.environ, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [
        sys.executable, "-c", "from transformers.cli.transformers import main; main()",
        "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _healthy(url, process, log), 300, "transformers serve did not start")
        yield Serving(f"{url}/v1", log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _samples(folder: Path) -> None:
    """The server samples only with models whose own configuration says so, whatever temperature it is sent."""
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_sample": True}))


def _healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"transformers serve ended:\n{log.read_text(errors='replace')[-4000:]}")
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
