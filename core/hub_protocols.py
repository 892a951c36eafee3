"""What pages may ask of the Hub and this machine's models: searches, cards and what fills in beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from core.cached import CachedRevision, Freed
from core.card_parts import (
    BoardEntry,
    Changed,
    Children,
    Difference,
    Discussion,
    Header,
    History,
    Lineage,
    Publisher,
    Sized,
    Template,
)
from core.catalog import ModelCard, ModelSummary, SearchPage, SearchQuery
from core.refs import ModelRef
from core.repo_cards import DatasetParts, Paper, Preview, RepoCard
from core.shortlist import LockedFile


class HubCatalog(Protocol):
    """Finds models and reads their cards: on the Hub and on this machine."""

    def search(self, query: SearchQuery) -> SearchPage:
        """Rows within the deadline; never hangs, never raises for an unreachable Hub when `source` is auto."""
        ...

    def pages(self, query: SearchQuery, cancelled: Callable[[], bool] = ...) -> Iterator[SearchPage]:
        """As `search`, again after every page of the Hub's that arrives; ends early when `cancelled` says so."""
        ...

    def measure(self, rows: Sequence[ModelSummary], cancelled: Callable[[], bool] = ...) -> Iterator[ModelSummary]:
        """Those of `rows` whose memory was "about", counted with their config.json, as it becomes known."""
        ...

    def files(self, ref: ModelRef) -> Sequence[LockedFile]:
        """Every file of a commit with its hash; a copy on this machine is read for that where there is no Hub."""
        ...

    def resolve(self, repo_id: str, revision: str = "") -> ModelRef:
        """The commit that a branch, tag or short commit means now; "" is the default branch."""
        ...

    def card(self, ref: ModelRef) -> ModelCard:
        """The card, files and findings at exactly that commit."""
        ...


class LocalCache(Protocol):
    """The Hugging Face cache of this machine."""

    def revisions(self) -> Sequence[CachedRevision]:
        """Everything in it, the largest first."""
        ...

    def would_free(self, keys: Sequence[str]) -> Freed:
        """What deleting these revisions (`repo_id@revision`) together frees; nothing is deleted."""
        ...

    def free(self, keys: Sequence[str]) -> Freed:
        """Delete them; raises `HubError` when that is not possible. What the app uses now stays."""
        ...


class CardDetails(Protocol):
    """What fills in beside a card. Every method ends within a deadline, raises `HubError`, and loads no weights."""

    def open(self, repo_id: str, revision: str = "") -> ModelCard:
        """The card at the commit that `revision` means."""
        ...

    def lineage(self, card: ModelCard) -> Lineage:
        """Every model above this one, up to the root."""
        ...

    def children(self, card: ModelCard) -> Children:
        """The models made from this one, counted by how."""
        ...

    def history(self, ref: ModelRef, branch: str = "main") -> History:
        """The newest commits of a branch; none for a model that came with the app."""
        ...

    def difference(self, repo_id: str, before: str, after: str) -> Difference:
        """What changed from one commit to another, in the card and in the files."""
        ...

    def changed(self, ref: ModelRef) -> Changed | None:
        """When card and weights were last changed; None for a model that came with the app."""
        ...

    def successors(self, card: ModelCard) -> tuple[str, ...]:
        """The newer versions that cards name one after another, the newest last."""
        ...

    def header(self, ref: ModelRef, path: str) -> Header:
        """What a weights file says before its first tensor; the file is not downloaded."""
        ...

    def template(self, card: ModelCard) -> Template | None:
        """The chat template and what it makes of an example; None when the model has none."""
        ...

    def picture(self, card: ModelCard, file: str) -> bytes | None:
        """A picture of a card whose files are on this machine; None for one that is not, or is too large to show."""
        ...

    def complete(self, card: ModelCard) -> ModelCard:
        """The card with its tokenizer and generation config, where they were not read with it."""
        ...

    def discussions(self, repo_id: str) -> tuple[Discussion, ...]:
        """The latest open discussions, newest first."""
        ...

    def publisher(self, repo_id: str) -> Publisher:
        """Who published the model."""
        ...

    def boards(self, repo_id: str, datasets: Sequence[str]) -> tuple[BoardEntry, ...]:
        """This model's results on the Hub's leaderboards of these benchmark datasets."""
        ...

    def open_llm(self, repo_id: str) -> tuple[BoardEntry, ...]:
        """This model's results that the Open LLM Leaderboard published, with their date."""
        ...

    def quantised(self, children: Children) -> Sized | None:
        """The most downloaded quantised child with the size of its smallest file of weights."""
        ...


class RepoDetails(Protocol):
    """Cards of datasets and Spaces, and papers. Every method ends within a deadline and raises `HubError`."""

    def open(self, kind: str, repo_id: str, revision: str = "") -> RepoCard:
        """The card at the commit that `revision` means; `kind` is dataset or space."""
        ...

    def parts(self, found: RepoCard) -> DatasetParts:
        """A dataset's features and splits, with rows and bytes where somebody counted them."""
        ...

    def rows(self, found: RepoCard, config: str, split: str) -> Preview:
        """The first rows of a split, read in pieces and never downloaded; a sentence where that cannot be."""
        ...

    def paper(self, number: str) -> Paper:
        """A paper by its arXiv number, with the repositories that name it."""
        ...
