"""Cards of datasets and Spaces, the first rows of a split, and the papers a card names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.catalog import Kind, ModelCard
from core.errors import UserInputError
from core.refs import shown

RepoKind = Literal["dataset", "space"]
CellKind = Literal["text", "image", "audio"]
MOST_COLUMNS = 40
"""The most columns of a preview: what is wider says how many more there are."""
MOST_PREVIEWED = 20
MOST_CELL = 600


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset and its type as the datasets library names it: string, int64, Image, List(string) …"""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Split:
    """One split of one config. Rows and bytes are None where nobody has counted them."""

    config: str
    name: str
    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetParts:
    """Features by config, and the splits. `source` says who counted, `problem` is a sentence when they are not known."""

    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    splits: tuple[Split, ...] = ()
    source: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a preview. `address` of a picture or a sound is where it lies, or the picture itself as a data address."""

    text: str
    kind: CellKind = "text"
    address: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a split. `problem` is a sentence in their place; `notes` say what was left out; `source` who read."""

    config: str
    split: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RepoCard:
    """A dataset's or a Space's card at one commit. `card` holds what every card has; models and datasets are those a Space uses."""

    kind: RepoKind
    card: ModelCard
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    sdk: str | None = None
    stage: str | None = None
    hardware: str | None = None


@dataclass(frozen=True, slots=True)
class Linked:
    """A repository that names a paper."""

    repo_id: str
    kind: Kind
    downloads: int | None = None
    likes: int | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper a card names, as the Hub's page of it says; `models` and `datasets` are how many name it in all."""

    number: str
    title: str = ""
    authors: tuple[str, ...] = ()
    abstract: str = ""
    published: str | None = None
    linked: tuple[Linked, ...] = ()
    models: int | None = None
    datasets: int | None = None
    problem: str | None = None


def check_kind(kind: str) -> Kind:
    """Return `kind` if there are such repositories, else raise `UserInputError`."""
    if kind == "model":
        return "model"
    return check_repo_kind(kind)


def check_repo_kind(kind: str) -> RepoKind:
    """Return `kind` if it is dataset or space, else raise `UserInputError`."""
    if kind == "dataset":
        return "dataset"
    if kind == "space":
        return "space"
    raise UserInputError(f"kind has to be model, dataset or space; it is “{shown(kind)}”.")


def type_of(feature: object, depth: int = 0) -> str:
    """The type of one feature, whose description (`{"dtype": …, "_type": …}`) comes from strangers, in a word."""
    if depth > 4:
        return "…"
    if isinstance(feature, list):
        named = [each for each in feature if isinstance(each, dict) and isinstance(each.get("name"), str)]
        if named and "_type" not in named[0]:
            # As a card's YAML writes a struct: a list of named columns.
            inside = ", ".join(f"{each['name'][:40]}: {type_of(_described(each), depth + 1)}" for each in named[:12])
            return f"{{{inside}}}"
        return f"List({type_of(feature[0], depth + 1) if feature else '?'})"
    if not isinstance(feature, dict):
        return str(feature)[:40] if isinstance(feature, str) else "?"
    kind = feature.get("_type")
    label = feature.get("class_label")
    if kind is None and isinstance(label, dict):
        return type_of({**label, "_type": "ClassLabel"}, depth)
    if kind == "Value" or (kind is None and isinstance(feature.get("dtype"), str)):
        return str(feature.get("dtype"))[:40]
    if kind == "ClassLabel":
        names = feature.get("names")
        return f"ClassLabel({len(names)})" if isinstance(names, list | dict) else "ClassLabel"
    if kind in ("Sequence", "List", "LargeList"):
        return f"List({type_of(feature.get('feature'), depth + 1)})"
    if isinstance(kind, str):
        return kind[:40]
    inside = ", ".join(f"{str(name)[:40]}: {type_of(value, depth + 1)}" for name, value in list(feature.items())[:12])
    return f"{{{inside}}}"


def _described(column: dict[str, object]) -> object:
    key = next((each for each in ("dtype", "list", "sequence", "struct") if each in column), None)
    if key is None:
        return "?"
    return {"_type": "List", "feature": column[key]} if key in ("list", "sequence") else column[key]
