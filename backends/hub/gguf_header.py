"""Reads the header of a GGUF file from its first bytes: metadata and tensors as the format's version 2 and 3 write them.

The layout is that of ggml's docs/gguf.md. The reader is given bytes, never a file: what does not fit in them is said to be
cut off, and nothing in them can make it read or allocate more than they hold.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

MAGIC = b"GGUF"
MOST_ENTRIES = 100_000
MOST_SHOWN_ITEMS = 8
MOST_TEXT = 4000
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
# ggml_type, by number (ggml.h).
TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


class NotGguf(ValueError):
    """The bytes are not the beginning of a GGUF file that this reader knows."""


class CutOff(Exception):
    """The header goes on past the bytes that were given."""


@dataclass
class GgufHeader:
    """What could be read. `whole` is False when the header goes on past the bytes; then the tensors may be missing."""

    version: int
    tensor_count: int
    metadata: dict[str, object] = field(default_factory=dict)
    tensors: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    whole: bool = False


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def scalar(self, shape: str) -> int | float | bool:
        size = struct.calcsize(shape)
        value: int | float | bool = struct.unpack(shape, self.take(size))[0]
        return value

    def whole(self, shape: str) -> int:
        return int(self.scalar(shape))

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._content):
            raise CutOff
        self._at += size
        return self._content[self._at - size : self._at]

    def text(self) -> str:
        return self.take(self.whole("<Q")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> object:
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth > 2:
            raise NotGguf(f"a value of unknown type {kind}")
        inner, count = self.whole("<I"), self.whole("<Q")
        if inner in _SCALARS:
            # Taken at once: vocabularies have scores for a hundred thousand words.
            block = self.take(count * struct.calcsize(_SCALARS[inner]))
            shown = struct.iter_unpack(_SCALARS[inner], block)
            return Items(count, [item[0] for _, item in zip(range(MOST_SHOWN_ITEMS), shown, strict=False)])
        first = []
        for position in range(count):
            item = self.value(inner, depth + 1)
            if position < MOST_SHOWN_ITEMS:
                first.append(item)
        return Items(count, first)


@dataclass(frozen=True)
class Items:
    """A list of the metadata: how many, and the first few."""

    count: int
    first: list[object]

    def __str__(self) -> str:
        words = ", ".join(str(item)[:40] for item in self.first)
        return f"{self.count:,} items: {words}{', …' if self.count > len(self.first) else ''}"


def read_gguf(content: bytes) -> GgufHeader:
    """The header in the first bytes of a file; raises `NotGguf`."""
    reader = _Reader(content)
    try:
        if reader.take(4) != MAGIC:
            raise NotGguf("it does not begin with GGUF")
        version = reader.whole("<I")
        if version not in (2, 3):
            raise NotGguf(f"its version is {version}, and only 2 and 3 are known")
        tensors, entries = reader.whole("<Q"), reader.whole("<Q")
    except CutOff:
        raise NotGguf("it is shorter than a header") from None
    if tensors > MOST_ENTRIES or entries > MOST_ENTRIES:
        raise NotGguf("its header says more entries than any model has")
    header = GgufHeader(version, tensors)
    try:
        for _ in range(entries):
            name = reader.text()
            header.metadata[name[:200]] = reader.value(reader.whole("<I"))
        for _ in range(tensors):
            name = reader.text()
            sides = reader.whole("<I")
            if sides > 8:
                raise NotGguf("a tensor of more than eight dimensions")
            shape = tuple(reader.whole("<Q") for _ in range(sides))
            kind = reader.whole("<I")
            reader.take(8)
            header.tensors.append((name[:200], TYPES.get(kind, f"type {kind}"), shape))
    except CutOff:
        return header
    header.whole = True
    return header


def parameters(shape: tuple[int, ...]) -> int:
    """The number of values in a tensor."""
    return math.prod(shape)
