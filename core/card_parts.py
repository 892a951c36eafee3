"""What fills in beside a card after its text is on the screen: the model tree, history, headers, template, discussions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.licenses import LicenseClass

Relation = Literal["finetune", "adapter", "merge", "quantized"]
UNSAFE = ("unsafe", "infected", "suspicious", "caution", "malicious")
"""What the Hub's scan calls a file that should not be loaded unseen."""
RELATIONS: tuple[Relation, ...] = ("finetune", "adapter", "merge", "quantized")


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One model above another. `child` is the repository that names it, `depth` 1 for a parent.

    `problem` is a sentence when nothing more is known of it: not on the Hub, not readable, or a cycle. A gated parent's
    licence is known all the same, because the Hub tells the metadata openly.
    """

    repo_id: str
    child: str
    depth: int
    relation: Relation | None = None
    revision: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_class: LicenseClass | None = None
    gated: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything above a model, nearest first. `problem` is a sentence when the chain could not be followed to its end."""

    ancestors: tuple[Ancestor, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A model made from this one."""

    repo_id: str
    relation: Relation | None
    downloads: int | None = None
    likes: int | None = None
    params: int | None = None


@dataclass(frozen=True, slots=True)
class Children:
    """The models made from this one, most downloaded first. `complete`: every one the Hub lists was counted."""

    counts: Mapping[str, int] = field(default_factory=dict)
    top: tuple[Child, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a repository; `date` in ISO 8601."""

    id: str
    title: str
    date: str | None = None
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """Commits up to the chosen one's branch head, newest first; `more` when older ones were not read."""

    commits: tuple[Commit, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs between two commits; sizes in bytes, None where it is not or is not told."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one commit to another: the card as a unified diff, and the files."""

    before: str
    after: str
    card: tuple[str, ...]
    files: tuple[FileChange, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as a header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a weights file says of itself before its first tensor. `read` is how many bytes of it were fetched."""

    path: str
    format: Literal["safetensors", "gguf"]
    tensors: tuple[Tensor, ...]
    parameters: int
    by_dtype: Mapping[str, int]
    metadata: Mapping[str, str]
    read: int
    size: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template and what it makes of the example conversation. `problem` is why it could not be rendered."""

    text: str
    source: str
    rendered: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Discussion:
    """One open discussion or pull request."""

    number: int
    title: str
    author: str | None
    created: str | None
    pull_request: bool
    link: str


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who published a model. `verified` is what the Hub says; None where it says nothing, which it does of people."""

    name: str
    kind: Literal["user", "organization", "unknown"]
    fullname: str | None = None
    verified: bool | None = None
    models: int | None = None
    followers: int | None = None


@dataclass(frozen=True, slots=True)
class BoardEntry:
    """One result for this model by a third party: a benchmark's leaderboard of the Hub, or the Open LLM Leaderboard."""

    benchmark: str
    value: float
    verified: bool
    rank: int | None = None
    source: str | None = None
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """When the card and the weights of a commit were last changed, as ISO 8601; None where there is no such file.

    `scans` is what the Hub's scan says of each file of the first folder: safe, unsafe, suspicious, queued …
    """

    card: str | None
    weights: str | None
    file: str | None = None
    scans: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sized:
    """A quantised child with the size of its smallest file of weights. `fits` is None where the memory here is not known."""

    child: Child
    bytes: int | None
    format: str = ""
    fits: bool | None = None
