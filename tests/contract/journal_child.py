"""A process whose copies vote with a journal and die, each at another step; run by test_journal.py.

`root/base` is what every copy starts from. For n = 0, 1, 2 … a forked copy works in `root/n` and is killed with SIGKILL
at its n-th step; a step is before each commit, and before, within and after each change of the journal. What it was told is
saved stands in `root/n/told`. It prints how many copies were killed; the next one ran to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import datasets  # noqa: F401  (imported once, before the forks)
import pyarrow.parquet  # noqa: F401

from backends.feedback import database, segments
from tests.contract.outbox_rows import open_store, preference


def play(folder: Path, most: int) -> None:
    """Vote, take back, change, send; killed at step `most`."""
    left = [-1]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    write_new, remove, write = segments.write_new, segments.Segments.remove, database.Database.write

    def stepped_write_new(path: Path, content: bytes) -> None:
        step()
        # Half of it is what a machine that loses its power leaves.
        path.write_bytes(content[: len(content) // 2])
        step()
        path.unlink()
        write_new(path, content)
        step()

    def stepped_remove(self: segments.Segments, name: str) -> None:
        step()
        remove(self, name)

    @contextmanager
    def stepped_write(self: database.Database):
        with write(self) as db:
            yield db
            step()

    segments.write_new, segments.Segments.remove = stepped_write_new, stepped_remove
    database.Database.write = stepped_write
    store, delivery = open_store(folder / "disk", journal=folder / "journal")
    left[0] = most
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


def main(root: Path) -> None:
    """Let one copy after the other die."""
    number = 0
    while True:
        folder = root / str(number)
        shutil.copytree(root / "base", folder)
        child = os.fork()
        if child == 0:
            try:
                play(folder, number)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            print(number, os.waitstatus_to_exitcode(status))
            return
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
