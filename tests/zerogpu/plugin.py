"""A pytest plugin (`-p tests.zerogpu.plugin`): the whole test process is one on ZeroGPU, and `device_api` keeps its books.

A process is on ZeroGPU or it is not, so tests that need it run in one of their own: see test_under_emulation.py.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving import wait_until
from tests.zerogpu.device_api import DeviceApi
from tests.zerogpu.emulation import emulated, forget

_OPEN = ExitStack()
_API = _OPEN.enter_context(emulated(Path(_OPEN.enter_context(tempfile.TemporaryDirectory(prefix="zerogpu-")))))


def pytest_unconfigure() -> None:
    """End the workers and the service."""
    _OPEN.close()


@pytest.fixture(autouse=True)
def device_api() -> Iterator[DeviceApi]:
    """The device service with empty books; afterwards every worker is ended, so that the next test's are its own."""
    _API.grants.clear()
    _API.refuse = lambda seconds: None
    _API.limit_factor = 100.0
    yield _API
    wait_until(_nothing_runs, 120, "a call outlived its test")


def _nothing_runs() -> bool:
    """End what a test left running, also what only now gets its GPU: with a worker of this test it would meet the next."""
    _API.end_workers()
    calls = [thread for thread in threading.enumerate() if thread.name.startswith(("answer-", "drawing-"))]
    return not calls and _API.quiet


@pytest.fixture(autouse=True, scope="module")
def _nothing_placed_before() -> Iterator[None]:
    """A file of tests places its own models; what is packed by a launch stays until its end."""
    yield
    forget()
