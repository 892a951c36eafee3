"""This machine's cache, under the search: what is kept, and making room by deleting revisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.cache_table import ON_LOAD, about_to_free, cache_table, freed_line
from components.errors import shown_to_user
from components.numbers import bytes_of
from core.cached import Freed
from core.hub_protocols import LocalCache


@dataclass(frozen=True)
class MachineView:
    """The fold's components."""

    group: gr.Accordion
    table: gr.HTML
    plan: gr.HTML


class MachinePage:
    """What lies in the Hugging Face cache, and freeing space."""

    def __init__(self, cache: LocalCache) -> None:
        self.cache = cache

    def build(self) -> MachineView:
        """Layout only."""
        with gr.Accordion("On this machine: the cache", open=False, elem_id="machine") as group:
            table = gr.HTML("", elem_id="machine-table", js_on_load=ON_LOAD)
            plan = gr.HTML("", elem_id="machine-plan", js_on_load=_CONFIRM)
        return MachineView(group, table, plan)

    def wire(self, view: MachineView) -> None:
        """Events only."""
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        view.group.expand(self.show, None, [view.group, view.table, view.plan], **quiet)
        view.table.input(self.plan, None, view.plan, **quiet)
        view.plan.submit(self.free, None, [view.group, view.table, view.plan], **quiet)

    def show(self) -> tuple[gr.Accordion, str, str]:
        """Everything in the cache."""
        with shown_to_user():
            revisions = self.cache.revisions()
            total = bytes_of(sum(each.size for each in revisions))
            label = f"On this machine: the cache ({len(revisions)} revisions, {total})"
            return gr.Accordion(label=label), cache_table(revisions), about_to_free(Freed((), 0)) if revisions else ""

    def plan(self, event: gr.EventData) -> str:
        """What deleting the marked revisions frees; nothing goes yet."""
        with shown_to_user():
            return about_to_free(self.cache.would_free(_keys(event)))

    def free(self, event: gr.EventData) -> tuple[gr.Accordion, str, str]:
        """Delete what was shown."""
        with shown_to_user():
            freed = self.cache.free(_keys(event))
            label, table, _ = self.show()
            return label, table, freed_line(freed)


# The plan stands in a component of its own: the boxes beside it must stay as they are while it changes.
_CONFIRM = """
element.addEventListener('click', (e) => {
  if (!e.target.closest('[data-free]')) return;
  const keys = [...document.querySelectorAll('#machine-table [data-mark]:checked')].map((box) => box.value);
  trigger('submit', {keys});
});
"""


def _keys(event: gr.EventData) -> list[str]:
    keys = event.keys
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
