"""The thread that sends: soon after something waits, not too often, again and again while it fails."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from backends.feedback.account import Account
from backends.feedback.delivery import Delivery
from backends.feedback.errors import NotApproved
from core.errors import AppError, DatasetRejected, HubError, RateLimited

log = logging.getLogger(__name__)
BUG = "Sending failed in a way nobody foresaw; the log says more. The rows wait on this machine and are tried again."
BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: `settle` from the first waiting row to its commit, `between` two commits, waits after failures.

    `idle` is how often an idle outbox looks for rows that another process saved and did not live to send.
    """

    settle: float = 2.0
    between: float = 0.0
    retry_first: float = 2.0
    retry_most: float = 300.0
    rejected_first: float = 60.0
    idle: float = 30.0


# With `settle` still within ten seconds of a vote, and a rest for whoever votes meanwhile.
FOLDER = Pace(between=5.0)
HUB = Pace(between=60.0)


class Outbox:
    """Runs a `Delivery` in a thread of its own. `account` asks the Hub whose token it is; None for a folder."""

    def __init__(self, delivery: Delivery, pace: Pace, account: Callable[[], Account] | None = None) -> None:
        self._delivery, self._pace, self._ask_account = delivery, pace, account
        self._changed = threading.Condition()
        self._due: float | None = None
        self._not_before = 0.0
        self._failures = 0
        self._asked = self._served = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self._account: Account | None = None
        self._account_known = account is None
        self.last_error: str | None = None
        self.needs_approval = False

    @property
    def account(self) -> Account | None:
        """What is known of the account so far; None for a folder and before the Hub was asked."""
        return self._account

    def start(self) -> None:
        """Begin; what an earlier run left is sent first."""
        # A daemon: an upload that hangs must not keep the process from ending, the next start finishes it.
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something waits."""
        with self._changed:
            if self._due is None:
                self._due = max(monotonic() + self._pace.settle, self._not_before)
                self._changed.notify_all()

    def send_now(self, timeout: float) -> bool:
        """Try now, whatever the pace says, and wait for the outcome; False when it takes longer than `timeout`."""
        with self._changed:
            if self._thread is None or self._closing:
                return False
            self._asked += 1
            ticket = self._asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._served >= ticket or self._closing, timeout)

    def close(self, timeout: float) -> None:
        """Try once more, then stop; return after `timeout` in any case."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        self._after_restart()
        while True:
            ticket, closing = self._wait()
            self._attempt(closing)
            with self._changed:
                self._served = max(self._served, ticket)
                self._changed.notify_all()
            if closing:
                return

    def _wait(self) -> tuple[int, bool]:
        """Sleep until it is time; returns the newest request this attempt answers and whether it is the last one."""
        with self._changed:
            while not self._closing and self._asked == self._served:
                now = monotonic()
                if self._due is None:
                    self._changed.wait(self._pace.idle)
                    if self._due is None and self._waits():
                        self._due = now
                elif (due := max(self._due, self._not_before)) > now:
                    self._changed.wait(due - now)
                else:
                    break
            self._due = None
            return self._asked, self._closing

    def _attempt(self, closing: bool) -> None:
        try:
            if not closing:
                self._learn_account()
            outcome = self._delivery.send()
        except AppError as error:
            self._failed(str(error), error)
            return
        except Exception as error:  # noqa: BLE001  (this thread is the only way out for the rows: it has to go on)
            # Only where it happened: library texts can quote headers, and with them the token.
            log.error("outbox: %s at %s", type(error).__name__, _place(error))
            self._failed(BUG, error)
            return
        if outcome != "busy":
            self._remember(None)
        with self._changed:
            self._failures = 0
            if outcome != "busy":
                self.last_error, self.needs_approval = None, False
            if outcome == "sent":
                self._not_before = monotonic() + self._pace.between
            if self._due is None and self._waits():
                self._due = monotonic() + BUSY_SECONDS
            if self._due is None and not self._account_known:
                self._due = monotonic() + self._pace.retry_most

    def _failed(self, sentence: str, error: Exception) -> None:
        if isinstance(error, DatasetRejected):
            # The token may have been changed or revoked.
            self._account_known = self._ask_account is None
        if sentence != self.last_error:
            log.warning("outbox: %s", sentence)
        self._remember(sentence)
        with self._changed:
            self.last_error, self.needs_approval = sentence, isinstance(error, NotApproved)
            first = self._pace.rejected_first if isinstance(error, DatasetRejected) else self._pace.retry_first
            wait = min(self._pace.retry_most, first * 2.0 ** min(self._failures, 30)) * random.uniform(0.5, 1.0)
            if isinstance(error, RateLimited):
                wait = max(wait, error.retry_after or 0.0)
            self._failures += 1
            self._not_before = self._due = monotonic() + wait

    def _learn_account(self) -> None:
        if self._account_known or self._ask_account is None:
            return
        try:
            self._account = self._ask_account()
            self._account_known = True
        except DatasetRejected as error:
            self._account = Account("", (str(error),))
        except HubError as error:
            # The Hub limits this question more strictly than commits; what waits need not wait for the answer.
            log.info("outbox: the account is not known yet: %s", error)

    def _after_restart(self) -> None:
        with self._changed:
            if not self._account_known:
                self._due = monotonic()
            elif self._waits():
                self._due = monotonic() + self._pace.settle
        try:
            _, committed = self._delivery.batches.last_commit()
            self.last_error = self._delivery.batches.error()
        except AppError as error:
            log.warning("outbox: %s", error)
            return
        # By the wall clock, which may have been set back since: then nothing is known.
        age = time.time() - committed if committed is not None else -1.0
        if 0 <= age < self._pace.between:
            self._not_before = monotonic() + self._pace.between - age

    def _remember(self, sentence: str | None) -> None:
        try:
            self._delivery.batches.failed(sentence)
        except AppError as error:
            log.warning("outbox: %s", error)

    def _waits(self) -> bool:
        try:
            return self._delivery.pending()
        except AppError as error:
            log.warning("outbox: %s", error)
            return True


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
