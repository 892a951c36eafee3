"""The operator's regular expressions held against texts in a process of its own, which can be ended: `re` cannot.

Python's `re` holds the interpreter's lock until it is done, and some expressions take longer than a life on some texts:
in this process one prompt would stop the page for everybody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import IO

from core.errors import BackendError
from core.prompt_filter import Matches

WORKER = Path(__file__).with_name("expressions_worker.py")
SECONDS = 2.0
log = logging.getLogger(__name__)


class Expressions:
    """Implements `core.prompt_filter.Matcher`. The process begins with the first text and is kept for the next ones."""

    def __init__(self, expressions: Sequence[str], seconds: float = SECONDS) -> None:
        """`seconds` is how long all of them together may take for one text."""
        self._expressions, self.seconds = tuple(expressions), seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def matches(self, text: str) -> Matches:
        """Which expressions occur in `text`, by their places; the one that was at work when the time was over.

        Raises `BackendError` when there can be no such process.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._end()
            try:
                found = self._asked(text)
            except OSError as error:
                self._end()
                raise BackendError(
                    f"The operator's filter cannot be run now ({type(error).__name__}), so nothing was checked. Try again."
                ) from error
        if found.unfinished is not None:
            log.warning(
                "the filter's expression %s took longer than %.0f s on %s characters; make it simpler",
                self._expressions[found.unfinished], self.seconds, f"{len(text):,}",
            )  # fmt: skip
        return found

    def close(self) -> None:
        """End the process; another text begins a new one."""
        with self._lock:
            self._end()

    def _asked(self, text: str) -> Matches:
        process = self._process or self._begun()
        _put(process, text)
        said = b""
        ends = monotonic() + self.seconds
        while len(said) < len(self._expressions):
            try:
                came = self._said.get(timeout=max(0.0, ends - monotonic()))
            except queue.Empty:
                came = b""
            if not came:
                # The time is over, or the process ended by itself: it had no more memory.
                self._end()
                return Matches(_found(said), len(said))
            said += came
        return Matches(_found(said), None)

    def _begun(self) -> subprocess.Popen[bytes]:
        # -I: no folder of ours on the path; env: nothing of this process is handed over.
        process = subprocess.Popen(  # noqa: S603  (our own script with our own interpreter; expressions are data on stdin)
            [sys.executable, "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
        )
        assert process.stdout is not None
        self._process, self._said = process, queue.SimpleQueue()
        # A thread, because not every system can wait for a pipe with an end to its patience.
        reading = (process.stdout, self._said)
        threading.Thread(target=_read, args=reading, name="expressions", daemon=True).start()
        _put(process, "\0".join(self._expressions))
        # Until it is ready, no text's time runs: on a busy machine a start takes longer than a check.
        if self._said.get() != b".":
            raise OSError("the process did not begin")
        return process

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        if process.stdin is not None:
            # What it was not told any more is of no use to anybody.
            with contextlib.suppress(OSError):
                process.stdin.close()


def _read(pipe: IO[bytes], into: queue.SimpleQueue[bytes]) -> None:
    """Hand on what the process says until it ends; the last thing is nothing."""
    # Closed here alone: elsewhere its number could be another file's by the time this reads.
    with pipe:
        while came := os.read(pipe.fileno(), 65_536):
            into.put(came)
    into.put(b"")


def _put(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    data = text.encode("utf-8", "surrogatepass")
    process.stdin.write(struct.pack(">I", len(data)) + data)
    process.stdin.flush()


def _found(said: bytes) -> tuple[int, ...]:
    return tuple(place for place, one in enumerate(said) if one == ord("1"))
