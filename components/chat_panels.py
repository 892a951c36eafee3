"""What opens between the conversation and the message box: steps back and on, an edit, a preference, a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from components.ballot_sheet import questions
from components.rows import marked_difference
from components.transcript import act, copied
from core.chat import Capabilities
from core.conversation import Conversation, Turn
from core.presets import Preset
from core.refs import shown
from core.rubric import Rubric

REASONS = ("Correct", "Follows the prompt", "Clear", "Complete", "Concise", "Right tone", "Safe")
BASE_MODEL = (
    "This model has no chat template: it goes on with your text instead of answering it. Write the beginning of what you "
    "want to read."
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What was said already, as the row that stands has it; `scores` by question."""

    reasons: tuple[str, ...] = ()
    comment: str = ""
    scores: Mapping[str, str] = field(default_factory=dict)


def bar(conversation: Conversation, can: Capabilities | None = None) -> str:
    """Undo, redo, continue, and beginning the reply; what cannot be done now is not shown. A base model is said to be one."""
    buttons = []
    last = conversation.turn(conversation.tip) if conversation.tip else None
    if last is not None and last.message.role == "assistant" and (can is None or can.continues):
        cut = last.reply is None or last.reply.finish != "stop"
        buttons.append(
            act("continue", "Continue" if cut else "Write on", "Go on with this answer", "bar:continue", turn=last.id)
        )
    if can is None or can.continues:
        buttons.append(act("begin", "Begin the reply…", "Write the first words of the answer yourself", "bar:begin"))
    if conversation.back or (last is not None and last.earlier is not None):
        buttons.append(act("undo", "Undo", "One step back; nothing is deleted", "bar:undo"))
    if conversation.ahead:
        buttons.append(act("redo", "Redo", "The step that was undone, again", "bar:redo"))
    said = "" if can is None or can.chat_template else f'<p class="pg-notice">{BASE_MODEL}</p>'
    return f'{said}<div class="pg-doing">{"".join(buttons)}</div>'


def begin_panel(text: str = "") -> str:
    """The first words of the reply, written by the person."""
    return _panel(
        "Begin the reply",
        '<p class="pg-meta">The model goes on after exactly these characters. With an empty message box, the last question '
        "is answered again.</p>"
        + _area("begun", "How the answer begins", text)
        + _buttons(_go("prefill", "Send with this beginning"), act("close", "Cancel")),
    )


def task_panel(preset: Preset) -> str:
    """The fields of a task, to be filled in."""
    inner = "".join(
        f'<label class="pg-meta">{escape(name)}<textarea name="field:{escape(name, quote=True)}" rows="3"'
        f"{' data-focus' if number == 0 else ''}></textarea></label>"
        for number, name in enumerate(preset.fields)
    )
    return _panel(preset.name, inner + _buttons(_go("task", "Ask"), act("close", "Write freely")))


def edit_panel(turn: Turn, text: str | None = None) -> str:
    """An answer to be edited, as it is on record."""
    return _panel(
        "Edit this answer",
        '<p class="pg-meta">Your text is kept beside the answer. Nothing of the answer is lost.</p>'
        + _area("text", "The answer as it should have been", turn.message.content if text is None else text)
        + _buttons(
            _go("save_edit", "Save and prefer it", turn=turn.id, prefer=True),
            act("save_edit", "Save", turn=turn.id),
            act("close", "Cancel"),
        ),
    )


def message_panel(turn: Turn) -> str:
    """A message of the visitor's own to be edited, as it is on record."""
    return _panel(
        "Edit this message",
        '<p class="pg-meta">It is answered anew. The message as it was stays beside it, with all that followed.</p>'
        + _area("text", "The message", turn.message.content)
        + _buttons(_go("reword", "Send", turn=turn.id), act("close", "Cancel")),
    )


