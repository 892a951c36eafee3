"""Tables of what the votes say: pandas reads back what the page shows and the API gives, and no cell is a formula."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest

from backends.evidence.frames import agreement_frames, csv_of, leaderboard_frames, tables_of
from backends.evidence.service import EvidenceOf
from components.boards import MOST_SHOWN, downloads_html
from core.dataset import ComparisonRow
from core.evidence import Leaderboard, Merge, VoteFilter
from pages.evidence import EvidencePage
from tests.contract.test_evidence_published import votes
from tests.fake_evidence import evidence_of
from tests.fakes import FakeStore

NO_FILTER = ([], "", "", "", "", "", "", [], [], False)


@pytest.fixture
def store() -> FakeStore:
    store = FakeStore()
    store.save(votes(200))
    return store


@pytest.fixture
def evidence(store: FakeStore) -> EvidenceOf:
    return evidence_of(store)


def board_of(evidence: EvidenceOf) -> Leaderboard:
    return evidence.leaderboard(VoteFilter(), Merge())


def linked(html: str) -> dict[str, str]:
    """The files the links of a page save, by name."""
    found = re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    return {name: base64.b64decode(text).decode() for name, text in found}


def test_a_table_is_what_the_api_gives_for_every_contender(evidence: EvidenceOf) -> None:
    board = board_of(evidence)
    frame = pd.read_csv(StringIO(tables_of(board)["standings"]))
    told = [row.record() for row in board.standings]
    assert list(frame.columns) == list(told[0]) and len(frame) == len(told) > 1
    for name in ("contender", "model", "revision", "rating", "low", "high", "votes", "wins", "losses", "ties"):
        assert frame[name].tolist() == [row[name] for row in told]
    # A contender without a place must not make 1.0 of the others' 1.
    ranked = replace(board, standings=(replace(board.standings[0], rank=1), replace(board.standings[1], rank=None)))
    assert csv_of(leaderboard_frames(ranked)["standings"][["rank"]]) == 'rank\n1\n""\n'


def test_who_met_whom_is_told_both_ways_round_and_adds_up(evidence: EvidenceOf) -> None:
    board = board_of(evidence)
    frames = leaderboard_frames(board)
    meetings = frames["meetings"].set_index(["contender", "against"])
    for (one, other), row in meetings.iterrows():
        back = meetings.loc[(other, one)]
        assert row.votes == back.votes and row.share_won + back.share_won == pytest.approx(1)
    assert meetings.votes.sum() == 2 * board.votes
    assert frames["days"].votes.sum() == sum(votes for _, votes in board.days)


def test_reviewers_and_questions_are_tables_too(evidence: EvidenceOf) -> None:
    found = evidence.agreement(VoteFilter())
    frames = agreement_frames(found)
    assert set(frames["questions"].of) == {"question", "pair"}
    assert frames["reviewers"].votes.tolist() == [row.votes for row in found.raters]
    assert frames["reviewers"].left_count.sum() == found.left.count


def test_the_page_s_links_hold_the_tables_also_of_what_it_leaves_out(store: FakeStore) -> None:
    many = MOST_SHOWN + 5
    row = next(row for row in store.kept.values() if isinstance(row, ComparisonRow) and not row.provenance.leaked)
    for number in range(many):
        about = replace(row.provenance, id=f"more-{number}")
        store.save([replace(row, provenance=about, left_by=replace(row.left_by, model=f"org/more-{number}"))])
    page = EvidencePage(evidence_of(store))
    *_, (_, html) = page.rank("chat", *NO_FILTER)
    files = linked(html)
    assert sorted(files) == ["days.csv", "meetings.csv", "standings.csv"]
    assert len(pd.read_csv(StringIO(files["standings.csv"]))) > many > html.count('data-label="Place"')
    *_, (_, html) = page.agree("chat")
    assert sorted(linked(html)) == ["questions.csv", "reviewers.csv"]
    *_, (_, nothing) = page.rank("image", *NO_FILTER)
    assert linked(nothing) == {} and "For a spreadsheet" not in nothing
    *_, (_, nothing) = page.agree("image")
    assert "Nothing to measure" in nothing and linked(nothing) == {}


def test_a_name_that_a_spreadsheet_would_run_is_text(store: FakeStore) -> None:
    for number, row in enumerate([row for row in store.kept.values() if isinstance(row, ComparisonRow)][:3]):
        store.save([replace(row, provenance=replace(row.provenance, id=f"evil-{number}", rater='=HYPERLINK("x")'))])
    tables = tables_of(evidence_of(store).agreement(VoteFilter()))
    names = pd.read_csv(StringIO(tables["reviewers"])).reviewer
    assert '\'=HYPERLINK("x")' in set(names) and not any(name.startswith("=") for name in names)
    assert '"><script>' not in downloads_html({'"><script>': "a"})
