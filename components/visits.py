"""What the server holds for each page that is open: what was said in it, and no copy of what all pages have alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class Visit(SessionState):
    """A page's state without the properties of every component of it.

    gradio (6.31) keeps them for each page that was opened, up to ten thousand pages, and reads them for deep links alone:
    a megabyte and some forty milliseconds each. This app has links of its own (core/address.py).
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        # It describes those components that are in `blocks` too: none.
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))

    def _update_config(self, key: int) -> None:
        """Nothing: see the class."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing: see the class."""


class Visits(StateHolder):
    """gradio's states of all open pages, each of them a `Visit`."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Visit(self.blocks)
        return super().__getitem__(session_id)


def lighten(demo: gr.Blocks) -> None:
    """After the launch: every page that opens from now on is held as a `Visit`."""
    before, visits = demo.app.state_holder, Visits()
    # The same books, so that a page that opened meanwhile is not lost.
    visits.session_data, visits.time_last_used, visits.lock = before.session_data, before.time_last_used, before.lock
    visits.set_blocks(demo)
    demo.app.state_holder = visits
