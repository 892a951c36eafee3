"""Cards of datasets and Spaces, first rows and papers, against the test Hub over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.hub.catalog import Catalog
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.repo_cards import RepoCards
from core.address import Address
from core.catalog import SearchQuery
from core.errors import ModelNotFound, UserInputError
from pages.card_kinds import RepoPages
from tests.hub_server import HubServer, Status
from tests.hub_server.seed import seed
from tests.hub_server.seed_cards import ADAPTER, seed_cards
from tests.hub_server.seed_kinds import (
    GATED,
    PAPER,
    PARQUET,
    PICTURES,
    SCRIPTED,
    SOUNDS,
    SPACE,
    TICKETS,
    WIDE,
    seed_kinds,
)

Opener = Callable[..., RepoCards]


@pytest.fixture
def commits(hub: HubServer) -> dict[str, str]:
    seed(hub)
    seed_cards(hub)
    return seed_kinds(hub)


@pytest.fixture
def repos(hub: HubServer, commits: dict[str, str]) -> Opener:
    def make(token: str | bool = False, viewer: str | None = None) -> RepoCards:
        address = hub.viewer_url if viewer is None else viewer
        return RepoCards(HubModels(hub.url, token), viewer=address, seconds=20, token=token)

    return make


class TestDatasets:
    def test_a_card_with_features_splits_and_first_rows_of_the_viewer(
        self, hub: HubServer, repos: Opener, commits: dict[str, str]
    ) -> None:
        details = repos()
        found = details.open("dataset", TICKETS)
        assert (found.card.revision, found.card.summary.license, found.card.gated) == (
            commits["tickets"],
            "cc-by-4.0",
            False,
        )
        assert found.card.papers == (PAPER,)
        parts = details.parts(found)
        assert [(c.name, c.type) for c in parts.columns["default"]] == [("text", "string"), ("label", "ClassLabel(2)")]
        assert [(s.name, s.rows, s.bytes) for s in parts.splits] == [("train", 412, 48_210), ("test", 88, 9_870)]
        preview = details.rows(found, "default", "test")
        assert [cell.text for cell in preview.rows[0]] == ["Ticket 0: the printer is on fire <again>.", "0 (calm)"]
        assert not hub.sent("GET /datasets/*/resolve/*/data/*")

    def test_without_a_viewer_the_head_of_a_file_is_read_and_no_more(self, hub: HubServer, repos: Opener) -> None:
        details = repos(viewer="")
        found = details.open("dataset", TICKETS)
        parts = details.parts(found)
        assert [(s.config, s.name, s.rows) for s in parts.splits] == [
            ("default", "test", None),
            ("default", "train", None),
        ]
        preview = details.rows(found, "default", "train")
        assert len(preview.rows) == 20
        assert preview.rows[1][0].text.startswith("Ticket 1:")
        asked = hub.sent("GET /datasets/*/resolve/*/data/*")
        assert [request.headers.get("range") for request in asked] == ["bytes=0-255999"]

    def test_parquet_by_its_footer(self, repos: Opener) -> None:
        details = repos()  # The viewer answers 500 for it: it has not computed this one.
        found = details.open("dataset", PARQUET)
        assert [f.id for f in found.card.findings] == ["license-terms"]
        parts = details.parts(found)
        assert [(s.name, s.rows) for s in parts.splits] == [("test", 120), ("train", 240)]
        assert [(c.name, c.type) for c in parts.columns["default"]] == [("prompt", "string"), ("stars", "int64")]
        preview = details.rows(found, "default", "train")
        assert [cell.text for cell in preview.rows[3]] == ["Question 3", "3"]

    def test_pictures_inside_parquet_are_shown_without_fetching_anything_else(self, repos: Opener) -> None:
        details = repos(viewer="")
        preview = details.rows(details.open("dataset", PICTURES), "default", "train")
        cell = preview.rows[0][0]
        assert (cell.kind, cell.address[:22]) == ("image", "data:image/png;base64,")
        assert [c.type for c in preview.columns] == ["Image", "string"]

    def test_a_script_says_that_it_is_not_run(self, repos: Opener) -> None:
        details = repos()
        found = details.open("dataset", SCRIPTED)
        assert "script-only" in {f.id for f in found.card.findings}
        assert "Python script" in (details.parts(found).problem or "")
        assert "Python script" in (details.rows(found, "default", "train").problem or "")

    def test_a_gated_one_tells_what_is_open_and_shows_rows_only_to_those_let_in(
        self, hub: HubServer, repos: Opener
    ) -> None:
        stranger = repos()
        found = stranger.open("dataset", GATED)
        assert (found.card.gated, found.card.summary.license) == (True, "other")
        assert found.card.gated_link == f"{hub.url}/datasets/{GATED}"
        assert "asks for access" in (stranger.rows(found, "default", "train").problem or "")
        hub.grant(GATED, "alice", "dataset")
        member = stranger.for_token("hf_alice")
        let_in = member.open("dataset", GATED)
        assert "Support tickets" in let_in.card.markdown
        assert member.rows(let_in, "default", "train").rows
        # What was read with the token is nobody else's.
        assert "Support tickets" not in stranger.open("dataset", GATED).card.markdown
        assert "asks for access" in (stranger.rows(found, "default", "train").problem or "")

    def test_a_very_wide_one_says_how_wide(self, repos: Opener) -> None:
        details = repos()
        preview = details.rows(details.open("dataset", WIDE), "default", "train")
        assert len(preview.columns) == 40
        assert preview.notes == ("300 columns: the first 40 are shown.",)

    def test_sounds_are_links(self, repos: Opener) -> None:
        details = repos()
        preview = details.rows(details.open("dataset", SOUNDS), "default", "train")
        assert preview.rows[0][0].kind == "audio"
        assert "not played here" in preview.notes[0]

    def test_an_archive_without_a_viewer_has_a_sentence(self, repos: Opener) -> None:
        details = repos(viewer="")
        assert "No file of this repository" in (details.parts(details.open("dataset", SOUNDS)).problem or "")

    def test_an_older_commit_is_read_from_its_own_files(
        self, hub: HubServer, repos: Opener, commits: dict[str, str]
    ) -> None:
        hub.commit(TICKETS, "dataset", {"data/train.jsonl": b'{"text": "new", "label": 1}\n'})
        details = repos()
        old = details.open("dataset", TICKETS, commits["tickets"])
        assert old.card.main_moved
        assert "Ticket 0" in details.rows(old, "default", "train").rows[0][0].text

    def test_what_is_not_there_says_so(self, hub: HubServer, repos: Opener) -> None:
        with pytest.raises(ModelNotFound, match="no dataset “alice/nothing”"):
            repos().open("dataset", "alice/nothing")
        with pytest.raises(UserInputError, match="model, dataset or space"):
            repos().open("paper", "alice/tickets")
        details = repos(viewer="")
        found = details.open("dataset", TICKETS)
        hub.fail_next("GET /datasets/*/data/train.jsonl", Status(500))
        assert "could not be read" in (details.rows(found, "default", "train").problem or "")


class TestSpaces:
    def test_what_it_uses_and_whether_it_runs(self, repos: Opener, commits: dict[str, str]) -> None:
        found = repos().open("space", SPACE)
        assert (found.card.revision, found.sdk, found.stage, found.hardware) == (
            commits["space"],
            "gradio",
            "RUNNING",
            "zero-a10g",
        )
        assert (found.models, found.datasets) == ((ADAPTER,), (TICKETS,))
        assert "see what the adapter answers" in found.card.markdown


class TestPapers:
    def test_title_authors_abstract_and_what_names_it(self, repos: Opener) -> None:
        paper = repos().paper(PAPER)
        assert paper.title.startswith("LoRA")
        assert paper.authors == ("Edward J. Hu", "Yelong Shen", "Phillip Wallis")
        assert "rank decomposition" in paper.abstract
        named = {(each.kind, each.repo_id) for each in paper.linked}
        assert {("model", ADAPTER), ("dataset", TICKETS)} <= named
        assert paper.models == 1

    def test_one_the_hub_has_no_page_of(self, repos: Opener) -> None:
        assert "no page" in (repos().paper("1701.00001").problem or "")
        with pytest.raises(UserInputError):
            repos().paper("../whoami-v2")


class TestThePage:
    def test_text_first_then_splits_then_rows(self, hub: HubServer, repos: Opener) -> None:
        steps = list(RepoPages(repos(), hub.url).steps(Address("card", PARQUET, kind="dataset")))
        assert len(steps) == 3
        assert "Rated answers" in steps[0].body
        assert "Reading splits" in steps[0].tree
        assert "240" in steps[1].tree
        assert "split=&quot;train&quot;" in steps[1].code
        assert "Question 3" in steps[2].preview

    def test_what_cannot_be_opened_says_why_and_can_be_asked_again(self, hub: HubServer, repos: Opener) -> None:
        (step,) = RepoPages(repos(), hub.url).steps(Address("card", "alice/nothing", kind="dataset"))
        assert "no dataset “alice/nothing”" in step.findings
        assert 'href="?tab=card&amp;repo=dataset&amp;model=alice%2Fnothing"' in step.findings


class TestForPrograms:
    def test_the_record_holds_what_the_page_shows(self, hub: HubServer, repos: Opener) -> None:
        pages = RepoPages(repos(), hub.url)
        record = pages.record("dataset", TICKETS, "", "test")
        assert [each["name"] for each in record["features"]["default"]] == ["text", "label"]
        assert (record["first_rows"]["split"], len(record["first_rows"]["rows"])) == ("test", 3)
        assert record["paper_records"][0]["title"].startswith("LoRA")
        assert "<h2" in record["card_html"]
        json.dumps(record)
        space = pages.record("space", SPACE, "")
        assert (space["models"], space["stage"]) == ([ADAPTER], "RUNNING")
        with pytest.raises(UserInputError, match="default/train"):
            pages.record("dataset", TICKETS, "", "nothing")

    def test_the_search_finds_datasets_and_spaces(self, hub: HubServer, repos: Opener, tmp_path: Path) -> None:
        repos()
        catalog = Catalog(HubModels(hub.url, False), LocalModels([], tmp_path), search_seconds=20)
        found = catalog.search(SearchQuery(text="tickets", kind="dataset", license="cc-by-4.0"))
        assert [(row.repo_id, row.kind, row.license_class) for row in found.rows] == [
            (TICKETS, "dataset", "permissive")
        ]
        spaces = catalog.search(SearchQuery(text="desk", kind="space"))
        assert [(row.repo_id, row.library) for row in spaces.rows] == [(SPACE, "gradio")]
