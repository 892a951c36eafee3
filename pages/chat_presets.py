"""Chat tab: tasks with their fields and rubric, and links that open the chat as it is set up now, locked if asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr

from components.chat_panels import task_panel
from components.errors import shown_to_user
from components.transcript import copied
from core.address import Address
from core.errors import UserInputError
from core.presets import DEFAULTS, Preset, Setup, read_preset, read_setup
from pages.chat_keeping import told
from pages.chat_stream import Answers, Given, Update
from pages.chat_tree import STALE, values_of

SCRIPT = Path(__file__).parents[1] / "components" / "tasks.js"


def panel() -> str:
    """The list of tasks and the form to change one, filled in by its script."""
    tasks = copied(json.dumps([asdict(one) for one in DEFAULTS]))
    areas = "".join(
        f'<label class="pg-meta">{label}<textarea name="{name}" rows="{rows}"></textarea></label>'
        for name, label, rows in (
            ("system", "System prompt", 3),
            ("fields", "Fields to fill in, one a line", 2),
            ("template", "Message, with every field in braces: {Ticket}", 4),
            ("rubric", "Rubric: reasons offered when an answer is judged, one a line", 3),
        )
    )
    return (
        f'<div class="pg-tasks" data-tasks="{tasks}"><select aria-label="Task"></select>'
        '<div class="pg-doing"><button type="button" class="pg-copy" data-edit>Edit task</button>'
        '<button type="button" class="pg-copy" data-share title="Opens this model, system prompt, settings and message">'
        'Copy link</button><label class="pg-meta"><input type="checkbox" name="locked"> locked</label></div>'
        f'<form hidden><label class="pg-meta">Name<input name="name" maxlength="80"></label>{areas}'
        '<div class="pg-doing"><button type="submit" class="pg-go">Save and use</button>'
        '<button type="button" class="pg-copy" data-drop>Delete my version</button></div></form>'
        '<p class="pg-meta" role="status"></p></div>'
    )


@dataclass(frozen=True)
class PresetsView:
    """The tasks, and the one that is chosen."""

    shown: gr.HTML
    task: gr.State


class Arranged(NamedTuple):
    """What choosing a task or opening a link puts on the screen, in the order of its outputs."""

    system: Any = gr.skip()
    temperature: Any = gr.skip()
    top_p: Any = gr.skip()
    max_new_tokens: Any = gr.skip()
    seed: Any = gr.skip()
    text: Any = gr.skip()
    task: Any = gr.skip()
    desk: Any = gr.skip()
    told: Any = gr.skip()
    thinking: Any = gr.skip()
    template: Any = gr.skip()
    top_k: Any = gr.skip()
    repetition_penalty: Any = gr.skip()
    aside: Any = gr.skip()


class PresetsPage:
    """Tasks and links. Everything in them may come from a stranger and is checked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def build(self) -> PresetsView:
        """Layout only."""
        with gr.Accordion("Task", open=False, elem_id="chat-task"):
            shown = gr.HTML(panel(), elem_id="chat-tasks", js_on_load=SCRIPT.read_text(encoding="utf-8"))
        return PresetsView(shown, gr.State(None))

    def choose(self, event: gr.EventData, text: str, *given: Any) -> Arranged:
        """Use a task, or make the link that opens the chat as it is set up now."""
        with shown_to_user():
            asked, said = Given(*given), values_of(event)
            preset = read_preset(said.get("preset"))
            if said.get("act") == "share":
                return Arranged(told=told(op="link", query=self._link(asked, text, preset, said.get("locked") is True)))
            if said.get("act") != "task":
                raise UserInputError(STALE)
            desk = task_panel(preset) if preset.fields else self.answers.bar(asked.conversation, asked.pinned)
            return Arranged(system=preset.system, task=preset, desk=desk)

    def ask(self, said: Any, asked: Given) -> Iterator[Update]:
        """Ask with the fields of the chosen task."""
        if asked.task is None:
            raise UserInputError("Choose a task first.")
        named = {name: said.get(f"field:{name}") for name in asked.task.fields}
        message = asked.task.message(named)
        question = asked.asking().ask(message, asked.attached)
        for update in self.answers.answer(asked, question, unsent=message):
            # The box was not what was sent: a draft in it stays.
            yield update._replace(text=gr.skip()) if update.text == "" else update

    def arrive(self, place: Address) -> Arranged:
        """Set the chat up as the link says; nothing without one. The model was pinned with the page."""
        with shown_to_user():
            if place.tab != "chat" or not place.chat:
                return Arranged()
            setup = read_setup(place.chat)
            free = not setup.locked
            numbers = setup.settings

            def control(kind: type, name: str) -> Any:
                value = {"value": numbers[name]} if name in numbers else {}
                return kind(interactive=free, **value)

            def box(name: str) -> Any:
                return gr.Textbox(interactive=free, **({"value": str(numbers[name])} if name in numbers else {}))

            has_fields = setup.preset is not None and setup.preset.fields
            return Arranged(
                gr.Textbox(value=setup.system, interactive=free),
                control(gr.Slider, "temperature"),
                control(gr.Slider, "top_p"),
                control(gr.Slider, "max_new_tokens"),
                box("seed"),
                setup.first or gr.skip(),
                setup.preset or gr.skip(),
                task_panel(setup.preset) if setup.preset and has_fields else gr.skip(),
                gr.skip(),
                control(gr.Radio, "thinking"),
                control(gr.Textbox, "template"),
                box("top_k"),
                box("repetition_penalty"),
                gr.skip() if free else gr.Accordion(label="Settings: locked by the link"),
            )

    def _link(self, asked: Given, text: str, preset: Preset, locked: bool) -> str:
        settings = asked.settings()
        numbers = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "repetition_penalty": settings.repetition_penalty,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
            "thinking": asked.thinking or None,
            "template": asked.template.strip() or None,
        }
        chosen = preset if asked.task == preset and preset.fields else None
        setup = Setup(
            asked.pinned.asked if asked.pinned else "",
            asked.system,
            {name: value for name, value in numbers.items() if value is not None},
            text,
            locked,
            chosen,
        )
        return urlencode({"tab": "chat", "chat": setup.text()})
