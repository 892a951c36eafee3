"""What a battle puts on the screen at each step; before the vote nothing of it depends on who answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from components.ballot_sheet import LETTERS, ballot, no_vote
from components.battles import Battle, all_of
from components.chip import battle_chip
from components.transcript import WAITING, answer_message, figures, shown_messages, text_message, thumbs
from core.candidates import MOST_SIDES, Candidate
from core.chat import Reply
from core.conversation import Conversation
from core.plain_text import flattened
from core.rubric import Rubric
from core.text_safety import flags_of

SIDES = ("left", "right", "third", "fourth")
KEYS = {2: "1, 2, 3, 0", 3: "1 to 3, t, 0", 4: "1 to 4, t, 0"}


class Bout(NamedTuple):
    """What the comparing handlers put on the screen, in the order of their outputs."""

    text: Any
    chatbot: Any
    conversation: Any
    battle: Any
    columns: Any
    left: Any
    right: Any
    third: Any
    fourth: Any
    ballot: Any
    comment: Any
    sheet: Any
    reveal: Any
    chip: Any
    compare: Any
    stop: Any
    status: Any


SKIPPED = Bout(*(gr.skip() for _ in Bout._fields))


def opening(asked: Conversation, sides: int) -> Bout:
    """The screen from the click to the first word: the question stands, every side is empty."""
    return Bout(
        text="",
        chatbot=gr.Chatbot(value=blind_messages(asked), feedback_value=[]),
        conversation=gr.skip(),
        battle=None,
        columns=gr.Row(visible=True),
        **{name: _side(number, "", sides) for number, name in enumerate(SIDES)},
        ballot=gr.Column(visible=False),
        comment="",
        sheet="",
        reveal="",
        chip=battle_chip(),
        compare=gr.Button(visible=False),
        stop=gr.Button(visible=True, interactive=False),
        status=f"Waiting for {_all(sides)}",
    )


def waiting(status: str) -> Bout:
    """Only the status line changes while the models are prepared."""
    return SKIPPED._replace(status=status)


def streaming(texts: Sequence[str], battle_id: str | None, flat: bool) -> Bout:
    """All sides grow by the same number of characters; the first time the battle's id comes with it."""
    shown = {name: _shown(text, flat) for name, text in zip(SIDES, texts, strict=False)}
    if battle_id is None:
        return SKIPPED._replace(**shown)
    return SKIPPED._replace(
        **shown, battle=battle_id, stop=gr.Button(visible=True, interactive=True), status="Answering"
    )


def ready(battle: Battle, rubric: Rubric, stopped: bool) -> Bout:
    """Every answer is there: the vote opens."""
    sides = len(battle.replies)
    shown = {name: _shown(reply.content, battle.flat) for name, reply in zip(SIDES, battle.replies, strict=False)}
    flags = [flags_of(reply.safety, f"Answer {LETTERS[n]}") for n, reply in enumerate(battle.replies)]
    which = "best" if sides > 2 else "better"
    said = [*(["Stopped where they stood."] if stopped else []), f"Which is {which}? Keys {KEYS[sides]}.", *flags]
    return SKIPPED._replace(
        **shown,
        ballot=gr.Column(visible=True),
        comment=gr.Textbox(value="", visible=True),
        sheet=ballot(battle.id, sides, rubric),
        reveal="",
        compare=gr.Button(visible=True, interactive=True),
        stop=gr.Button(visible=False),
        status=" ".join(filter(None, said)),
    )


def reopened(battle: Battle, rubric: Rubric, height: int) -> Bout:
    """A battle that is not voted on, on a page that was opened anew."""
    sides = len(battle.replies)
    columns = {
        name: gr.Chatbot(
            label=LETTERS[number], value=_shown(battle.replies[number].content, battle.flat), visible=True
        )
        for number, name in enumerate(SIDES[:sides])
    }  # fmt: skip
    return ready(battle, rubric, stopped=False)._replace(
        **columns,
        chatbot=gr.Chatbot(value=blind_messages(battle.asked), feedback_value=[], height=height),
        battle=battle.id,
        columns=gr.Row(visible=True),
        chip=battle_chip(),
    )


def failed(conversation: Conversation, text: str, battle_id: str, sides: int) -> Bout:
    """The screen after a side failed: no vote, the prompt is back in the box. Which side, and why, is not told before Void."""
    return Bout(
        text=text,
        chatbot=gr.Chatbot(value=blind_messages(conversation), feedback_value=[]),
        conversation=gr.skip(),
        battle=battle_id,
        columns=gr.Row(visible=False),
        **{name: _side(number, None, sides) for number, name in enumerate(SIDES)},
        ballot=gr.Column(visible=True),
        comment=gr.Textbox(value="", visible=False),
        sheet=no_vote(battle_id),
        reveal="",
        chip=gr.skip(),
        compare=gr.Button(visible=True, interactive=True),
        stop=gr.Button(visible=False),
        status="No vote: a side failed.",
    )


def closed(conversation: Conversation, text: Any, chip: str, status: str, reveal: str = "") -> Bout:
    """The screen without a battle: the prompt is back in the box, the conversation as it was."""
    return Bout(
        text=text,
        chatbot=gr.Chatbot(value=shown_messages(conversation), feedback_value=thumbs(conversation)),
        conversation=gr.skip(),
        battle=None,
        columns=gr.Row(visible=False),
        **{name: _side(number, None, 2) for number, name in enumerate(SIDES)},
        ballot=gr.Column(visible=False),
        comment="",
        sheet="",
        reveal=reveal,
        chip=chip,
        compare=gr.Button(visible=True, interactive=True),
        stop=gr.Button(visible=False),
        status=status,
    )


