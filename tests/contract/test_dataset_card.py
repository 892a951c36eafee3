"""The dataset's card: current after every commit, honest about what is not known, the owner's words left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backends.feedback import figures as figures_module
from backends.feedback.build import build_feedback
from backends.feedback.figures import BEGIN, END, Figures, placed
from backends.feedback.hub import HubDatasetRepo
from core.consent import Consent
from core.dataset import Contender
from tests.contract.outbox_rows import comparison, load, open_store, preference, rating
from tests.hub_server import HubServer
from tests.hub_server.client import COMMIT
from tests.hub_server.faults import DropAfterCommit

TEXT = Consent("Your votes are kept.\n\nUnder a pseudonym.")


def section(readme: str) -> str:
    return readme.partition(BEGIN)[2].partition(END)[0]


def test_the_card_says_what_is_in_the_dataset_now(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    store._consent = TEXT
    for rater in ("r-1", "r-2"):
        store.agree(rater, TEXT.version)
    card = tmp_path / "dataset" / "README.md"
    makers = Contender("org/a", "a" * 40), Contender("org/b", "b" * 40, f"org/lora@{'c' * 40}")
    row = preference(id="p", rater="r-1", created_at="2026-11-01T00:00:00.000000+00:00")
    store.save([replace(row, chosen_by=makers[0], rejected_by=makers[1])])
    store.save([comparison("tie", id="c", rater="r-2", source="battle")])
    delivery.send()
    told = section(card.read_text())
    assert "| `preferences` | 1 | 2026-11-01 | 2026-11-01 |" in told and "| `comparisons` | 1 |" in told
    assert "2 raters" in told and "1 `battle`" in told and "1 `tie`" in told
    assert f"| org/a | `{'a' * 40}` |  | 1 |" in told and f"| org/b | `{'b' * 40}` | org/lora@{'c' * 40} | 1 |" in told
    assert f"2 rows were given under `consent_version` `{TEXT.version}`" in told
    assert "> Your votes are kept.\n>\n> Under a pseudonym." in told
    assert "Known biases" in told and "Not measured yet" in told

    store.withdraw("c")
    delivery.send()
    told = section(card.read_text())
    assert "1 rater," in told and "`comparisons`" not in told and "`tie`" not in told
    assert load(tmp_path / "dataset")["id"][:] == ["p"]


def test_measured_biases_are_named(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    delivery.numbers = Figures(
        delivery.batches.database, delivery.batches.destination, lambda: ["Left was chosen in 71 % of 40 votes."]
    )
    store.save([preference()])
    delivery.send()
    assert "- Left was chosen in 71 % of 40 votes.\n" in (tmp_path / "dataset" / "README.md").read_text()


def test_the_app_measures_them_itself(tmp_path: Path) -> None:
    store = build_feedback(tmp_path, dataset="", token=None, endpoint="")
    store.save([comparison("left", id=f"c{number}", rater="r-1", item=f"i{number}") for number in range(24)])
    store.upload_now()
    text = (tmp_path / "dataset" / "README.md").read_text()
    told = text.partition("### Known biases")[2]
    assert "- Answers: " in told and "left side wins 100%" in told and "Not measured yet" not in told
    store.close()


def test_rows_leave_even_when_the_figures_cannot_be_made(tmp_path: Path) -> None:
    def broken() -> list[str]:
        raise RuntimeError("a bug in the evidence")

    store, delivery = open_store(tmp_path)
    delivery.numbers = Figures(delivery.batches.database, delivery.batches.destination, broken)
    store.save([preference(id="p")])
    assert delivery.send() == "sent" and load(tmp_path / "dataset")["id"][:] == ["p"]


def test_the_owners_text_around_it_stays(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    card = tmp_path / "dataset" / "README.md"
    card.parent.mkdir()
    card.write_text("---\nlicense: mit\n---\n# Mine\n")
    store.save([preference()])
    delivery.send()
    assert card.read_text().count("# Mine\n") == 1 and "| `preferences` | 1 |" in card.read_text()
    card.write_text(card.read_text().replace("# Mine", "# Still mine") + "\nA last word.\n")
    store.save([preference()])
    delivery.send()
    text = card.read_text()
    assert "# Still mine" in text and text.endswith("A last word.\n") and text.count(BEGIN) == 1
    assert "| `preferences` | 2 |" in text and "license: mit" in text


@pytest.mark.parametrize("body", ["", "text", "text\n\n", f"a\n{BEGIN}\nold\n{END}\nz\n", f"{BEGIN} never closed"])
def test_the_section_is_there_once_and_placing_it_again_changes_nothing(body: str) -> None:
    made = placed(body, f"{BEGIN}\n\\1 new\n{END}\n")
    assert "\\1 new" in made and placed(made, f"{BEGIN}\n\\1 new\n{END}\n") == made


def test_names_of_models_cannot_break_the_card(tmp_path: Path) -> None:
    store, delivery = open_store(tmp_path)
    store.save([replace(rating(), by=Contender("a|b\n# x <img>", "`c`"))])
    delivery.send()
    assert "| a_b___x__img_ | `_c_` |  | 1 |" in (tmp_path / "dataset" / "README.md").read_text()


def test_a_second_try_after_a_lost_reply_says_the_same(tmp_path: Path, hub: HubServer) -> None:
    store, delivery = open_store(tmp_path, HubDatasetRepo("alice/votes", token="hf_alice", endpoint=hub.url))
    store.save([preference()])
    hub.fail_next(COMMIT, DropAfterCommit())
    with pytest.raises(Exception, match="rows wait"):
        delivery.send()
    delivery.send()
    assert len(hub.history("alice/votes", "dataset")) == 2


def test_many_rows_are_counted_beside_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "MANY", 2)
    store, delivery = open_store(tmp_path)
    card = tmp_path / "dataset" / "README.md"
    store.save([preference(), preference()])
    delivery.send()
    assert "| `preferences` | 2 |" in card.read_text() and delivery.numbers.counting is None
    for number in (3, 4, 5):
        store.save([preference()])
        delivery.send()
        if number == 3:
            # The commit did not wait for the count.
            assert delivery.numbers.counting is not None
            delivery.numbers.counting.join(60)
            delivery.numbers._not_before = float("inf")
    assert "| `preferences` | 3 |" in card.read_text()
    assert load(tmp_path / "dataset").num_rows == 5
