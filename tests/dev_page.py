"""The page on stand-ins, for looking at it by hand: python -m tests.dev_page PORT [STATE], a state of `dev_states.py`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# Before huggingface_hub is imported: the test Hub has no Xet.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

import app
from core.settings import Settings
from tests.dev_states import services_in
from tests.fakes import FakeRouter, services

if __name__ == "__main__":
    router = FakeRouter(
        lambda m, s: [f"{w} " for w in (f"At {s.temperature}: " + m[-1].content + " lorem ipsum dolor " * 6).split(" ")]
    )
    router.gate = lambda: time.sleep(0.04)
    made = services_in(sys.argv[2], router) if len(sys.argv) > 2 else services(router)
    app.launch(app.build(made), Settings(Path("/tmp/dev-page"), port=int(sys.argv[1])))
