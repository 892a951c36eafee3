"""The seams: what pages may ask of the world. Backends implement these; tests enter by the same door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

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
from core.chat import Capabilities, Delta, GenerationSettings, LoadPlan, Message, Progress, Reply, WeightsOffer
from core.consent import Consent
from core.dataset import Config, Row
from core.feedback import FeedbackStatus, FoundRows, RowQuery, Saved, StoredRow
from core.gallery import GalleryPage, GalleryQuery, Keeping, KeptPicture, Pace
from core.images import Adapter, AdapterKind, ImageCapabilities, ImageSettings, Picture, Step
from core.recipe import Recipe
from core.refs import ModelRef
from core.repo_cards import DatasetParts, Paper, Preview, RepoCard
from core.shortlist import LockedFile


class Answer(Protocol):
    """A running or finished answer. Pages listen to it; they do not own it."""

    @property
    def id(self) -> str:
        """A random id that names this answer and nothing else."""
        ...

    def listen(self) -> Iterator[Delta]:
        """Every delta from the first on, then those to come; ends after the one with `finish`.

        Any number may listen. When the last listener leaves an unfinished answer it goes on for the grace time
        (`Settings.orphan_seconds`), then it is cancelled. Raises `BackendError` if the engine failed.
        """
        ...

    def cancel(self) -> None:
        """End the answer within one token; listeners get a last delta with finish "cancelled". Idempotent."""
        ...

    def reply(self) -> Reply:
        """The answer as it stands, with the settings really applied."""
        ...


class ChatBackend(Protocol):
    """One engine: in this process, on ZeroGPU, or remote."""

    @property
    def name(self) -> str:
        """What the chip and the rows call it, for example "CPU"."""
        ...

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model; raises `NoBackend` or `UnsafeContentError` when it cannot run it."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        ...

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """Begin an answer. Loads the model first when it is on this machine but not in memory."""
        ...


ChatRequest = tuple[ModelRef, tuple[Message, ...], GenerationSettings]
"""What `ChatBackend.start` takes, for several answers at once."""


@runtime_checkable
class MeteredChat(Protocol):
    """What a chat engine adds whose GPU time is counted against the visitor."""

    def place(self, ref: ModelRef) -> None:
        """Fetch a model and put it where every call finds it; before the page is launched, in the main thread."""
        ...

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """GPU time that one call with these requests takes of the visitor's quota at most; None when it is not known yet."""
        ...

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """Begin several answers in one call, which is one wait for a GPU and one start-up."""
        ...


@runtime_checkable
class AdaptedChat(Protocol):
    """What a chat engine adds that puts LoRAs on top of its models."""

    def find_adapter(self, base: ModelRef, text: str) -> ModelRef:
        """As `ChatRouter.find_adapter`."""
        ...

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """As `ChatRouter.adapters`."""
        ...

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """As `ChatRouter.held`."""
        ...

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """As `ChatRouter.weights`."""
        ...


class RemoteModels(Protocol):
    """What an engine on another machine serves. Its models are chosen as `remote:<name>` and by nothing else."""

    @property
    def host(self) -> str:
        """Where text is sent, as it is shown before anything is."""
        ...

    def models(self) -> Sequence[ModelRef]:
        """The models that can be chosen; raises `BackendError` when the host does not tell."""
        ...

    def pin(self, name: str) -> ModelRef:
        """The model the host serves under a name, with its commit where the host says it."""
        ...


