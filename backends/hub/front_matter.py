"""Splits a README into metadata, text and what was wrong with it; never raises, whatever the file holds."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml.resolver import Resolver

MOST_YAML_CHARACTERS = 1_000_000
MOST_NODES = 200_000
MOST_DEPTH = 40
_CHARACTERS_PER_NODE = 100
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OPENING = re.compile(r"\ufeff?\s{0,1000}---[ \t]*\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)
_INTEGER = re.compile(r"[-+]?\d{1,18}")


class Readme(NamedTuple):
    """A README in its parts. `error` is a sentence when there is a metadata block that could not be read."""

    metadata: dict[str, object]
    body: str
    error: str | None


class _Refused(Exception):
    """The metadata block is valid YAML that this reader will not follow; the message says why."""


def read_readme(content: bytes | str) -> Readme:
    """The metadata as plain JSON-able values (empty when there is none or it is broken), and the text below it."""
    text = content if isinstance(content, str) else decoded(content)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    opening = _OPENING.match(text)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    if not opening or not closing:
        return Readme({}, text.removeprefix("\ufeff"), None)
    block, body = text[opening.end() : closing.start()], text[closing.end() :]
    try:
        metadata = _values(block)
    except _Refused as error:
        return Readme({}, body, f"The card's metadata cannot be read: {error}.")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 2})" if mark is not None else ""
        return Readme({}, body, f"The card's metadata cannot be read: it is not valid YAML{where}.")
    if metadata is None:
        return Readme({}, body, None)
    if not isinstance(metadata, dict):
        return Readme({}, body, "The card's metadata cannot be read: it is not a list of names and values.")
    return Readme(metadata, body, None)


def decoded(content: bytes) -> str:
    """Text of a file in UTF-8, or in UTF-16 or -32 where a byte order mark says so; what is malformed is replaced."""
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    return content.decode(encoding, errors="replace")


@dataclass
class _Open:
    """A list or mapping that is being filled."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    key: str | None = None
    size: int = 1
    height: int = 1


@dataclass
class _Builder:
    """Makes plain values of YAML events without recursion.

    An alias counts, in size and in depth, as what it would be written out: whoever reads the values may write them out.
    """

    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int, int]] = field(default_factory=dict)
    result: Any = None

    def take(self, event: yaml.Event) -> None:
        """Follow one event."""
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._check_depth(1)
            self.open.append(_Open([] if isinstance(event, yaml.SequenceStartEvent) else {}, event.anchor))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            done = self.open.pop()
            self._put(done.value, done.size, done.height, done.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            self._put(_scalar(event), 1 + len(event.value) // _CHARACTERS_PER_NODE, 0, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _Refused("a part of it refers to itself, or to something that is not there")
            self._put(*self.anchors[event.anchor], None)

    def _check_depth(self, height: int) -> None:
        if len(self.open) + height > MOST_DEPTH:
            raise _Refused(f"it is nested more than {MOST_DEPTH} levels deep")

    def _put(self, value: Any, size: int, height: int, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (value, size, height)
        if not self.open:
            self.result = value
            return
        parent = self.open[-1]
        self._check_depth(height)
        parent.size += size
        parent.height = max(parent.height, height + 1)
        if parent.size > MOST_NODES:
            raise _Refused(f"it has more than {MOST_NODES:,} entries when written out")
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            if isinstance(value, list | dict):
                raise _Refused("a list or a mapping is used as a name")
            parent.key = _name(value)
        else:
            key, parent.key = parent.key, None
            if key == "<<" and isinstance(value, dict):
                parent.value = {**value, **parent.value}
            else:
                parent.value[key] = value


def _values(block: str) -> Any:
    if len(block) > MOST_YAML_CHARACTERS:
        raise _Refused(f"it has more than {MOST_YAML_CHARACTERS:,} characters")
    builder = _Builder()
    for event in _first_document(block):
        builder.take(event)
    return builder.result


def _first_document(block: str) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # A lone surrogate (from a text that was never bytes) cannot be handed to libyaml.
    for event in yaml.parse(block.encode("utf-8", "replace").decode(), Loader=loader):
        yield event
        if isinstance(event, yaml.DocumentEndEvent):
            return


_RESOLVER: Any = Resolver()


def _scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    """A plain word as the Hub reads it: `no` is a language, a date is text, a tag such as !!python/object is ignored."""
    text = str(event.value)
    if not event.implicit[0]:
        return text
    kind = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "float":
        try:
            number = float(text)
        except ValueError:
            return text
        # JSON has no infinity and no NaN.
        return number if abs(number) < float("inf") else text
    return text


def _name(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