def prefer_panel(
    conversation: Conversation,
    chosen: Turn,
    rejected: Turn,
    reasons: Sequence[str],
    others: Sequence[Turn],
    standing: Standing = Standing(),
) -> str:
    """Two turns of one place beside each other, what differs marked, and why the one is better."""
    group = conversation.siblings(chosen.id)
    number = {turn.id: at for at, turn in enumerate(group, 1)}
    sides = "".join(
        f'<section><h4>{name} · {number[turn.id]}/{len(group)}{_by(turn)}</h4><div class="pg-text">'
        f"{marked_difference(turn.message.content, other.message.content)}</div></section>"
        for name, turn, other in (("Chosen", chosen, rejected), ("Rejected", rejected, chosen))
    )
    choice = ""
    if len(others) > 1:
        choices = (
            act(
                "prefer",
                f"over {number[turn.id]}/{len(group)}",
                turn=chosen.id,
                over=turn.id,
                off=turn.id == rejected.id,
            )
            for turn in others
        )
        choice = f'<div class="pg-doing">{"".join(choices)}</div>'
    known = conversation.preference(chosen.id, rejected.id)
    buttons = [
        _go("save_preference", "Change preference" if known else "Save preference", turn=chosen.id, over=rejected.id)
    ]
    if rejected.edited != chosen.id and chosen.edited != rejected.id:
        buttons.append(act("prefer", "The other one is better", turn=rejected.id, over=chosen.id))
    if known:
        buttons.append(act("withdraw_preference", "Take it back", turn=chosen.id, over=rejected.id))
    return _panel(
        "Prefer this one",
        f'{choice}<div class="pg-two">{sides}</div>{_chips("What makes it better", reasons, standing.reasons)}'
        + _why(standing.comment)
        + _buttons(*buttons, act("close", "Cancel")),
    )


def rating_panel(turn: Turn, reasons: Sequence[str], rubric: Rubric, standing: Standing = Standing()) -> str:
    """Why an answer was rated up or down, and the rubric's questions about it."""
    given = {(question, 0): value for question, value in standing.scores.items()}
    return _panel(
        f"Rated {'up' if turn.label else 'down'}. Why?",
        # The reasons are good things: of an answer that was rated down they are what it lacks.
        _chips("What is good about it" if turn.label else "What falls short", reasons, standing.reasons)
        + questions(rubric, ("",), given)
        + _why(standing.comment)
        + _buttons(_go("save_reasons", "Save reasons", turn=turn.id), act("close", "Not now")),
    )


def _by(turn: Turn) -> str:
    if turn.reply is not None:
        return f" · {escape(turn.reply.ref.short)}"
    return " · edited by hand" if turn.edited else " · maker not known"


def _panel(title: str, inner: str) -> str:
    return f'<form class="pg-panel" aria-label="{escape(title)}"><h4>{escape(title)}</h4>{inner}</form>'


def _area(name: str, label: str, text: str) -> str:
    rows = min(14, max(3, text.count("\n") + 2))
    # As a value that the script puts in: the parser would swallow a line break at the beginning.
    return (
        f'<textarea name="{name}" rows="{rows}" aria-label="{escape(label)}" placeholder="{escape(label)}" data-focus '
        f'data-text="{copied(text)}"></textarea>'
    )


def _chips(asked: str, reasons: Sequence[str], given: Sequence[str]) -> str:
    # A reason that stands and is not offered any more stays one, until it is unticked.
    boxes = "".join(
        f'<label class="pg-chip-box"><input type="checkbox" name="reasons" value="{escape(shown(one, 60), quote=True)}"'
        f"{' checked' if one in given else ''}><span>{escape(shown(one, 60))}</span></label>"
        for one in dict.fromkeys((*reasons, *given))
    )
    return f'<fieldset class="pg-chips"><legend class="pg-meta">{asked} (optional)</legend>{boxes}</fieldset>'


def _why(text: str) -> str:
    return (
        '<textarea name="comment" rows="1" aria-label="Why (optional)" placeholder="Why (optional)" '
        f'data-text="{copied(text)}"></textarea>'
    )


def _go(name: str, label: str, **values: object) -> str:
    sent = copied(json.dumps({"act": name, **values}))
    return f'<button type="submit" class="pg-go" data-chat="{sent}">{label}</button>'


def _buttons(*buttons: str) -> str:
    return f'<div class="pg-doing">{"".join(buttons)}</div>'
