"""A process whose copies write an audit log with a journal and die, each at another step; run by test_audit_journal.py.

For n = 0, 1, 2 … a forked copy works in `root/n` and is killed with SIGKILL at its n-th step; a step is before, within and
after each change of the journal, and before each commit. What it was told is written down stands in `root/n/told`. It prints
how many copies were killed; the next one ran to its end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.accounts import audit
from core.audit import Entry
from tests.contract.dying_copies import Countdown, let_die, step_through_the_journal

ENTRIES = 7


def play(folder: Path, most: int) -> None:
    """Write entries down, tidying the journal on the way; killed at step `most`."""
    step = Countdown()
    step_through_the_journal(step)
    transaction = audit._transaction

    @contextmanager
    def stepped_transaction(database: object) -> Iterator[None]:
        with transaction(database):  # type: ignore[arg-type]
            yield
            step()

    audit._transaction, audit.MOST_SEGMENTS, audit.MERGED = stepped_transaction, 4, 3
    log = audit.SqliteAudit(folder / "audit.sqlite", folder / "journal")
    step.left = most
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(ENTRIES):
        log.add(Entry(0, "", "ann", "admin", "password", "pinned", f"new-{number}"))
        os.write(told, f"new-{number} ".encode())


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print(*let_die(root, root / "base", play))
