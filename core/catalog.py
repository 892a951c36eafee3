"""What is known of models before they run: search queries, summaries, cards and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.licenses import LicenseClass
from core.refs import ModelRef

SearchSource = Literal["auto", "hub", "local"]
Kind = Literal["model", "dataset", "space"]
Gating = Literal["any", "yes", "no"]
Sort = Literal["trending", "downloads", "likes", "created", "updated", "params"]
Relation = Literal["", "none", "adapter", "finetune", "quantized", "merge"]
Severity = Literal["high", "medium", "low", "info"]

KINDS: tuple[Kind, ...] = ("model", "dataset", "space")
SORTS: tuple[Sort, ...] = ("trending", "downloads", "likes", "created", "updated", "params")
RELATIONS: tuple[Relation, ...] = ("none", "adapter", "finetune", "quantized", "merge")
"""How a model comes from its base model; "none" is a model that names no base: an original."""

MOST_ROWS = 100
"""The most rows one search gives."""
LOOK_AT = 600
"""How many of the Hub's entries one search looks at before it asks whether to look further."""
MOST_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for. An empty text, 0, None, False or "any" filters nothing; all filters combine.

    `task` is a pipeline_tag, `updated_since` an ISO date, parameters are counts. `limit` rows are given from `offset`
    on, and at most `look_at` of the Hub's entries are looked at for them. `adult` lets in what is tagged not for all
    audiences.
    """

    text: str = ""
    task: str = ""
    library: str = ""
    author: str = ""
    sort: Sort = "trending"
    limit: int = 20
    source: SearchSource = "auto"
    kind: Kind = "model"
    language: str = ""
    license: str = ""
    license_classes: tuple[LicenseClass, ...] = ()
    base_model: str = ""
    relation: Relation = ""
    dataset: str = ""
    paper: str = ""
    min_params: int | None = None
    max_params: int | None = None
    min_downloads: int = 0
    min_likes: int = 0
    weights_format: str = ""
    quantization: str = ""
    updated_since: str = ""
    gated: Gating = "any"
    provider: str = ""
    has_card: bool = False
    chat_template: bool = False
    runs_here: bool = False
    adult: bool = False
    exclude: tuple[str, ...] = ()
    offset: int = 0
    look_at: int = LOOK_AT


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One row of search results. None: not known. `revision` is a commit, moments are ISO 8601.

    `memory_bytes` is what running it here would take: weights, cache and overhead; "about" while `memory_exact` is
    False, because the cache is not counted yet. `runs_on` names what would run it, `why_not` is the sentence why nothing
    here does, `memory_note` the sum behind `memory_bytes`. `matched` are the searched words found in this entry.
    """

    repo_id: str
    revision: str | None
    source: Literal["hub", "local"]
    kind: Kind = "model"
    task: str | None = None
    library: str | None = None
    license: str | None = None
    license_class: LicenseClass | None = None
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
    created: str | None = None
    trending: float | None = None
    languages: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    relation: Relation = ""
    datasets: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    quantization: str | None = None
    chat_template: bool | None = None
    providers: tuple[str, ...] = ()
    custom_code: bool = False
    adult: bool = False
    architecture: str | None = None
    matched: tuple[str, ...] = ()
    runs_on: str | None = None
    why_not: str | None = None
    memory_exact: bool = False
    memory_note: str | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search found. `notice` is the one line to show above it (the Hub is offline, say).

    `looked_at` says how far the stream behind the answer was read: `found` is how many match among those looked at, and
    exactly how many there are when `exact`. `complete`: that is so, and no row comes after those given. `adult_left_out` were left out as not for all audiences.
    `words` are the searched words that are no filter; `whole` is how many of `found` have every one of them. While more
    pages of the same answer are still to come, `more_coming` is True.
    """

    rows: tuple[ModelSummary, ...]
    looked_at: int
    complete: bool
    hub_reachable: bool | None = None
    notice: str | None = None
    found: int = 0
    exact: bool = False
    adult_left_out: int = 0
    words: tuple[str, ...] = ()
    whole: int = 0
    offset: int = 0
    more_coming: bool = False
    local: int = 0


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A model in a folder of this machine, outside the Hugging Face cache.

    `ready` is False for a bundled model whose files are not prepared yet; it still shows in search, with what
    `foretold` says: a card's metadata, and its number of parameters.
    """

    ref: ModelRef
    path: Path
    ready: bool
    bundled: bool
    foretold: tuple[str, int] | None = None


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
