"""A reviewer is a pseudonym unless they chose a name; the name shows, the pseudonym decides."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from components.rows import row_cards
from core.consent import Consent
from core.errors import UserInputError
from core.feedback import RowQuery
from core.identity import checked_name, code_of, pseudonym, signed
from pages.feedback import FeedbackPage
from tests.contract.outbox_rows import comparison, load, open_store, preference

ADA, EVE = "r-0123456789abcdef", "r-fedcba9876543210"


@pytest.fixture
def store(tmp_path: Path):
    store, delivery = open_store(tmp_path)
    store.deliver = delivery.send  # type: ignore[attr-defined]
    yield store
    store.close()


def test_rows_carry_the_name_from_then_on_and_belong_to_the_same_person(store, tmp_path: Path) -> None:
    store.save([preference("before", rater=ADA)])
    assert store.rename(ADA, "  Ada   Lovelace ") == "Ada Lovelace" == store.name_of(ADA)
    store.save([preference("after", rater=ADA)])
    store.rename(ADA, "")
    store.save([preference("later", rater=ADA), preference(rater=EVE), preference(rater=ADA, source="api")])
    mine = store.find(RowQuery(rater=ADA)).rows
    assert [row.columns["rater"] for row in mine] == [ADA, ADA, f"Ada Lovelace ({ADA})", ADA]
    store.deliver()
    assert set(load(tmp_path / "dataset")["rater"]) == {ADA, EVE, f"Ada Lovelace ({ADA})"}
    readme = (tmp_path / "dataset" / "README.md").read_text()
    assert "2 raters, each under a pseudonym, 1 of them behind a name of their own choice" in readme
    assert store.withdraw_all(ADA) == 4
    assert [row.columns["rater"] for row in store.newest()] == [EVE]


def test_withdrawing_everything_forgets_the_name(store) -> None:
    store.rename(ADA, "Ada")
    store.save([preference(rater=ADA)])
    store.withdraw_all(ADA)
    assert store.name_of(ADA) == ""


def test_a_name_is_no_way_to_somebody_else_s_rows(store) -> None:
    """Two may have one name; the rows of each are still only their own."""
    for who in (ADA, EVE):
        store.rename(who, "Ada")
        store.save([preference(rater=who)])
    assert [code_of(str(row.columns["rater"])) for row in store.find(RowQuery(rater=EVE)).rows] == [EVE]
    ada, eve = (row_cards(store.newest(), mine=who) for who in (ADA, EVE))
    assert ada.count("Take back<") == eve.count("Take back<") == 1 and f"Ada ({EVE})" in ada and f"Ada ({ADA})" in eve


@pytest.mark.parametrize("name", ["r-0123456789abcdef", "a" * 41, "Ada (r-1)", "a\u202eb", "<b>", "a\x00b", "r-abcd x"])
def test_names_that_could_be_mistaken_are_refused(name: str) -> None:
    with pytest.raises(UserInputError, match="A name has at most"):
        checked_name(name)


def test_names_and_pseudonyms_part_again() -> None:
    for name in ("Ada", "Ada Lovelace-Byron, 3.", "É", "阿达"):
        assert code_of(signed(checked_name(name), ADA)) == ADA
    assert signed("", ADA) == ADA == code_of(ADA) and code_of("Ada (r-1)") == "Ada (r-1)"


def test_consent_is_the_person_s_whatever_the_name(tmp_path: Path) -> None:
    store, _ = open_store(tmp_path)
    store._consent = Consent("May we?")
    store.agree(ADA, store.consent.version)
    store.rename(ADA, "Ada")
    assert store.save([comparison(rater=ADA, source="battle")]).fresh
    store.close()


def test_the_page_shows_me_my_own_name_only(store) -> None:
    page = FeedbackPage(store, "secret")
    told, name = page.rename(" Ada ", "visitor-one")
    assert name == "Ada" and "<b>Ada</b>" in told and str(pseudonym("secret", "visitor-one")) in told
    assert page.my_name("visitor-one") == "Ada" and page.my_name("visitor-two") == "" == page.my_name("")
    assert "Ada" not in page.about_me("visitor-two")
    with pytest.raises(gr.Error, match="A name has at most"):
        page.rename("<script>", "visitor-one")
    with pytest.raises(gr.Error, match="does not know you"):
        page.rename("Ada", "")
    # Changing and taking back still works on rows with a name.
    row = preference(rater=pseudonym("secret", "visitor-one"))
    store.save([row])
    assert "Taken back" in page.revise(row.provenance.id, "", "visitor-one")
