"""Forked copies of a process that die one after the other, each at another step of what they do."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path

from backends.feedback import segments


class Countdown:
    """Called at each step, it kills the process with SIGKILL at step `left`; a negative number never comes to that."""

    left = -1

    def __call__(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def step_through_the_journal(step: Countdown) -> None:
    """Make `step` stand before, within and after each change of the journal, in this process for good."""
    write_new, remove = segments.write_new, segments.Segments.remove

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

    segments.write_new, segments.Segments.remove = stepped_write_new, stepped_remove


def let_die(
    root: Path, base: Path, play: Callable[[Path, int], None], most: int | None = None
) -> tuple[int, int | None]:
    """Let copy n play in `root/n`, which begins as `base`, and die at step n; `most` copies, or until one comes through.

    Returns how many were killed, and the exit status of the one that was not; None when all were.
    """
    for number in count() if most is None else range(most):
        folder = root / str(number)
        shutil.copytree(base, folder)
        child = os.fork()
        if child == 0:
            try:
                play(folder, number)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)
        if ended != -signal.SIGKILL:
            return number, ended
    assert most is not None
    return most, None
