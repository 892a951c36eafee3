"""The emulation keeps ZeroGPU's rules: each violation is refused, as `spaces` and the platform refuse it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from pickle import PicklingError

import pytest
import spaces
import torch

from tests.serving import wait_until
from tests.zerogpu import violations
from tests.zerogpu.device_api import DeviceApi, Refusal
from tests.zerogpu.emulation import launched


def refused(title: str, call: Callable[..., object], *arguments: object) -> str:
    """The message of the error with `title` that `call` raises."""
    import gradio as gr

    with pytest.raises(gr.Error) as error:
        found = call(*arguments)
        if isinstance(found, Iterator):
            list(found)
    assert error.value.title == title
    return str(error.value.message)


def test_a_worker_is_forked_used_again_and_nothing_of_its_state_comes_back(device_api: DeviceApi) -> None:
    import os

    first, second = violations.counted(3), violations.counted(3)
    assert first[0] == second[0] != os.getpid()
    assert (first[1], second[1], violations.COUNT) == (1, 2, [0])


def test_a_worker_computes_with_one_thread() -> None:
    torch.ones(500, 500) @ torch.ones(500, 500)
    assert violations.counted(1)[2] == 1


def test_the_duration_is_computed_from_the_same_arguments(device_api: DeviceApi) -> None:
    violations.counted(3, text="abcd")
    (grant,) = device_api.grants
    assert grant.asked_seconds in (7, round(7 * 1.5)) and grant.released and not grant.failed


def test_yields_come_one_by_one_from_the_worker() -> None:
    import os

    found = list(violations.numbers(5))
    assert [number for number, _ in found] == list(range(5))
    assert {pid for _, pid in found} != {os.getpid()}


def test_closing_the_generator_ends_it_in_the_worker(device_api: DeviceApi, tmp_path: Path) -> None:
    path = tmp_path / "closed"
    stream = violations.told_to_stop(str(path))
    assert next(stream) == 0
    stream.close()
    assert path.read_text() == "closed"
    device_api.wait_released()


def test_what_cannot_be_pickled_does_not_cross(device_api: DeviceApi) -> None:
    with pytest.raises(PicklingError):
        violations.takes(threading.Lock())
    assert refused("ZeroGPU worker error", violations.unpicklable_result) == "PicklingError"
    assert refused("ZeroGPU worker error", violations.unpicklable_yield) == "PicklingError"
    device_api.wait_released()
    assert violations.takes({"plain": 1}) == "dict"


def test_an_exception_crosses_by_its_name_only() -> None:
    assert refused("ZeroGPU worker error", violations.fails) == "ValueError"


def test_a_call_that_takes_too_long_is_killed_and_the_next_one_works(device_api: DeviceApi) -> None:
    device_api.limit_factor = 0.5
    assert refused("ZeroGPU worker error", violations.forever) == "GPU task aborted"
    assert device_api.grants[0].killed
    device_api.limit_factor = 100.0
    assert violations.takes(1) == "int"


def test_quota_errors_have_the_titles_that_spaces_gives_them(device_api: DeviceApi) -> None:
    device_api.refuse = lambda seconds: Refusal(left=3)
    assert "GPU limit" in refused("ZeroGPU quota exceeded", violations.takes, 1)
    device_api.refuse = lambda seconds: Refusal(wait_seconds=-1, result="illegal-duration")
    assert "larger than the maximum" in refused("ZeroGPU illegal duration", violations.takes, 1)
    device_api.refuse = lambda seconds: Refusal(result="pending-overquota-exceeded")
    refused("ZeroGPU pending credits exceeded", violations.takes, 1)


def test_coroutines_are_refused() -> None:
    async def later() -> None: ...

    later.__qualname__ = "later"
    with pytest.raises(NotImplementedError):
        spaces.GPU(later)


def test_decorating_below_module_level_is_refused() -> None:
    def inner() -> None: ...

    for decorate in (spaces.GPU, spaces.GPU(duration=3)):
        with pytest.raises(RuntimeError, match="module level"):
            decorate(inner)


def test_what_is_placed_before_the_launch_computes_in_the_worker_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, device_api: DeviceApi
) -> None:
    layer = torch.nn.Linear(4, 2)
    expected = layer(torch.ones(1, 4)).tolist()[0]
    monkeypatch.setattr(violations, "PLACED", [layer.to("cuda")])
    reports = device_api.startup_reports
    launched()
    assert device_api.startup_reports == reports + 1
    assert violations.computed([1.0] * 4) == (expected, "cuda:0")
    with pytest.raises(Exception, match="disk-offloaded"):
        layer(torch.ones(1, 4, device="cuda"))
    assert refused("ZeroGPU worker error", violations.mixed_devices) == "RuntimeError"


def test_cuda_is_out_of_reach_outside() -> None:
    with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
        torch.cuda.init()
    raised: list[BaseException] = []

    def handler() -> None:
        try:
            torch.nn.Linear(2, 2).to("cuda")
        except (RuntimeError, AssertionError) as error:
            raised.append(error)

    thread = threading.Thread(target=handler)
    thread.start()
    thread.join()
    assert raised, "a thread of the page has no GPU, not even the promise of one"


def test_calls_that_find_no_gpu_free_wait_their_turn(device_api: DeviceApi) -> None:
    streams = [violations.numbers(2) for _ in range(device_api.gpus)]
    for stream in streams:
        next(stream)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(violations.takes(1)))
    thread.start()
    for stream in streams:
        list(stream)
    thread.join(60)
    wait_until(lambda: found == ["int"], 60, "the call that waited did not run")
