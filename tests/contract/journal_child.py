"""A process whose copies vote with a journal and die, each at another step; run by test_journal.py.

`root/base` is what every copy starts from. For n = 0, 1, 2 … a forked copy works in `root/n` and is killed with SIGKILL
at its n-th step; a step is before each commit, and before, within and after each change of the journal. What it was told is
saved stands in `root/n/told`. It prints how many copies were killed; the next one ran to its end.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import datasets  # noqa: F401  (imported once, before the forks)
import pyarrow.parquet  # noqa: F401

from backends.feedback import database
from tests.contract.dying_copies import Countdown, let_die, step_through_the_journal
from tests.contract.outbox_rows import open_store, preference


def play(folder: Path, most: int) -> None:
    """Vote, take back, change, send; killed at step `most`."""
    step = Countdown()
    step_through_the_journal(step)
    write = database.Database.write

    @contextmanager
    def stepped_write(self: database.Database):
        with write(self) as db:
            yield db
            step()

    database.Database.write = stepped_write
    store, delivery = open_store(folder / "disk", journal=folder / "journal")
    step.left = most
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store.save([preference("first", id="first")])
    os.write(told, b"first ")
    store.withdraw("old")
    os.write(told, b"withdrawn ")
    store.save([preference("second", id="second", supersedes="first")])
    os.write(told, b"changed ")
    # What a delivery does to the database is tried step by step in outbox_child.py.
    database.Database.write = write
    delivery.send()
    os.write(told, b"sent ")


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print(*let_die(root, root / "base", play))
