"""A disk that ends with its container: what was said, taken back and agreed to comes back from the journal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from backends.feedback import journal as journal_module
from backends.feedback import segments
from backends.feedback.build import build_feedback
from backends.feedback.hub import HubDatasetRepo
from core.dataset import ImagePreferenceRow
from core.errors import FeedbackError, NotSaved
from core.feedback import RowQuery
from tests.contract.outbox_rows import dump, ids, open_store, pictured, preference, provenance
from tests.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]
REPO = "alice/votes"


def texts(folder: Path) -> bytes:
    """Everything the journal says."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))


def saved_ids(store) -> set[str]:
    return {row.id for row in store.find(RowQuery(), 1000).rows}


def png(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def pictures(row_id: str, **about: object) -> ImagePreferenceRow:
    return ImagePreferenceRow(provenance(id=row_id, **about), "a red square", png("red"), png("blue"))


def test_a_new_disk_has_rows_pictures_changes_consents_and_names(tmp_path: Path) -> None:
    kept = tmp_path / "bucket"
    given = {"dataset": "", "token": None, "endpoint": "", "consent": "Votes are published.", "journal": kept}
    rater = "r-" + "a" * 16
    store = build_feedback(tmp_path / "disk", **given)
    store.agree(rater, store.consent.version)
    store.rename(rater, "Ann")
    store.save([preference("one", id="one", rater=rater), preference("two", id="two", rater=rater)])
    store.save([preference("three", id="three", rater=rater, supersedes="one")])
    store.save([pictures("drawn", rater=rater)], taking_back=["two"])
    store.save(list(pictured(png("green"), png("red"), id="seen", rater=rater)))
    store.close()

    again = build_feedback(tmp_path / "new-disk", **given)
    assert saved_ids(again) == {"three", "drawn", "seen", "seen-rated"}
    assert again.row("seen").columns["images"] == [png("green"), png("red")]
    assert again.agreed(rater) and again.name_of(rater) == "Ann"
    found = again.row("drawn").columns
    assert (found["chosen"], found["rejected"]) == (png("red"), png("blue"))
    # A click that was taken back does not come alive again, and one that is there is not there twice.
    with pytest.raises(NotSaved, match="taken back"):
        again.save([preference("two", id="two", rater=rater)])
    assert not again.save([preference("three", id="three", rater=rater)]).fresh
    again.close()


def test_killed_at_every_step_everything_that_was_told_is_there(tmp_path: Path) -> None:
    base = tmp_path / "base"
    store, delivery = open_store(base / "disk", journal=base / "journal")
    store.save([preference("old text", id="old")])
    delivery.send()
    store.close()
    command = [sys.executable, "-m", "tests.contract.journal_child", str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    killed, status = map(int, said.stdout.split())
    assert status == 0 and killed > 15, said.stderr

    stages = [{"old"}, {"old", "first"}, {"first"}, {"second"}, {"second"}]
    for number in range(killed + 1):
        folder = tmp_path / str(number)
        told = (folder / "told").read_text().split() if (folder / "told").exists() else []
        # The disk is gone with the container.
        again, delivery = open_store(folder / "new-disk", journal=folder / "journal")
        found = saved_ids(again)
        assert found in stages[len(told) : len(told) + 2], (number, told, found)
        if number % 8 == 0:
            delivery.send()
            assert set(ids(folder / "new-disk" / "dataset")) == found
            assert ("old" in found) == (b"old text" in texts(folder / "journal")), number
        again.close()


def test_a_folder_that_cannot_be_written_saves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = open_store(tmp_path / "disk", journal=tmp_path / "bucket")
    write_new = segments.write_new

    def fails(path: Path, content: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(segments, "write_new", fails)
    with pytest.raises(NotSaved, match="journal folder"):
        store.save([preference(id="lost")])
    assert saved_ids(store) == set()
    monkeypatch.setattr(segments, "write_new", write_new)
    assert store.save([preference(id="lost")]).fresh
    assert saved_ids(store) == {"lost"}
    store.close()


def test_a_commit_that_fails_leaves_nothing_in_the_journal(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path / "disk", journal=tmp_path / "bucket")
    store.save([preference("fine", id="fine")])
    with store._database.read() as db:
        db.execute("PRAGMA foreign_keys = ON")
    before = texts(tmp_path / "bucket")
    with pytest.raises(NotSaved), store._database.write() as db:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("INSERT INTO events (row, kind, at) VALUES (1, 'withdrawn', '2026-11-21T12:00:00+00:00')")
        # Found out at the commit only.
        db.execute("INSERT INTO placements (destination, row, state) VALUES (99, 99, 'waiting')")
    assert texts(tmp_path / "bucket") == before
    assert saved_ids(store) == {"fine"}
    store.close()


def test_what_is_taken_back_leaves_the_journal_too(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    store, delivery = open_store(tmp_path / "disk", journal=bucket)
    rater = "r-" + "b" * 16
    store.rename(rater, "Marguerite")
    store.save([preference("a secret", id="gone", rater=rater), preference("stays", id="stays")])
    store.save([pictures("drawn")])
    store.save(list(pictured(png("green"), id="seen")))
    assert b"a secret" in texts(bucket) and b"Marguerite" in texts(bucket) and b'"picture"' in texts(bucket)
    store.withdraw_all(f"Marguerite ({rater})")
    for row_id in ("drawn", "seen", "seen-rated"):
        store.withdraw(row_id)
    delivery.send()
    said = texts(bucket)
    assert b"a secret" not in said and b"Marguerite" not in said and b'"picture"' not in said
    assert b"stays" in said
    store.close()
    again, _ = open_store(tmp_path / "new-disk", journal=bucket)
    assert saved_ids(again) == {"stays"}
    again.close()


def test_rows_come_back_from_the_hub_and_what_was_taken_back_stays_gone(tmp_path: Path, hub: HubServer) -> None:
    def opened(disk: str):
        repo = HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url)
        return open_store(tmp_path / disk, repo, name=f"{hub.url}/datasets/{REPO}", journal=tmp_path / "bucket")

    store, delivery = opened("first")
    store.save([preference(id="pushed"), preference(id="unwanted")])
    delivery.send()
    store.save([preference(id="waiting")])
    store.close()

    store, delivery = opened("second")
    delivery.send()
    files = hub.files(REPO, "dataset")
    assert ids(dump(files, tmp_path / "read")) == ["pushed", "unwanted", "waiting"]
    store.close()

    # This disk knows the row from the dataset, not from the journal, and ends before the dataset is told.
    (tmp_path / "bucket" / "journal.json").rename(tmp_path / "journal.json")
    for path in (tmp_path / "bucket").iterdir():
        path.unlink()
    store, delivery = opened("third")
    delivery.send()
    assert b"unwanted" not in texts(tmp_path / "bucket")
    store.withdraw("unwanted")
    store.close()

    store, delivery = opened("fourth")
    delivery.send()
    assert ids(dump(hub.files(REPO, "dataset"), tmp_path / "read-again")) == ["pushed", "waiting"]
    assert saved_ids(store) == {"pushed", "waiting"}
    store.close()


def test_two_containers_that_overlap_send_nothing_twice(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(journal_module, "monotonic", lambda: clock[0])

    def opened(disk: str):
        repo = HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url)
        return open_store(tmp_path / disk, repo, name=f"{hub.url}/datasets/{REPO}", journal=tmp_path / "bucket")

    old, from_old = opened("old")
    old.save([preference(id="one")])
    new, from_new = opened("new")
    # A mounted bucket tells late: the older one does not know of the newer one yet.
    with monkeypatch.context() as late:
        late.setattr(segments.Segments, "other_runs", lambda self: ([], []))
        old.save([preference(id="two")])
        assert from_old.send() == "sent"
    assert from_new.send() == "busy"
    old.save([preference(id="three")])
    assert from_old.send() == "busy"
    old.close()
    clock[0] += journal_module.SETTLE_SECONDS
    new.save([preference(id="four")])
    assert from_new.send() == "sent"
    assert ids(dump(hub.files(REPO, "dataset"), tmp_path / "read")) == ["four", "one", "three", "two"]
    assert saved_ids(new) == {"one", "two", "three", "four"} and new.status().waiting == 0
    new.close()
    assert not list((tmp_path / "bucket").glob("*.run"))


def test_many_small_segments_become_one(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_SEGMENTS", 6)
    monkeypatch.setattr(journal_module, "MERGED", 5)
    repo = HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url)
    bucket = tmp_path / "bucket"
    store, delivery = open_store(tmp_path / "disk", repo, name=f"{hub.url}/datasets/{REPO}", journal=bucket)
    rater = "r-" + "c" * 16
    store.rename(rater, "Cleo")
    for number in range(5):
        store.save([preference(f"pushed {number}", id=f"p{number}")])
    delivery.send()
    before = len(list(bucket.glob("*.jsonl")))
    store.save([preference("waits", id="waits")])
    delivery.batches.database.tidy()
    assert len(list(bucket.glob("*.jsonl"))) < before
    # The dataset on the Hub has those; a name is nowhere else.
    assert b"pushed 3" not in texts(bucket) and b"waits" in texts(bucket)
    store.close()
    again, delivery = open_store(tmp_path / "new-disk", repo, name=f"{hub.url}/datasets/{REPO}", journal=bucket)
    assert saved_ids(again) >= {"waits"} and again.name_of(rater) == "Cleo"
    delivery.send()
    assert saved_ids(again) == {"waits", *(f"p{number}" for number in range(5))}
    assert len(ids(dump(hub.files(REPO, "dataset"), tmp_path / "read"))) == 6
    again.close()


def test_votes_from_before_the_journal_are_in_it_after_the_start(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path / "disk")
    store.save([preference(str(number), id=f"p{number}") for number in range(450)])
    store.withdraw("p7")
    store.close()
    store, _ = open_store(tmp_path / "disk", journal=tmp_path / "bucket")
    store.close()
    again, _ = open_store(tmp_path / "new-disk", journal=tmp_path / "bucket")
    assert saved_ids(again) == {f"p{number}" for number in range(450) if number != 7}
    again.close()


def test_a_folder_of_a_newer_version_and_one_that_is_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "journal.json").write_text('{"format": 2, "id": "x"}')
    with pytest.raises(FeedbackError, match="newer version"):
        open_store(tmp_path / "disk", journal=tmp_path / "newer")
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match="PROVING_JOURNAL"):
        open_store(tmp_path / "disk", journal=tmp_path / "file")
