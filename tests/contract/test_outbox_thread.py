"""The outbox's thread: unasked and soon, not too often, patient with failures, gone when told."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.feedback.account import Account
from backends.feedback.batches import Batches
from backends.feedback.build import build_feedback
from backends.feedback.database import Database, lock
from backends.feedback.delivery import Delivery
from backends.feedback.folder import FolderDatasetRepo
from backends.feedback.outbox import BUG, FOLDER, HUB, Outbox, Pace
from core.errors import DatasetRejected, HubUnreachable, RateLimited
from core.feedback_protocols import DatasetRepo, FeedbackStore
from tests.contract.outbox_rows import EVERY_RATE, TakesAll, ids, loaded_ids, open_store, preference
from tests.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]


class ScriptedRepo(TakesAll):
    """Takes what it is given, after raising what it was told to; keeps when."""

    name = "scripted"

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.commits: list[tuple[float, list[str]]] = []
        self.tries: list[float] = []

    def commit(self, adds, deletes, message, expects=(), numbers="") -> str:
        self.tries.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        self.commits.append((time.monotonic(), sorted(adds)))
        return super().commit(adds, deletes, message, expects)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def scripted(folder: Path, *errors: Exception, pace: Pace = EVERY_RATE):
    repo = ScriptedRepo(*errors)
    store, _ = open_store(folder, repo, pace=pace, start=True)
    return store, repo


def test_folder_gets_its_shard_within_ten_seconds_unasked(tmp_path: Path) -> None:
    store: FeedbackStore = build_feedback(tmp_path, dataset="", token=None, endpoint="http://127.0.0.1:9")
    started = time.monotonic()
    store.save([preference(id="p")])
    assert time.monotonic() - started < 1
    until(lambda: store.status().pushed == 1)
    assert time.monotonic() - started < 10
    assert loaded_ids(tmp_path / "dataset") == ["p"]
    store.close()


def test_built_for_the_hub_it_sends_and_names_the_account(tmp_path: Path, hub: HubServer) -> None:
    store = build_feedback(tmp_path, dataset="alice/votes", token="hf_alice", endpoint=hub.url)
    until(lambda: store.status().account)
    status = store.status()
    assert "alice" in (status.account or "") and status.warnings and status.dataset == "alice/votes"
    store.save([preference(id="p")])
    assert store.upload_now().pushed == 1
    assert store.status().last_commit == hub.head("alice/votes", "dataset")
    store.close()


def test_hub_token_that_expired_is_told_before_anything_waits(tmp_path: Path, hub: HubServer) -> None:
    hub.add_user("alice", "hf_old", expired=True)
    store = build_feedback(tmp_path, dataset="alice/votes", token="hf_old", endpoint=hub.url)
    # Told once: as a warning until the first attempt to send says the same as an error.
    until(lambda: store.status().last_error)
    assert "expired" in str(store.status().last_error) and store.status().account is None
    assert not any("expired" in warning for warning in store.status().warnings)
    store.close()


def test_votes_made_together_travel_together(tmp_path: Path) -> None:
    store, repo = scripted(tmp_path, pace=Pace(settle=0.3, retry_first=0.02))
    for _ in range(5):
        store.save([preference()])
    until(lambda: store.status().pushed == 5)
    assert len(repo.commits) == 1
    store.close()


def test_commits_keep_their_distance_unless_asked(tmp_path: Path) -> None:
    store, repo = scripted(tmp_path, pace=Pace(settle=0.01, between=0.8))
    store.save([preference()])
    until(lambda: repo.commits)
    store.save([preference()])
    until(lambda: len(repo.commits) == 2)
    assert repo.commits[1][0] - repo.commits[0][0] > 0.7
    store.save([preference()])
    started = time.monotonic()
    assert store.upload_now().waiting == 0
    assert time.monotonic() - started < 0.6 and len(repo.commits) == 3
    store.close()


def test_distance_is_kept_over_a_restart(tmp_path: Path) -> None:
    store, repo = scripted(tmp_path, pace=Pace(settle=0.01, between=1.0))
    store.save([preference()])
    until(lambda: repo.commits)
    first = repo.commits[0][0]
    again, other = scripted(tmp_path, pace=Pace(settle=0.01, between=1.0))
    again.save([preference()])
    until(lambda: other.commits)
    assert other.commits[0][0] - first > 0.8
    store.close()
    again.close()


def test_the_design_s_paces() -> None:
    assert FOLDER.settle + FOLDER.between < 10
    assert HUB.between == 60


def test_failures_are_tried_again_more_and_more_slowly(tmp_path: Path) -> None:
    errors = [HubUnreachable("Gone. The rows wait.")] * 4
    store, repo = scripted(tmp_path, *errors, pace=Pace(settle=0.01, retry_first=0.05, retry_most=0.4))
    store.save([preference()])
    until(lambda: store.status().last_error)
    assert store.status().waiting == 1
    until(lambda: store.status().pushed == 1)
    waits = [later - earlier for earlier, later in zip(repo.tries, repo.tries[1:], strict=False)]
    assert len(waits) == 4 and waits[3] > waits[0] and waits[3] < 1.5
    until(lambda: store.status().last_error is None)
    store.close()


def test_rate_limit_is_waited_out(tmp_path: Path) -> None:
    store, repo = scripted(tmp_path, RateLimited("Wait.", 0.5))
    store.save([preference()])
    until(lambda: repo.commits)
    assert repo.tries[1] - repo.tries[0] >= 0.5
    store.close()


def test_rejected_rows_wait_and_go_when_it_is_mended(tmp_path: Path) -> None:
    pace = Pace(settle=0.01, rejected_first=60)
    store, repo = scripted(tmp_path, DatasetRejected("No access. The rows wait."), pace=pace)
    store.save([preference()])
    until(lambda: store.status().last_error)
    assert store.status().waiting == 1 and not repo.commits
    assert store.upload_now().pushed == 1
    assert store.status().last_error is None
    store.close()


def test_a_bug_does_not_end_the_thread_and_does_not_quote_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bug = ZeroDivisionError("Illegal header value b'Bearer hf_secret'")
    store, repo = scripted(tmp_path, bug)
    with caplog.at_level(logging.DEBUG):
        store.save([preference()])
        until(lambda: store.status().pushed == 1)
    assert len(repo.tries) == 2
    assert "ZeroDivisionError at" in caplog.text and BUG in caplog.text and "hf_secret" not in caplog.text
    store.close()


def test_close_sends_what_waits(tmp_path: Path) -> None:
    store, repo = scripted(tmp_path, pace=Pace(settle=60))
    store.save([preference()])
    store.close()
    assert len(repo.commits) == 1


def test_close_does_not_wait_for_ever(tmp_path: Path) -> None:
    held = threading.Event()

    class Hanging(ScriptedRepo):
        def commit(self, adds, deletes, message, expects=(), numbers=""):
            held.wait(30)
            return super().commit(adds, deletes, message)

    batches = Batches(Database(tmp_path / "feedback.sqlite"), "x")
    outbox = Outbox(Delivery(batches, Hanging(), tmp_path / "outbox"), EVERY_RATE)
    store, _ = open_store(tmp_path, name="x")
    outbox.start()
    store.save([preference()])
    outbox.wake()
    started = time.monotonic()
    outbox.close(0.2)
    assert time.monotonic() - started < 2
    held.set()


def test_account_is_asked_again_after_the_hub_was_away(tmp_path: Path) -> None:
    answers = [HubUnreachable("Gone."), Account("account alice")]

    def ask() -> Account:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    batches = Batches(Database(tmp_path / "feedback.sqlite"), "x")
    pace = Pace(settle=0.01, retry_most=0.1)
    outbox = Outbox(Delivery(batches, ScriptedRepo(), tmp_path / "outbox"), pace, ask)
    outbox.start()
    until(lambda: outbox.account)
    assert outbox.account == Account("account alice")
    outbox.close(1)


def test_rows_of_a_process_that_died_are_sent_by_the_one_that_lives(tmp_path: Path) -> None:
    pace = Pace(settle=0.01, idle=0.1)
    living, repo = scripted(tmp_path, pace=pace)
    dead, _ = open_store(tmp_path)
    dead.save([preference()])
    until(lambda: repo.commits)
    living.close()


def test_while_another_process_sends_this_one_waits(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    store.save([preference(id="p")])
    (tmp_path / "outbox").mkdir()
    with lock(tmp_path / "outbox" / "lock.sqlite"):
        assert delivery.send() == "busy"
    assert delivery.send() == "sent"
    assert ids(tmp_path / "dataset") == ["p"]


SENDER = """
import sys
from pathlib import Path
from tests.contract.outbox_rows import open_store, preference
store, delivery = open_store(Path(sys.argv[1]), start=True)
for n in range(15):
    store.save([preference(id=f"{sys.argv[2]}-{n}")])
    if n % 5 == 4:
        store.withdraw(f"{sys.argv[2]}-{n - 2}")
    if n % 4 == 3:
        store.upload_now()
