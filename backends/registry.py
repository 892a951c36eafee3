"""The models in memory: loaded once, shared by everybody, the least recently used put out when room is needed."""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.errors import OutOfMemory
from core.refs import ModelRef

log = logging.getLogger(__name__)
M = TypeVar("M")
MOST_MODELS = 3


@dataclass
class _Slot(Generic[M]):
    model: M
    users: int = 0


@dataclass
class Lease(Generic[M]):
    """The right to use a loaded model; it stays in memory until `release`."""

    model: M
    _release: Callable[[], None]
    _once: threading.Lock = field(default_factory=threading.Lock)

    def release(self) -> None:
        """Give the model back. Doing it again changes nothing."""
        if self._once.acquire(blocking=False):
            self._release()


class ModelRegistry(Generic[M]):
    """Keeps at most `most` models, fewer when memory asks for it, and never drops one that is in use."""

    def __init__(self, most: int = MOST_MODELS, free_bytes: Callable[[], int | None] = lambda: None) -> None:
        self._most = most
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self._slots: OrderedDict[ModelRef, _Slot[M]] = OrderedDict()
        self._loading: dict[ModelRef, threading.Lock] = {}
        # One load at a time: two at once would both see the same free memory.
        self._one_load = threading.Lock()

    def has(self, ref: ModelRef) -> bool:
        """Whether the model is in memory."""
        with self._lock:
            return ref in self._slots

    def models(self) -> tuple[ModelRef, ...]:
        """What is in memory, the least recently used first."""
        with self._lock:
            return tuple(self._slots)

    def lease(self, ref: ModelRef, load: Callable[[], M], needed: Callable[[], int] = lambda: 0) -> Lease[M]:
        """The model, loaded with `load` when it is not in memory; whoever else asks meanwhile waits for the same load.

        A load that fails leaves nothing behind. Raises `OutOfMemory` when the bytes it needs cannot be made free.
        """
        with self._lock:
            if ref in self._slots:
                return self._lend(ref)
            mine = self._loading.setdefault(ref, threading.Lock())
        with mine:
            with self._lock:
                if ref in self._slots:
                    return self._lend(ref)
            with self._one_load:
                self._make_room(ref, needed())
                try:
                    model = load()
                except BaseException:
                    collect()
                    raise
            with self._lock:
                self._slots[ref] = _Slot(model)
                self._loading.pop(ref, None)
                return self._lend(ref)

    def drop(self, ref: ModelRef) -> bool:
        """Put a model out of memory; False when it is in use or not there."""
        with self._lock:
            slot = self._slots.get(ref)
            if slot is None or slot.users:
                return False
            del self._slots[ref]
        del slot
        collect()
        return True

    def _lend(self, ref: ModelRef) -> Lease[M]:
        slot = self._slots[ref]
        slot.users += 1
        self._slots.move_to_end(ref)

        def give_back() -> None:
            with self._lock:
                slot.users -= 1

        return Lease(slot.model, give_back)

    def _make_room(self, ref: ModelRef, needed: int) -> None:
        while len(self.models()) >= self._most and self._drop_one():
            pass
        while (free := self._free_bytes()) is not None and free < needed:
            if not self._drop_one():
                raise OutOfMemory(
                    f"{ref} needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free. Choose a smaller "
                    "model, or wait until the other models are idle."
                )

    def _drop_one(self) -> bool:
        with self._lock:
            idle = [ref for ref, slot in self._slots.items() if not slot.users]
        for ref in idle:
            if self.drop(ref):
                log.info("%s was put out of memory to make room", ref)
                return True
        return False


def collect() -> None:
    """Give back to the system and to the GPU what nothing refers to any more."""
    gc.collect()
    import sys

    # Only where torch is loaded already and a GPU is in use.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
