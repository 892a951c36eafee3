"""Exports hold what they say: every row once, no prompt in both splits, every model named."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends.evidence.export import export
from backends.evidence.views import Kept as KeptRows
from backends.evidence.views import derived_pairs
from components.boards import pictured_html
from core.chat import Message
from core.dataset import Config, Contender, ImagePreferenceRow, PreferenceRow, RatingRow, Row
from core.errors import FeedbackError, UserInputError
from core.export import ExportOrder, split_of
from core.feedback import StoredRow
from tests.contract.outbox_rows import AWKWARD, full_preference, pictured, preference, provenance
from tests.fakes import png

A, B = Contender("org/a", "a" * 40, None, '{"seed": 1}'), Contender("org/b", "b" * 40, "org/lora@" + "c" * 40)


class Kept:
    """Rows in memory as a source."""

    def __init__(self, *rows: Row) -> None:
        self.kept = rows

    def rows(self, config: Config) -> Iterator[StoredRow]:
        for row in self.kept:
            if row.config == config:
                yield StoredRow(row.provenance.id, row.config, row.columns(), "pushed")

    def votes(self):
        raise AssertionError("an export reads rows")


def asked(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def rated(prompt: str, answer: str, label: bool, by: Contender = A, **changes: object) -> RatingRow:
    return RatingRow(provenance(source="thumb", **changes), asked(prompt), (Message("assistant", answer),), label, by)


def made(folder: Path, source: Kept, order: ExportOrder, commit: str | None = "f" * 40):
    *_, last = export(source, order, folder, dataset="org/votes", commit=commit)
    return last


def lines(folder: Path, split: str) -> list[dict[str, object]]:
    file = folder / f"{split}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test_no_prompt_is_in_both_splits_and_a_prompt_stays_as_rows_are_added() -> None:
    shares = [0.1, 0.2, 0.5]
    before = {
        number: [split_of([{"role": "user", "content": f"q {number}"}], s) for s in shares] for number in range(2_000)
    }
    for share, column in zip(shares, range(3), strict=True):
        found = sum(splits[column] == "test" for splits in before.values()) / 2_000
        assert found == pytest.approx(share, abs=0.03)
    # A larger share only moves prompts from train to test.
    assert all(splits[1] == "test" for splits in before.values() if splits[0] == "test")
    # Every turn of a conversation, whatever stands before and after its first question, is on one side.
    for number in range(50):
        longer = [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": f"  Q  {number}\n"},
            {"role": "assistant", "content": "yes"}, {"role": "user", "content": "more"},
        ]  # fmt: skip
        assert split_of(longer, 0.2) == before[number][1]
        assert split_of(f"q {number}", 0.2) == before[number][1]


def test_dpo_lines_are_the_dataset_s_rows(tmp_path: Path) -> None:
    rows = [preference(str(number)) for number in range(40)] + [full_preference()]
    last = made(tmp_path, Kept(*rows), ExportOrder("dpo", "jsonl", 0.3))
    train, test = lines(tmp_path, "train"), lines(tmp_path, "test")
    assert (len(train), len(test)) == (last.train, last.test) and last.rows == 41 and test
    assert {json.dumps(row["prompt"]) for row in train}.isdisjoint(json.dumps(row["prompt"]) for row in test)
    wanted = {row.provenance.id: row.columns() for row in rows}
    assert {str(row["id"]): row for row in train + test} == wanted


def test_an_equal_pair_teaches_nothing_and_stays_out(tmp_path: Path) -> None:
    same = replace(preference(), rejected=preference().chosen)
    assert made(tmp_path, Kept(preference("b"), same), ExportOrder("dpo", "jsonl", 0)).rows == 1


def test_kto_takes_thumbs_and_both_answers_of_a_pair(tmp_path: Path) -> None:
    pair = PreferenceRow(
        provenance(comment="both", strength="clearly"), asked("q"), (Message("assistant", "good"),),
        (Message("assistant", "bad"),), A, B,
    )  # fmt: skip
    source = Kept(pair, rated("q", "meh", False))
    made(tmp_path / "all", source, ExportOrder("kto", "jsonl", 0))
    told = {row["completion"][0]["content"]: (row["label"], row["model"]) for row in lines(tmp_path / "all", "train")}
    assert told == {"good": (True, "org/a"), "bad": (False, "org/b"), "meh": (False, "org/a")}
    assert len({row["id"] for row in lines(tmp_path / "all", "train")}) == 3
    made(tmp_path / "thumbs", source, ExportOrder("kto", "jsonl", 0, unpaired=False))
    assert [row["completion"][0]["content"] for row in lines(tmp_path / "thumbs", "train")] == ["meh"]


def test_sft_takes_good_answers_once(tmp_path: Path) -> None:
    source = Kept(
        preference("x"), preference("x"), rated("q", "fine", True), rated("q", "fine", True), rated("q", "bad", False)
    )
    made(tmp_path, source, ExportOrder("sft", "jsonl", 0))
    rows = lines(tmp_path, "train")
    assert [row["completion"][0]["content"] for row in rows] == ["Good x", "fine"]
    assert "label" not in rows[0]


def test_pairs_are_derived_from_one_thumb_up_and_one_down_on_the_same_prompt() -> None:
    source = Kept(
        rated("q", "up 1", True, A, rater="ada"), rated("q", "down 1", False, B, rater="bob"),
        rated("q", "up 2", True), rated("other", "down", False), rated("q", "up 2", False),
        rated("q", "down 2", False),
    )  # fmt: skip
    pairs = list(derived_pairs(KeptRows(source)))
    assert [(p["chosen"][0]["content"], p["rejected"][0]["content"]) for p in pairs] == [
        ("up 1", "down 1"), ("up 2", "down 2"),
    ]  # fmt: skip
    first = pairs[0]
    assert (first["source"], first["derived"], first["rater"]) == ("derived", True, None)
    assert (first["chosen_model"], first["rejected_model"], first["rejected_adapter"]) == (
        "org/a", "org/b", "org/lora@" + "c" * 40,
    )  # fmt: skip
    assert [p["id"] for p in pairs] == [p["id"] for p in derived_pairs(KeptRows(source))]


def test_derived_pairs_come_only_on_request(tmp_path: Path) -> None:
    source = Kept(preference(), rated("q", "up", True), rated("q", "down", False))
    assert made(tmp_path / "1", source, ExportOrder("dpo", "jsonl", 0)).rows == 1
    assert made(tmp_path / "2", source, ExportOrder("dpo", "jsonl", 0, derived=True)).rows == 2


def test_the_lock_file_names_the_dataset_and_every_model_commit(tmp_path: Path) -> None:
    pair = PreferenceRow(provenance(), asked("q"), (Message("assistant", "1"),), (Message("assistant", "2"),), A, B)
    last = made(tmp_path, Kept(pair, preference()), ExportOrder("dpo", "parquet", 0))
    lock = json.loads((tmp_path / "models.lock.json").read_text())
    assert (lock["dataset"], lock["dataset_commit"]) == ("org/votes", "f" * 40)
    assert lock["models"] == [
        {"repo_id": "org/a", "revision": "a" * 40, "adapter": None, "rows": 1},
        {"repo_id": "org/b", "revision": "b" * 40, "adapter": "org/lora@" + "c" * 40, "rows": 1},
    ]
    assert lock["rows"] == {"train": 2, "test": 0}
    assert lock["files"] == {"train.parquet": hashlib.sha256((tmp_path / "train.parquet").read_bytes()).hexdigest()}
    assert [file.name for file in last.files] == ["train.parquet", "README.md", "models.lock.json"]


def test_csv_holds_lists_as_json_and_runs_no_formula(tmp_path: Path) -> None:
    rows = [preference("a", comment="=cmd|'/c calc'!A0"), preference("b", comment=AWKWARD)]
    made(tmp_path, Kept(*rows), ExportOrder("dpo", "csv", 0))
    with (tmp_path / "train.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert json.loads(found[0]["chosen"]) == [{"role": "assistant", "content": "Good a"}]
    assert found[0]["comment"] == "'=cmd|'/c calc'!A0"
    assert found[1]["comment"] == AWKWARD
    assert found[0]["supersedes"] == ""


@pytest.mark.parametrize("split", ["parquet", "jsonl"])
def test_load_dataset_opens_the_folder_with_the_contract_s_types(tmp_path: Path, split) -> None:
    import datasets

    from backends.feedback.parquet import features

    datasets.disable_progress_bars()
    # The first rows are all null where later ones are not.
    rows = [preference(str(number)) for number in range(5)] + [full_preference()]
    made(tmp_path / "out", Kept(*rows), ExportOrder("dpo", split, 0.4))
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "test"}
    assert found["train"].features == features("preferences")
    assert sorted(found["train"]["id"][:] + found["test"]["id"][:]) == sorted(row.provenance.id for row in rows)


def test_pictures_are_exported_as_pictures(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    row = ImagePreferenceRow(provenance(), "a pear", png(1), png(2), A, B)
    made(tmp_path / "out", Kept(row), ExportOrder("images", "parquet", 0))
    [found] = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert found["chosen"].size == (16, 16)
    assert found["prompt"] == "a pear"


def about_pictures(*pngs: bytes, words: str = "What is this?") -> tuple[PreferenceRow, RatingRow]:
    """A pair and a rated answer of a conversation with these pictures in its first turn."""
    pair, rating = pictured(*pngs)
    shown = tuple(image for message in pair.prompt for image in message.images)
    prompt = (Message("user", words, shown),)
    return replace(pair, prompt=prompt), replace(rating, prompt=prompt)


def test_rows_with_pictures_in_the_prompt_are_a_config_of_their_own(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    red, blue = png(1), png(200)
    pair, rating = about_pictures(red)
    other, _ = about_pictures(red, blue)
    source = Kept(preference(), pair, other, rating)
    last = made(tmp_path / "out", source, ExportOrder("dpo", "parquet", 0))
    assert (last.rows, last.train, last.pictured, last.left_out) == (3, 3, 2, 0)
    assert [file.name for file in last.files] == [
        "train.parquet", "vision-train.parquet", "README.md", "models.lock.json",
    ]  # fmt: skip
    lock = json.loads((tmp_path / "out" / "models.lock.json").read_text())
    assert lock["rows_with_pictures"] == {"train": 2, "test": 0} and "vision-train.parquet" in lock["files"]
    assert (tmp_path / "out" / "README.md").read_text().count("load_dataset(") == 2
    # No name opens the text, as before.
    cache = str(tmp_path / "cache")
    [text] = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    assert text["prompt"] == [{"role": "user", "content": preference().prompt[0].content}]
    seen = datasets.load_dataset(str(tmp_path / "out"), "vision_dpo", split="train", cache_dir=cache)
    assert [[image.size for image in row["images"]] for row in seen] == [[(16, 16)], [(16, 16), (16, 16)]]
    assert seen[0]["chosen"] == [{"role": "assistant", "content": [{"type": "text", "text": "Good"}]}]
    # Both answers of each pair, and the rated one, are single answers.
    assert made(tmp_path / "kto", source, ExportOrder("kto", "parquet", 0)).pictured == 5


def test_only_rows_with_pictures_open_without_a_name(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    made(tmp_path / "out", Kept(*about_pictures(png(1))), ExportOrder("sft", "parquet", 0))
    [row] = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(row["images"]) == 1 and "label" not in row


@pytest.mark.parametrize(("view", "format", "why"), [
    ("dpo", "jsonl", "JSON lines cannot hold pictures"), ("dpo", "csv", "CSV cannot hold pictures"),
    ("reward", "parquet", "RewardTrainer reads text alone"),
])  # fmt: skip
def test_what_cannot_take_pictures_tells_how_many_rows_it_left_out(tmp_path: Path, view, format, why: str) -> None:
    pairs = [about_pictures(png(1))[0], about_pictures(png(1), png(2))[0]]
    order = ExportOrder(view, format, 0)
    last = made(tmp_path / "out", Kept(preference(), *pairs), order)
    assert (last.rows, last.pictured, last.left_out) == (1, 0, 2)
    assert why in (tmp_path / "out" / "README.md").read_text() and why in pictured_html(last, order)
    assert json.loads((tmp_path / "out" / "models.lock.json").read_text())["left_out_with_pictures"] == 2
    with pytest.raises(UserInputError, match=f"All 2 rows for this have pictures in the prompt. {why}"):
        made(tmp_path / "none", Kept(*pairs), order)


def test_the_same_words_about_another_picture_are_another_prompt(tmp_path: Path) -> None:
    asked_of = {number: about_pictures(png(number))[0].columns() for number in range(60)}
    splits = {number: split_of(row["prompt"], 0.5, row["images"]) for number, row in asked_of.items()}
    assert set(splits.values()) == {"train", "test"}
    # What came later in the conversation does not move it.
    later = [*asked_of[3]["prompt"], {"role": "user", "content": [{"type": "image", "text": None}]}]
    assert split_of(later, 0.5, [*asked_of[3]["images"], png(9)]) == splits[3]
    # A thumb up and one down on two pictures are no pair.
    up = about_pictures(png(1))[1]
    about = replace(up.provenance, id="down")
    down = replace(about_pictures(png(2))[1], provenance=about, label=False, completion=(Message("assistant", "Bad"),))
    same = replace(down, prompt=up.prompt, images=up.images)
    order = ExportOrder("dpo", "parquet", 0, derived=True)
    with pytest.raises(UserInputError, match="no pairs"):
        made(tmp_path / "two", Kept(up, down), order)
    assert made(tmp_path / "one", Kept(up, same), order).pictured == 1


def test_orders_that_cannot_be_filled_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no pairs to export yet"):
        made(tmp_path, Kept(), ExportOrder())
    with pytest.raises(UserInputError, match="no rated answers"):
        made(tmp_path, Kept(), ExportOrder("kto"))
    for wrong in ({"view": "x"}, {"format": "x"}, {"test_share": 0.9}, {"view": "images", "format": "csv"}):
        with pytest.raises(UserInputError):
            ExportOrder(**wrong)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match="could not be written"):
        made(tmp_path / "file", Kept(preference()), ExportOrder())
