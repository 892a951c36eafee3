"""The page on stand-ins, for looking at it by hand: python -m tests.dev_page PORT."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import app
from core.settings import Settings
from tests.fakes import FakeRouter, services

if __name__ == "__main__":
    router = FakeRouter(
        lambda m, s: [f"{w} " for w in (f"At {s.temperature}: " + m[-1].content + " lorem ipsum dolor " * 6).split(" ")]
    )
    router.gate = lambda: time.sleep(0.04)
    app.launch(app.build(services(router)), Settings(Path("/tmp/dev-page"), port=int(sys.argv[1])))
