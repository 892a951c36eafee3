"""A damaged database file: what can be read comes back, the file is kept, and the page says so."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.feedback import recovery
from backends.feedback.build import build_feedback
from backends.feedback.database import Database
from backends.feedback.sqlite_pages import records
from core.dataset import ImagePreferenceRow
from core.errors import FeedbackError
from tests.contract.outbox_rows import comparison, full_preference, open_store, pictured, preference, provenance, rating
from tests.fakes import png

ROOT = Path(__file__).resolve().parents[2]
LONG = "long enough to need pages of its own. " * 400


def big_png(colour: int) -> bytes:
    """A picture of several pages: noise does not compress."""
    import io

    from PIL import Image

    out = io.BytesIO()
    noise = random.Random(colour).randbytes(64 * 64 * 3)
    Image.frombytes("RGB", (64, 64), noise).save(out, "PNG")
    return out.getvalue()


def filled(folder: Path, *, closed: bool = True) -> list[str]:
    """A database with rows of every kind and length; returns the ids of the current ones, newest first."""
    store, _ = open_store(folder)
    store.save([preference(f"{n} {LONG if n % 7 == 0 else ''}", id=f"p-{n}") for n in range(120)])
    store.save([full_preference(), rating(id="thumb"), comparison(id="c")])
    store.save([ImagePreferenceRow(provenance(id="picture"), "a cat", big_png(1), big_png(2))])
    store.save([preference(id="new", supersedes="p-3")])
    store.withdraw("p-5")
    current = [row.id for row in store.newest(1000)]
    if closed:
        store.close()
    return current


def page_of(path: Path, text: bytes) -> int:
    """Where the page starts that holds `text`."""
    return path.read_bytes().index(text) // 4096 * 4096


def overwrite(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xee" * length)


def test_a_whole_database_is_left_alone(tmp_path: Path) -> None:
    current = filled(tmp_path)
    assert recovery.is_damaged(tmp_path / "feedback.sqlite") is False
    store, _ = open_store(tmp_path)
    assert [row.id for row in store.newest(1000)] == current and store.status().warnings == ()
    assert not list(tmp_path.glob("damaged-*"))


def test_the_page_reader_reads_every_record(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        rows = set(db.execute("SELECT seq, id, config, columns, created_at, saved_at, picture_bytes FROM rows"))
        events = set(db.execute("SELECT seq, row, kind, at, by_row FROM events"))
        pictures = set(db.execute("SELECT rowid, sha256, png FROM pictures"))
    found = {(rowid, *values) for rowid, values in records(tmp_path / "feedback.sqlite")}
    told = {(rowid, *values[1:]) for rowid, *values in found if len(values) == 7}
    assert rows <= told
    assert events <= {(rowid, *values[1:]) for rowid, *values in found if len(values) == 5}
    assert pictures <= found


def test_rows_in_the_write_ahead_log_alone_are_read_and_unfinished_ones_are_not(tmp_path: Path) -> None:
    current = filled(tmp_path / "live", closed=False)
    shutil.copytree(tmp_path / "live", tmp_path / "copy")
    # The main file holds next to nothing yet; and its first page is gone on top.
    path = tmp_path / "copy" / "feedback.sqlite"
    overwrite(path, 0, 4096)
    (tmp_path / "copy" / "feedback.sqlite-shm").unlink()
    store, _ = open_store(tmp_path / "copy")
    assert [row.id for row in store.newest(1000)] == current


DAMAGES: dict[str, Callable[[Path], None]] = {
    "first page gone": lambda path: overwrite(path, 0, 4096),
    "header gone": lambda path: overwrite(path, 0, 100),
    "schema garbled": lambda path: overwrite(path, 100, 3996),
    "index garbled": lambda path: overwrite(path, 4096, 4096),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_lost_while_the_pages_of_the_rows_are_whole(tmp_path: Path, damage: str) -> None:
    filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    before = path.read_bytes()
    with sqlite3.connect(path) as db:
        [(root,)] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rows'").fetchall()
        expected = dict(db.execute("SELECT id, columns FROM current_rows"))
    if damage == "index garbled":
        # The page that leads to all others of the table: SQLite finds no row any more.
        overwrite(path, (root - 1) * 4096, 4096)
    else:
        DAMAGES[damage](path)
    store, _ = open_store(tmp_path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert dict(db.execute("SELECT id, columns FROM current_rows")) == expected
    [warning] = store.status().warnings
    assert "was damaged" in warning and "could not be read" not in warning
    [aside] = tmp_path.glob("damaged-*")
    assert str(aside) in warning and not aside.name.endswith(".part")
    assert (aside / "feedback.sqlite").stat().st_size == len(before)
    assert store.row("picture") is not None and store.row("p-5") is None and store.row("p-3") is None
    assert store.save([preference(id="after")]).fresh


def test_rows_in_a_damaged_page_are_lost_and_said_to_be(tmp_path: Path) -> None:
    current = filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    overwrite(path, page_of(path, b"Question 50 "), 4096)
    store, _ = open_store(tmp_path)
    left = [row.id for row in store.newest(1000)]
    assert set(left) < set(current) and "p-50" not in left and len(left) > 80
    [warning] = store.status().warnings
    # p-3 and p-5 may have been in that page too, and are not current anyway.
    lost = int(warning.split(" could not be read")[0].rpartition(" ")[2])
    assert len(current) - len(left) <= lost <= len(current) - len(left) + 2
    store.close()
    again, _ = open_store(tmp_path)
    assert again.status().warnings == (warning,)


def test_a_row_whose_picture_is_damaged_goes_with_it(tmp_path: Path) -> None:
    current = filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    content = path.read_bytes()
    overwrite(path, content.index(big_png(1)[6000:6100]), 64)
    overwrite(path, 0, 100)
    store, _ = open_store(tmp_path)
    assert [row.id for row in store.newest(1000)] == [one for one in current if one != "picture"]
    assert "1 could not be read" in store.status().warnings[0]


def test_a_row_on_pictures_goes_with_any_of_them(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save(list(pictured(big_png(1), big_png(2), id="lost")))
    store.save(list(pictured(big_png(2), id="whole")))
    store.close()
    path = tmp_path / "feedback.sqlite"
    overwrite(path, path.read_bytes().index(big_png(1)[6000:6100]), 64)
    overwrite(path, 0, 100)
    store, _ = open_store(tmp_path)
    assert [row.id for row in store.newest(1000)] == ["whole-rated", "whole"]
    assert store.newest(1000)[0].columns["images"] == [big_png(2)]
    store.close()


def test_a_file_cut_short_gives_what_is_left_of_it(tmp_path: Path) -> None:
    current = filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    store, _ = open_store(tmp_path)
    assert {row.id for row in store.newest(1000)} <= {*current, "p-3", "p-5"}
    assert store.newest(1) and store.status().warnings


def test_noise_never_becomes_a_row(tmp_path: Path) -> None:
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "feedback.sqlite").write_bytes(b"\x0d" + random.Random(seed).randbytes(40_000))
        store, _ = open_store(folder)
        assert store.status().saved == 0 and "0 rows were recovered" in store.status().warnings[0]
        store.close()


def test_a_damaged_file_in_use_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    held = Database(path)
    overwrite(path, 0, 4096)
    code = "import sys; from pathlib import Path; from backends.feedback.database import Database; Database(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "another process uses it" in done.stderr and not list(tmp_path.glob("damaged-*"))
    held.close()
    # Closing folded nothing new into the file: it is still damaged, and now it can be mended.
    store, _ = open_store(tmp_path)
    assert "was damaged" in store.status().warnings[0]


def test_a_crash_on_the_way_is_made_good_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = filled(tmp_path)
    path = tmp_path / "feedback.sqlite"
    overwrite(path, 0, 100)

    def crash(source: Path, target: Path) -> None:
        path.write_bytes(b"worse than before")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recovery.durable, "rename", crash)
    with pytest.raises(FeedbackError, match="Make room"):
        open_store(tmp_path)
    monkeypatch.undo()
    store, _ = open_store(tmp_path)
    assert [row.id for row in store.newest(1000)] == current
    assert not list(tmp_path.glob("*.part"))


def test_a_large_file_is_checked_to_its_end_while_the_app_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    seen = []
    check = recovery.is_damaged

    def slow(path: Path, seconds: float | None = recovery.SECONDS) -> bool | None:
        seen.append(seconds)
        return check(path, seconds) if seconds is None else None

    monkeypatch.setattr(recovery, "is_damaged", slow)
    path = tmp_path / "feedback.sqlite"
    with sqlite3.connect(path) as db:
        [(root,)] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'consents'").fetchall()
    overwrite(path, (root - 1) * 4096, 4096)
    database = Database(path)
    from tests.serving import wait_until

    wait_until(lambda: database.notes, 60, "the check found nothing")
    assert "Start the app again" in database.notes[0] and seen == [recovery.SECONDS, None]


def test_recovered_rows_are_not_sent_twice(tmp_path: Path) -> None:
    """The dataset is read before anything is sent, because how far the rows were is not known any more."""
    store = build_feedback(tmp_path, dataset="", token=None, endpoint="")
    store.save([preference(id="before")])
    assert store.upload_now().pushed == 1
    store.save([ImagePreferenceRow(provenance(id="picture"), "a cat", png(1), png(2))])
    store.close()
    overwrite(tmp_path / "feedback.sqlite", 0, 100)
    again = build_feedback(tmp_path, dataset="", token=None, endpoint="")
    again.save([preference(id="after")])
    assert again.upload_now().pushed == 3
    from tests.contract.outbox_rows import ids

    assert ids(tmp_path / "dataset") == ["after", "before"]
    assert ids(tmp_path / "dataset", "image_preferences") == ["picture"]
    again.close()
