"""Search, Card and Feedback handlers on scripted services."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.progress import progress_line
from components.rows import marked_difference, outbox_panel, row_cards
from core.address import Address
from core.caller import called_by
from core.catalog import FileEntry
from core.chat import Progress
from core.conversation import Conversation
from core.dataset import PreferenceRow
from core.errors import DownloadFailed, NoBackend, NotSaved
from core.feedback import FeedbackStatus
from core.files import PICKLED
from core.roles import OPEN
from pages.capture import CapturePage
from pages.card import CardPage, Shown
from pages.chat import ChatPage
from pages.search import SearchPage as SearchTab
from tests.fakes import OTHER, REF, FakeCatalog, FakeImages, FakeRouter, FakeStore


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


VISIT: Any = SimpleNamespace(session_hash="a visit")


def card_page(router: FakeRouter | None = None) -> CardPage:
    return CardPage(FakeCatalog(), router or FakeRouter(), "http://127.0.0.1:9")


def test_choosing_a_row_opens_its_card() -> None:
    tabs, place, query = SearchTab(FakeCatalog()).open(
        event(repo_id=OTHER.repo_id, revision=OTHER.revision, kind="model")
    )
    assert place == Address("card", OTHER.repo_id, OTHER.revision)
    assert query.startswith("tab=card&model=org%2Fother-model")
    assert tabs.selected == "card"


def test_the_card_names_the_commit_and_what_was_found() -> None:
    *_, last = list(card_page().show(Address("card", REF.repo_id), VISIT))
    assert REF.revision in last.head
    assert "No licence is stated." in last.findings
    assert "<em>text</em>" in last.body
    assert "model.safetensors" in last.facts
    assert last.shown == REF


def test_an_unknown_model_is_a_sentence_on_the_page() -> None:
    *_, last = list(card_page().show(Address("card", "no/such"), VISIT))
    assert "Check its spelling" in last.findings
    assert last.shown is None


@pytest.mark.parametrize("text", ["", "  ", "../etc/passwd", "a b", "https://x.y/z", "org/m@..", "$(id)"])
def test_a_bad_id_never_reaches_the_hub(text: str) -> None:
    with pytest.raises(gr.Error):
        card_page().open(text)


def test_use_says_the_size_before_and_the_bytes_while_it_downloads() -> None:
    router = FakeRouter()
    router.ready = False
    page = card_page(router)
    *_, card = list(page.show(Address("card", REF.repo_id), VISIT))
    assert isinstance(card, Shown)
    assert card.use.value == "Download 5 MB and use"
    assert "3 files, 5 MB" in card.progress
    with called_by(OPEN) as noted:
        updates = list(page.used.use(REF))
    assert noted == [("pinned", str(REF))]
    assert "2.5 MB of 5 MB" in updates[0][0]
    assert updates[-1][2] == REF
    assert updates[-1][4].selected == "chat"


def test_a_picture_model_s_use_leads_to_images_and_leaves_the_chat_s_pin() -> None:
    class NoChat(FakeRouter):
        def capabilities(self, ref: Any) -> Any:
            raise NoBackend(f"{ref} is not a chat model.")

    class Pictures(FakeCatalog):
        def card(self, ref: Any) -> Any:
            return replace(super().card(ref), files=(FileEntry("model_index.json", 500),))

    page = CardPage(Pictures(), NoChat(), "http://127.0.0.1:9", FakeImages())
    *_, last = list(page.used.use(REF))
    assert "Images are drawn" in last[0]
    assert last[3] == REF
    assert last[4].selected == "images"
    # Any other model that cannot chat keeps the chat's own reason.
    *_, refused = list(CardPage(FakeCatalog(), NoChat(), "http://127.0.0.1:9", FakeImages()).used.use(REF))
    assert "not a chat model" in refused[0]


def test_a_failed_download_leaves_the_button_and_a_sentence() -> None:
    class Full(FakeRouter):
        def prepare(self, ref: Any) -> Any:
            yield Progress("download", 10, 100, "bytes")
            raise DownloadFailed("The disk is full: 5 MB are needed, 1 MB is free. Free some space and try again.")

    with called_by(OPEN) as noted:
        *_, last = list(card_page(Full()).used.use(REF))
    assert noted == [], "what did not arrive is not pinned, and the audit log does not say so"
    assert "The disk is full" in last[0]
    assert last[1].interactive is True
    assert "ready" not in progress_line(Progress("load")).lower()


def feedback(store: FakeStore | None = None) -> CapturePage:
    return CapturePage(store or FakeStore(), "salt")


def talked() -> Conversation:
    page = ChatPage(FakeRouter(), FakeStore(), "salt")
    return list(page.send("  why?\t", Conversation(), REF, "sys", 0.7, 0.9, 64, None))[-1].conversation


def test_a_picked_reply_keeps_its_maker_and_its_whole_prompt() -> None:
    store, conversation = FakeStore(), talked()
    reply_id = conversation.path()[-1].id
    page = feedback(store)
    text, prompt = page.pick(reply_id, conversation, "")
    page.capture(prompt, reply_id, text, "", "typed answer", "first", "better", conversation, "visitor")
    (row,) = store.kept.values()
    assert isinstance(row, PreferenceRow)
    columns = row.columns()
    assert (columns["chosen_model"], columns["chosen_revision"]) == (REF.repo_id, REF.revision)
    assert columns["rejected_model"] is None
    assert columns["source"] == "manual"
    assert [m.role for m in row.prompt] == ["system", "user"]
    assert row.prompt[1].content == "  why?\t"


def test_an_edited_reply_is_nobodys() -> None:
    store, conversation = FakeStore(), talked()
    reply_id = conversation.path()[-1].id
    feedback(store).capture("q", reply_id, "changed by me", "", "other", "second", "", conversation, "visitor")
    (row,) = store.kept.values()
    assert row.columns()["rejected_model"] is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("q", "", "a", "", "b", None), "Say which answer is better"),
        (("", "", "a", "", "b", "first"), "prompt is empty"),
        (("q", "", "", "", "b", "first"), "Both answers need a text"),
        (("q", "", "a", "", "a", "first"), "are the same"),
        (("q", "gone", "a", "", "b", "first"), "no longer part"),
        (("q", "", "x" * 1_000_001, "", "b", "first"), "1,000,000"),
    ],
)
def test_a_capture_that_cannot_be_saved_is_refused(values: tuple[Any, ...], says: str) -> None:
    store = FakeStore()
    with pytest.raises(gr.Error, match=says):
        feedback(store).capture(*values, "", Conversation(), "visitor")
    assert store.kept == {}


def test_a_full_disk_is_told_and_nothing_on_the_screen_is_cleared() -> None:
    class Full(FakeStore):
        def save(self, rows: Any) -> Any:
            raise NotSaved("The disk is full, so this was not saved. Free some space and press Save again.")

    with pytest.raises(gr.Error, match="disk is full"):
        feedback(Full()).capture("q", "", "a", "", "b", "first", "", Conversation(), "visitor")


def test_rows_are_shown_as_text_and_one_vote_is_one_card() -> None:
    from tests.unit.test_comparison import rows

    store = FakeStore()
    store.save(rows("left"))
    html = row_cards(store.newest())
    assert html.count("<article") == 1
    assert "<mark>left</mark>" in html
    assert marked_difference("<b>a</b> same", "same") == "<mark>&lt;b&gt;a&lt;/b&gt; </mark>same"


def test_the_outbox_is_one_sentence_with_what_went_wrong() -> None:
    status = FeedbackStatus(
        5,
        2,
        3,
        0,
        "ada/votes",
        "a" * 40,
        "The token was refused. Sign in again.",
        130.0,
        "ada, may write",
        ("Careful.",),
    )
    html = outbox_panel(status)
    assert "5 rows saved · 2 waiting · 3 in the dataset · oldest waiting 2 min" in html
    assert "The token was refused" in html
    assert "Careful." in html


def test_the_page_says_when_main_has_moved() -> None:
    from pages.shared import Frame

    router = FakeRouter()
    frame = Frame(router, FakeStore())
    assert frame.news() == ""
    router.moved = "e" * 40
    assert "has moved to eeeeeee since it was pinned here at ccccccc" in frame.news()


def test_a_card_that_was_overtaken_stops_filling_in_and_says_nothing_at_the_end() -> None:
    """A stream's last message is sent again when it ends: an older card would come back over the newer one."""
    page = card_page()
    slow = page.show(Address("card", REF.repo_id), VISIT)
    assert "pg-skeleton" in next(slow).findings
    *_, newer = list(page.show(Address("card", REF.repo_id), VISIT))
    assert newer.shown == REF
    assert [step.shown for step in slow] == [gr.skip()]


def test_a_model_that_only_the_operators_override_lets_in_is_written_down_as_that() -> None:
    class Pickled(FakeRouter):
        def capabilities(self, ref: Any) -> Any:
            return replace(super().capabilities(ref), notes=(PICKLED,))

    with called_by(OPEN) as noted:
        list(card_page(Pickled()).used.use(REF))
    assert noted == [("pinned", str(REF)), ("overrode a finding", f"{REF}: its weights are pickle")]
