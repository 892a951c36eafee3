"""The Feedback tab's handlers: filters, my votes, consent, publishing, and capturing by hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import app
from components.rows import row_cards
from components.thumbnails import png_of, thumbnail
from core.address import Address
from core.comparison import PictureComparison, Vote, picture_rows_of
from core.consent import Consent
from core.conversation import Conversation
from core.dataset import ImagePreferenceRow
from core.errors import UserInputError
from core.feedback import FeedbackStatus, FoundRows
from core.identity import owner_of, pseudonym
from core.images import ImageSettings, Picture, Timings
from pages.capture import CapturePage
from pages.consent import ConsentPanel
from pages.feedback import ELSEWHERE, OPEN, PACE, FeedbackPage, what_remains
from tests.contract.outbox_rows import preference, rating
from tests.fakes import REF, FakeStore, png, services
from tests.unit.test_comparison import rows

ME, OTHER = "visitor-1", "visitor-2"
MY_NAME = pseudonym("salt", ME)


def page(store: FakeStore) -> FeedbackPage:
    return FeedbackPage(store, "salt")


def event(row: str, to: str) -> gr.EventData:
    return gr.EventData(None, {"row": row, "to": to})


def html(store: FakeStore, whose: str = "all", config: str = "", search: str = "", visitor: str = ME) -> str:
    return page(store).rows(whose, config, search, visitor)[0]


def test_only_my_rows_can_be_changed_from_the_page() -> None:
    store = FakeStore()
    store.save([preference("mine", rater=MY_NAME)])
    store.save([preference("theirs", rater=pseudonym("salt", OTHER))])
    shown = html(store)
    assert shown.count("<article") == 2 and shown.count("data-sure") == 1 and "· you ·" in shown
    assert html(store, "mine").count("<article") == 1
    assert html(store, visitor="").count("data-sure") == 0 and "No row here is yours" in html(store, "mine", visitor="")
    theirs = next(row.id for row in store.newest() if row.columns["rater"] != MY_NAME)
    for to in ("", "swap"):
        with pytest.raises(gr.Error, match="Only whoever gave this vote"):
            page(store).act("all", "", "", ME, 20, event(theirs, to))
    with pytest.raises(UserInputError, match="already"):
        page(store).revise("unknown", "", ME)
    assert len(store.kept) == 2


def test_empty_states_say_what_to_do() -> None:
    store = FakeStore()
    assert "Nothing has been said yet" in html(store)
    assert "No row here is yours" in html(store, "mine")
    assert "No row fits" in html(store, search="x") and "No row fits" in html(store, config="ratings")


def test_a_battle_is_one_card_whose_buttons_change_both_its_rows() -> None:
    store = FakeStore()
    store.save(rows("left", rater=MY_NAME))
    shown = html(store, "mine")
    assert shown.count("<article") == 1
    assert all(f'data-to="{to}"' in shown for to in ("right", "tie", "both_bad")) and 'data-to="left"' not in shown
    compared = next(row.id for row in store.newest() if row.config == "comparisons")
    said, *_ = page(store).act("mine", "", "", ME, 20, event(compared, "tie"))
    assert "Changed to “Tie”" in said
    assert [(row.config, row.columns["outcome"]) for row in store.newest()] == [("comparisons", "tie")]
    (tie,) = store.newest()
    assert "Taken back" in page(store).revise(tie.id, "", ME) and not store.kept


def test_the_preference_of_a_battle_stands_for_the_whole_battle() -> None:
    """Its comparison may be further down than the page shows."""
    store = FakeStore()
    store.save(rows("left", rater=MY_NAME))
    preferred = next(row.id for row in store.newest() if row.config == "preferences")
    page(store).revise(preferred, "swap", ME)
    kept = {row.config: row.columns for row in store.newest()}
    assert kept["comparisons"]["outcome"] == "right"
    assert kept["preferences"]["chosen"] == [{"role": "assistant", "content": "right text"}]
    preferred = next(row.id for row in store.newest() if row.config == "preferences")
    page(store).revise(preferred, "", ME)
    assert not store.kept


def drawn(colour: int) -> Picture:
    """A finished picture of the visitor's."""
    settings = ImageSettings(prompt="a cat", seed=colour)
    return Picture(f"picture-{colour}", png(colour), REF, settings, "CPU", "float32", Timings(0.1, 1.0), "done")


