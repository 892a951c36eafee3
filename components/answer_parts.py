"""An answer in its parts: words, reasoning that is folded away, and tools the model asked for. No byte is lost or moved."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from typing import Literal

Kind = Literal["text", "reasoning", "tool"]

_REASONING = ("think", "thinking", "reasoning", "thought", "seed:think")
_OPEN = re.compile(
    rf"<(?P<think>{'|'.join(_REASONING)})>|<(?P<tool>tool_call|function_call)>|\[TOOL_CALLS\]|<\|python_tag\|>"
)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_CLOSED_ONLY = re.compile(rf"</(?:{'|'.join(_REASONING)})>")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer. `whole` is False while its end is not written yet. Tags stand in no part."""

    kind: Kind
    text: str
    whole: bool = True


def parts_of(answer: str) -> tuple[Part, ...]:
    """The parts in their order; an answer without any mark is one part of text."""
    if _is_call(answer):
        return (Part("tool", answer),)
    parts: list[Part] = []
    at = 0
    # Some templates write the opening tag themselves: then the answer begins inside the reasoning.
    first, closed = _found(_OPEN, answer), _found(_CLOSED_ONLY, answer)
    if closed and (first is None or closed.start() < first.start()):
        parts.append(Part("reasoning", answer[: closed.start()]))
        at = closed.end()
    while (found := _found(_OPEN, answer, at)) is not None:
        parts.append(Part("text", answer[at : found.start()]))
        kind: Kind = "reasoning" if found["think"] else "tool"
        name = found["think"] or found["tool"]
        end = answer.find(f"</{name}>", found.end()) if name else len(answer)
        whole = end >= 0 and (name is not None or _is_json(answer[found.end() :]))
        parts.append(Part(kind, answer[found.end() : end if end >= 0 else len(answer)], whole))
        at = end + len(f"</{name}>") if name and end >= 0 else len(answer)
    parts.append(Part("text", answer[at:]))
    # A blank line between a mark and the words is the mark's.
    shown = [part for part in parts if part.text.strip()]
    return tuple(shown) or (Part("text", answer),)


def _found(mark: re.Pattern[str], answer: str, at: int = 0) -> re.Match[str] | None:
    """The first `mark` from `at` on that is one: in code an answer only speaks of it."""
    return next((found for found in mark.finditer(answer, at) if not _in_code(answer, found.start())), None)


def _in_code(answer: str, at: int) -> bool:
    line = answer.rfind("\n", 0, at) + 1
    fences = sum(1 for each in _FENCE.finditer(answer, 0, line))
    return fences % 2 == 1 or answer.count("`", line, at) % 2 == 1


def _is_call(answer: str) -> bool:
    """Whether the answer is nothing but calls, as models write them whose marks are special tokens and not in the text."""
    text = answer.strip()
    if not text.startswith(("{", "[")):
        return False
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return False
    calls = data if isinstance(data, list) else [data]
    return bool(calls) and all(
        isinstance(call, dict)
        and isinstance(call.get("name"), str)
        and isinstance(call.get("arguments", call.get("parameters")), dict)
        and set(call) <= {"name", "arguments", "parameters", "id", "type"}
        for call in calls
    )


def reasoning_html(part: Part) -> str:
    """Reasoning, folded once it is whole."""
    words = len(part.text.split())
    name = f"Reasoning · {words} {'word' if words == 1 else 'words'}" if part.whole else "Thinking"
    state = "" if part.whole else " open"
    text = escape(part.text.strip("\n"))
    return f'<details class="pg-think"{state}><summary>{name}</summary><div class="pg-text">{text}</div></details>'


def tool_html(part: Part) -> str:
    """A tool the model asked for, said as what it is. None are given to a model here, so none is run."""
    calls = _calls(part.text)
    if not calls:
        return (
            f'<div class="pg-tool"><p>{"The model asks for a tool" if part.whole else "The model is writing a call"}. '
            f"No tools are given to it here, so nothing is run.</p><pre>{escape(part.text.strip())}</pre></div>"
        )
    return "".join(
        f'<div class="pg-tool"><p>The model asks for the tool <b>{escape(name)}</b>. No tools are given to it here, so '
        f"nothing is run; answer as the tool would, or tell it to go on without.</p><pre>{escape(arguments)}</pre></div>"
        for name, arguments in calls
    )


def _calls(text: str) -> list[tuple[str, str]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return []
    calls = []
    for call in data if isinstance(data, list) else [data]:
        inner = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            return []
        arguments = inner.get("arguments", inner.get("parameters", {}))
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, indent=1)
        calls.append((inner["name"], text))
    return calls


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
