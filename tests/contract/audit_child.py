"""A process whose copies write an audit log with a journal and die, each at another step; run by test_audit_journal.py.

For n = 0, 1, 2 … a forked copy works in `root/n` and is killed with SIGKILL at its n-th step; a step is before, within and
after each change of the journal, and before each commit. What it was told is written down stands in `root/n/told`. It prints
how many copies were killed; the next one ran to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.accounts import audit
from backends.feedback import segments
from core.audit import Entry

ENTRIES = 7


def play(folder: Path, most: int) -> None:
    """Write entries down, tidying the journal on the way; killed at step `most`."""
    left = [-1]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    write_new, remove, transaction = segments.write_new, segments.Segments.remove, audit._transaction

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
    def stepped_transaction(database: object) -> Iterator[None]:
        with transaction(database):  # type: ignore[arg-type]
            yield
            step()

    segments.write_new, segments.Segments.remove = stepped_write_new, stepped_remove
    audit._transaction, audit.MOST_SEGMENTS, audit.MERGED = stepped_transaction, 4, 3
    log = audit.SqliteAudit(folder / "audit.sqlite", folder / "journal")
    left[0] = most
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(ENTRIES):
        log.add(Entry(0, "", "ann", "admin", "password", "pinned", f"new-{number}"))
        os.write(told, f"new-{number} ".encode())


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
