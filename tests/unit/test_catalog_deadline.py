"""Deadlines and the circuit: nobody waits longer than promised, and not again and again."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from backends.hub import deadline
from backends.hub.circuit import Circuit
from backends.hub.deadline import start, within
from core.errors import HubUnreachable, ModelNotFound, RateLimited


def test_a_value_and_an_error_come_through():
    assert within(1, lambda until: until > monotonic()) is True
    with pytest.raises(ModelNotFound, match="gone"):
        within(1, lambda _: (_ for _ in ()).throw(ModelNotFound("gone")))


def test_who_hangs_is_left_behind():
    release = threading.Event()
    started = monotonic()
    with pytest.raises(HubUnreachable):
        within(0.1, lambda _: release.wait(10))
    assert monotonic() - started < 1
    release.set()


def test_left_behind_calls_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(deadline, "_free", threading.BoundedSemaphore(2))
    release = threading.Event()
    hanging = [start(lambda: release.wait(10), monotonic() + 1) for _ in range(2)]
    with pytest.raises(HubUnreachable, match="still waiting"):
        start(lambda: True, monotonic() + 0.05)
    release.set()
    assert [pending.result(monotonic() + 5) for pending in hanging] == [True, True]
    assert start(lambda: 5, monotonic() + 1).result(monotonic() + 1) == 5


def test_a_call_gives_back_the_place_it_took(monkeypatch):
    """A straggler from before must not open a place in a pool it never entered."""
    straggler_ends = threading.Event()
    straggler = start(lambda: straggler_ends.wait(10), monotonic() + 1)
    monkeypatch.setattr(deadline, "_free", threading.BoundedSemaphore(1))
    release = threading.Event()
    hanging = start(lambda: release.wait(10), monotonic() + 1)
    straggler_ends.set()
    assert straggler.result(monotonic() + 5) is True
    with pytest.raises(HubUnreachable, match="still waiting"):
        start(lambda: True, monotonic() + 0.05)
    release.set()
    assert hanging.result(monotonic() + 5) is True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_circuit_rests_after_a_slow_failure_and_closes_by_itself():
    clock = Clock()
    circuit = Circuit(30, clock)
    error = HubUnreachable("slow")
    assert circuit.reason is None
    circuit.failed(error, after_seconds=4)
    assert circuit.reason is error
    clock.now += 29
    assert circuit.reason is error
    clock.now += 2
    assert circuit.reason is None


def test_a_quick_failure_or_an_answer_keeps_it_closed():
    circuit = Circuit(30, Clock())
    circuit.failed(HubUnreachable("refused"), after_seconds=0.01)
    assert circuit.reason is None
    circuit.failed(HubUnreachable("slow"), after_seconds=4)
    circuit.answered()
    assert circuit.reason is None


def test_a_rate_limit_is_respected_but_not_for_ever():
    clock = Clock()
    circuit = Circuit(30, clock)
    circuit.failed(RateLimited("wait", 5), after_seconds=0.01)
    assert circuit.reason is not None
    clock.now += 6
    assert circuit.reason is None
    circuit.failed(RateLimited("wait", 9000), after_seconds=0.01)
    clock.now += 31
    assert circuit.reason is None
