"""What is typed for an axis of a grid, read strictly: lists, ranges, sizes, and replacements in the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.errors import UserInputError
from core.images import ImageSettings, Lora
from core.refs import ModelRef, shown

AxisKind = Literal["model", "lora", "scheduler", "steps", "guidance", "seed", "prompt", "size"]
AXIS_NAMES: dict[AxisKind, str] = {
    "model": "Model",
    "lora": "LoRA weight",
    "scheduler": "Scheduler",
    "steps": "Steps",
    "guidance": "Guidance",
    "seed": "Seed",
    "prompt": "Prompt S/R",
    "size": "Size",
}
MOST_VALUES = 50
MOST_CHARACTERS = 4_000
_NUMBER = r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,10})?"
_ONE = re.compile(_NUMBER)
# 10-30, 10-30:5, 1..4, and what AUTOMATIC1111's script reads: 1-5 (+2), 1-10 [5].
_RANGE = re.compile(
    rf"({_NUMBER})\s*(?:\.\.|-)\s*({_NUMBER})"
    rf"(?:\s*:\s*({_NUMBER})|\s*\(\s*({_NUMBER})\s*\)|\s*\[\s*([0-9]{{1,4}})\s*\])?"
)
_SIZE = re.compile(r"([0-9]{1,6})\s*[x×X]\s*([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Replacement:
    """One text of the prompt, and what stands there instead."""

    search: str
    text: str


Value = ModelRef | Lora | Replacement | Size | Decimal | str


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a grid: what changes along it, its values, and how each is called on the sheet."""

    kind: AxisKind
    values: tuple[Value, ...]
    labels: tuple[str, ...]
    text: str = ""

    @property
    def name(self) -> str:
        """What the sheet and the table call it."""
        return AXIS_NAMES[self.kind]


@dataclass(frozen=True, slots=True)
class Names:
    """Turns what was typed into exact models and adapters; both raise `AppError` when there is no such one here."""

    model: Callable[[str], ModelRef]
    lora: Callable[[str], Lora]


def read_axis(kind: AxisKind, text: str, base: ImageSettings, names: Names) -> Axis:
    """The axis that was typed; raises `UserInputError` naming the value that makes no sense."""
    title = AXIS_NAMES[kind]
    if len(text) > MOST_CHARACTERS:
        raise UserInputError(f"{title}: the values are too long. Use at most {MOST_CHARACTERS:,} characters.")
    try:
        values = tuple(_values(kind, text, base, names))
    except _Wrong as error:
        raise UserInputError(f"{title}: {error}") from error
    if len(values) > MOST_VALUES:
        raise UserInputError(f"{title}: {len(values)} values are too many; at most {MOST_VALUES} fit on a sheet.")
    labels = tuple(map(label_of, values))
    for number, value in enumerate(values):
        if value in values[:number]:
            raise UserInputError(f"{title}: “{shown(labels[number])}” is there twice. Leave one of them out.")
    return Axis(kind, values, labels, text.strip())


def label_of(value: Value) -> str:
    """A value as the sheet's labels show it."""
    match value:
        case ModelRef():
            return value.short
        case Lora():
            return f"{value.ref.repo_id.rpartition('/')[2]} {value.weight:g}"
        case Replacement():
            return value.text or "(nothing)"
        case Size():
            return f"{value.width} × {value.height}"
        case Decimal():
            return plain(value)
        case _:
            return value


