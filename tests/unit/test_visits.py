"""What the server holds for each page that is open: its own states, and no description of the components."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

from components.visits import Visit, Visits, lighten


def counting() -> tuple[gr.Blocks, gr.State, gr.Textbox]:
    with gr.Blocks() as demo:
        count, box = gr.State([0]), gr.Textbox()
        box.submit(lambda many: (many, "said"), count, [count, box])
    return demo, count, box


def launched(demo: gr.Blocks) -> StateHolder:
    """As after a launch: gradio's own books, with one page open already."""
    holder = StateHolder()
    holder.set_blocks(demo)
    demo.app = SimpleNamespace(state_holder=holder)
    return holder


def test_a_visit_describes_no_component_and_gradios_own_describes_all() -> None:
    demo, count, box = counting()
    visit, plain = Visit(demo), SessionState(demo)
    assert list(visit.components) == [] and len(list(plain.components)) == len(demo.blocks)
    for held in (visit, plain):
        held[box._id] = box
        held._update_config(box._id)
        held._update_value_in_config(box._id, "a long text")
        held[count._id] = [5]
        assert held[count._id] == [5] and held[box._id] is box
    assert "a long text" not in str(visit.config_values) and "a long text" in str(plain.config_values)


def test_every_visitor_has_states_of_their_own() -> None:
    demo, count, _ = counting()
    launched(demo)
    lighten(demo)
    visits = demo.app.state_holder
    assert isinstance(visits, Visits) and demo.state_holder is visits
    visits["one"][count._id].append(1)
    assert visits["one"][count._id] == [0, 1] and visits["two"][count._id] == [0]
    assert isinstance(visits["one"], Visit) and visits["one"] is visits["one"]


def test_a_page_that_opened_before_keeps_what_it_has() -> None:
    demo, count, _ = counting()
    early = launched(demo)["early"]
    early[count._id] = [7]
    lighten(demo)
    assert cast("StateHolder", demo.app.state_holder)["early"] is early
    assert set(demo.app.state_holder.session_data) == set(demo.app.state_holder.time_last_used) == {"early"}
