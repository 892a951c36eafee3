"""How everything that imports a model library or loads a model runs in this process: one at a time, in its own thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

# While diffusers builds a model it has `torch.nn.Module.register_parameter` replaced for the whole process (accelerate's
# `init_empty_weights`). A model built meanwhile in another thread loses its weights, and two such loads that overlap
# put each other's replacement back: from then on every new model of the process is empty. Importing a library in two
# threads at once meets half-made modules. So: one at a time. Reentrant, because a load imports.
LOADING = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A process that is forked while another thread loads would wait for that thread, which it does not have.
    os.register_at_fork(after_in_child=LOADING._at_fork_reinit)  # type: ignore[attr-defined]


def load_alone(work: Callable[[], T]) -> T:
    """Run `work` under the lock, in a thread that ends with it; what it raises is raised here.

    A thread that has computed keeps its OpenMP workers as long as it lives, and gradio's threads live on. libgomp then
    counts more threads than there are cores and lets every barrier sleep instead of spin: on two cores each later token
    took half as long again (26 to 29 tokens/s against 42).
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            with LOADING:
                outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  (handed to the caller, who raises it)
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="model-load", daemon=True)
    thread.start()
    thread.join()
    return outcome.result()
