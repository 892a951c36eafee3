"""A built page, served on loopback for one test or one session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.settings import Settings


@contextmanager
def served(services: object, folder: Path) -> Iterator[str]:
    """Serve `services` on a free port; yields the address and closes the server afterwards."""
    import app

    demo = app.build(services)  # type: ignore[arg-type]
    # gradio looks for a free port itself when it is given none, and reads no other setting of ours.
    _, url, _ = app.launch(demo, Settings(folder, port=0), block=False)
    try:
        yield url
    finally:
        demo.close(verbose=False)
        os.environ.pop("GRADIO_MCP_SERVER", None)
