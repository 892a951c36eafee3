"""Tasks for the chat: a system prompt, the fields a person fills in, a rubric; and links that open the chat set up as it is."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.arguments import check_characters
from core.chat import GenerationSettings, check_settings
from core.errors import UserInputError

MOST_LINK = 16_000
MOST_TEXT = 8_000
MOST_FIELDS = 6
MOST_RUBRIC = 8
NUMBERS = ("temperature", "top_p", "top_k", "repetition_penalty", "max_new_tokens", "seed")
WHOLE = ("top_k", "max_new_tokens", "seed")
_LINK = re.compile(r"[A-Za-z0-9_-]{1,16000}")


@dataclass(frozen=True, slots=True)
class Preset:
    """A task. `template` is the message, with each of `fields` in braces; without fields it is an open chat.

    `rubric` are the reasons that are offered when an answer is judged.
    """

    name: str
    system: str = ""
    fields: tuple[str, ...] = ()
    template: str = ""
    rubric: tuple[str, ...] = ()

    def message(self, values: Mapping[str, Any]) -> str:
        """The message with every field in its place, exactly as it was typed."""
        missing = [name for name in self.fields if not str(values.get(name) or "").strip()]
        if missing:
            raise UserInputError(f"{', '.join(missing)}: nothing is written there yet.")
        given = {name: str(values[name]) for name in self.fields}
        names = "|".join(re.escape(name) for name in self.fields)
        # In one pass: braces that somebody typed into a field are text.
        return re.sub(rf"\{{({names})\}}", lambda found: given[found[1]], self.template) if names else self.template


DEFAULTS = (
    Preset("Open chat"),
    Preset(
        "Summarise a ticket",
        "You summarise support tickets for colleagues. Keep to what the ticket says. Do not invent names, dates or causes.",
        ("Ticket",),
        "Summarise this ticket in at most three sentences: what happened, what the customer wants, what is still open.\n\n"
        "{Ticket}",
        ("Faithful to the ticket", "Nothing important missing", "Short enough", "Clear"),
    ),
    Preset(
        "Reply to a ticket",
        "You write replies to support tickets: friendly, plain, in the customer's language. Promise nothing that is not "
        "in the notes.",
        ("Ticket", "Notes"),
        "Write the reply to this ticket.\n\nTicket:\n{Ticket}\n\nWhat we know:\n{Notes}",
        ("Answers the question", "Right tone", "Promises nothing wrong", "Clear", "Short enough"),
    ),
    Preset(
        "Summarise and reply",
        "You help a support team. Keep to what the ticket says. Do not invent names, dates or causes.",
        ("Ticket",),
        "First summarise this ticket in two sentences for a colleague. Then write the reply to the customer.\n\n{Ticket}",
        ("Faithful to the ticket", "Answers the question", "Right tone", "Clear"),
    ),
    Preset(
        "Rewrite",
        "You rewrite texts. The meaning, names and numbers stay as they are.",
        ("Text", "How"),
        "Rewrite this text so that it is {How}.\n\n{Text}",
        ("Meaning kept", "As asked", "Reads well"),
    ),
    Preset(
        "Extract",
        "You take facts out of texts. What the text does not say is null. You answer with JSON and nothing else.",
        ("Text", "Fields"),
        "From the text below, extract these fields as one JSON object: {Fields}\n\n{Text}",
        ("Right values", "Nothing invented", "Valid JSON", "Complete"),
    ),
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a link opens: a model as it is asked for, a system prompt, settings, the first message, locked or not.

    `settings` are numbers by their name, and as text `thinking` (on or off) and `template`, its options as they are typed.
    """

    model: str = ""
    system: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    first: str = ""
    locked: bool = False
    preset: Preset | None = None

    def text(self) -> str:
        """As a link has it; raises `UserInputError` when it would be longer than browsers carry."""
        record = {name: value for name, value in asdict(self).items() if value}
        encoded = base64.urlsafe_b64encode(json.dumps(record, ensure_ascii=False).encode()).decode().rstrip("=")
        if len(encoded) > MOST_LINK:
            raise UserInputError("This is too long for a link. Shorten the system prompt or the message first.")
        return encoded


def link_text(value: str) -> str:
    """`value` if it can be what `Setup.text` gave, else ""."""
    return value if _LINK.fullmatch(value) else ""


def read_setup(text: str) -> Setup:
    """What a link opens; it may come from anybody. Raises `UserInputError` when it is not whole."""
    broken = UserInputError("This link is not whole. Ask for it again.")
    try:
        record = json.loads(base64.urlsafe_b64decode(link_text(text) + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise broken from error
    if not isinstance(record, dict):
        raise broken
    numbers = record.get("settings")
    said = numbers if isinstance(numbers, dict) else {}
    kept: dict[str, Any] = _numbers(said)
    if said.get("thinking") in ("on", "off"):
        kept["thinking"] = said["thinking"]
    if template := _text(said.get("template"), "The template options"):
        kept["template"] = template
    preset = record.get("preset")
    return Setup(
        _text(record.get("model"), "The model", 400),
        _text(record.get("system"), "The system prompt"),
        kept,
        _text(record.get("first"), "The message"),
        record.get("locked") is True,
        read_preset(preset) if preset else None,
    )


def _numbers(said: Mapping[str, Any]) -> dict[str, float]:
    """The settings that are numbers, within the bounds an answer has; raises `UserInputError` naming the one that is not."""
    kept: dict[str, float] = {
        name: said[name]
        for name in NUMBERS
        if isinstance(said.get(name), int | float) and not isinstance(said[name], bool)
    }
    try:
        kept |= {name: int(kept[name]) for name in WHOLE if name in kept}
    except (ValueError, OverflowError) as error:
        raise UserInputError("This link has a setting that is no number. Ask for it again.") from error
    check_settings(GenerationSettings(**kept))  # type: ignore[arg-type]
    return kept


def read_preset(record: object) -> Preset:
    """A task as a browser or a link has it; raises `UserInputError` saying what is wrong."""
    if not isinstance(record, Mapping):
        raise UserInputError("A task has a name, a system prompt, fields, a message and a rubric.")
    name = _text(record.get("name"), "The name", 80).strip()
    if not name:
        raise UserInputError("A task needs a name.")
    fields = _texts(record.get("fields"), "The fields", MOST_FIELDS)
    template = _text(record.get("template"), "The message")
    left_out = [one for one in fields if f"{{{one}}}" not in template]
    if left_out:
        raise UserInputError(f"The message of a task names every field in braces; {{{left_out[0]}}} is missing.")
    rubric = _texts(record.get("rubric"), "The rubric", MOST_RUBRIC)
    return Preset(name, _text(record.get("system"), "The system prompt"), fields, template, rubric)


def _text(value: object, name: str, most: int = MOST_TEXT) -> str:
    if not isinstance(value, str):
        return ""
    if len(value) > most:
        raise UserInputError(f"{name} has {len(value):,} characters; at most {most:,} fit here.")
    check_characters(value, name)
    return value


def _texts(value: object, name: str, most: int) -> tuple[str, ...]:
    found = [one.strip() for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
    kept = tuple(dict.fromkeys(one for one in found if one))
    if len(kept) > most or any(len(one) > 80 or "{" in one or "}" in one for one in kept):
        raise UserInputError(f"{name}: at most {most} short names without braces.")
    return kept
