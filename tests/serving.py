"""The page served on loopback: built in this process on given services, or as the user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.settings import Settings

ROOT = Path(__file__).parents[1]


@contextmanager
def served(services: object, folder: Path, endpoint: str = "https://huggingface.co") -> Iterator[str]:
    """Serve `services` on a free port; yields the address and closes the server afterwards.

    `endpoint` is the Hub whose pictures the page may show.
    """
    import app

    demo = app.build(services)  # type: ignore[arg-type]
    # Not the first one free from 7860 on, as gradio would: tests that run side by side would all take that one.
    settings = Settings(folder, port=free_port(), endpoint=endpoint)
    _, url, _ = app.launch(demo, settings, block=False, access=services.access)  # type: ignore[attr-defined]
    try:
        yield url
    finally:
        demo.close(verbose=False)
        os.environ.pop("GRADIO_MCP_SERVER", None)


@contextmanager
def running_app(
    data_dir: Path, log: Path, *, program: Sequence[str] = ("app.py",), seconds: float = 180, **env: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`python app.py` as a user starts it, in its own process; yields its address and the process."""
    port = free_port()
    # The app itself runs the real model, on all cores as a user's does.
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment = {**inherited, "PROVING_DATA_DIR": str(data_dir), "PORT": str(port), "PYTHONUNBUFFERED": "1", **env}
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_until(lambda: answers(url, process, log), seconds, "the app did not answer")
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on, and that nobody else who asks is given next."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the page is served; an app that ended instead fails with what it said."""
    if process.poll() is not None:
        raise AssertionError(f"the app ended with {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}")
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Wait for `condition`; a test waits on what it needs, never for a time."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        pause.wait(0.05)
