"""How many more tokens the engine makes for an answer that was stopped: in a process of its own, without a server."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

RUNS = 10


def main() -> None:
    """Print the most tokens made after a cancel, over some stops, while others are answered in the same batch."""
    models = Path(sys.argv[1])
    from backends import bundled
    from backends.router import build_chat
    from core.chat import GenerationSettings, Message

    router = build_chat(data_dir=models.parent, chat_model="", endpoint="http://127.0.0.1:9")
    settings = GenerationSettings(max_new_tokens=400, temperature=0)
    asked = (Message("user", "Write a long story about a lighthouse keeper and the sea."),)
    most = 0
    for _ in range(RUNS):
        beside = router.start(bundled.REF, asked, settings)
        answer = router.start(bundled.REF, asked, settings)
        listener = answer.listen()
        for _ in range(3):
            next(listener)
        made = answer.steps  # type: ignore[attr-defined]
        answer.cancel()
        # Two tokens of the other answer are two steps; a third is one more than may have passed.
        there = beside.steps  # type: ignore[attr-defined]
        while beside.steps < there + 3 and not beside.done:  # type: ignore[attr-defined]
            threading.Event().wait(0.01)
        most = max(most, answer.steps - made)  # type: ignore[attr-defined]
        beside.cancel()
    print(most, flush=True)


if __name__ == "__main__":
    main()
