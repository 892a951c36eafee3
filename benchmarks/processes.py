"""Starting the app and its peers as processes, and reading what the operating system says of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Nothing here may wait for a network: the Hub is a closed port.
OFFLINE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}


@dataclass(frozen=True)
class Served:
    """A running server: where it is, its process, and when it was started (monotonic seconds)."""

    url: str
    process: subprocess.Popen[bytes]
    started: float

    def resident_mb(self) -> float:
        """Resident memory of the process in MB, as the kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1000

    def processor_seconds(self) -> float:
        """Seconds of processor time the process has taken so far, in all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def has_mapped(self, library: str) -> bool:
        """Whether a shared library of that name is in the process."""
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(arguments: list[str], data_dir: Path, **variables: str) -> Iterator[Served]:
    """Run a server with `PORT` and `variables` set and stop it afterwards."""
    port = free_port()
    environment = {**os.environ, **OFFLINE, "PORT": str(port), "PROVING_DATA_DIR": str(data_dir), **variables}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield Served(f"http://127.0.0.1:{port}/", process, started)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_byte(served: Served, limit: float = 60) -> float:
    """Seconds from the start of the process to the first byte of its page."""
    while time.monotonic() - served.started < limit:
        try:
            with urllib.request.urlopen(served.url, timeout=5) as reply:
                reply.read(1)
                return time.monotonic() - served.started
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{served.url} did not answer within {limit} s")
