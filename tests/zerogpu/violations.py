"""Functions for the emulation's own tests: what ZeroGPU allows, and one of each thing it does not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import spaces

COUNT = [0]
PLACED: list[Any] = []


def seconds(number: int, text: str = "") -> int:
    return number + len(text)


@spaces.GPU(duration=seconds)
def counted(number: int, text: str = "") -> tuple[int, int, int]:
    """The process, how often it was called there, and torch's threads."""
    import torch

    COUNT[0] += 1
    return os.getpid(), COUNT[0], torch.get_num_threads()


@spaces.GPU(duration=1)
def numbers(most: int) -> Iterator[tuple[int, int]]:
    for number in range(most):
        yield number, os.getpid()


@spaces.GPU(duration=1)
def told_to_stop(path: str) -> Iterator[int]:
    """Yields until it is closed, then says so in a file."""
    number = 0
    try:
        while True:
            yield number
            number += 1
            time.sleep(0.01)
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write("closed")


@spaces.GPU(duration=1)
def forever() -> int:
    while True:
        time.sleep(0.05)


@spaces.GPU(duration=1)
def unpicklable_result() -> object:
    return threading.Lock()


@spaces.GPU(duration=1)
def unpicklable_yield() -> Iterator[object]:
    yield 1
    yield threading.Lock()


@spaces.GPU(duration=1)
def takes(value: object) -> str:
    return type(value).__name__


@spaces.GPU(duration=1)
def fails() -> None:
    raise ValueError("a secret of the worker")


@spaces.GPU(duration=1)
def computed(values: list[float]) -> tuple[list[float], str]:
    """The placed layer on `values`, and the device of what came out."""
    import torch

    (layer,) = PLACED
    found = layer(torch.tensor([values], device="cuda"))
    return found.cpu().tolist()[0], str(found.device)


@spaces.GPU(duration=1)
def mixed_devices() -> None:
    import torch

    (layer,) = PLACED
    layer(torch.ones(1, 4))
