"""Which files hold which split, by card and by name; names of types; what a typed name opens."""

from __future__ import annotations

import pytest

from backends.hub.dataset_viewer import cell_of, parts_of_info
from components.repo_panels import preview_panel
from core.address import Address, read_address, split_card
from core.catalog import FileEntry
from core.citation import citation_of
from core.data_files import files_by_split, is_script_only
from core.errors import UserInputError
from core.repo_cards import Cell, Column, Preview, type_of
from tests.unit.test_card_report import card


def entries(*paths: str) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(path, 10) for path in paths)


def named(files: tuple[FileEntry, ...], metadata: dict[str, object] | None = None) -> dict[tuple[str, str], list[str]]:
    return {key: [each.path for each in found] for key, found in files_by_split(files, metadata or {}).items()}


def test_splits_by_the_names_of_files() -> None:
    files = entries(
        "README.md", "data/train-00000.parquet", "data/validation.parquet", "extra.csv", "dataset_infos.json"
    )
    assert named(files) == {
        ("default", "train"): ["data/train-00000.parquet"],
        ("default", "validation"): ["data/validation.parquet"],
    }
    assert named(entries("rows.jsonl")) == {("default", "train"): ["rows.jsonl"]}
    assert named(entries("test/cat.png", "train/dog.png"))["default", "test"] == ["test/cat.png"]
    assert named(entries("README.md", "old.py")) == {}


def test_splits_as_the_card_says_and_whatever_strangers_write_there() -> None:
    files = entries("en/a.jsonl", "en/b.jsonl", "de/a.jsonl")
    said = {
        "configs": [
            {"config_name": "english", "data_files": [{"split": "train", "path": "en/*.jsonl"}]},
            {"config_name": "german", "data_dir": "de"},
            {"config_name": ["odd"], "data_files": 7},
            None,
        ]
    }
    assert named(files, said) == {
        ("english", "train"): ["en/a.jsonl", "en/b.jsonl"],
        ("german", "train"): ["de/a.jsonl"],
    }
    for odd in (None, 7, "x", [[]], {"a": 1}, [{"data_files": {"split": 3}}]):
        assert named(files, {"configs": odd}) == named(files)


def test_a_script_is_one_only_without_data() -> None:
    assert is_script_only(entries("README.md", "squad.py"))
    assert not is_script_only(entries("squad.py", "data/train.parquet"))
    assert not is_script_only(entries("squad.py", "data.zip"))
    assert not is_script_only(entries("README.md"))


def test_types_in_a_word() -> None:
    text = {"dtype": "string", "_type": "Value"}
    assert type_of(text) == "string"
    assert type_of({"_type": "List", "feature": {"role": text}}) == "List({role: string})"
    assert type_of([text]) == "List(string)"
    assert type_of({"_type": "ClassLabel", "names": ["a", "b"]}) == "ClassLabel(2)"
    assert type_of({"_type": "Image"}) == "Image"
    assert type_of({"class_label": {"names": {"0": "a", "1": "b"}}}) == "ClassLabel(2)"
    assert (
        type_of([{"name": "role", "dtype": "string"}, {"name": "n", "list": "int64"}])
        == "{role: string, n: List(int64)}"
    )
    deep: object = text
    for _ in range(5000):
        deep = [deep]
    assert "…" in type_of(deep)
    assert [type_of(odd) for odd in (None, 7, [], {})] == ["?", "?", "List(?)", "{}"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("org/name", ("model", "org/name", "")),
        (" datasets/org/name@main ", ("dataset", "org/name", "main")),
        ("spaces/org/name", ("space", "org/name", "")),
        ("https://huggingface.co/datasets/org/name", ("dataset", "org/name", "")),
        ("https://huggingface.co/org/name/tree/v1", ("model", "org/name", "v1")),
        ("https://huggingface.co/org/name/blob/main/README.md", ("model", "org/name", "main")),
    ],
)
def test_what_a_typed_name_opens(text: str, meant: tuple[str, str, str]) -> None:
    assert split_card(text) == meant


def test_a_name_that_names_nothing_says_so() -> None:
    for text in (
        "datasets/",
        "https://huggingface.co/",
        "a/b/c/d",
        "spaces/../x",
        "https://elsewhere.example/org/name",
    ):
        with pytest.raises(UserInputError):
            split_card(text)


def test_the_address_of_a_dataset() -> None:
    place = Address("card", "org/rows", "main", kind="dataset")
    query = place.query()
    assert query == "tab=card&repo=dataset&model=org%2Frows&revision=main"
    assert read_address({"tab": "card", "repo": "dataset", "model": "org/rows", "revision": "main"}) == place
    assert read_address({"tab": "card", "repo": "nonsense", "model": "org/rows"}).kind == "model"


def test_a_citation_is_the_authors_or_names_the_commit() -> None:
    own = card("# M\n\n```bibtex\n@article{x, title={A {B} c},\n year=2026}\n```\n")
    assert citation_of(own, "https://hub").bibtex == "@article{x, title={A {B} c},\n year=2026}"
    made = citation_of(card("# M\n\n@misc{never closed"), "https://hub")
    assert not made.stated
    assert card().revision in made.bibtex


def test_descriptions_by_strangers_break_nothing() -> None:
    odd: list[object] = [
        None,
        7,
        "x",
        [],
        {},
        [None],
        {"features": 7},
        {"features": [None, {"name": 3}]},
        {"splits": 3},
    ]
    parts = parts_of_info({str(number): each for number, each in enumerate(odd)}, "a stranger")
    assert parts.splits == ()
    assert all(columns == () for columns in parts.columns.values())
    said = {"features": [{"name": "a", "dtype": "string"}, {"name": "b", "list": "int64"}, {"name": "c", "sequence": {"dtype": "image"}}], "splits": [{"name": "train", "num_examples": True, "num_bytes": -1}]}  # fmt: skip
    parts = parts_of_info({"default": said}, "a card")
    assert [(each.name, each.type) for each in parts.columns["default"]] == [("a", "string"), ("b", "List(int64)"), ("c", "List(image)")]  # fmt: skip
    assert (parts.splits[0].rows, parts.splits[0].bytes) == (None, None)


def test_values_of_strangers_are_text_in_a_cell() -> None:
    assert cell_of(None, "string").text == "–"
    assert len(cell_of("x" * 10_000, "string").text) == 601
    assert cell_of({"src": "javascript:alert(1)"}, "Image").kind == "text"
    assert cell_of({"src": "https://h/a.png", "width": 3, "height": 4}, "Image").kind == "image"
    preview = Preview(
        "d", "t", (Column("<b>", "Image"),), ((Cell("<i>", "image", "https://elsewhere/x.png"),), (Cell("<script>"),))
    )
    html = preview_panel(preview, ("https://hub",))
    assert "<img" not in html
    assert "<script>" not in html
    assert 'rel="noopener noreferrer nofollow"' in html
    inside = Preview("d", "t", (Column("i", "Image"),), ((Cell("p", "image", 'data:image/svg+xml;base64,"'),),))
    assert "data:" not in preview_panel(inside, ("https://hub",))
