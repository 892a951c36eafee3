"""Which handlers of one event the page may call again by itself, and what it marks as waiting."""

from __future__ import annotations

import gradio as gr

import app
from components.triggers import part, shared_events, unmark
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


def marked(event: gr.blocks.BlockFunction) -> list[int] | None:
    """The components that gradio's page marks with every step of an event; None: all of its outputs."""
    found: list[int] | None = event.get_config()["show_progress_on"]
    return found


def test_what_is_not_shown_is_not_marked() -> None:
    with gr.Blocks() as demo:
        one, two = gr.Textbox(), gr.Textbox()
        one.change(len, one, two, show_progress="hidden")
        one.submit(len, one, two, show_progress="hidden", show_progress_on=two)
        two.submit(len, one, two, show_progress="minimal")
    unmark(demo)
    assert [marked(event) for event in demo.fns.values()] == [[], [two._id], None]


def test_no_event_of_the_page_marks_what_it_does_not_show() -> None:
    hidden = [event for event in app.build(services()).fns.values() if event.show_progress == "hidden"]
    assert len(hidden) > 100
    assert [event.api_name for event in hidden if marked(event) is None] == []


def test_the_messages_know_when_an_answer_is_written() -> None:
    demo = app.build(services())
    chatbot = next(block._id for block in demo.blocks.values() if getattr(block, "elem_id", "") == "chatbot")
    writing = {event.name for event in demo.fns.values() if marked(event) == [chatbot]}
    assert writing == {"send", "send_example", "regenerate", "ask", "open"}
