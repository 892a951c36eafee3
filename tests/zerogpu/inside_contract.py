"""The contract of every chat engine, kept by the ZeroGPU engine in real forked workers: the gate reaches into them."""

from __future__ import annotations

import ctypes
import multiprocessing

import pytest

from backends.chat import zerogpu
from backends.chat.zerogpu import ZeroGpuChat
from core.errors import GenerationFailed
from tests.contract import test_chat_engine
from tests.contract.engine_cases import Asked, Engine, EngineCase, Gate, _gated_decoding, model_files
from tests.contract.test_chat_engine import *  # noqa: F403  (the questions, and the fixture that makes an engine)

_FORK = multiprocessing.get_context("fork")


class ForkedGate(Gate):
    """A gate that is the same in this process and in the workers forked from it."""

    def __init__(self) -> None:
        self._tokens = _FORK.Semaphore(0)
        self._open = _FORK.Event()
        self.waiting = _FORK.Event()
        self._asked = _FORK.Value(ctypes.c_int, 0)
        self._error = _FORK.Array(ctypes.c_char, 200)

    @property
    def asked(self) -> int:
        return self._asked.value

    @property
    def error(self) -> Exception | None:
        return GenerationFailed(self._error.value.decode()) if self._error.value else None

    @error.setter
    def error(self, error: Exception | None) -> None:
        self._error.value = str(error or "").encode()

    def let(self, number: int) -> None:
        for _ in range(number):
            self._tokens.release()

    def open(self) -> None:
        self._open.set()
        # Whoever waits already: one for each answer of a test.
        self.let(50)

    def __call__(self) -> None:
        with self._asked.get_lock():
            self._asked.value += 1
        self.waiting.set()
        if not self._open.is_set():
            self._tokens.acquire()
        if self.error:
            raise self.error


# Each request is a call here, and two hundred of them measure the service, which is not the engine's.
del test_two_hundred_short_requests_are_all_answered  # noqa: F821
test_chat_engine.Gate = ForkedGate  # type: ignore[misc]


def _forked(asked: Asked) -> Engine:
    asked.patch.setattr(zerogpu._MODELS, "models", {})
    backend = ZeroGpuChat(model_files(_gated_decoding(asked)), orphan_seconds=asked.orphan_seconds)
    # The flag that ends an answer in its worker is set by the cancel itself.
    return Engine(backend, asked.gate)


@pytest.fixture
def case() -> EngineCase:
    return EngineCase("zerogpu, forked", _forked, "zerogpu")