store.upload_now()
store.close()
"""


def test_two_processes_send_from_one_data_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SENDER, str(tmp_path)]
    children = [
        subprocess.Popen([*command, name], cwd=ROOT, stderr=subprocess.PIPE, text=True) for name in ("one", "two")
    ]
    assert [child.communicate(timeout=60)[1] for child in children] == ["", ""]
    store, delivery = open_store(tmp_path)
    delivery.send()
    expected = sorted(f"{name}-{n}" for name in ("one", "two") for n in range(15) if n % 5 != 2)
    assert loaded_ids(tmp_path / "dataset") == expected
    assert store.status().pushed == len(expected) == 24


def test_destinations_are_kept_apart(tmp_path: Path) -> None:
    """Votes collected into the folder go to the Hub too once it is set, and back again nothing is doubled."""
    first, delivery = open_store(tmp_path)
    first.save([preference(id="a"), preference(id="b")])
    first.withdraw("b")
    delivery.send()
    repo: DatasetRepo = FolderDatasetRepo(tmp_path / "hub")
    second, sending = open_store(tmp_path, repo, name="hub")
    assert second.status().waiting == 1
    sending.send()
    assert ids(tmp_path / "hub") == ["a"]
    second.withdraw("a")
    third, delivery = open_store(tmp_path)
    third.save([preference(id="c")])
    delivery.send()
    assert ids(tmp_path / "dataset") == ["c"]


def test_folder_that_cannot_be_written_is_a_sentence_and_rows_wait(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    store.save([preference(id="p")])
    (tmp_path / "dataset").write_text("a file is in the way")
    with pytest.raises(DatasetRejected, match="rows wait"):
        delivery.send()
    (tmp_path / "dataset").unlink()
    delivery.send()
    assert ids(tmp_path / "dataset") == ["p"]


def test_folder_commit_again_changes_nothing(tmp_path: Path) -> None:
    repo = FolderDatasetRepo(tmp_path)
    adds = {"data/preferences/a.parquet": b"PAR1"}
    first = repo.commit(adds, {}, "add")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    assert repo.commit(adds, {}, "add") == first and len(first) == 40
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()} == before
    assert FolderDatasetRepo(tmp_path).commit({}, {}, "look") == first
    with pytest.raises(DatasetRejected, match="other content"):
        repo.commit({"data/preferences/a.parquet": b"PAR2"}, {}, "add")