class ChatRouter(Protocol):
    """Chooses the engine for a model and keeps the start model's pin."""

    def start_model(self) -> ModelRef:
        """The model pinned at start (`PROVING_CHAT_MODEL`, else the bundled one)."""
        ...

    def main_moved(self) -> str | None:
        """The commit that main of the start model points to when it is no longer the pinned one; asks the Hub."""
        ...

    def pin(self, model: str) -> ModelRef:
        """`repo_id` or `repo_id@revision` resolved to one commit; "" is the start model.

        With `+repo_id[@revision]` after it the adapter of that name is on top, as `find_adapter` reads it.
        """
        ...

    def find_adapter(self, ref: ModelRef, text: str) -> ModelRef:
        """The model with the adapter that `repo_id[@revision]` or `local/<folder>` names, pinned and checked; "": without.

        Nothing is fetched but its description. Raises `UserInputError` when it is no such adapter or made for another
        base, `UnsafeContentError` when its weights are pickle, `NoBackend` where no adapter is loaded.
        """
        ...

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        """The model with its weights held as an offer of `weights` says, "": as published.

        Raises `UserInputError` or `NoBackend` when that is not possible here.
        """
        ...

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        """How else the weights of a model can be held, with what that saves; () where there is no choice."""
        ...

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        """The adapters that can be chosen for a model, as `find_adapter` reads them; asks no network."""
        ...

    def engine(self, ref: ModelRef) -> str:
        """The name of the engine that would answer."""
        ...

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """As `ChatBackend.capabilities`, of the engine that would answer."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """As `ChatBackend.plan`."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """As `ChatBackend.prepare`."""
        ...

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> Answer:
        """As `ChatBackend.start`."""
        ...

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[Answer, ...]:
        """Begin several answers, in one call where the engine counts GPU time. All or none."""
        ...

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """GPU time they would take of the visitor's quota at most; None where nothing is counted. Asks no network."""
        ...

    def place(self, ref: ModelRef) -> None:
        """Get a model ready before the page is launched: on ZeroGPU every worker inherits what is placed by then."""
        ...

    def text_checks(self) -> str:
        """What looks at prompts and answers here, as a sentence; says so when nothing does."""
        ...

    def answer(self, answer_id: str) -> Answer | None:
        """A running or recent answer, for a listener that comes back; None when it is gone."""
        ...


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


class FeedbackStore(Protocol):
    """Keeps what reviewers said. Durable before it returns."""

    @property
    def consent(self) -> Consent | None:
        """What reviewers have to agree to before they are heard; None when nothing is asked."""
        ...

    def agreed(self, rater: str | None) -> bool:
        """Whether this reviewer agreed to the text as it is now; True when nothing is asked."""
        ...

    def agree(self, rater: str, version: str) -> None:
        """Record the agreement; `UserInputError` when the text has changed since it was shown."""
        ...

    def name_of(self, rater: str) -> str:
        """The name this reviewer chose for their rows; "" when none."""
        ...

    def rename(self, rater: str, name: str) -> str:
        """Put a name on this reviewer's rows from now on, "" none; returns it as rows will have it, or `UserInputError`."""
        ...

    def save(self, rows: Sequence[Row], taking_back: Sequence[str] = ()) -> Saved:
        """All rows or none, in one transaction; rows whose id is there already change nothing.

        `taking_back` are rows that are withdrawn in the same transaction. Each row is stamped with the version of the
        consent text. Raises `NotSaved`; `NotConsented` when its rater has not agreed.
        """
        ...

    def withdraw(self, row_id: str) -> None:
        """Take a row back: out of the current view now, out of the dataset with the next upload."""
        ...

    def withdraw_all(self, rater: str) -> int:
        """Take back every row of one reviewer; returns how many they were."""
        ...

    def row(self, row_id: str) -> StoredRow | None:
        """One current row; None when there is no such row, or not any more."""
        ...

    def find(self, query: RowQuery, limit: int = 20) -> FoundRows:
        """Current rows that fit, newest first."""
        ...

    def newest(self, limit: int = 20, config: Config | None = None) -> Sequence[StoredRow]:
        """Current rows, newest first."""
        ...

    def status(self) -> FeedbackStatus:
        """Counts and health, from this machine alone (no network)."""
        ...

    def leaving(self, limit: int = 20) -> Sequence[StoredRow]:
        """The rows that leave with the next upload, oldest first."""
        ...

    def approve(self) -> FeedbackStatus:
        """Agree that what waits, and what follows, goes to a public dataset; the status says how it went."""
        ...

    def upload_now(self) -> FeedbackStatus:
        """Send what waits, now; the status says how it went."""
        ...

    def close(self) -> None:
        """Send what waits within a bound, then stop. What did not leave is sent after the next start."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetHead:
    """The newest state of a dataset repository: its commit and the files in it. Both empty when there is none yet."""

    commit: str | None
    paths: frozenset[str]


class DatasetRepo(Protocol):
    """Where shards go: a folder in the Hub's layout, or a Hub dataset repository."""

    @property
    def name(self) -> str:
        """How the page calls it."""
        ...

    @property
    def shared(self) -> bool:
        """Whether others may write to it too."""
        ...

    def head(self) -> DatasetHead:
        """What is there now; makes nothing."""
        ...

    def has(self, commit: str) -> bool:
        """Whether a commit is in its history."""
        ...

    def read(self, path: str, head: DatasetHead) -> bytes:
        """The bytes of a file of `head`."""
        ...

    def commit(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]] = (),
        numbers: str = "",
    ) -> str:
        """One atomic change; returns the commit id. Doing it again with the same content changes nothing.

        `deletes` names for each path the added one that takes over its rows (None: nothing does), for repositories that
        cannot change two files at once. A path that is not there is no error. The repository keeps its own card.
        `expects` are sets of paths of which at least one each has to be there: else nothing is changed and `ShardsMissing`,
        a `HubError`, is raised. `numbers` is the section of the card that is kept current; "" leaves it as it is.

        Raises `DatasetRejected` when trying again cannot help, `HubError` when it can.
        """
        ...


