"""Run every benchmark and print the table: `make bench`."""

from __future__ import annotations

import os
import platform

from benchmarks import (
    cards,
    conversations,
    evidence,
    large_pictures,
    pictures,
    searching,
    speed,
    startup,
    together,
    votes,
)


def main() -> None:
    """Print one Markdown table."""
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| figure | Proving Ground | against |\n| --- | --- | --- |")
    for part in (startup, searching, cards, conversations, speed, together, pictures, large_pictures, votes, evidence):
        for name, value, against in part.run():
            print(f"| {name} | {value} | {against} |", flush=True)


if __name__ == "__main__":
    main()
