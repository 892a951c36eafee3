"""The store: durable before it returns, all or nothing, once however often, and a sentence when it cannot."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from backends.feedback import database as database_module
from backends.feedback.build import build_feedback
from backends.feedback.database import Database, filesystem_of, lock
from backends.feedback.migrations import MIGRATIONS
from core.chat import Message
from core.errors import FeedbackError, NotSaved, UserInputError
from core.feedback import Saved
from tests.contract.outbox_rows import comparison, full_preference, open_store, preference, rating

ROOT = Path(__file__).resolve().parents[2]


def test_saved_rows_are_there_after_a_restart(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    row = full_preference()
    assert store.save([row, rating()]) == Saved((row.provenance.id, store.newest()[0].id), fresh=True)
    store.close()
    again, _ = open_store(tmp_path)
    found = again.newest(config="preferences")[0]
    assert (found.id, found.config, found.state, found.shard) == (row.provenance.id, "preferences", "waiting", None)
    assert found.columns == row.columns()
    assert list(found.columns) == list(row.columns())


def test_double_click_and_second_tab_change_nothing(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    first = comparison("tie")
    assert store.save([first]).fresh
    assert store.save([first]) == Saved((first.provenance.id,), fresh=False)
    # The other tab voted for a side: a comparison under the same id, and a preference that must not come alone.
    other = [replace(first, outcome="left"), preference()]
    assert not store.save(other).fresh
    assert store.status().saved == 1
    assert store.newest()[0].columns["outcome"] == "tie"


def test_all_rows_or_none(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    bad = replace(preference(), tools="\ud800")
    with pytest.raises(NotSaved, match="tools"):
        store.save([comparison(), bad])
    assert store.status().saved == 0


@pytest.mark.parametrize(
    "row",
    [
        replace(preference(), prompt=(Message("user", "half \udc00"),)),
        preference(decision_seconds=float("nan")),
        preference(created_at="yesterday"),
        preference(created_at="2026-01-01T00:00:00"),
        preference(reasons=("fine", "\ud83d")),
        preference(id=""),
    ],
)
def test_row_that_could_never_be_sent_is_refused_when_it_is_saved(tmp_path: Path, row) -> None:
    store, _ = open_store(tmp_path)
    with pytest.raises(NotSaved):
        store.save([row])


def test_withdrawn_row_leaves_the_view_and_its_event_stays(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    row = preference()
    store.save([row])
    store.withdraw(row.provenance.id)
    store.withdraw(row.provenance.id)
    assert store.newest() == [] and store.status().saved == 0 and store.status().waiting == 0
    assert delivery.send() == "nothing"
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        assert [kind for (kind,) in db.execute("SELECT kind FROM events ORDER BY seq")] == ["saved", "withdrawn"]
        for change in ("UPDATE events SET kind = 'saved'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(change)
    with pytest.raises(NotSaved, match="taken back"):
        store.save([row])
    with pytest.raises(UserInputError):
        store.withdraw("unknown")


def test_superseding_row_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    old = rating(True)
    store.save([old])
    new = rating(False, supersedes=old.provenance.id)
    store.save([new])
    assert [row.id for row in store.newest()] == [new.provenance.id]
    assert store.status().saved == 1


def test_newest_first_with_a_limit_and_a_config(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    rows = [preference(str(n)) for n in range(3)] + [rating()]
    for row in rows:
        store.save([row])
    assert [row.id for row in store.newest()] == [row.provenance.id for row in reversed(rows)]
    assert [row.id for row in store.newest(2, "preferences")] == [rows[2].provenance.id, rows[1].provenance.id]
    assert store.newest(-1) == []


def test_status_tells_how_long_the_oldest_row_waits(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    assert store.status().oldest_waiting_s is None
    store.save([preference()])
    status = store.status()
    assert status.oldest_waiting_s is not None and 0 <= status.oldest_waiting_s < 60
    delivery.send()
    assert store.status().oldest_waiting_s is None and store.status().pushed == 1


def test_eight_threads_save_each_row_once(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    rows = [preference(str(n)) for n in range(80)]
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda row: store.save([row]), rows + rows))
    assert sum(one.fresh for one in saved) == 80
    assert store.status().saved == 80


CHILD = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from tests.contract.outbox_rows import open_store, preference
store, delivery = open_store(Path(sys.argv[1]))
shared = [preference(id=f"shared-{n}") for n in range(20)]
mine = [preference() for n in range(20)]
with ThreadPoolExecutor(4) as pool:
    print(sum(saved.fresh for saved in pool.map(lambda row: store.save([row]), [*shared, *mine])))
"""


