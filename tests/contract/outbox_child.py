"""A process whose copies die at a chosen step between a vote and its commit; run by test_outbox_killed.py.

Each line it reads is a JSON object with `root`, `base` (what every copy starts from), `scenario`, `hub` (null, or url and
token) and `most`. For n = 0, 1, 2 … a forked copy plays the scenario in `root/n` and is killed with SIGKILL at its n-th
step; a step is just before and just after everything that changes a disk, the database or the Hub. It answers with a line
that says how many copies were killed; the next one ran to its end.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets  # noqa: F401  (imported once, before the forks)
import httpx2
import pyarrow.parquet  # noqa: F401

from backends.feedback import database, durable
from backends.feedback.hub import HubDatasetRepo
from tests.contract.outbox_rows import comparison, open_store, preference

OLD = [f"old-{n}" for n in range(3)]
# The same in every copy, so that equal rows are equal bytes.
MOMENT = "2026-11-21T12:00:00+00:00"


class Steps:
    """Counts steps and dies at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = function(*args, **kwargs)
            self.step()
            return result

        return stepped


def arm(steps: Steps) -> None:
    """Make every lasting effect of the product a step."""
    durable.rename = steps.around(durable.rename)
    durable.remove = steps.around(durable.remove)
    Path.unlink = steps.around(Path.unlink)
    httpx2.Client.send = steps.around(httpx2.Client.send)
    write = database.Database.write

    def stepped_write(self: database.Database):
        steps.step()
        with write(self) as db:
            yield db
            steps.step()
        steps.step()

    from contextlib import contextmanager

    database.Database.write = contextmanager(stepped_write)


def begin(folder: Path, hub: dict[str, str] | None, repo_id: str) -> None:
    """A store of which three rows are in the dataset: what every copy starts from."""
    repo = HubDatasetRepo(repo_id, token=hub["token"], endpoint=hub["url"]) if hub else None
    store, delivery = open_store(folder, repo)
    store.save([preference(id=row_id, created_at=MOMENT) for row_id in OLD])
    delivery.send()
    store.close()


def play(folder: Path, scenario: str, hub: dict[str, str] | None, steps: Steps, number: int) -> None:
    """The scenario, in which the process may die."""
    repo = HubDatasetRepo(f"alice/votes-{number}", token=hub["token"], endpoint=hub["url"]) if hub else None
    store, delivery = open_store(folder, repo)
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    steps.left = number
    if scenario == "vote":
        store.save(
            [comparison(id="new-comparison", created_at=MOMENT), preference(id="new-preference", created_at=MOMENT)]
        )
        os.write(told, b"saved\n")
    if scenario in ("withdraw", "change"):
        store.withdraw(OLD[0])
        os.write(told, b"withdrawn\n")
    if scenario == "change":
        store.save([preference(id="new-preference", created_at=MOMENT, supersedes=OLD[1])])
        os.write(told, b"saved\n")
    delivery.send()
    if scenario == "change":
        store.withdraw(OLD[2])
        store.withdraw("new-preference")
        os.write(told, b"emptied\n")
        delivery.send()
    steps.left = None


def warm_up(folder: Path, given: dict[str, Any]) -> None:
    """Play it once to its end, so that no copy has to import or set up anything: that was nine tenths of its time."""
    from huggingface_hub import close_session

    shutil.copytree(given["base"], folder)
    play(folder, given["scenario"], given["hub"], Steps(), given["most"] - 1)
    # Two copies must not talk over one connection.
    close_session()


def killed(given: dict[str, Any], steps: Steps) -> dict[str, int | None]:
    """Let one copy after the other die."""
    warm_up(Path(given["root"]) / "warm", given)
    for number in range(given["most"]):
        folder = Path(given["root"]) / str(number)
        shutil.copytree(given["base"], folder)
        child = os.fork()
        if child == 0:
            try:
                play(folder, given["scenario"], given["hub"], steps, number)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            return {"killed": number, "exit": os.waitstatus_to_exitcode(status)}
    return {"killed": given["most"], "exit": None}


def main() -> None:
    # Reading the certificates takes a third of a copy's time; there are none to check on loopback.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    steps = Steps()
    arm(steps)
    for line in sys.stdin:
        print(json.dumps(killed(json.loads(line), steps)), flush=True)


if __name__ == "__main__":
    main()
