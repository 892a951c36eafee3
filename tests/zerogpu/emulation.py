"""ZeroGPU's rules on a machine without a GPU: the real `spaces` package, with the device service and CUDA stood in for.

What is real: the forked and reused worker of each decorated function, everything that crosses pickled, durations, the stop of
a closed generator, tensors packed at launch, the errors and their titles. What is not: the GPU (see cuda.py), who may use it
(see device_api.py). One rule is added, because breaking it works in `spaces` until the second call: decorated functions stand
at module level.

    with emulated(folder) as api: ...      in a process that has not imported `spaces` yet
    python -m tests.zerogpu app.py         runs a program like that
    python -m pytest -p tests.zerogpu.plugin tests/zerogpu/inside_rules.py
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.zerogpu.cuda import build_with_cuda, stand_in_for_the_gpu
from tests.zerogpu.device_api import DeviceApi


@contextmanager
def emulated(folder: Path) -> Iterator[DeviceApi]:
    """Turn this process into one on ZeroGPU, for good; `folder` takes the packed tensors."""
    assert "spaces" not in sys.modules, "`spaces` decides at its import whether it is on ZeroGPU"
    with DeviceApi() as api:
        os.environ.update(
            SPACES_ZERO_GPU="true", SPACES_ZERO_DEVICE_API_URL=api.url, ZEROGPU_OFFLOAD_DIR=str(folder / "tensors")
        )
        build_with_cuda()
        import spaces

        stand_in_for_the_gpu()
        spaces.GPU = _at_module_level(spaces.GPU)
        yield api


def launched() -> None:
    """What `spaces` does at the first launch of a page: the models that are placed go to disk, out of reach of this process."""
    import spaces.zero

    spaces.zero.startup()


def forget() -> None:
    """Forget what was packed, so that a test begins with nothing placed; workers that have it should be ended first."""
    from spaces.zero.torch import patching

    patching.tensor_packs.clear()
    for fake in [fake for fake, original in patching.cuda_aliases.items() if original is None]:
        del patching.cuda_aliases[fake]


def by_a_handler(work: Callable[[], object], token: str = "") -> object:
    """What `work` returns in a thread, where a page's handlers run: nothing there knows the GPU.

    `token` is the visitor's, which the page of a Space finds in the request.
    """
    from gradio.context import LocalContext

    found: list[object] = []

    def handle() -> None:
        if token:
            headers = Headers({"x-ip-token": token})
            LocalContext.request.set(SimpleNamespace(headers=headers))  # type: ignore[arg-type]
        found.append(work())

    thread = threading.Thread(target=handle)
    thread.start()
    thread.join(120)
    return found[0]


class Headers(dict[str, str]):
    """Headers as `spaces` reads them: with attributes of their own."""


def token_of(user: str) -> str:
    """A visitor's token as the Hub's frame sends it."""
    payload = base64.urlsafe_b64encode(json.dumps({"user": user}).encode()).decode().rstrip("=")
    return f"a.{payload}.c"


def _at_module_level(decorator: Callable[..., Any]) -> Callable[..., Any]:
    def checked(task: Callable[..., Any]) -> None:
        if "<locals>" in task.__qualname__ or "." in task.__qualname__:
            raise RuntimeError(
                f"{task.__qualname__} is decorated with spaces.GPU inside a function or class. Each time it runs makes a "
                "worker of its own that nobody ends; decorate at module level."
            )

    def gpu(task: Any = None, **options: Any) -> Any:
        if callable(task):
            checked(task)
            return decorator(task, **options)
        inner = decorator(task, **options)

        def decorate(found: Callable[..., Any]) -> Any:
            checked(found)
            return inner(found)

        return decorate

    return gpu