def plain(value: Decimal) -> str:
    """A number without an exponent or zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def split_values(text: str) -> tuple[str, ...]:
    """The values of a comma list; one in double quotes may hold commas, and "" in it is one quote. Lines count as commas."""
    found: list[str] = []
    at = 0
    text = text.replace("\r", "").strip().rstrip("\n").replace("\n", ",")
    if not text:
        raise _Wrong("there are no values. Type some, separated by commas.")
    quoted = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)')
    bare = re.compile(r'([^,"]*(?:[^,]*))(?:,|$)')
    while at <= len(text):
        match = quoted.match(text, at)
        if match:
            found.append(match[1].replace('""', '"'))
        else:
            match = bare.match(text, at)
            if match is None:  # the pattern also matches nothing at all
                raise AssertionError(text[at:])
            word = match[1].strip()
            if word.startswith('"'):
                raise _Wrong("a quote is opened and not closed before the comma. Close it with another one.")
            if not word:
                raise _Wrong(f'value {len(found) + 1} is empty. Take out the comma, or write "" for no text.')
            found.append(word)
        if match.end() == len(text) and not text.endswith(","):
            break
        at = match.end()
        if at == len(text):
            raise _Wrong(f'value {len(found) + 1} is empty. Take out the comma, or write "" for no text.')
    return tuple(found)


def numbers(text: str, *, whole: bool) -> Iterator[Decimal]:
    """The numbers of a list of numbers and ranges, in the order they were typed."""
    for part in split_values(text):
        if _ONE.fullmatch(part):
            yield _checked(Decimal(part), part, whole)
            continue
        match = _RANGE.fullmatch(part)
        if match is None:
            raise _Wrong(f"“{shown(part)}” is neither a number nor a range. Write 20, or 10-30:5, or 1..4.")
        first, last = _checked(Decimal(match[1]), part, whole), _checked(Decimal(match[2]), part, whole)
        if match[5]:
            yield from _spread(first, last, int(match[5]), part, whole)
        else:
            yield from _stepped(first, last, match[3] or match[4], part, whole)


def _values(kind: AxisKind, text: str, base: ImageSettings, names: Names) -> Iterator[Value]:
    match kind:
        case "model":
            yield from (names.model(word) for word in split_values(text))
        case "scheduler":
            yield from split_values(text)
        case "steps" | "seed":
            yield from numbers(text, whole=True)
        case "guidance":
            yield from numbers(text, whole=False)
        case "size":
            yield from _sizes(text)
        case "prompt":
            yield from _replacements(text, base)
        case "lora":
            yield from _weights(text, base, names)


def _sizes(text: str) -> Iterator[Size]:
    for part in split_values(text):
        if match := _SIZE.fullmatch(part):
            yield Size(int(match[1]), int(match[2]))
        else:
            yield from (Size(int(side), int(side)) for side in numbers(part, whole=True))


def _replacements(text: str, base: ImageSettings) -> Iterator[Replacement]:
    search, *others = split_values(text)
    if not search or (search not in base.prompt and search not in base.negative_prompt):
        raise _Wrong(
            f"“{shown(search)}” is not in the prompt. Type first what to look for, then what to put there: apple, pear, banana."
        )
    yield from (Replacement(search, word) for word in (search, *others))


def _weights(text: str, base: ImageSettings, names: Names) -> Iterator[Lora]:
    name, given, weights = text.partition("=")
    if given:
        lora = names.lora(name.strip())
    elif len(base.loras) == 1:
        lora, weights = base.loras[0], text
    else:
        several = "Several LoRAs are chosen" if base.loras else "No LoRA is chosen"
        raise _Wrong(f"{several}. Say which one to change: owner/name = 0, 0.5, 1.")
    for weight in numbers(weights, whole=False):
        yield Lora(lora.ref, float(weight), lora.file)


def _checked(value: Decimal, part: str, whole: bool) -> Decimal:
    if whole and value != value.to_integral_value():
        raise _Wrong(f"“{shown(part)}” has to be whole numbers.")
    return value


def _stepped(first: Decimal, last: Decimal, step: str | None, part: str, whole: bool) -> Iterator[Decimal]:
    stride = abs(_checked(Decimal(step), part, whole)) if step else Decimal(1)
    if not stride:
        raise _Wrong(f"the step of “{shown(part)}” is 0. Write the distance between two values after the colon.")
    # Counted before anything is made: a range may name more numbers than memory holds.
    count = int(abs(last - first) // stride) + 1
    if count > MOST_VALUES:
        raise _Wrong(f"“{shown(part)}” has {count:,} values; at most {MOST_VALUES} fit. Use a larger step.")
    way = 1 if last >= first else -1
    yield from (first + way * number * stride for number in range(count))


def _spread(first: Decimal, last: Decimal, count: int, part: str, whole: bool) -> Iterator[Decimal]:
    if not 2 <= count <= MOST_VALUES:
        raise _Wrong(f"“{shown(part)}” asks for {count} values; between 2 and {MOST_VALUES} are possible.")
    for number in range(count):
        value = first + (last - first) * number / (count - 1)
        yield value.to_integral_value() if whole else Decimal(f"{value:.4f}")


class _Wrong(ValueError):
    """What is wrong with the values, before the axis' name is put in front."""
