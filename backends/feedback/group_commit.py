"""Group commit: changes asked for at the same time share one transaction and one write to the disk, in the order they came."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from core.errors import NotSaved

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
# So that the first of a crowd does not wait for the last one's rows.
MOST_TOGETHER = 64


class _Ticket:
    """One change in the queue. `turn` is set when it is done, or when its caller has to do the next batch."""

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        self.turn = threading.Event()
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class GroupCommit:
    """Runs changes in transactions that `transaction` opens.

    There is no thread of its own: the first caller in the queue does a batch, everybody else's jobs included, and hands
    the next batch to the first one still waiting. Nobody returns before the commit that holds their change.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._transaction = transaction
        self._mutex = threading.Lock()
        self._queue: list[_Ticket] = []
        self._led = False

    def run(self, job: Job[T]) -> T:
        """The job's result, once it is on disk; raises what the job raised, or `NotSaved`. A failed job changes nothing."""
        ticket = _Ticket(job)
        with self._mutex:
            self._queue.append(ticket)
            lead, self._led = not self._led, True
        if not lead:
            ticket.turn.wait()
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        result: T = ticket.result
        return result

    def _lead(self) -> None:
        with self._mutex:
            batch = self._queue[:MOST_TOGETHER]
            del self._queue[:MOST_TOGETHER]
        try:
            with self._transaction() as db:
                for ticket in batch:
                    _attempt(db, ticket)
        except BaseException as error:  # noqa: BLE001  (everybody who waits is told, whatever it was)
            for number, ticket in enumerate(batch):
                # One exception object must not be raised in several threads: each gets a traceback of its own.
                ticket.error = error if number == 0 else NotSaved(_sentence(error))
        finally:
            with self._mutex:
                following = self._queue[0] if self._queue else None
                self._led = following is not None
            for ticket in batch:
                ticket.done = True
                ticket.turn.set()
            if following is not None:
                following.turn.set()


def _attempt(db: sqlite3.Connection, ticket: _Ticket) -> None:
    """Run one job; when it fails only its own changes are undone, unless SQLite gave up the whole transaction."""
    db.execute("SAVEPOINT job")
    try:
        ticket.result = ticket.job(db)
    except Exception as error:
        if not db.in_transaction or isinstance(error, sqlite3.Error):
            raise
        db.execute("ROLLBACK TO job")
        ticket.error = error
    db.execute("RELEASE job")


def _sentence(error: BaseException) -> str:
    if isinstance(error, NotSaved):
        return str(error)
    return "Not saved. The change before it failed. Try again; what you entered is still on the screen."
