"""The audit log of a disk that ends with its container: who did what comes back from the journal, each entry once."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backends.accounts import audit
from backends.accounts.audit import SqliteAudit
from backends.feedback import segments
from core.audit import Entry
from core.errors import FeedbackError
from tests.contract.audit_child import ENTRIES

ROOT = Path(__file__).resolve().parents[2]


def entry(detail: str, who: str = "ann") -> Entry:
    return Entry(0, "", who, "admin", "password", "exported", detail, "done")


def details(log: SqliteAudit) -> list[str]:
    """What stands there, the oldest first."""
    return [one.detail for one in reversed(log.newest(10_000))]


def test_a_new_disk_has_the_log_of_the_one_before(tmp_path: Path) -> None:
    kept = tmp_path / "bucket"
    log = SqliteAudit(tmp_path / "old.sqlite", kept)
    for number in range(3):
        log.add(entry(f"org/model{number}"))
    said = log.newest()
    log.close()
    again = SqliteAudit(tmp_path / "new.sqlite", kept)
    assert [(one.at, one.who, one.detail) for one in again.newest()] == [(one.at, one.who, one.detail) for one in said]
    again.add(entry("after"))
    assert details(again) == ["org/model0", "org/model1", "org/model2", "after"]
    # It grows there too, and in no other way.
    with sqlite3.connect(tmp_path / "new.sqlite") as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute("DELETE FROM audit")
    other.close()
    again.close()


def test_killed_at_every_step_everything_that_was_told_is_there_once(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    log = SqliteAudit(base / "audit.sqlite", base / "journal")
    log.add(entry("old"))
    log.close()
    command = [sys.executable, "-m", "tests.contract.audit_child", str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    killed, status = map(int, said.stdout.split())
    assert status == 0 and killed > 25, said.stderr

    for number in range(killed + 1):
        folder = tmp_path / str(number)
        told = (folder / "told").read_text().split() if (folder / "told").exists() else []
        if number == killed:
            assert len(told) == ENTRIES
        # The disk may be gone with the container, or be there as the process left it.
        for disk in ("gone.sqlite", "audit.sqlite"):
            kept = shutil.copytree(folder / "journal", folder / f"journal of {disk}")
            again = SqliteAudit(folder / disk, kept)
            found = details(again)
            expected = ["old", *told, f"new-{len(told)}"][: len(found)]
            assert found == expected and len(found) >= 1 + len(told), (number, disk, told, found)
            again.add(entry("next"))
            assert details(again) == [*found, "next"]
            again.close()


def test_a_log_from_before_the_journal_is_in_it_after_the_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with sqlite3.connect(path) as database:
        # As it was made before entries had an id of their own.
        database.executescript(audit.SCHEMA)
        database.executescript(
            "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'no'); END;"
        )
        for number in range(3):
            database.execute(
                "INSERT INTO audit (at, who, role, how, action, detail, outcome) VALUES ('2026-11-01', 'ann', 'admin', '', 'pinned', ?, 'done')",
                (f"before-{number}",),
            )
    database.close()
    log = SqliteAudit(path)
    assert details(log) == ["before-0", "before-1", "before-2"]
    log.close()
    log = SqliteAudit(path, tmp_path / "bucket")
    log.add(entry("now"))
    log.close()
    again = SqliteAudit(tmp_path / "new.sqlite", tmp_path / "bucket")
    assert details(again) == ["before-0", "before-1", "before-2", "now"]
    again.close()


def test_what_the_journal_did_not_take_is_said_and_taken_with_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = SqliteAudit(tmp_path / "audit.sqlite", tmp_path / "bucket")
    write_new = segments.write_new

    def fails(path: Path, content: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(segments, "write_new", fails)
    with caplog.at_level(logging.ERROR):
        log.add(entry("kept here"))
    assert "on this disk but not in the journal" in caplog.text
    assert details(log) == ["kept here"]
    monkeypatch.setattr(segments, "write_new", write_new)
    log.add(entry("both"))
    log.close()
    again = SqliteAudit(tmp_path / "new.sqlite", tmp_path / "bucket")
    assert details(again) == ["kept here", "both"]
    again.close()


def test_many_small_segments_become_one_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_SEGMENTS", 6)
    monkeypatch.setattr(audit, "MERGED", 5)
    log = SqliteAudit(tmp_path / "audit.sqlite", tmp_path / "bucket")
    for number in range(20):
        log.add(entry(str(number)))
    assert len(list((tmp_path / "bucket" / "audit").glob("*.jsonl"))) <= 7
    log.close()
    again = SqliteAudit(tmp_path / "new.sqlite", tmp_path / "bucket")
    assert details(again) == [str(number) for number in range(20)]
    again.close()


def test_two_containers_that_overlap_keep_what_both_wrote(tmp_path: Path) -> None:
    old = SqliteAudit(tmp_path / "old.sqlite", tmp_path / "bucket")
    old.add(entry("one"))
    new = SqliteAudit(tmp_path / "new.sqlite", tmp_path / "bucket")
    old.add(entry("two"))
    new.add(entry("three"))
    old.close()
    new.close()
    third = SqliteAudit(tmp_path / "third.sqlite", tmp_path / "bucket")
    assert sorted(details(third)) == ["one", "three", "two"]
    third.close()


def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match="PROVING_JOURNAL"):
        SqliteAudit(tmp_path / "audit.sqlite", tmp_path / "file")
