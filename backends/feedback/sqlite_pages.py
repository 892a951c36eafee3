"""SQLite's file format read page by page, for a file that SQLite itself will not open any more.

Only what salvage needs: the records of rowid tables, from every page that still looks like one. Format:
https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

Value = None | int | float | str | bytes
PAGE_SIZE = 4_096  # SQLite's default, and what this app's files have
MOST_COLUMNS = 64
_LEAF = 0x0D
_WAL_MAGIC = (0x377F0682, 0x377F0683)


def records(database: Path) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """(rowid, values) of every record that can be read in the file or in its committed write-ahead log.

    The same record may come twice, and records of any table come; the caller knows its own by their shape.
    """
    with database.open("rb") as file:
        wal = _committed_frames(database.with_name(database.name + "-wal"))
        pages = _Pages(file, database.stat().st_size, wal)
        for number in range(1, pages.count + 1):
            for page in pages.versions(number):
                yield from _records_in(pages, number, page)


class _Pages:
    """Pages by number: the newest committed version, and the one in the file itself."""

    def __init__(self, file: BinaryIO, size: int, wal: tuple[int, dict[int, bytes]]) -> None:
        self._file, (wal_page_size, self._wal) = file, wal
        header = file.read(100)
        stated = struct.unpack(">H", header[16:18])[0] if len(header) >= 18 else 0
        stated = 65_536 if stated == 1 else stated
        sound = header.startswith(b"SQLite format 3\0") and 512 <= stated <= 65_536 and not stated & (stated - 1)
        self.size = wal_page_size or (stated if sound else PAGE_SIZE)
        self.count = max([-(-size // self.size), *self._wal])

    def versions(self, number: int) -> tuple[bytes, ...]:
        self._file.seek((number - 1) * self.size)
        in_file = self._file.read(self.size)
        found = (in_file,) if len(in_file) == self.size else ()
        return (self._wal[number], *found) if number in self._wal else found

    def newest(self, number: int) -> bytes | None:
        found = self.versions(number) if 1 <= number <= self.count else ()
        return found[0] if found else None


def _committed_frames(path: Path) -> tuple[int, dict[int, bytes]]:
    """(page size, newest page of each number) up to the last commit in a write-ahead log; (0, {}) without one."""
    content = path.read_bytes() if path.is_file() else b""
    if len(content) < 32:
        return 0, {}
    magic, _, size, _, *salts = struct.unpack(">6I", content[:24])
    if magic not in _WAL_MAGIC or not 512 <= size <= 65_536:
        return 0, {}
    committed: dict[int, bytes] = {}
    open_: dict[int, bytes] = {}
    for start in range(32, len(content) - 24 - size + 1, 24 + size):
        number, pages_after_commit, *found = struct.unpack(">4I", content[start : start + 16])
        if found != salts:
            break
        open_[number] = content[start + 24 : start + 24 + size]
        if pages_after_commit:
            committed |= open_
            open_ = {}
    return size, committed


def _records_in(pages: _Pages, number: int, page: bytes) -> Iterator[tuple[int, tuple[Value, ...]]]:
    start = 100 if number == 1 else 0
    if page[start] != _LEAF:
        return
    cells = struct.unpack(">H", page[start + 3 : start + 5])[0]
    first = start + 8
    if first + 2 * cells > len(page):
        return
    for (at,) in struct.iter_unpack(">H", page[first : first + 2 * cells]):
        try:
            rowid, payload = _cell(pages, page, at)
            yield rowid, _values(payload)
        except (IndexError, ValueError, struct.error):
            # A damaged cell; its neighbours may be whole.
            continue


def _cell(pages: _Pages, page: bytes, at: int) -> tuple[int, bytes]:
    length, at = _varint(page, at)
    rowid, at = _varint(page, at)
    most = pages.size - 35
    if length <= most:
        return rowid, _exactly(page[at : at + length], length)
    least = (pages.size - 12) * 32 // 255 - 23
    local = least + (length - least) % (pages.size - 4)
    local = local if local <= most else least
    parts = [_exactly(page[at : at + local], local)]
    following = struct.unpack(">I", page[at + local : at + local + 4])[0]
    missing = length - local
    while missing > 0:
        overflow = pages.newest(following)
        if overflow is None:
            raise ValueError("the chain of pages is broken")
        part = overflow[4 : 4 + missing]
        following = struct.unpack(">I", overflow[:4])[0]
        parts.append(part)
        missing -= len(part)
    return rowid, b"".join(parts)


def _values(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != header or not 0 < len(kinds) <= MOST_COLUMNS:
        raise ValueError("not a record")
    values = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in (0, 8, 9):
        return (None, 0, 1)[(0, 8, 9).index(kind)], at
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if kind < 7:
        width = (0, 1, 2, 3, 4, 6, 8)[kind]
        return int.from_bytes(_exactly(payload[at : at + width], width), "big", signed=True), at + width
    if kind < 12:
        raise ValueError("not a record")
    length = (kind - 12) // 2
    content = _exactly(payload[at : at + length], length)
    return (content.decode() if kind % 2 else content), at + length


def _exactly(part: bytes, length: int) -> bytes:
    if len(part) != length:
        raise ValueError("cut short")
    return part


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A 64-bit number of one to nine bytes, and where it ends; two's complement, as SQLite keeps it."""
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64 if value >> 63 else 0), at + 9
