"""What gradio's queue costs while nothing happens: it must not take the interpreter from the model."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

import app


def slept(blocks: gr.Blocks, work: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """How long an idle loop of the queue waits before it looks again, in seconds."""
    asked: list[float] = []

    async def sleep(seconds: float, *_: Any) -> None:
        asked.append(seconds)
        blocks._queue.stopped = True

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        asyncio.run(getattr(blocks._queue, work)())
    blocks._queue.stopped = False
    return asked[0]


@pytest.mark.parametrize(("work", "least"), [("start_processing", 0.01), ("start_progress_updates", 0.1)])
def test_the_idle_queue_looks_seldom(work: str, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with gr.Blocks() as blocks:
        gr.HTML()
    blocks.queue()
    assert slept(blocks, work, monkeypatch) < least, "gradio has become calm by itself: `app.calm` can go"
    app.calm(blocks)
    assert slept(blocks, work, monkeypatch) == least


def test_the_app_is_calm() -> None:
    from tests.fakes import services

    demo = app.build(services())
    assert demo._queue.sleep_when_free == 0.01
    demo.close()