def test_two_processes_save_into_one_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    fresh = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(fresh) == 60
    assert open_store(tmp_path)[0].status().saved == 60


FULL_DISK = """
import resource, sys
from pathlib import Path
from core.errors import NotSaved
from tests.contract.outbox_rows import open_store, preference
store, delivery = open_store(Path(sys.argv[1]))
store.save([preference(id="before")])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
size = max(file.stat().st_size for file in Path(sys.argv[1]).iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, hard))
try:
    for n in range(100):
        store.save([preference("x" * 3000, id=f"row-{n}")])
except NotSaved as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
kept = store.status().saved
assert store.save([preference(id=f"row-{n}")]).fresh
print(n, kept, store.status().saved)
"""


def test_full_disk_is_a_sentence_and_nothing_is_half_saved(tmp_path: Path) -> None:
    """A file may not grow past a limit, which SQLite meets as on a full disk; then there is room again."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    sentence, numbers = done.stdout.strip().splitlines()
    assert "still on the screen" in sentence and "space" in sentence
    failed_at, kept, after = map(int, numbers.split())
    assert (kept, after) == (failed_at + 1, failed_at + 2)
    assert open_store(tmp_path)[0].status().saved == after


HOLDS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_database_held_by_another_process_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    store, _ = open_store(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "feedback.sqlite")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(NotSaved, match="Another process"):
        store.save([preference(id="a")])
    assert store.status().saved == 0 and list(store.newest()) == []
    # It dies without giving the lock back, which the system then does.
    other.kill()
    other.wait()
    assert store.save([preference(id="a")]).fresh
    assert store.status().saved == 1
    other.stdin.close()
    other.stdout.close()


def test_folder_that_cannot_hold_votes_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match="PROVING_DATA_DIR"):
        build_feedback(tmp_path / "file", dataset="", token=None, endpoint="http://127.0.0.1:9")


def test_network_mounts_are_recognised() -> None:
    mounts = "/dev/sda / ext4 rw 0 0\nhost:/x /mnt/my\\040share nfs4 rw 0 0\ns3 /mnt/my\\040share/b fuse.s3fs rw 0 0\n"
    assert filesystem_of(Path("/home/me"), mounts) == "ext4"
    assert filesystem_of(Path("/mnt/my share/data"), mounts) == "nfs4"
    assert filesystem_of(Path("/mnt/my share/b/c"), mounts) == "fuse.s3fs"
    assert filesystem_of(Path("/x"), "") == ""


def test_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path)[0].close()
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(FeedbackError, match="newer version"):
        Database(tmp_path / "feedback.sqlite")


def test_every_connection_writes_through(tmp_path: Path) -> None:
    database = Database(tmp_path / "feedback.sqlite")
    with database.read() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_lock_keeps_a_second_holder_out(tmp_path: Path) -> None:
    with lock(tmp_path / "lock") as first, lock(tmp_path / "lock") as second:
        assert first and not second
    with lock(tmp_path / "lock") as again:
        assert again


def test_nothing_heavy_is_imported_at_start(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from backends.feedback.build import build_feedback
        store = build_feedback(Path({str(tmp_path)!r}), dataset="", token=None, endpoint="http://127.0.0.1:9")
        store.status(), store.newest()
        print([name for name in ("torch", "datasets", "pyarrow", "pandas", "huggingface_hub") if name in sys.modules])
        store.close()
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_another_row_under_a_taken_id_is_told_apart_from_the_same_row_again(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    row = full_preference()
    store.save([row])
    later = replace(row, provenance=replace(row.provenance, created_at="2031-01-01T00:00:00.000000+00:00"))
    assert store.save([later]).same
    assert not store.save([replace(row, chosen=(Message("assistant", "something else"),))]).same


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save([rating()])
    for path in tmp_path.glob("feedback.sqlite*"):
        assert path.stat().st_mode & 0o077 == 0, path
