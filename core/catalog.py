"""What is known of models before they run: search queries, summaries, cards and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.refs import ModelRef

SearchSource = Literal["auto", "hub", "local"]
Sort = Literal["trending", "downloads", "likes", "created", "updated"]
Severity = Literal["high", "medium", "low", "info"]

SORTS: tuple[Sort, ...] = ("trending", "downloads", "likes", "created", "updated")


MOST_ROWS = 100
"""The most rows one search gives."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for. `task` is a pipeline_tag; "" filters nothing."""

    text: str = ""
    task: str = ""
    library: str = ""
    author: str = ""
    sort: Sort = "trending"
    limit: int = 20
    source: SearchSource = "auto"


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One row of search results. None: not known. `revision` is a commit; `memory_bytes` is not computed yet."""

    repo_id: str
    revision: str | None
    source: Literal["hub", "local"]
    kind: Literal["model"] = "model"
    task: str | None = None
    library: str | None = None
    license: str | None = None
    license_class: str | None = None
    params: int | None = None
    downloads: int | None = None
    likes: int | None = None
    updated: str | None = None
    gated: bool | None = None
    has_card: bool | None = None
    weights_formats: tuple[str, ...] | None = None
    runs_here: bool | None = None
    memory_bytes: int | None = None
    bundled: bool = False


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search found. `notice` is the one line to show above it (the Hub is offline, say).

    `looked_at` and `complete` say how far the stream behind the answer was read.
    """

    rows: tuple[ModelSummary, ...]
    looked_at: int
    complete: bool
    hub_reachable: bool | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A model in a folder of this machine, outside the Hugging Face cache.

    `ready` is False for a bundled model whose files are not prepared yet; it still shows in search.
    """

    ref: ModelRef
    path: Path
    ready: bool
    bundled: bool


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a repository. `size` in bytes, None when the Hub does not say."""

    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before using a model: a plain sentence and the exact place it comes from."""

    id: str
    severity: Severity
    sentence: str
    source: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a model beside its card's text: its config, and what the Hub's record says. None: not known.

    `config` and `tokenizer` are parsed config.json and tokenizer_config.json (the Hub hands out only a part of the
    latter), `parameters` counts by dtype as the safetensors headers say, `gguf` the Hub's reading of a GGUF file,
    `scan` the Hub's security record, `spaces` those that use the model, `results` the Hub's evaluation results,
    `refs` branches and tags with their commits. Dates are ISO 8601.
    """

    config: Mapping[str, object] | None = None
    tokenizer: Mapping[str, object] | None = None
    generation: Mapping[str, object] | None = None
    parameters: Mapping[str, int] | None = None
    gguf: Mapping[str, object] | None = None
    scan: Mapping[str, object] | None = None
    spaces: tuple[str, ...] | None = None
    results: tuple[Mapping[str, object], ...] | None = None
    children: int | None = None
    tags: tuple[str, ...] = ()
    refs: tuple[tuple[str, str], ...] | None = None
    created: str | None = None
    updated: str | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's card at one commit, before rendering.

    `markdown` is the author's text without its front matter, `metadata` the front matter as plain values (empty when
    there is none), `metadata_error` why it could not be read. `gated_link` is where to ask for access.
    `main_moved` is the commit main points to when that is not `revision`, None when equal or unknown.
    """

    repo_id: str
    revision: str
    source: Literal["hub", "local"]
    markdown: str
    metadata: dict[str, object]
    metadata_error: str | None
    files: tuple[FileEntry, ...]
    findings: tuple[Finding, ...]
    summary: ModelSummary
    gated: bool | None = None
    gated_link: str | None = None
    main_moved: str | None = None
    papers: tuple[str, ...] | None = None
    notices: tuple[str, ...] = field(default=())
    record: Record = field(default=Record())
