"""What the operator decides or does: a public dataset, fewer files, backups, consent, the disk of a Space."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from backends.feedback import __main__ as shell
from backends.feedback import build, compaction
from backends.feedback.build import at_risk, build_feedback, is_ephemeral, read_consent
from backends.feedback.delivery import Delivery
from backends.feedback.errors import NotApproved
from backends.feedback.hub import HubDatasetRepo
from backends.feedback.store import SqliteFeedbackStore
from core.errors import DatasetRejected, FeedbackError, UserInputError
from core.settings import Settings
from tests.contract.outbox_rows import dump, ids, loaded_ids, open_store, preference, rating
from tests.hub_server import DropAfterCommit, HubServer
from tests.hub_server.client import COMMIT
from tests.serving import wait_until

ROOT = Path(__file__).resolve().parents[2]
REPO = "alice/votes"


def pushed(hub: HubServer, config: str = "preferences") -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return ids(dump(hub.files(REPO, "dataset"), Path(folder)), config)


def shards(hub: HubServer, config: str = "preferences") -> list[str]:
    return [path for path in hub.files(REPO, "dataset") if path.startswith(f"data/{config}/")]


class TestPublic:
    def test_a_public_dataset_is_refused_without_the_setting(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_dataset(REPO, private=False)
        store = build_feedback(tmp_path, dataset=REPO, token="hf_alice", endpoint=hub.url)
        store.save([preference()])
        status = store.upload_now()
        assert "PROVING_DATASET_PUBLIC" in (status.last_error or "") and not status.needs_approval
        assert status.waiting == 1 and shards(hub) == []
        store.close()

    def test_with_it_somebody_looks_at_the_first_rows_before_they_leave(self, tmp_path: Path, hub: HubServer) -> None:
        hub.add_dataset(REPO, private=False)
        store = build_feedback(tmp_path, dataset=REPO, token="hf_alice", endpoint=hub.url, public=True)
        store.save([preference(id="a")])
        store.save([preference(id="b")])
        status = store.upload_now()
        assert status.needs_approval and "Publish" in (status.last_error or "") and shards(hub) == []
        assert [row.id for row in store.leaving()] == ["a", "b"]
        status = store.approve()
        assert not status.needs_approval and status.last_error is None and status.waiting == 0
        assert pushed(hub) == ["a", "b"] and list(store.leaving()) == []
        store.save([preference(id="c")])
        assert store.upload_now().pushed == 3
        store.close()
        again = build_feedback(tmp_path, dataset=REPO, token="hf_alice", endpoint=hub.url, public=True)
        again.save([preference(id="d")])
        assert again.upload_now().pushed == 4
        again.close()

    def test_a_missing_dataset_is_made_private_whatever_the_setting(self, tmp_path: Path, hub: HubServer) -> None:
        repo = HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url, may_publish=lambda: False)
        store, delivery = open_store(tmp_path, repo)
        store.save([preference()])
        assert delivery.send() == "sent"
        assert hub.sent("POST /api/repos/create")[0].json()["visibility"] == "private"

    def test_the_refusal_is_an_error_of_the_dataset(self) -> None:
        assert isinstance(NotApproved(REPO), DatasetRejected)


class TestCompaction:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compaction, "MOST_SHARDS", 3)
        monkeypatch.setattr(compaction, "MOST_FOLDER_SHARDS", 3)

    def on_hub(self, folder: Path, hub: HubServer) -> tuple[SqliteFeedbackStore, Delivery]:
        store, delivery = open_store(folder, HubDatasetRepo(REPO, token="hf_alice", endpoint=hub.url), name="hub")
        delivery.batches._many_at_once = True
        return store, delivery

    def test_many_shards_become_one_in_one_commit(self, tmp_path: Path, hub: HubServer) -> None:
        store, delivery = self.on_hub(tmp_path, hub)
        for number in range(4):
            store.save([preference(id=f"p{number}"), *([rating(id="r")] if number == 1 else [])])
            delivery.send()
        store.withdraw("p2")
        commits = len(hub.history(REPO, "dataset"))
        store.save([preference(id="p4")])
        delivery.send()
        assert len(hub.history(REPO, "dataset")) == commits + 1
        assert pushed(hub) == ["p0", "p1", "p3", "p4"] and pushed(hub, "ratings") == ["r"]
        # p2's shard is rewritten away, three are left of the four and are not many any more.
        assert len(shards(hub)) == 4
        store.save([preference(id="p5")])
        delivery.send()
        assert len(shards(hub)) == 2 and pushed(hub) == ["p0", "p1", "p3", "p4", "p5"]
        assert store.status().pushed == 6 and store.status().waiting == 0

    def test_a_lost_reply_of_the_merging_commit_doubles_nothing(self, tmp_path: Path, hub: HubServer) -> None:
        store, delivery = self.on_hub(tmp_path, hub)
        for number in range(4):
            store.save([preference(id=f"p{number}")])
            delivery.send()
        hub.fail_next(COMMIT, DropAfterCommit())
        store.save([preference(id="p4")])
        with pytest.raises(Exception, match="rows wait"):
            delivery.send()
        store.withdraw("p1")
        delivery.send()
        assert pushed(hub) == ["p0", "p2", "p3", "p4"]
        assert delivery.send() == "nothing"

    def test_a_folder_does_not_grow_a_file_for_every_vote(self, tmp_path: Path) -> None:
        store, delivery = open_store(tmp_path)
        for number in range(12):
            store.save([preference(id=f"p{number:02}")])
            delivery.send()
            assert ids(tmp_path / "dataset") == [f"p{n:02}" for n in range(number + 1)]
        assert len(list((tmp_path / "dataset").glob("data/preferences/*.parquet"))) == 4
        store.withdraw("p05")
        delivery.send()
        assert loaded_ids(tmp_path / "dataset") == [f"p{n:02}" for n in range(12) if n != 5]


class TestBackup:
    def test_a_copy_of_one_moment_while_others_write(self, tmp_path: Path) -> None:
        store, _ = open_store(tmp_path / "data")
        store.save([preference(id="first")])
        stop, saved = threading.Event(), []

        def write() -> None:
            while not stop.is_set():
                saved.append(store.save([preference()]).ids[0])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: len(saved) > 5, 60, "nothing was written")
            rows = shell.backup(tmp_path / "data" / "feedback.sqlite", tmp_path / "copy.sqlite")
        finally:
            stop.set()
            writer.join()
        assert (tmp_path / "copy.sqlite").stat().st_mode & 0o077 == 0
        with sqlite3.connect(tmp_path / "copy.sqlite") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            found = [one for (one,) in db.execute("SELECT id FROM rows ORDER BY seq")]
        assert len(found) == rows and found == ["first", *saved][:rows] and rows > 5
        (tmp_path / "restored").mkdir()
        (tmp_path / "copy.sqlite").rename(tmp_path / "restored" / "feedback.sqlite")
        assert open_store(tmp_path / "restored")[0].status().saved == rows

    def test_what_cannot_be_done_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(UserInputError, match="--data"):
            shell.backup(tmp_path / "feedback.sqlite", tmp_path / "copy")
        open_store(tmp_path)[0].close()
        (tmp_path / "copy").write_text("mine")
        with pytest.raises(UserInputError, match="there already"):
            shell.backup(tmp_path / "feedback.sqlite", tmp_path / "copy")
        with pytest.raises(FeedbackError, match="failed"):
            shell.backup(tmp_path / "feedback.sqlite", tmp_path / "copy" / "below")
        assert (tmp_path / "copy").read_text() == "mine" and not list(tmp_path.glob("*.part"))

    def test_from_a_shell(self, tmp_path: Path) -> None:
        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "backends.feedback", "--data", str(tmp_path), *arguments]
            return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

        assert run("check").returncode == 2
        store, _ = open_store(tmp_path)
        store.save([preference()])
        store.close()
        assert run("check").returncode == 0 and "nothing to recover" in run("recover").stdout
        done = run("backup", str(tmp_path / "copies" / "one.sqlite"))
        assert done.returncode == 0 and "1 rows are in" in done.stdout
        with (tmp_path / "feedback.sqlite").open("r+b") as file:
            file.write(b"\xee" * 100)
        assert run("check").returncode == 1
        recovered = run("recover")
        assert recovered.returncode == 0 and "1 row was recovered" in recovered.stdout
        assert run("check").returncode == 0


class TestSettings:
    def test_consent_is_a_text_or_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "consent.md").write_text("Votes are kept.\n")
        from_file = read_consent(str(tmp_path / "consent.md"))
        from_text = read_consent("Votes are kept.")
        assert from_file is not None and from_file == from_text and len(from_file.version) == 16
        assert read_consent("") is None
        with pytest.raises(UserInputError, match="cannot be read"):
            read_consent(str(tmp_path / "missing.txt"))
        with pytest.raises(UserInputError, match="at most"):
            read_consent("x" * 10_000)

    def test_settings_reach_the_store(self, tmp_path: Path) -> None:
        settings = Settings.from_env(
            {"PROVING_CONSENT": "Yes.", "PROVING_DATASET_PUBLIC": "1", "PROVING_COMMIT_SECONDS": "5"}
        )
        assert (settings.consent, settings.dataset_public, settings.commit_seconds) == ("Yes.", True, 5)
        store = build_feedback(
            tmp_path, dataset=REPO, token="t", endpoint="http://127.0.0.1:9", commit_seconds=5, consent="Yes."
        )
        assert store.consent is not None and store._outbox._pace.between == 5
        store.close()

    def test_the_disk_of_a_space(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mounts = "overlay / overlay rw 0 0\nbucket /data fuse.hf-mount rw 0 0\n"
        assert is_ephemeral(Path("/home/user/app/data"), "org/space", mounts)
        assert not is_ephemeral(Path("/data/proving"), "org/space", mounts)
        assert not is_ephemeral(Path("/home/user/app/data"), None, mounts)
        monkeypatch.setattr(build, "is_ephemeral", lambda folder, space_id: folder != tmp_path / "journal")
        store = build_feedback(tmp_path, dataset="", token=None, endpoint="", space_id="org/space")
        assert store.status().warnings == at_risk("") and "every row is lost" in at_risk("")[0]
        assert "not uploaded yet" in at_risk(REPO)[0]
        store.close()
        kept = build_feedback(
            tmp_path, dataset="", token=None, endpoint="", space_id="org/space", journal=tmp_path / "journal"
        )
        assert kept.status().warnings == ()
        kept.close()
