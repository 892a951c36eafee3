"""What was taken back is gone from this machine: the database file, its log, and the files beside it, byte for byte."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from backends.feedback.encoding import encode
from core.chat import Message
from core.dataset import ComparisonRow, Contender, ImagePreferenceRow, PreferenceRow
from core.errors import HubUnreachable
from tests.contract.outbox_rows import TakesAll, open_store, pictured, preference, provenance
from tests.fakes import png

MINE = "r-0123456789abcdef"


def secret_text(number: int) -> str:
    return f"SECRET{number:05}"


def said(number: int, **changes: object) -> tuple[ComparisonRow, PreferenceRow]:
    """A vote with a text of its own in the prompt, the answers, the comment and the settings, long enough to overflow pages."""
    text = " ".join([secret_text(number)] * (1 + number % 7 * 60))
    about = provenance(rater=MINE, comment=text, item=uuid4().hex, **changes)
    maker = Contender("org/model", "a" * 40, None, f'{{"negative_prompt": "{text}"}}')
    prompt, sides = (Message("user", text),), ((Message("assistant", text),), (Message("assistant", "B"),))
    return (
        ComparisonRow(about, "chat", prompt, *sides, "left", maker, Contender("org/other")),
        PreferenceRow(replace(about, id=str(uuid4())), prompt, *sides, maker, Contender("org/other")),
    )


def bytes_on_disk(folder: Path) -> bytes:
    """Everything the store keeps, except the rows that are in the dataset by now."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def found(folder: Path, number: int) -> bool:
    # The search column is folded to lower case.
    return secret_text(number).encode() in bytes_on_disk(folder) or secret_text(
        number
    ).lower().encode() in bytes_on_disk(folder)


@pytest.mark.parametrize("pushed", [False, True])
def test_texts_leave_file_log_and_folder(tmp_path: Path, pushed: bool) -> None:
    store, delivery = open_store(tmp_path)
    votes = [said(number) for number in range(120)]
    order = list(range(120))
    random.Random(1).shuffle(order)
    for number in order:
        store.save(votes[number])
    if pushed:
        delivery.send()
    taken_back = order[::3]
    for number in taken_back:
        for row in votes[number]:
            store.withdraw(row.provenance.id)
    assert found(tmp_path, taken_back[0])
    delivery.send()
    everything = bytes_on_disk(tmp_path)
    assert [
        n for n in taken_back if secret_text(n).encode() in everything or secret_text(n).lower().encode() in everything
    ] == []
    assert len(store.newest(1000)) == 2 * 80
    assert all(row.columns["prompt"] for row in store.newest(1000))
    store.close()