def decided(battle: Battle, conversation: Conversation | None, chip: str, status: str) -> Bout:
    """The screen after the vote: names and figures, and the conversation goes on from the best answer.

    What was said in it while the battle was open stays the current path; the battle is then a branch.
    """
    sides = len(battle.replies)
    before = back_before(battle.asked)
    branch = battle.asked.answer(battle.best) if battle.best is not None else before
    went_on = (before if conversation is None else conversation).joined(branch, before.tip)
    named = {
        SIDES[number]: gr.Chatbot(
            label=f"{LETTERS[number]} · {name_of(reply, candidate_of(battle, number))}",
            value=_shown(reply.content, False),
        )
        for number, reply in enumerate(battle.replies)
    }
    return SKIPPED._replace(
        **named,
        chatbot=gr.Chatbot(value=shown_messages(went_on), feedback_value=thumbs(went_on)),
        conversation=went_on,
        ballot=gr.Column(visible=False),
        # Emptied, so that nothing of it goes with a later vote.
        sheet="",
        reveal=reveal_of(battle),
        chip=chip,
        compare=gr.Button(visible=True, interactive=True),
        stop=gr.Button(visible=False),
        status=f"{status}{f' {_ASIDE}' if sides > 2 and battle.outcome == 'tie' else ''}",
    )


_ASIDE = "The conversation goes on from A."


def back_before(asked: Conversation) -> Conversation:
    """The conversation without its last question, which stays in the tree as a branch."""
    assert asked.tip is not None
    return replace(asked, tip=asked.turn(asked.tip).parent)


def blind_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """The conversation without the lines that say who answered, how fast, and with which seed."""
    return [text_message(turn.message.role, turn.message.content) for turn in conversation.path()]


def _side(number: int, text: str | None, sides: int) -> Any:
    """One column under its letter; None empties it."""
    value = [] if text is None else _shown(text, False)
    if number < 2:
        return gr.Chatbot(label=LETTERS[number], value=value)
    return gr.Chatbot(label=LETTERS[number], value=value if number < sides else [], visible=number < sides)


def _shown(text: str, flat: bool) -> list[dict[str, Any]]:
    """One answer as the only message of its column."""
    return [answer_message((flattened(text) if flat else text) or WAITING)]


def _all(sides: int) -> str:
    return all_of(sides).lower() if sides == 2 else f"all {sides}"


def candidate_of(battle: Battle, number: int) -> Candidate | None:
    """Who stood on a side; None where nobody kept it."""
    return battle.candidates[number] if number < len(battle.candidates) else None


def name_of(reply: Reply, candidate: Candidate | None = None) -> str:
    """A contender's name once it may be known: the model, and what of its settings was chosen."""
    settings = reply.settings
    parts = [reply.ref.short]
    if reply.ref.weights:
        parts.append(reply.ref.weights)
    if settings.temperature is not None:
        parts.append(f"temperature {settings.temperature:g}")
    asked = candidate.settings if candidate is not None else None
    if asked is not None:
        parts += [f"top-k {settings.top_k}"] if asked.top_k is not None else []
        parts += (
            [f"repetition penalty {settings.repetition_penalty:g}"]
            if asked.repetition_penalty is not None and settings.repetition_penalty is not None
            else []
        )
    parts += [f"{name}={value}" for name, value in settings.template_kwargs]
    return ", ".join(parts)


def reveal_of(battle: Battle) -> str:
    """Names, settings and speeds of every side after the vote."""
    outcome = str(battle.outcome)
    said = {"left": "A was better", "right": "B was better", "tie": "Tie"}.get(outcome)
    if said is None:
        both = "Both" if len(battle.replies) == 2 else "All"
        said = f"{both} bad" if outcome == "both_bad" else f"{LETTERS[int(outcome) - 1]} was best"
    leaked = (
        '<p class="pg-meta">An answer named its model or maker, so this vote is marked as leaked.</p>'
        if battle.leaked
        else ""
    )
    return (
        f'<div class="pg-reveal" data-vote="{outcome}" data-voted="{escape(battle.id, quote=True)}"><p>You said: {said}.</p>'
        f"{leaked}<table>{_lines(battle)}</table></div>"
    )


def _lines(battle: Battle) -> str:
    lines = []
    for number, reply in enumerate(battle.replies):
        candidate = candidate_of(battle, number)
        own = candidate.system if candidate is not None else None
        system = (
            "" if own is None else f"<br><span class='pg-meta'>System prompt of its own: {escape(own[:300])}</span>"
        )
        lines.append(
            f"<tr><th>{LETTERS[number]}</th><td><b>{escape(name_of(reply, candidate))}</b><br>"
            f'<span class="pg-meta">{escape(figures(reply))}</span>{system}</td></tr>'
        )
    return "".join(lines)


def void_of(candidates: Sequence[Candidate], problem: str) -> str:
    """What a void battle tells: who was to answer, in no order, and what went wrong."""
    names = sorted(f"{each.ref.short}, temperature {each.settings.temperature}" for each in candidates)
    listed = "".join(f"<li>{escape(name)}</li>" for name in names)
    return f'<div class="pg-reveal" data-vote="void"><p>Void: {escape(problem)}</p><ul>{listed}</ul></div>'


assert len(SIDES) == MOST_SIDES
