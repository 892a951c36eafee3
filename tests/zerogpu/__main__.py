"""`python -m tests.zerogpu PROGRAM`: run a program as on ZeroGPU."""

from __future__ import annotations

import runpy
import sys
import tempfile
from pathlib import Path

from tests.zerogpu.emulation import emulated

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    with tempfile.TemporaryDirectory(prefix="zerogpu-") as folder, emulated(Path(folder)):
        runpy.run_path(sys.argv[0], run_name="__main__")