def test_the_stub_says_that_there_was_a_row_and_nothing_of_it(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    (compared, preferred) = said(1, consent_version="c1")
    store.save([compared, preferred])
    store.withdraw_all(MINE)
    delivery.send()
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        stubs = db.execute("SELECT id, columns FROM rows ORDER BY seq").fetchall()
        events = db.execute("SELECT kind FROM events ORDER BY seq").fetchall()
        assert db.execute("SELECT count(*) FROM to_erase").fetchone() == (0,)
    db.close()
    assert [row_id for row_id, _ in stubs] == [compared.provenance.id, preferred.provenance.id]
    assert all('"consent_version":"c1"' in text and MINE not in text and "org/" not in text for _, text in stubs)
    assert [kind for (kind,) in events] == ["saved", "saved", "withdrawn", "withdrawn"]
    # It is neither saved again nor counted.
    with pytest.raises(Exception, match="taken back"):
        store.save([compared])
    assert store.status().saved == 0 and store.votes().contenders() == {} and store.votes().raters() == {}
    store.close()


def test_pictures_of_a_conversation_go_with_the_last_row_that_shows_them(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    only, both = png(1), png(2)
    store.save(list(pictured(only, both, id="first")))
    store.save(list(pictured(both, id="second")))
    store.withdraw("first")
    delivery.send()
    assert store.row("first-rated").columns["images"] == [only, both]
    store.withdraw("first-rated")
    delivery.send()
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        assert [left for (left,) in db.execute("SELECT png FROM pictures")] == [both]
    db.close()
    assert store.row("second").columns["images"] == [both]
    store.close()


def test_a_changed_vote_that_is_taken_back_takes_what_it_was_before_along(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    first = preference(secret_text(1))
    second = replace(preference(secret_text(2)), provenance=provenance(supersedes=first.provenance.id))
    third = replace(preference(secret_text(3)), provenance=provenance(supersedes=second.provenance.id))
    for row in (first, second, third):
        store.save([row])
        delivery.send()
    store.withdraw(third.provenance.id)
    delivery.send()
    assert [number for number in (1, 2, 3) if found(tmp_path, number)] == []
    store.close()


def test_pictures_go_with_their_last_row(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    shared, own, other = png(1), png(2), png(3)
    rows = [
        ImagePreferenceRow(provenance(), "a", shared, own),
        ImagePreferenceRow(provenance(), "b", shared, other),
    ]
    store.save(rows)
    store.withdraw(rows[0].provenance.id)
    delivery.send()
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("feedback.sqlite*"))
    # Deflated pixels are the same bytes wherever the file lies.
    assert own not in everything and shared in everything and other in everything
    assert len(store.newest()) == 1
    store.close()


class Down(TakesAll):
    """A Hub that is away; what it was offered may have arrived all the same."""

    def commit(self, *args: object, **kwargs: object) -> str:
        raise HubUnreachable("The Hub is away.")


def test_a_row_of_a_batch_on_its_way_is_erased_while_the_hub_is_away(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path, Down())
    rows = [preference(secret_text(number)) for number in range(3)]
    store.save(rows)
    with pytest.raises(HubUnreachable):
        delivery.send()
    assert found(tmp_path / "outbox", 1) or list((tmp_path / "outbox").glob("*.parquet"))
    store.withdraw(rows[1].provenance.id)
    with pytest.raises(HubUnreachable):
        delivery.send()
    # Parquet is compressed: only the kept batch may be there, made without the row.
    delivery._tidy()
    assert len(list((tmp_path / "outbox").glob("*.parquet"))) == 1
    files = b"".join(path.read_bytes() for path in tmp_path.glob("feedback.sqlite*"))
    assert secret_text(1).encode() not in files and secret_text(0).encode() in files
    store.close()


def test_a_reader_of_the_log_only_delays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.feedback.database.BUSY_SECONDS", 0.05)
    store, delivery = open_store(tmp_path)
    row = preference(secret_text(1))
    store.save([row])
    reader = sqlite3.connect(tmp_path / "feedback.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows").fetchone()
    store.withdraw(row.provenance.id)
    delivery.send()
    assert delivery.pending() and found(tmp_path, 1)
    reader.execute("ROLLBACK")
    reader.close()
    delivery.send()
    assert not delivery.pending() and not found(tmp_path, 1)
    store.close()


def test_what_somebody_else_took_out_of_the_dataset_is_kept_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository set back by mistake must not erase what reviewers said everywhere at once."""
    from backends.feedback import adoption

    store, delivery = open_store(tmp_path)
    row = preference(secret_text(1))
    store.save([row])
    with store._database.write() as db:
        adoption._gone(db, 1, "withdrawn", None)
    delivery.send()
    assert found(tmp_path, 1)
    monkeypatch.setattr("backends.feedback.erasing.time.time", lambda: 4e9)
    delivery.send()
    assert not found(tmp_path, 1)
    store.close()


def test_what_an_older_version_only_marked_is_erased_after_the_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.feedback import migrations
    from backends.feedback.database import Database

    now = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", now[:3])
    old = Database(tmp_path / "feedback.sqlite")
    row, other = preference(secret_text(1)), preference(secret_text(2))
    with old.write() as db:
        for seq, one in enumerate((row, other), 1):
            text = encode(one)[0]
            db.execute(
                "INSERT INTO rows (seq, id, config, columns, created_at, saved_at) VALUES (?, ?, 'preferences', ?, '', 0)",
                (seq, one.provenance.id, text),
            )
            db.execute("INSERT INTO events (row, kind, at) VALUES (?, 'saved', '')", (seq,))
        db.execute("INSERT INTO events (row, kind, at) VALUES (1, 'withdrawn', '')")
    old.close()
    monkeypatch.setattr(migrations, "MIGRATIONS", now)
    store, delivery = open_store(tmp_path)
    assert found(tmp_path, 1)
    delivery.send()
    assert not found(tmp_path, 1)
    assert [one.id for one in store.newest()] == [other.provenance.id]
    store.close()
