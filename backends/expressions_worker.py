"""Holds regular expressions against texts; run as a script by `backends/expressions.py`, which ends it when it takes too long.

Each message on stdin is its length in four bytes and UTF-8. The first one is the expressions, parted by NUL, and is
answered with a dot; each later one is a text, answered with "1" or "0" for one expression after the other, as it is known.
"""

from __future__ import annotations

import os
import re
import struct
import sys


def _message() -> str:
    length = sys.stdin.buffer.read(4)
    if len(length) < 4:
        # The app has ended.
        sys.exit(0)
    return sys.stdin.buffer.read(struct.unpack(">I", length)[0]).decode("utf-8", "surrogatepass")


def main() -> None:
    """Answer until stdin ends."""
    patterns = [re.compile(expression, re.IGNORECASE) for expression in _message().split("\0")]
    os.write(1, b".")
    while True:
        text = _message()
        for pattern in patterns:
            os.write(1, b"1" if pattern.search(text) else b"0")


if __name__ == "__main__":
    main()