class Drawing(Protocol):
    """A drawing that waits, runs or is finished. Pages listen to it; they do not own it."""

    @property
    def id(self) -> str:
        """A random id that names this drawing and nothing else."""
        ...

    def listen(self) -> Iterator[Step]:
        """The step it is at, then those to come; ends after the one with `finish`. Steps in between may be left out.

        Any number may listen. When the last listener leaves an unfinished drawing it goes on for the grace time
        (`Settings.orphan_seconds`), then it is stopped. Raises `BackendError` if the engine failed.
        """
        ...

    def cancel(self) -> None:
        """End it within one step, keeping the last preview as a picture marked stopped; at once while it waits. Idempotent."""
        ...

    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are ready, in the order of their seeds, with the settings really applied."""
        ...


class ImageBackend(Protocol):
    """One image engine: in this process, on ZeroGPU, or remote."""

    @property
    def name(self) -> str:
        """What the chip and the rows call it, for example "CPU"."""
        ...

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        """What it can do with a model; raises `NoBackend` or `UnsafeContentError` when it cannot run it."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model draws."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        ...

    def start(self, ref: ModelRef, settings: ImageSettings) -> Drawing:
        """Put a drawing into the queue. Raises `UserInputError` when the settings or the pictures cannot be used."""
        ...


@runtime_checkable
class MeteredImages(Protocol):
    """What an image engine adds whose GPU time is counted against the visitor."""

    def place(self, ref: ModelRef) -> None:
        """Fetch a model and put it where every call finds it; before the page is launched, in the main thread."""
        ...

    def gpu_seconds(self, ref: ModelRef, settings: ImageSettings) -> int | None:
        """GPU time that this drawing takes of the visitor's quota at most; None when it is not known yet."""
        ...


