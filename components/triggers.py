"""What gradio's page does by itself around an event, kept small: no event waits for itself, and none marks what it does not show."""

from __future__ import annotations

from collections import Counter

import gradio as gr

_LAST = "always_last"


def shared_events(demo: gr.Blocks) -> dict[tuple[int | None, str], list[str]]:
    """The events for which more than one handler is called again, each with the names of those handlers."""
    found: dict[tuple[int | None, str], list[str]] = {}
    for event in demo.fns.values():
        if event.trigger_mode == _LAST and event.fn is not None:
            for target in event.targets:
                found.setdefault(target, []).append(str(event.api_name))
    return {target: names for target, names in found.items() if len(names) > 1}


def part(demo: gr.Blocks) -> None:
    """Let every further handler of such an event simply run each time.

    gradio's page (6.31) calls a busy handler again by repeating the whole event, and so calls the other handlers again too.
    Two that are both called again keep finding each other busy: the event repeats for as long as the page is open. The
    handler of most events stays as it is; it is the one that costs most.
    """
    taken: Counter[tuple[int | None, str]] = Counter()
    events = [event for event in demo.fns.values() if event.trigger_mode == _LAST and event.fn is not None]
    for event in sorted(events, key=lambda one: -len(one.targets)):
        if any(taken[target] for target in event.targets):
            event.trigger_mode = "multiple"
        else:
            taken.update(event.targets)


def unmark(demo: gr.Blocks) -> None:
    """Let no event mark its outputs as waiting where that is not shown anyway.

    With each step of any event, gradio's page (6.31) looks up every component that any event so far has marked, copies its
    whole value, and draws its mark again: with a long conversation on the screen that is most of what a click costs.
    """
    for event in demo.fns.values():
        if event.show_progress == "hidden" and event.show_progress_on is None:
            event.show_progress_on = []
