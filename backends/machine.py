"""What this machine is for the runs-here badge: its device, memory and dtype, found out without loading torch."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from core.errors import AppError
from core.machine import CPU, Machine

log = logging.getLogger(__name__)
# Half an H200, which is what a ZeroGPU call gets unless it asks for more.
_ZERO_GPU_BYTES = 70 * 10**9
_SMI_SECONDS = 10
# With these instructions bfloat16 multiplies faster than float32; without them many times slower.
_FAST_HALF = ("avx512_bf16", "amx_bf16", " bf16 ")


class ThisMachine:
    """The machine, asked once."""

    def __init__(self, *, zero_gpu: bool = False, images: bool = True) -> None:
        self._zero_gpu = zero_gpu
        self._images = images
        self._host = ""
        self._remote: Callable[[], Iterable[str]] | None = None
        self._lock = threading.Lock()
        self._known: Machine | None = None

    def serves_from(self, host: str, names: Callable[[], Iterable[str]]) -> None:
        """Also count what `host` serves as running; `names` lists it and may raise `BackendError`."""
        self._host, self._remote = host, names

    def __call__(self) -> Machine:
        with self._lock:
            if self._known is None:
                self._known = self._look()
                if self._remote:
                    # A host may be slow to tell; until then its models have no badge of it.
                    threading.Thread(target=self._ask_host, name="remote-models", daemon=True).start()
            return self._known

    def _look(self) -> Machine:
        if self._zero_gpu:
            return Machine("ZeroGPU", _ZERO_GPU_BYTES, "bfloat16", self._images)
        if gpu := first_gpu():
            return Machine(gpu[0], gpu[1], "bfloat16", self._images)
        return Machine(CPU, memory_of_machine(), cpu_dtype(), self._images)

    def _ask_host(self) -> None:
        try:
            served = frozenset(self._remote() if self._remote else ())
        except AppError as error:
            log.warning("the remote engine does not list its models: %s", error)
            return
        with self._lock:
            if self._known is not None:
                self._known = replace(self._known, remote=served, host=self._host)


def first_gpu() -> tuple[str, int] | None:
    """Name and bytes of the first NVIDIA GPU, as its driver's own tool tells; None without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True).stdout  # noqa: S603
        name, _, megabytes = told.splitlines()[0].rpartition(",")
        return name.strip(), int(megabytes) * 1024 * 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        log.warning("nvidia-smi does not tell about the GPU: %s", error)
        return None


def memory_of_machine(root: Path = Path("/")) -> int | None:
    """Bytes of memory this process may use: of the machine, or of the container where that is less; None unknown."""
    found = []
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    except (OSError, ValueError, IndexError):
        pass  # Not Linux.
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int((root / name).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # No limit reads "max".
    return min(found) if found else None


def cpu_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The dtype that is very likely the faster one on this processor; loading a model measures it."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return "float32"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return "bfloat16" if any(flag in f"{flags} " for flag in _FAST_HALF) else "float32"
