"""Search against three thousand models as ugly as the real ones, and the files that leave the shortlist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from backends.hub.catalog import Catalog
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from components.results import fills, results
from core.catalog import KINDS, SORTS, SearchQuery
from core.errors import ModelNotFound
from core.licenses import COMMERCIAL
from core.machine import Machine
from core.refs import ModelRef
from core.shortlist import Entry, to_lock
from tests.hub_server import HubServer
from tests.hub_server.seed import model_files
from tests.hub_server.wild import wild

MACHINE = Machine("CPU", 16 * 10**9, "bfloat16")


@pytest.fixture(scope="module")
def big() -> Iterator[tuple[HubServer, list[str]]]:
    with HubServer() as server:
        names = wild(server)
        yield server, names
    assert server.errors == []


@pytest.fixture
def catalog(big: tuple[HubServer, list[str]], tmp_path: Path) -> Catalog:
    local = LocalModels((), tmp_path / "cache")
    return Catalog(HubModels(big[0].url, False), local, search_seconds=300, machine=lambda: MACHINE)


def test_the_same_seed_makes_the_same_hub() -> None:
    first, second, other = HubServer(), HubServer(), HubServer()
    assert wild(first, 40) == wild(second, 40) != wild(other, 40, seed=8)
    assert [first.head(name) for name in wild(HubServer(), 40)] == [second.head(name) for name in wild(HubServer(), 40)]


def test_every_model_is_looked_at_and_none_breaks_the_list(catalog: Catalog, big: tuple[HubServer, list[str]]) -> None:
    query = SearchQuery(source="hub", sort="params", adult=True, look_at=20_000, limit=100)
    page = catalog.search(query)
    assert (page.found, page.looked_at, page.exact) == (3000, 3000, True)
    seen = {row.repo_id for row in page.rows}
    for offset in range(100, 3000, 100):
        more = catalog.search(replace(query, offset=offset))
        seen |= {row.repo_id for row in more.rows}
        html = results(more, query)
        assert html.count("data-open") == 100
        assert "<img" not in html
        assert len(fills(more.rows)) > 0
    assert seen == set(big[1])


@pytest.mark.parametrize("sort", SORTS)
def test_every_order(catalog: Catalog, sort: str) -> None:
    page = catalog.search(SearchQuery(source="hub", sort=sort, limit=50))  # type: ignore[arg-type]
    assert len(page.rows) == 50
    values = [getattr(row, sort) for row in page.rows if isinstance(getattr(row, sort), int | float)]
    if sort in ("downloads", "likes", "params"):
        assert values == sorted(values, reverse=True)


def test_filters_combine_over_the_stream_and_the_count_is_true(catalog: Catalog) -> None:
    query = SearchQuery(
        "tickets summarise", source="hub", license_classes=COMMERCIAL, max_params=3 * 10**9, weights_format="safetensors",
        has_card=True, runs_here=True, look_at=20_000, limit=100,
    )  # fmt: skip
    pages = list(catalog.pages(query))
    last = pages[-1]
    assert last.exact
    assert 0 < last.found == len(last.rows)
    assert [page.looked_at for page in pages] == sorted(page.looked_at for page in pages)
    for row in last.rows:
        assert row.task == "summarization"
        assert row.license_class in COMMERCIAL
        assert (row.params or 0) <= 3 * 10**9
        assert row.has_card
        assert row.runs_here
    unfiltered = catalog.search(SearchQuery("tickets summarise", source="hub", look_at=20_000, limit=100))
    assert {row.repo_id for row in last.rows} < {row.repo_id for row in unfiltered.rows}


def test_datasets_and_spaces_have_rows_too(tmp_path: Path) -> None:
    with HubServer() as hub:
        card = (
            b"---\nlicense: cc0-1.0\nlanguage: [en]\ntask_categories: [summarization]\npretty_name: Tickets\n---\n# T\n"
        )
        hub.add_dataset("org/tickets", {"README.md": card}, downloads=5)
        hub.add_model("org/tickets-model")
        catalog = Catalog(HubModels(hub.url, False), LocalModels((), tmp_path), search_seconds=300)
        page = catalog.search(SearchQuery("tickets", kind="dataset", language="en", license="cc0-1.0"))
        (row,) = page.rows
        assert (row.repo_id, row.kind, row.license_class, row.task) == (
            "org/tickets", "dataset", "permissive", "summarization",
        )  # fmt: skip
        assert KINDS == ("model", "dataset", "space")


def test_a_lock_file_fetches_exactly_these_bytes(tmp_path: Path) -> None:
    with HubServer() as hub:
        commit = hub.add_model("org/name", model_files("Name"))
        hub.commit("org/name", files={"later.md": b"not in the lock"})
        catalog = Catalog(HubModels(hub.url, False), LocalModels((), tmp_path / "none"), card_seconds=300)
        entry = Entry("org/name", commit, license="apache-2.0", license_class="permissive")
        lock = json.loads(to_lock([entry], {entry.key: catalog.files(entry.ref)}))
        (model,) = lock["models"]
        assert (model["license"], model["revision"]) == ("apache-2.0", commit)
        folder = Path(
            snapshot_download(
                model["repo_id"], revision=model["revision"], allow_patterns=[file["path"] for file in model["files"]],
                endpoint=hub.url, token=False, cache_dir=tmp_path / "cache",
            )
        )  # fmt: skip
        assert {file["path"] for file in model["files"]} == {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        for file in model["files"]:
            content = (folder / file["path"]).read_bytes()
            assert len(content) == file["size"]
            if file["sha256"]:
                assert hashlib.sha256(content).hexdigest() == file["sha256"]
            else:
                blob = b"blob %d\0" % len(content) + content
                assert hashlib.sha1(blob, usedforsecurity=False).hexdigest() == file["blob_id"]
        assert any(file["sha256"] for file in model["files"])
        # The copy that was just fetched gives the same files without the Hub.
        local = Catalog(HubModels("http://127.0.0.1:9", False), LocalModels((), tmp_path / "cache"), card_seconds=5)
        assert {file.path for file in local.files(entry.ref)} == {file["path"] for file in model["files"]}
        with pytest.raises(ModelNotFound):
            catalog.files(ModelRef("org/nobody", commit))