class ImageRouter(Protocol):
    """Chooses the engine for an image model and keeps the start model's pin."""

    @property
    def remote(self) -> RemoteModels | None:
        """The models another machine draws with; None where there is no such engine."""
        ...

    def start_model(self) -> ModelRef:
        """The model pinned at start (`PROVING_IMAGE_MODEL`, else the bundled one)."""
        ...

    def pin(self, model: str) -> ModelRef:
        """`repo_id` or `repo_id@revision` resolved to one commit; "" is the start model."""
        ...

    def engine(self, ref: ModelRef) -> str:
        """The name of the engine that would draw."""
        ...

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        """As `ImageBackend.capabilities`; the first call may take seconds, so it is not for building a page."""
        ...

    def plan(self, ref: ModelRef) -> LoadPlan:
        """As `ImageBackend.plan`."""
        ...

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """As `ImageBackend.prepare`."""
        ...

    def start(self, ref: ModelRef, settings: ImageSettings) -> Drawing:
        """As `ImageBackend.start`."""
        ...

    def gpu_seconds(self, ref: ModelRef, settings: ImageSettings) -> int | None:
        """GPU time it would take of the visitor's quota at most; None where nothing is counted."""
        ...

    def place(self, ref: ModelRef) -> None:
        """Get a model ready before the page is launched: on ZeroGPU every worker inherits what is placed by then."""
        ...

    def drawing(self, drawing_id: str) -> Drawing | None:
        """A waiting, running or recent drawing; None when it is gone."""
        ...

    def adapters(self, ref: ModelRef) -> tuple[Adapter, ...]:
        """The LoRAs and ControlNets of this machine that fit a base model, by name; asks no network."""
        ...

    def find_adapter(self, ref: ModelRef, text: str, kind: AdapterKind) -> Adapter:
        """The adapter that `repo_id[@revision][:file]` names, pinned to its commit and checked against the base model.

        Nothing is fetched but descriptions. Raises `UserInputError` when it is no such adapter or made for another
        family, `UnsafeContentError` when its weights are pickle files, `HubError` when the Hub cannot tell.
        """
        ...

    def prepare_adapter(self, ref: ModelRef, adapter: Adapter) -> Iterator[Progress]:
        """Fetch an adapter, saying how far it is; the last item has stage "ready", and from then on it can be used."""
        ...

    def recipe_in(self, data: bytes) -> Recipe:
        """The recipe inside a picture file; `UserInputError` when there is none or the file cannot be read safely."""
        ...

    def picture_in(self, data: bytes) -> bytes:
        """The picture of any file as a plain upright PNG; `UserInputError` when it is too large, damaged or no picture."""
        ...


class PictureStore(Protocol):
    """Every visitor's finished pictures, kept on disk. `owner` comes from `core.identity.owner_of`; ids of others do not exist.

    All raise `GalleryError` when the disk or the index fails.
    """

    @property
    def limit(self) -> int:
        """How many pictures it keeps for one visitor; 0 keeps none."""
        ...

    def keep(
        self, owner: str, pictures: Sequence[Picture], *, grid: str = "", cells: Sequence[int | None] = ()
    ) -> Keeping:
        """Put pictures on disk before this returns; beyond the limit the oldest without a star go. Idempotent by id.

        `cells` names for each picture the cell of `grid` it is.
        """
        ...

    def find(self, owner: str, query: GalleryQuery) -> GalleryPage:
        """One page of the pictures that match, newest first; a page past the end is the last one."""
        ...

    def ids(self, owner: str, query: GalleryQuery) -> tuple[str, ...]:
        """The ids of every picture that matches, newest first; the query's page is ignored."""
        ...

    def get(self, owner: str, ids: Sequence[str]) -> tuple[KeptPicture, ...]:
        """These pictures in this order; those that are gone are left out."""
        ...

    def png(self, owner: str, picture_id: str) -> bytes:
        """The file as it was drawn, its recipe inside; `UserInputError` when it is not here."""
        ...

    def with_file(self, owner: str, sha256: str) -> bytes | None:
        """The file with that SHA-256 (hexadecimal) among the visitor's pictures; None when it is not there."""
        ...

    def star(self, owner: str, picture_id: str, starred: bool) -> bool:
        """Star or unstar; False when the picture is not here."""
        ...

    def delete(self, owner: str, ids: Sequence[str]) -> int:
        """Delete pictures from the index and the disk; returns how many were here."""
        ...

    def pack(self, owner: str, ids: Sequence[str], target: Path) -> Iterator[int]:
        """Write a zip of the files and recipes.jsonl to `target`, saying after each how many are in; gone ones are left out."""
        ...

    def keep_grid(self, owner: str, grid_id: str, plan: str) -> None:
        """Remember what an X/Y/Z grid draws (`core.grid.plan_text`), and that it is the visitor's newest."""
        ...

    def grid(self, owner: str, grid_id: str = "") -> tuple[str, str] | None:
        """(id, plan) of that grid, or of the newest; None when there is none."""
        ...

    def cells(self, owner: str, grid_id: str) -> Mapping[int, KeptPicture]:
        """The finished pictures of a grid by cell."""
        ...

    def pace(self, ref: ModelRef) -> Pace | None:
        """How fast this machine drew with the model when it last did, whoever asked; None when it never did."""
        ...

    def close(self) -> None:
        """Close the index."""
        ...
