"""What pages may ask of pictures: drawings on their way, the engines, their router, and the gallery's store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.chat import LoadPlan, Progress
from core.chat_protocols import RemoteModels
from core.gallery import GalleryPage, GalleryQuery, Keeping, KeptPicture, Pace
from core.images import Adapter, AdapterKind, ImageCapabilities, ImageSettings, Picture, Step
from core.recipe import Recipe
from core.refs import ModelRef


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
