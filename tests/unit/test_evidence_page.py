"""The panels of evidence: sentences first, honest blanks, files offered and then gone from the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import gradio as gr
import pytest

from backends.evidence.board import leaderboard
from components.background import Done, watched
from components.boards import agreement_html, leaderboard_html
from components.plots import LINE, PLOT_HEIGHT, Interval, _lifts, dots, heat_map, intervals, over_days
from core.dataset import ComparisonRow
from core.evidence import Facts, Merge, VoteFilter
from core.export import Published
from pages.evidence import EvidencePage
from pages.exports import ExportPage
from tests.contract.outbox_rows import preference
from tests.contract.test_evidence_published import votes
from tests.fake_evidence import RowsInMemory, evidence_of
from tests.fakes import FakeStore

NO_FILTER = ([], "", "", "", "", "", "", [], [], False)


@pytest.fixture
def store() -> FakeStore:
    store = FakeStore()
    store.save([*votes(200), preference()])
    return store


@pytest.fixture
def page(store: FakeStore) -> EvidencePage:
    return EvidencePage(evidence_of(store))


@pytest.fixture
def exports(store: FakeStore) -> ExportPage:
    return ExportPage(evidence_of(store))


def shown(steps: Iterator[tuple]) -> str:
    *_, last = steps
    assert last[0] == ""
    return last[1]


def test_the_leaderboard_says_it_in_a_sentence_then_shows_it(page: EvidencePage) -> None:
    html = shown(page.rank("chat", *NO_FILTER))
    assert html.index("is ahead") < html.index("pg-intervals") < html.index("<table") < html.index("pg-heat")
    assert "model-b @ bbbbbbb" in html and "per day from 2026-11-01" in html
    # No speed is in a row, and none is made up.
    assert "no row says it: parameters, memory, first token, tokens/s, price" in html and "Tokens/s" not in html


def test_filters_reach_the_votes(page: EvidencePage) -> None:
    assert "Clear one" in shown(page.rank("chat", [], "", "no such prompt", "", "", "", "", [], [], False))
    assert "puts together 2 settings" in shown(
        page.rank("chat", [], "", "", "", "", "", "", ["leaked"], ["settings"], False)
    )
    assert "No votes yet" in shown(page.rank("image", *NO_FILTER))
    with pytest.raises(gr.Error, match="From day has to be a day"):
        list(page.rank("chat", [], "", "", "", "", "1.11.", "", [], [], False))


def test_style_control_is_told_with_what_style_is_worth(page: EvidencePage) -> None:
    assert "Style held constant" in shown(page.rank("chat", [], "", "", "", "", "", "", [], [], True))


def test_choices_offer_what_occurs_and_keep_what_is_chosen(page: EvidencePage) -> None:
    models, raters, campaigns = page.choices("chat", ["org/model-a", "gone"], "r-1", "gone")
    assert models.choices == [("org/model-a",) * 2, ("org/model-b",) * 2] and models.value == ["org/model-a"]
    assert {value for _, value in raters.choices} == {"", "r-0", "r-1", "r-2"} and raters.value == "r-1"
    assert campaigns.value == ""
    assert page.cleared_choices("image")[0].choices == [("org/model-a",) * 2, ("org/model-b",) * 2]


def test_agreement_shows_questions_pairs_and_reviewers(page: EvidencePage) -> None:
    html = shown(page.agree("chat"))
    assert "Which answer is better?" in html and "By pair" in html and "r-2" in html
    assert "Nothing to measure" in shown(page.agree("image"))


def test_a_stranger_s_names_are_escaped(page: EvidencePage, store: FakeStore) -> None:
    from dataclasses import replace

    row = next(row for row in store.kept.values() if isinstance(row, ComparisonRow))
    evil = "<img src=x onerror=alert(1)>"
    for number in range(3):
        about = replace(row.provenance, id=f"evil-{number}", rater=evil, campaign=evil)
        left = replace(row.left_by, model=f"org/{evil}", settings='{"stop": "<script>"}')
        store.save([replace(row, provenance=about, left_by=left, outcome="left")])
    assert "<img" not in shown(page.rank("chat", *NO_FILTER)) + shown(page.agree("chat"))
    assert "<script>" not in shown(page.rank("chat", *NO_FILTER))


def test_export_offers_files_that_are_gone_from_the_server_afterwards(exports: ExportPage) -> None:
    steps = exports.export("dpo", "jsonl", 0, [])
    files: list[str] = []
    for said, offered in steps:
        if offered.get("__type__") != "update" and offered.value if isinstance(offered, dict) else offered.value:
            files = [file if isinstance(file, str) else file["path"] for file in offered.value]
            assert "1 row: 1 to train on" in said
            assert all(Path(file).is_file() for file in files)
    assert sorted(Path(file).name for file in files) == ["README.md", "models.lock.json", "train.jsonl"]
    assert not any("proving-export-" in file and Path(file).exists() for file in files)


def test_an_export_of_nothing_says_what_to_do_and_leaves_no_bar(exports: ExportPage) -> None:
    steps = exports.export("images", "parquet", 10, [])
    assert "Reading rows" in next(steps)[0]
    # The message passes; the sentence stays, and no file of an export before it.
    said, files = next(steps)
    assert "no pairs of pictures" in said and not files.visible
    with pytest.raises(gr.Error, match="no pairs of pictures"):
        next(steps)
    wrong = exports.export("images", "csv", 10, [])
    assert "parquet only" in next(wrong)[0]
    with pytest.raises(gr.Error, match="parquet only"):
        next(wrong)
    untagged = exports.push("dpo", "jsonl", 0, [], "main")
    assert "The tag has to" in next(untagged)[0]


def test_long_work_tells_how_far_it_is_and_its_error_arrives() -> None:
    started, go = threading.Event(), threading.Event()

    def work(progress) -> str:
        progress(1, 4)
        started.set()
        assert go.wait(30)
        return "made"

    steps = watched(work, patience=0.01)
    first = next(steps)
    while first != (1, 4):
        first = next(steps)
    go.set()
    *_, last = steps
    assert last == Done("made")

    def fail(progress) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(watched(fail))


def test_plots_hold_what_they_are_given() -> None:
    assert intervals([], "points") == ""
    html = intervals([Interval("a", 1010, 980, 1040, strong=True), Interval("b", 990, 990, 990)], "points")
    assert 'aria-label="1010 points, between 980 and 1040"' in html and html.count("pg-strong") == 1
    for value in (0.0, 1.0):
        assert "%" in intervals([Interval("one", value, value, value)], "points")
    heat = heat_map(["a", "b"], [[None, 0.75], [0.25, None]], [[0, 4], [4, 0]])
    assert "a won 75% against b, 4 votes" in heat and heat.count("pg-self") == 2
    days = over_days([(date(2025, 1, 1), 5), (date(2026, 1, 1), 2), (date(2026, 1, 3), 4)], "Votes")
    assert days.count("<i ") == 90 and "5 earlier" in days and "2026-01-03: 4" in days
    assert dots([("a", 1.0, 2.0)], "x", "y") == ""
    assert "(logarithmic)" in dots([("a", 0.1, 2.0), ("b", 70.0, 3.0)], "x", "y")


def test_size_stands_beside_the_rating_where_it_is_known(store: FakeStore) -> None:
    from backends.evidence.service import EvidenceOf
    from tests.fake_evidence import RowsInMemory

    known = EvidenceOf(
        RowsInMemory(store), lambda: ("x", None), lambda model, revision: Facts(135_000_000, 271_000_000)
    )
    html = leaderboard_html(known.leaderboard(VoteFilter(), Merge()))
    assert "135M" in html and "271 MB" in html and "Rating against size" in html


def test_facts_come_from_this_machine_alone() -> None:
    from backends.evidence.facts import LocalFacts
    from core.catalog import SearchPage, SearchQuery
    from tests.fakes import REF, summary

    asked: list[SearchQuery] = []

    def search(query: SearchQuery) -> SearchPage:
        asked.append(query)
        return SearchPage((summary(REF, "local"),), 1, True, hub_reachable=False)

    facts = LocalFacts(search)
    assert facts(REF.repo_id, REF.revision).parameters == 134_515_008
    assert facts(REF.repo_id, None).parameters == 134_515_008
    assert facts(REF.repo_id, "f" * 40) == facts("org/unknown", None) == Facts()
    assert [query.source for query in asked] == ["local"]


def test_agreement_of_nothing_is_a_sentence(page: EvidencePage) -> None:
    assert "No votes yet" in agreement_html(page.evidence.agreement(VoteFilter("image")))


class _Hub:
    """Takes every export and remembers what it was given."""

    def __init__(self) -> None:
        self.pushed: list[tuple[tuple[str, ...], str, str]] = []

    def push(self, files, repo_id: str, tag: str) -> Published:
        self.pushed.append((tuple(sorted(files)), repo_id, tag))
        return Published(repo_id, tag, "d" * 40)


def test_a_push_shows_where_it_is_and_how_it_loads(store: FakeStore) -> None:
    hub = _Hub()
    evidence = evidence_of(store)
    evidence._hub, evidence._destination = hub, lambda view: f"ada/votes-{view}"
    exports = ExportPage(evidence)
    html = list(exports.push("dpo", "jsonl", 0, [], " v1 "))[-1][0]
    assert hub.pushed == [(("README.md", "models.lock.json", "train.jsonl"), "ada/votes-dpo", "v1")]
    assert "load_dataset(&quot;ada/votes-dpo&quot;, revision=&quot;v1&quot;, split=&quot;train&quot;)" in html
    assert "never moved" in html and "dddddddddddd" in html
    with pytest.raises(gr.Error, match="The tag has to"):
        list(exports.push("dpo", "jsonl", 0, [], "main"))


def test_a_price_stands_below_the_name_and_speeds_in_columns() -> None:
    fast = Facts(first_token_s=0.25, tokens_per_s=31.4, price="$0.20 in, $0.60 out")
    board = leaderboard(votes_in_memory(), VoteFilter(), Merge())
    html = leaderboard_html(replace(board, standings=tuple(replace(row, facts=fast) for row in board.standings)))
    assert "org/model-a · $0.20 in, $0.60 out" in html and '<th class="n">Price' not in html
    assert ">0.25 s<" in html and ">31.4<" in html and "price" not in html.partition("no row says it")[2]


def votes_in_memory():
    store = FakeStore()
    store.save(votes(60))
    return RowsInMemory(store).votes()


def test_names_of_near_points_do_not_lie_on_each_other() -> None:
    assert _lifts([(0.1, 0.5), (0.9, 0.5)]) == [0, 0]
    lifted = _lifts([(0.1, 0.5), (0.12, 0.5), (0.11, 0.51)])
    heights = sorted(0.78 * PLOT_HEIGHT * y + lift for y, lift in zip((0.5, 0.5, 0.51), lifted, strict=True))
    assert all(after - before >= LINE for before, after in pairwise(heights))
