"""The shortlist and the comparison as the page's handlers see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import pytest

from core.address import search_part
from core.card_parts import Lineage
from core.catalog import SearchQuery
from core.errors import HubUnreachable
from core.refs import ModelRef
from core.shortlist import kept, read_kept
from pages.search_compare import ComparePage
from pages.search_shortlist import ShortlistPage
from tests.fakes import OTHER, REF, FakeCatalog, summary

ROWS = (summary(REF, "hub"), summary(OTHER, "hub"))


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def pinned(*refs: ModelRef) -> Any:
    page, stored = ShortlistPage(FakeCatalog()), []
    for ref in refs:
        stored, *_ = page.pin(event(repo_id=ref.repo_id, revision=ref.revision, pinned=True), stored, ROWS)
    return stored


def test_a_star_puts_a_row_in_at_its_commit_and_takes_it_out() -> None:
    page = ShortlistPage(FakeCatalog())
    stored, html, group = page.pin(event(repo_id=REF.repo_id, revision=REF.revision, pinned=True), [], ROWS)
    (entry,) = read_kept(stored)
    assert (entry.ref, entry.status, entry.license_class) == (REF, "candidate", "permissive")
    assert entry.when
    assert REF.revision[:7] in html
    assert group.label == "Shortlist (1 of 12)"
    stored, html, _ = page.pin(event(repo_id=REF.repo_id, revision=REF.revision, pinned=False), stored, ROWS)
    assert stored == []
    assert "empty" in html
    with pytest.raises(gr.Error, match="Search again"):
        page.pin(event(repo_id="org/gone", revision="e" * 40, pinned=True), [], ROWS)


def test_a_decision_is_kept_with_its_reason_and_who() -> None:
    page, stored = ShortlistPage(FakeCatalog()), pinned(REF, OTHER)
    stored, html, group = page.decide(event(do="status", key=str(REF), value="chosen"), stored, "Ada")
    stored, html, _ = page.decide(event(do="reason", key=str(REF), value='<b>"small"</b>'), stored, "Ada")
    entry = read_kept(stored)[0]
    assert (entry.status, entry.reason, entry.who) == ("chosen", '<b>"small"</b>', "Ada")
    assert "<b>" not in html
    assert "1 chosen" in (group.label or "")
    stored, _, _ = page.decide(event(do="remove", key=str(REF)), stored, "")
    assert [each.ref for each in read_kept(stored)] == [OTHER]
    with pytest.raises(gr.Error, match="candidate, chosen, rejected"):
        page.decide(event(do="status", key=str(OTHER), value="maybe"), stored, "")


def test_exports_and_import() -> None:
    page, stored = ShortlistPage(FakeCatalog()), pinned(REF, OTHER)
    stored, *_ = page.decide(event(do="status", key=str(OTHER), value="rejected"), stored, "")
    exported = page.export(stored)
    again, html, _ = page.take_in(exported)
    assert again == stored
    assert OTHER.repo_id in html
    lock = json.loads(Path(page.lock(stored)).read_text(encoding="utf-8"))
    assert [model["repo_id"] for model in lock["models"]] == [REF.repo_id], "what was rejected is not locked"
    assert lock["models"][0]["files"][1]["sha256"] == "a" * 64
    for refused in (page.export, page.lock):
        with pytest.raises(gr.Error, match="star"):
            refused([])


def test_a_wrong_file_leaves_the_list_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    with pytest.raises(gr.Error, match="text"):
        ShortlistPage(FakeCatalog()).take_in(str(tmp_path / "bad.json"))


class Details:
    """Only the chain."""

    def lineage(self, card: Any) -> Lineage:
        if card.repo_id == OTHER.repo_id:
            raise HubUnreachable("The Hub cannot be reached.")
        return Lineage()


def test_comparing_is_a_link_that_shows_the_same_commits() -> None:
    page = ComparePage(FakeCatalog(), Details())  # type: ignore[arg-type]
    query = SearchQuery("tickets", limit=30)
    shown = list(page.compare(event(keys=[str(REF), str(OTHER)]), pinned(REF, OTHER), query))
    assert shown[0].address == f"tab=search&q=tickets&compare={REF},{OTHER}"
    assert "reading its card" in shown[0].table
    last = shown[-1]
    assert last.refs == (REF, OTHER)
    for said in ("tiny-model", "other-model", REF.revision[:7], "134,515,008", "The Hub cannot be reached."):
        assert said in last.table
    arrived = list(page.arrive(urlencode({"compare": f"{REF},{OTHER}"})))[-1]
    assert arrived.table == last.table
    assert arrived.refs == last.refs
    left = page.leave(query)
    assert (left.refs, left.address) == ((), "tab=search&q=tickets")


def test_a_model_that_is_gone_is_a_sentence_in_its_column() -> None:
    class Gone(FakeCatalog):
        def card(self, ref: ModelRef) -> Any:
            if ref == OTHER:
                raise HubUnreachable("Gone <now>.")
            return super().card(ref)

    page = ComparePage(Gone(), None)
    last = list(page.arrive(urlencode({"compare": f"{REF},{OTHER}"})))[-1]
    assert "Gone &lt;now&gt;." in last.table
    assert "134,515,008" in last.table


@pytest.mark.parametrize("link", ["", f"{REF}", f"{REF},{REF}", f"{REF},../x@main"])
def test_a_link_with_fewer_than_two_shows_the_search(link: str) -> None:
    (shown,) = ComparePage(FakeCatalog(), None).arrive(urlencode({"compare": link}))
    assert shown.refs == ()


def test_too_few_to_compare_is_said() -> None:
    with pytest.raises(gr.Error, match="at least two"):
        list(ComparePage(FakeCatalog(), None).compare(event(keys=[str(REF)]), pinned(REF, OTHER), SearchQuery()))


def test_a_battle_gets_both_at_their_commits() -> None:
    page = ComparePage(FakeCatalog(), None)
    tabs, mode, first, second, _, address = page.hand_over(f"{REF} {OTHER}", (REF, OTHER))
    assert (tabs.selected, mode, first, second, address) == ("chat", "compare", str(REF), str(OTHER), "tab=chat")
    tabs, mode, first, second, address = page.hand_to_images(f"{OTHER} {REF}", (REF, OTHER))
    assert (tabs.selected, mode, first, second, address) == ("images", "compare", str(REF), str(OTHER), "tab=images")
    with pytest.raises(gr.Error, match="which two"):
        page.hand_over("", (REF, OTHER))


def test_the_same_shortlist_survives_the_browser() -> None:
    stored = pinned(REF, OTHER)
    assert kept(read_kept(json.loads(json.dumps(stored)))) == stored
    assert "compare=" in search_part(SearchQuery(), [REF, OTHER])