def pictures(outcome: str, *, derived: bool = False, sides: tuple[int, int] = (1, 2), number: int = 0) -> tuple:
    left, right = (drawn(colour) for colour in sides)
    comparison = PictureComparison("c-7", "a cat", left, right, derived=derived)
    vote = Vote(outcome, rater=MY_NAME)  # type: ignore[arg-type]
    return picture_rows_of(comparison, vote, created_at="2026-01-01T00:00:00+00:00", app_version="0")


def test_pictures_are_shown_as_pictures_and_as_small_ones() -> None:
    store = FakeStore()
    store.save(pictures("right"))
    shown = html(store)
    assert shown.count("<article") == 1 and shown.count('<img src="data:image/webp') == 2 and "a cat" in shown
    assert len(thumbnail(png(1))) < 2_000 and thumbnail(png(1)) == thumbnail(png(1))


def test_one_pair_of_a_best_of_n_is_taken_back_alone_and_never_changed() -> None:
    store = FakeStore()
    store.save(pictures("left", derived=True, sides=(1, 2)))
    store.save(pictures("left", derived=True, sides=(1, 3)))
    assert len(store.kept) == 4 and 'data-to="tie"' not in html(store)
    one = next(row.id for row in store.newest() if row.config == "comparisons")
    page(store).revise(one, "", ME)
    assert sorted(row.config for row in store.newest()) == ["comparisons", "image_preferences"]


def test_everything_of_mine_goes_and_what_remains_is_said() -> None:
    store = FakeStore()
    store.save([preference(rater=MY_NAME), rating(rater=MY_NAME)])
    store.save([preference(rater="somebody")])
    said, *_, of_one_row = page(store).withdraw_all("all", "", "", ME, 20)
    assert "2 rows taken back" in said and len(store.kept) == 1
    # “Changed to …” would speak of a row that is gone.
    assert of_one_row == ""
    assert "feedback database within seconds; ids and times stay, nothing that was said" in said
    assert 'super_squash_history("org/votes", repo_type="dataset")' in what_remains("org/votes").replace("&quot;", '"')
    with pytest.raises(gr.Error, match="does not know you"):
        page(store).withdraw_all("all", "", "", "", 20)


def test_who_said_nothing_has_nothing_to_take_back() -> None:
    store = FakeStore()
    store.save([preference(rater="r-somebody")])
    said, *_ = page(store).withdraw_all("all", "", "", ME, 20)
    assert "nothing of yours" in said and "next upload" not in said and len(store.kept) == 1


@pytest.mark.parametrize(("before", "after", "error", "told"), [
    (3, 0, None, "Uploaded 3 rows."), (1, 0, None, "Uploaded 1 row."), (0, 0, None, "Nothing was waiting."),
    (3, 3, "The Hub is away.", "Not uploaded, for the reason above."), (3, 1, None, "On the way"),
])  # fmt: skip
def test_what_is_said_of_an_upload_stays_true_afterwards(before: int, after: int, error, told: str) -> None:
    store = FakeStore()
    waits = [before, after]
    store.status = lambda: FeedbackStatus(9, waits[0], 0, 0, "org/votes", last_error=error)  # type: ignore[method-assign]
    store.upload_now = lambda: waits.pop(0)  # type: ignore[assignment, method-assign, return-value]
    *_, (said, *_) = page(store).upload()
    # How many wait now stands in the health line, which is kept current; here it would grow old.
    assert told in said and "waiting" not in said.replace("Nothing was waiting", "")


def test_more_rows_come_in_steps_and_not_without_end() -> None:
    store = FakeStore()
    for number in range(45):
        store.save([preference(str(number))])
    cards, more = page(store).rows("all", "", "", ME)
    assert cards.count("<article") == 20 and more.visible
    cards, more, limit = page(store).show_more("all", "", "", ME, 20)
    assert cards.count("<article") == 40 and more.visible and limit == 40
    cards, more, limit = page(store).show_more("all", "", "", ME, 40)
    assert cards.count("<article") == 45 and not more.visible
    *_, limit, said = page(store).filter("all", "", "", ME)
    assert limit == 20 and said == ""
    assert page(store).rows("all", "", "", ME, 10**9)[0].count("<article") == 45


