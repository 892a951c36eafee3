"""The app on an engine that says fifty words a second and computes nothing: what streaming itself costs."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import app
from backends.pins import PinBook
from backends.router import Router
from core.settings import Settings
from tests.fakes import REF, FakeCatalog, services
from tests.scripted_engine import ScriptedChat

PER_SECOND = 50


def main() -> None:
    """Serve on PORT until the process ends."""
    data = Path(os.environ["PROVING_DATA_DIR"])
    words = [f"word{number} " for number in range(int(os.environ["PEER_TOKENS"]))]
    started = time.monotonic()
    said = 0

    def pace() -> None:
        nonlocal started, said
        if said == 0:
            started = time.monotonic()
        said = (said + 1) % len(words)
        time.sleep(max(0.0, started + said / PER_SECOND - time.monotonic()))

    router = Router(
        (ScriptedChat(words, pace=pace),), catalog=FakeCatalog(), pins=PinBook(data / "pins.json"), start=REF
    )
    demo = app.build(replace(services(), router=router))
    app.launch(demo, Settings(data, port=int(os.environ["PORT"])))


if __name__ == "__main__":
    main()
