"""What gradio's queue costs while nothing happens: it must not take the interpreter from the model."""

from __future__ import annotations

import inspect

import gradio as gr
import pytest
from gradio.queueing import Queue

import app


@pytest.mark.parametrize(
    ("name", "loop", "least"),
    [("sleep_when_free", "start_processing", 0.01), ("progress_update_sleep_when_free", "start_progress_updates", 0.1)],
)
def test_the_idle_queue_looks_seldom(name: str, loop: str, least: float) -> None:
    # gradio keeps both for itself: a release that reads another name would leave `app.calm` without effect.
    assert f"asyncio.sleep(self.{name})" in inspect.getsource(getattr(Queue, loop))
    with gr.Blocks() as blocks:
        gr.HTML()
    blocks.queue()
    assert getattr(blocks._queue, name) < least, "gradio has become calm by itself: `app.calm` can go"
    app.calm(blocks)
    assert getattr(blocks._queue, name) == least


def test_the_app_is_calm() -> None:
    from tests.fakes import services

    demo = app.build(services())
    assert demo._queue.sleep_when_free == 0.01
    demo.close()
