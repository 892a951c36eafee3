"""Which handlers of one event the page may call again by itself."""

from __future__ import annotations

import gradio as gr

import app
from components.triggers import part, shared_events
from tests.fakes import services


def test_no_event_of_the_page_repeats_for_ever() -> None:
    assert shared_events(app.build(services())) == {}


def test_the_handler_of_most_events_stays_and_the_others_run_each_time() -> None:
    with gr.Blocks() as demo:
        one, two = gr.Textbox(), gr.Textbox()
        one.change(len, one, api_name="first", trigger_mode="always_last")
        gr.on([one.change, two.change], len, two, api_name="second", trigger_mode="always_last")
        two.submit(len, two, api_name="third", trigger_mode="always_last")
    assert shared_events(demo) == {(one._id, "change"): ["first", "second"]}
    part(demo)
    assert shared_events(demo) == {}
    modes = {event.api_name: event.trigger_mode for event in demo.fns.values()}
    assert modes == {"first": "multiple", "second": "always_last", "third": "always_last"}