def test_the_page_is_sent_again_only_when_something_moved() -> None:
    store = FakeStore()
    store.save([preference()])
    *_, seen = page(store).keep_current("all", "", "", ME, 20, None)
    health, *others = page(store).keep_current("all", "", "", ME, 20, seen)
    assert "1 row saved" in health and all(one == gr.skip() for one in others)
    store.save([preference()])
    updates = page(store).keep_current("all", "", "", ME, 20, seen)
    assert updates[4].count("<article") == 2 and updates[-1] != seen


def test_on_another_tab_the_clock_moves_the_badge_alone() -> None:
    store = FakeStore()
    store.save([preference()])
    there = ("all", "", "", ME, 20)
    *updates, seen = page(store).keep_current(*there, None, "tab=chat")
    assert "1 waiting" in updates[3] and all(one == gr.skip() for one in (*updates[:3], *updates[4:]))
    *updates, seen = page(store).keep_current(*there, seen, "tab=chat")
    assert all(one == gr.skip() for one in updates)
    # Back here everything is read, though nothing was said meanwhile.
    updates = page(store).keep_current(*there, seen, "tab=feedback")
    assert updates[4].count("<article") == 1


def test_how_far_a_search_looked_is_said() -> None:
    store = FakeStore()
    store.save([preference()])
    found = store.find.__self__.newest()
    assert "Looked at the newest 20,000 rows." in row_cards(FoundRows(tuple(found), looked_at=20_000))


def test_the_first_rows_for_a_public_dataset_are_shown_before_they_leave() -> None:
    class Public(FakeStore):
        approved = False

        def status(self) -> FeedbackStatus:
            return FeedbackStatus(1, 1, 0, 0, "org/<b>", last_error="public", needs_approval=not self.approved)

        def approve(self) -> FeedbackStatus:
            self.approved = True
            return self.status()

    store = Public()
    store.save([preference("secret", id="row")])
    health, panel, leaving, _ = page(store).top()
    # The panel asks for a look; nothing has failed.
    assert "pg-error" not in health
    assert panel.visible and "Question secret" in leaving and "org/&lt;b&gt;" in leaving and "data-sure" not in leaving
    *_, last = list(page(store).publish())
    assert store.approved and last[2].visible is False


def test_consent_is_asked_once_and_only_where_there_is_a_text() -> None:
    store = FakeStore(Consent("<script>Your votes are kept."))
    panel = ConsentPanel(store, "salt")
    shown, text, version = panel.show(ME)
    assert shown.visible and "&lt;script&gt;Your votes" in text
    # A visitor who has no name yet: the answer for the name may be on the screen already, and stays.
    assert panel.show("") == (gr.skip(), gr.skip(), gr.skip())
    assert panel.agree(ME, version)[0].visible is False and panel.show(ME)[0].visible is False
    assert panel.show(OTHER)[0].visible
    with pytest.raises(gr.Error, match="Reload"):
        panel.agree("", version)
    assert ConsentPanel(FakeStore(), "salt").show(ME)[0].visible is False


def capture(capturing: CapturePage, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "prompt": "a cat", "first_from": "", "first": "", "second_from": "", "second": "", "better": "first", "why": "",
        "conversation": Conversation(), "visitor": ME, "kind": "pictures",
    }  # fmt: skip
    return capturing.capture(**values | changes)


def test_two_uploaded_pictures_become_a_row_without_what_else_the_files_said(tmp_path: Path) -> None:
    from PIL import Image

    store = FakeStore()
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    Image.new("RGB", (8, 6), "red").save(tmp_path / "one.jpg", exif=exif)
    (tmp_path / "two.png").write_bytes(png(3, "a secret prompt"))
    capture(
        CapturePage(store, "salt"), first_picture=str(tmp_path / "one.jpg"), second_picture=str(tmp_path / "two.png"),
        better="second", reasons=["Good looks"],
    )  # fmt: skip
    (row,) = store.kept.values()
    assert isinstance(row, ImagePreferenceRow) and row.provenance.source == "manual"
    assert row.provenance.reasons == ("Good looks",) and row.provenance.shown_left == "rejected"
    assert b"secret" not in row.chosen and b"camera" not in row.rejected and row.chosen_by.model is None
    assert Image.open(io.BytesIO(row.rejected)).size == (8, 6)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a picture", "cannot be read"), (b"", "cannot be read"), (png(1)[:60], "cannot be read")],
)
def test_a_file_that_is_no_picture_is_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        png_of(content, "first picture")


