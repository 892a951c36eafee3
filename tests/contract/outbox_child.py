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
from tests.contract.dying_copies import Countdown, let_die
from tests.contract.outbox_rows import comparison, open_store, preference

OLD = [f"old-{n}" for n in range(3)]
# The same in every copy, so that equal rows are equal bytes.
MOMENT = "2026-11-21T12:00:00+00:00"


class Steps(Countdown):
    """A countdown whose steps stand around functions."""

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self()
            result = function(*args, **kwargs)
            self()
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
        steps()
        with write(self) as db:
            yield db
            steps()
        steps()

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
    steps.left = -1


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

    def one(folder: Path, number: int) -> None:
        play(folder, given["scenario"], given["hub"], steps, number)

    number, status = let_die(Path(given["root"]), Path(given["base"]), one, given["most"])
    return {"killed": number, "exit": status}


def main() -> None:
    # Reading the certificates takes a third of a copy's time; there are none to check on loopback.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    steps = Steps()
    arm(steps)
    for line in sys.stdin:
        print(json.dumps(killed(json.loads(line), steps)), flush=True)


if __name__ == "__main__":
    main()
