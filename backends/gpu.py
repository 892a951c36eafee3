"""What this machine computes on, found out without loading torch where there is no GPU."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

# Where a driver shows itself: Linux, and Linux inside Windows.
_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))


@cache
def device() -> str:
    """ "cuda" when torch can use a GPU here, else "cpu"."""
    if sys.platform == "darwin" or (sys.platform == "linux" and not any(path.exists() for path in _DRIVERS)):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def device_name() -> str:
    """The name for the chip and the rows: "CPU", or the GPU's own."""
    if device() == "cpu":
        return "CPU"
    import torch

    return str(torch.cuda.get_device_name())


def free_memory(where: str) -> int | None:
    """Bytes that a model may still take; None when that cannot be told."""
    if where != "cpu":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        # Not Linux.
        return None
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(available) * 1024 if available else None