def test_a_picture_too_large_is_a_sentence() -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (5000, 4)).save(out, "PNG")
    with pytest.raises(UserInputError, match="4096 pixels"):
        png_of(out.getvalue(), "first picture")


def test_pictures_that_are_missing_or_the_same_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(png(3))
    store = FakeStore()
    for given, says in (
        ({}, "Both pictures are needed"),
        ({"first_picture": str(tmp_path / "one.png")}, "Both pictures are needed"),
        ({name: str(tmp_path / "one.png") for name in ("first_picture", "second_picture")}, "are the same"),
        ({"better": None}, "which picture is better"),
    ):
        with pytest.raises(gr.Error, match=says):
            capture(CapturePage(store, "salt"), **given)
    assert not store.kept


def test_one_of_my_own_pictures_keeps_its_maker_and_its_recipe() -> None:
    store, gallery = FakeStore(), services().pictures
    owner = owner_of("salt", ME)
    first, second = drawn(1), drawn(2)
    gallery.keep(owner, [first, second])
    capturing = CapturePage(store, "salt", gallery)
    offered = dict(capturing.offer(Conversation(), ME)[2].choices[1:])
    assert sorted(offered.values()) == sorted([first.id, second.id])
    picture, prompt = capturing.pick_picture(first.id, ME, "")
    assert picture.size == (16, 16) and prompt == first.settings.prompt
    capture(capturing, first_picture_from=first.id, second_picture_from=second.id)
    (row,) = store.kept.values()
    assert isinstance(row, ImagePreferenceRow)
    assert (row.chosen, row.rejected) == (first.png, second.png)
    assert (row.chosen_by.model, row.chosen_by.revision) == (first.ref.repo_id, first.ref.revision)
    assert row.provenance.item
    # Somebody else's picture does not exist for me.
    with pytest.raises(gr.Error):
        capture(capturing, visitor=OTHER, first_picture_from=first.id, second_picture_from=second.id)


def test_the_difference_is_shown_once_both_answers_are_there() -> None:
    capturing = CapturePage(FakeStore(), "salt")
    assert capturing.compare("a b", "") == "" and capturing.compare("a", "a") == ""
    shown = capturing.compare("<b> same", "c same")
    assert "<mark>&lt;b&gt;</mark>" in shown and shown.count("<section>") == 2
    assert capturing.slide("one", None).visible is False


def test_nothing_of_the_tab_is_asked_for_before_it_is_open_and_seldom_elsewhere() -> None:
    demo = app.build(services())
    loads = {str(event.name) for event in demo.fns.values() if any(on == "load" for _, on in event.targets)}
    assert "arrive" in loads and loads.isdisjoint({"top", "rows", "about_me", "my_name", "offer", "keep_current"})
    (timer,) = (block for block in demo.blocks.values() if isinstance(block, gr.Timer))
    assert timer.value == ELSEWHERE > OPEN
    # The page itself asks more often while the tab is open.
    (pace,) = (event for event in demo.fns.values() if [block._id for block in event.outputs] == [timer._id])
    assert pace.fn is None and pace.js == PACE and [on for _, on in pace.targets] == ["change"]
    (address,) = pace.inputs
    assert address.elem_id == "address" and 'get("tab") === "feedback"' in PACE
    assert Address("feedback").query() == "tab=feedback"


@pytest.mark.parametrize("shows", ["capture-slider", "capture-difference"])
def test_both_sides_of_a_difference_are_one_event_so_that_a_late_answer_does_not_hide_it(shows: str) -> None:
    events = [
        event for event in app.build(services()).fns.values() if [block.elem_id for block in event.outputs] == [shows]
    ]
    (event,) = events
    assert event.trigger_mode == "always_last" and [on for _, on in event.targets] == ["change", "change"]
