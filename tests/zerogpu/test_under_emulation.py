"""The tests that need a process on ZeroGPU (`inside_*.py`), each file in a process of its own under the emulation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 600


def run_on_zero_gpu(*arguments: str) -> None:
    """pytest with these arguments in a process on ZeroGPU; fails with what it printed."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.zerogpu.plugin", "-q", "-p", "no:cacheprovider", *arguments]
    # A session of its own: the workers it forked end with it, whatever happens.
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, said[-12_000:]


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("inside_*.py")))
def test_inside(file: str) -> None:
    run_on_zero_gpu(f"tests/zerogpu/{file}")
