"""The Search tab's handlers on scripted services: what is asked, what is shown, and links that say it all."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.results import badge, count_line, results
from components.search_chips import chips
from core.address import Address, read_address, search_part
from core.catalog import SearchPage, SearchQuery
from core.licenses import COMMERCIAL
from core.refs import ModelRef
from core.search_address import read_link, search_link
from pages.search import Listing
from pages.search import SearchPage as SearchTab
from pages.search_filters import NAMES, active, query_of, values_of
from tests.fakes import OTHER, REF, FakeCatalog, summary

PLAIN = SearchQuery(limit=30)


def request(session: str = "one", **params: str) -> Any:
    return SimpleNamespace(session_hash=session, query_params=params)


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def values(**changed: Any) -> list[Any]:
    shown = dict(zip(NAMES, values_of(SearchQuery()), strict=True))
    return list({**shown, **changed}.values())


def page_of(*rows: Any, **more: Any) -> SearchPage:
    facts = {"looked_at": len(rows), "complete": True, "exact": True, "found": len(rows), "hub_reachable": True}
    return SearchPage(rows, **{**facts, **more})


def test_search_says_that_it_looks_then_shows_rows_as_they_arrive() -> None:
    first, more, last = list(SearchTab(FakeCatalog()).find(request(), [], *values(text="tiny")))
    assert "Searching" in first.status
    assert first.address == "tab=search&q=tiny"
    # What was on the screen stays until there is something to show instead.
    assert "value" not in first.found
    assert "Searching" in more.status
    assert last.status == ""
    for shown in ("org/tiny-model", "135M", "1.2 M", "permissive"):
        assert shown in last.found
    assert [row.repo_id for row in last.rows] == [REF.repo_id, OTHER.repo_id]


def test_a_newer_search_ends_the_older_one_of_the_same_visitor_only() -> None:
    tab = SearchTab(FakeCatalog())
    older, other = tab.find(request(), [], *values()), tab.find(request("two"), [], *values())
    next(older), next(other)
    newer = tab.find(request(), [], *values(text="x"))
    next(newer)
    assert list(older) == []
    assert len(list(other)) == 2
    assert len(list(newer)) == 2


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sort": "stars"}, "trending, downloads"),
        ({"text": "x" * 501}, "too long"),
        ({"text": "\ud800"}, "character pair"),
        ({"max_params": "many"}, "3B"),
        ({"license_classes": ["free"]}, "permissive, copyleft"),
        ({"task": ["a"]}, "task has to be text"),
        ({"paper": "x y"}, "arXiv"),
    ],
)
def test_a_crafted_search_is_refused_with_the_vocabulary(changed: dict[str, Any], says: str) -> None:
    seen: list[Listing] = []
    with pytest.raises(gr.Error, match=says):
        for shown in SearchTab(FakeCatalog()).find(request(), [], *values(**changed)):
            seen.append(shown)
    assert says in seen[-1].status
    assert "pg-busy" not in seen[-1].status


def test_every_filter_stands_in_the_link_and_comes_back_into_its_control() -> None:
    query = SearchQuery(
        "support -bad", "summarization", "transformers", "acme", "params", 30, "hub", "dataset", "de", "mit",
        ("permissive", "own-terms"), "a/base", "adapter", "a/data", "2302.13971", 360_000_000, 3_000_000_000, 10, 2,
        "gguf", "awq", "2026-01-31", "no", "together", True, True, True, True, ("worse",), 30, 2400,
    )  # fmt: skip
    assert replace(read_link(search_link(query)), limit=30) == query
    shown = query_of(values_of(query), offset=30, look_at=2400)
    assert replace(shown, exclude=("worse",)) == query
    assert "max_params=3B" in search_link(query)


def test_a_strangers_link_loses_what_is_malformed_and_keeps_the_rest() -> None:
    place = read_address(
        {"tab": "search", "q": "chat", "sort": "evil", "min_params": "x", "look_at": "9" * 30, "license_class": "a,mit",
         "compare": f"org/a@{'a' * 40},../x@main,org/b@main"}
    )  # fmt: skip
    assert place == Address("search", search=search_part(SearchQuery("chat"), [ModelRef("org/a", "a" * 40)]))
    assert place.query() == f"tab=search&q=chat&compare=org/a@{'a' * 40}"


def test_a_chip_takes_its_filter_away() -> None:
    tab = SearchTab(FakeCatalog())
    query = replace(PLAIN, text="tickets summarise -old", license_classes=COMMERCIAL, runs_here=True)
    said = active(query)
    assert [label for _, label, _ in said] == [
        "task: summarization", "licence: commercial use", "runs here", "without: old"
    ]  # fmt: skip
    assert chips(said).count("data-drop") == 5
    left: dict[str, str] = {}
    for field, label, words in said:
        first = next(tab.drop(event(field=field, words=words), request(), [], query))
        left[label] = first[-1]
        assert dict(zip(NAMES, first, strict=False))["license_classes"] == (
            [] if "licence" in label else ["commercial"]
        )
    # The word of a chip that was taken away is looked for as it is.
    assert "q=tickets+%22summarise%22+-old" in left["task: summarization"]
    assert "q=tickets+summarise&" in left["without: old"]
    assert "runs_here" not in left["runs here"]
    first = next(tab.drop(event(field="all", words=""), request(), [], query))
    assert first[-1] == "tab=search"


def test_pages_and_looking_further() -> None:
    tab = SearchTab(FakeCatalog())
    last = next(tab.go_on(event(do="page", offset=30), request(), [], PLAIN))
    assert last.query.offset == 30
    last = next(tab.go_on(event(do="further"), request(), [], PLAIN))
    assert last.query.look_at == 4 * PLAIN.look_at
    assert next(tab.go_on(event(do="page", offset=10**12), request(), [], PLAIN)).query.offset == 20_000


def test_back_and_forward_bring_the_search_back_and_leave_other_tabs_alone() -> None:
    tab = SearchTab(FakeCatalog())
    first = next(tab.follow(event(query="tab=search&q=tiny&max_params=3B"), request(), []))
    assert dict(zip(NAMES, first, strict=False))["max_params"] == "3B"
    assert not isinstance(first[-1], str), "the address is what brought the visitor here"
    assert len(list(tab.follow(event(query="tab=chat"), request(), []))) == 1


def test_what_is_no_model_opens_its_card_too() -> None:
    tab = SearchTab(FakeCatalog())
    _, place, query = tab.open(event(repo_id="org/tickets", revision="", kind="dataset"))
    assert (place.kind, place.model) == ("dataset", "org/tickets")
    assert "repo=dataset" in query
    with pytest.raises(gr.Error, match="model, dataset or space"):
        tab.open(event(repo_id="org/tickets", revision="", kind="paper"))


def test_nothing_found_says_what_to_do_and_a_notice_comes_first() -> None:
    empty = page_of(hub_reachable=False, notice="The Hub cannot be reached <now>.", complete=False, exact=False)
    html = results(empty, replace(PLAIN, text="x"))
    assert "Take a filter away" in html
    assert "The Hub cannot be reached &lt;now&gt;." in html
    searched = page_of(looked_at=600, complete=False, exact=False)
    html = results(searched, replace(PLAIN, runs_here=True))
    assert "Looked at 600, 0 match." in html
    assert "Look further" in html


def test_counts_are_true() -> None:
    row = summary(REF, "hub")
    assert count_line(page_of(row), PLAIN) == "1 model found."
    assert count_line(page_of(*[row] * 14, looked_at=600, complete=False, exact=False), PLAIN) == (
        "Looked at 600, 14 match."
    )
    full = page_of(*[row] * 30, looked_at=30, complete=False, exact=False)
    assert count_line(full, PLAIN) == "1–30 of more than 30 models. Looked at 30."
    assert count_line(page_of(*[row] * 30, found=212, complete=False), PLAIN) == "1–30 of 212 models found."
    assert count_line(page_of(row, row, hub_reachable=None), PLAIN) == "2 models on this machine."
    said = count_line(page_of(row, row, words=("a", "b"), whole=1, adult_left_out=3), replace(PLAIN, sort="params"))
    for part in ("1 has every word", "Sorted by size among those looked at", "3 left out as not for all audiences"):
        assert part in said


def test_a_hostile_row_is_text() -> None:
    row = replace(
        summary(REF, "hub"), license='"><script>x</script>', task="<img src=x onerror=y>", updated="soon",
        why_not="<script>", runs_here=False, memory_note='"><script>', matched=("a",),
    )  # fmt: skip
    html = results(page_of(row, words=("a", "<script>")), PLAIN)
    assert "<script" not in html
    assert "<img" not in html


def test_the_badge_says_about_until_the_cache_is_counted() -> None:
    row = replace(
        summary(REF, "hub"), runs_here=True, runs_on="CPU", memory_bytes=2_300_000_000, memory_note="2.3 GB = x"
    )
    assert "CPU · about 2.3 GB" in badge(row)
    assert "CPU · 2.3 GB" in badge(replace(row, memory_exact=True))
    assert "needs 14 GB" in badge(replace(row, runs_here=False, why_not="needs 14 GB, CPU has 8 GB"))
    tab = SearchTab(FakeCatalog())
    *_, filled = tab.measure([row])
    assert "300 MB" in filled
    assert f"{REF.repo_id}@{REF.revision}" in filled


def test_rows_of_the_shortlist_have_a_full_star() -> None:
    row, other = summary(REF, "hub"), summary(OTHER, "hub")
    html = results(page_of(row, other), PLAIN, {f"{OTHER.repo_id}@{OTHER.revision}"})
    assert html.count('aria-pressed="true"') == 1


def test_only_a_link_that_asks_for_something_sets_the_filters() -> None:
    page = SearchTab(FakeCatalog())

    def linked(**params: str) -> Any:
        return page.linked(type("Request", (), {"query_params": params})())  # type: ignore[arg-type]

    assert linked(tab="search") == gr.skip() == linked(tab="card", model="org/name")
    values = dict(zip(NAMES, page.fill_in(linked(tab="search", q="tickets", author="org")), strict=True))
    assert (values["text"], values["author"]) == ("tickets", "org")
    assert "compare" in linked(compare=f"{REF},{OTHER}")
