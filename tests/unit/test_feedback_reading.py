"""What the page asks of the store: filters, search, one reviewer's rows, and consent."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from backends.feedback import migrations, reading
from backends.feedback.database import Database
from backends.feedback.store import SqliteFeedbackStore
from core.chat import Message
from core.consent import Consent, consent_of
from core.dataset import Contender, Row
from core.errors import HubUnreachable, NotConsented, UserInputError
from core.feedback import RowQuery
from tests.contract.outbox_rows import TakesAll, comparison, full_preference, open_store, preference, rating

TEXT = Consent("Your votes are kept under a pseudonym.")


def ids(store: SqliteFeedbackStore, **query: object) -> list[str]:
    return [row.id for row in store.find(RowQuery(**query)).rows]


def test_filters_narrow_together(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save([preference(id="a", rater="r-1"), comparison("left", id="b", rater="r-1")])
    store.save([comparison("tie", id="c", rater="r-2", source="battle"), rating(id="d", rater="r-1", source="thumb")])
    assert ids(store) == ["d", "c", "b", "a"]
    assert ids(store, rater="r-1") == ["d", "b", "a"]
    assert ids(store, rater="r-1", config="comparisons") == ["b"]
    assert ids(store, outcome="tie") == ["c"]
    assert ids(store, source="thumb") == ["d"] and ids(store, source="campaign") == []
    found = store.find(RowQuery(), 3)
    assert len(found.rows) == 3 and found.more and found.looked_at is None
    assert not store.find(RowQuery(), 4).more


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("lighthouse", True),
        ("LIGHTHOUSE", True),
        ('say "hi"', True),
        ("100%", True),
        ("100x", False),
        ("under_score", True),
        ("underXscore", False),
        ("back\\slash", True),
        ("line\nbreak", True),
        ("because", True),
        ("org/model", True),
        ("prompt", False),  # the name of a column, not something anybody wrote
        ("assistant", False),
        ("  lighthouse ", True),
    ],
)
def test_search_finds_what_people_wrote_and_nothing_else(tmp_path: Path, text: str, hit: bool) -> None:
    store, _ = open_store(tmp_path)
    row = replace(
        preference(id="a", comment="because"),
        prompt=(Message("user", 'A Lighthouse: say "hi", 100% under_score back\\slash line\nbreak'),),
        chosen_by=Contender("org/model", "a" * 40),
    )
    store.save([row, preference(id="b")])
    assert ids(store, text=text) == (["a"] if hit else [])


def test_search_says_how_far_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SEARCHED_ROWS", 2)
    store, _ = open_store(tmp_path)
    for name in ("one", "two", "three"):
        store.save([preference(name, id=name)])
    found = store.find(RowQuery(text="Question"))
    assert [row.id for row in found.rows] == ["three", "two"] and found.looked_at == 2


def test_one_row_by_id_until_it_is_taken_back(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    row = full_preference()
    store.save([row])
    found = store.row(row.provenance.id)
    assert found is not None and found.columns == row.columns()
    store.withdraw(row.provenance.id)
    assert store.row(row.provenance.id) is None and store.row("unknown") is None


def test_all_rows_of_one_reviewer_are_taken_back_and_nobody_elses(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save([preference(id="a", rater="r-1"), rating(id="b", rater="r-1")])
    store.save([preference(id="c", rater="r-2"), preference(id="d")])
    store.save([preference(id="e", rater="r-1", supersedes="a")])
    assert store.withdraw_all("r-1") == 2
    assert ids(store) == ["d", "c"] and store.status().saved == 2
    assert store.withdraw_all("r-1") == 0 and store.withdraw_all("") == 0


def test_a_vote_that_becomes_a_tie_takes_its_preference_back_in_the_same_transaction(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save([comparison("left", id="c"), preference(id="p")])
    assert store.save([comparison("tie", id="c2", supersedes="c")], taking_back=["p"]).fresh
    assert ids(store) == ["c2"]
    with pytest.raises(UserInputError):
        store.save([comparison("left", id="c3", supersedes="c2")], taking_back=["unknown"])
    assert ids(store) == ["c2"]


def with_consent(folder: Path, consent: Consent | None = TEXT) -> SqliteFeedbackStore:
    store, _ = open_store(folder)
    store._consent = consent
    return store


def test_nobody_is_heard_before_agreeing_and_every_row_says_to_what(tmp_path: Path) -> None:
    store = with_consent(tmp_path)
    rows: list[Row] = [comparison(rater="r-1"), preference(rater="r-1")]
    with pytest.raises(NotConsented, match="top of the page"):
        store.save(rows)
    with pytest.raises(NotConsented):
        store.save([preference(rater=None)])
    assert store.status().saved == 0 and not store.agreed("r-1")
    store.agree("r-1", TEXT.version)
    store.agree("r-1", TEXT.version)
    assert store.agreed("r-1") and not store.agreed("r-2") and not store.agreed(None)
    assert store.save(rows).fresh and not store.save(rows).fresh and store.save(rows).same
    assert {row.columns["consent_version"] for row in store.newest()} == {TEXT.version}


def test_another_text_asks_again_and_the_old_one_stays_known(tmp_path: Path) -> None:
    first = with_consent(tmp_path)
    first.agree("r-1", TEXT.version)
    first.close()
    other = Consent(TEXT.text + " And sold.")
    second = with_consent(tmp_path, other)
    assert not second.agreed("r-1")
    with pytest.raises(UserInputError, match="changed"):
        second.agree("r-1", TEXT.version)
    second.agree("r-1", other.version)
    with sqlite3.connect(tmp_path / "feedback.sqlite") as db:
        assert db.execute("SELECT text FROM consent_texts").fetchall() == [(TEXT.text,), (other.text,)]


def test_a_program_names_the_version_its_reviewer_agreed_to(tmp_path: Path) -> None:
    store = with_consent(tmp_path)
    with pytest.raises(NotConsented, match=TEXT.version):
        store.save([preference(source="api", rater="bob")])
    assert store.save([preference(source="api", rater="bob", consent_version=TEXT.version)]).fresh


def test_without_a_text_nothing_is_asked(tmp_path: Path) -> None:
    store = with_consent(tmp_path, consent_of("  \n"))
    assert store.consent is None and store.agreed("r-1")
    store.agree("r-1", "anything")
    assert store.save([preference(rater="r-1")]).fresh and store.newest()[0].columns["consent_version"] is None


def test_the_last_error_outlives_a_restart(tmp_path: Path) -> None:
    class Down(TakesAll):
        def commit(self, adds, deletes, message, expects=(), numbers=""):
            raise HubUnreachable("The Hub cannot be reached.")

    store, _ = open_store(tmp_path, Down(), start=True)
    store.save([preference()])
    store.upload_now()
    assert store.status().last_error == "The Hub cannot be reached."
    store.close()
    again, delivery = open_store(tmp_path)
    assert delivery.batches.error() == "The Hub cannot be reached."
    again._outbox.start()
    assert again.upload_now().last_error is None
    assert delivery.batches.error() is None
    again.close()


def test_counts_of_an_older_database_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "feedback.sqlite"
    monkeypatch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:2])
    Database(path).close()
    monkeypatch.undo()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO destinations (name) VALUES ('folder')")
        for number, state in enumerate(["waiting", "waiting", "pushed"], 1):
            db.execute(
                "INSERT INTO rows (id, config, columns, created_at, saved_at) VALUES (?, 'ratings', '{}', '', 0)",
                (str(number),),
            )
            db.execute("INSERT INTO placements (destination, row, state) VALUES (1, ?, ?)", (number, state))
    store, _ = open_store(tmp_path)
    status = store.status()
    assert (status.saved, status.waiting, status.pushed) == (3, 2, 1)


def test_a_page_that_knows_an_older_row_changes_what_stands_in_its_place(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store.save([rating(True, id="a")])
    store.save([rating(False, id="b", supersedes="a")])
    store.save([rating(True, id="c", supersedes="a")])
    assert ids(store) == ["c"]
    store.withdraw("a")
    assert ids(store) == []
