"""Stand-ins for the services, entering by the same door as the real ones (core/*_protocols.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from core.catalog import FileEntry, Finding, ModelCard, ModelSummary, SearchPage, SearchQuery
from core.chat import (
    Capabilities,
    Delta,
    GenerationSettings,
    LoadPlan,
    Message,
    Progress,
    Reply,
    Usage,
    WeightsOffer,
    with_seed,
)
from core.chat_protocols import ChatRequest
from core.consent import Consent
from core.dataset import Config, Row
from core.errors import ModelNotFound, NotConsented, UnsafeContentError, UserInputError
from core.feedback import FeedbackStatus, FoundRows, RowQuery, Saved, StoredRow
from core.identity import checked_name, code_of
from core.images import (
    Adapter,
    AdapterKind,
    ImageCapabilities,
    ImageSettings,
    Picture,
    Step,
    Timings,
    check_image_settings,
)
from core.recipe import Recipe
from core.refs import ModelRef
from core.shortlist import LockedFile

REF = ModelRef("org/tiny-model", "c" * 40)
OTHER = ModelRef("org/other-model", "d" * 40)
LORA = Adapter(ModelRef("org/pencil-lora", "e" * 40), "lora", triggers=("pencil drawing",), size=1_000_000)
NEW_LORA = Adapter(ModelRef("org/ink-lora", "f" * 40), "lora", "ink.safetensors", size=2_000_000)
CHAT_LORA = ModelRef("org/polite-lora", "a" * 40)
CONTROLNET = Adapter(ModelRef("org/canny-controlnet", "1" * 40), "controlnet", size=5_000_000)


class FakeAnswer:
    """An answer whose pieces are given; `gate` (if any) is asked before each piece."""

    def __init__(
        self,
        ref: ModelRef,
        settings: GenerationSettings,
        pieces: Sequence[str],
        gate: Callable[[], None] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.id = uuid4().hex
        self.ref, self.settings = ref, with_seed(settings, settings.seed if settings.seed is not None else 5)
        self.pieces, self.gate, self.error = pieces, gate, error
        self.said = ""
        self.finish: str | None = None
        self.cancelled = threading.Event()

    def listen(self) -> Iterator[Delta]:
        for piece in self.pieces:
            if self.gate:
                self.gate()
            if self.cancelled.is_set():
                break
            self.said += piece
            yield Delta(piece)
        if self.error:
            raise self.error
        self.finish = "cancelled" if self.cancelled.is_set() else "stop"
        yield Delta("", self.finish, self._usage())  # type: ignore[arg-type]

    def cancel(self) -> None:
        self.cancelled.set()

    def reply(self) -> Reply:
        return Reply(
            self.id, self.said, self.ref, self.settings, "CPU", "float32", "plain", self.finish, self._usage()  # type: ignore[arg-type]
        )  # fmt: skip

    def _usage(self) -> Usage:
        return Usage(10, len(self.pieces), 0.1, 1.1)


class FakeRouter:
    """Routes everything to scripted answers; `script` makes the pieces from the messages and settings."""

    def __init__(
        self, script: Callable[[tuple[Message, ...], GenerationSettings], Sequence[str]] | None = None
    ) -> None:
        self.script = script or (lambda messages, settings: ["You said: ", messages[-1].content])
        self.asked: list[tuple[ModelRef, tuple[Message, ...], GenerationSettings]] = []
        self.answers: dict[str, FakeAnswer] = {}
        self.gate: Callable[[], None] | None = None
        self.error: Exception | None = None
        # As `gate` and `error`, of one answer by its settings.
        self.gate_of: Callable[[GenerationSettings], Callable[[], object] | None] | None = None
        self.error_of: Callable[[GenerationSettings], Exception | None] | None = None
        self.ready = True
        self.moved: str | None = None
        self.seconds: int | None = None

    def start_model(self) -> ModelRef:
        return REF

    def main_moved(self) -> str | None:
        return self.moved

    def pin(self, model: str) -> ModelRef:
        known = {"": REF, REF.repo_id: REF, str(REF): REF, OTHER.repo_id: OTHER, str(OTHER): OTHER}
        if model not in known:
            raise ModelNotFound(f"There is no model {model} on the Hub or on this machine. Check its spelling.")
        return known[model]

    def find_adapter(self, ref: ModelRef, text: str) -> ModelRef:
        if text not in ("", CHAT_LORA.repo_id, str(CHAT_LORA)):
            raise UserInputError(f"{text} was trained on other/model, not on {ref.repo_id}. Choose another adapter.")
        return replace(ref, adapter=CHAT_LORA) if text else ref.base

    def adapters(self, ref: ModelRef) -> tuple[str, ...]:
        return (str(CHAT_LORA),)

    def held(self, ref: ModelRef, kind: str) -> ModelRef:
        if kind not in ("", "int8"):
            raise UserInputError("4 bits need an NVIDIA GPU. Choose them as published.")
        return replace(ref, weights=kind)

    def weights(self, ref: ModelRef) -> tuple[WeightsOffer, ...]:
        return (
            WeightsOffer("int8", "8 bits", saves_bytes=130_000_000),
            WeightsOffer("nf4", "4 bits", why_not="4 bits need an NVIDIA GPU."),
        )

    def engine(self, ref: ModelRef) -> str:
        return "CPU"

    def capabilities(self, ref: ModelRef) -> Capabilities:
        return Capabilities(max_context=2048)

    def plan(self, ref: ModelRef) -> LoadPlan:
        return LoadPlan(ref, self.ready, 0 if self.ready else 5_000_000, 0 if self.ready else 3, "the Hub")

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        if not self.ready:
            yield Progress("download", 2_500_000, 5_000_000, "bytes")
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> FakeAnswer:
        self.asked.append((ref, messages, settings))
        gate = self.gate_of(settings) if self.gate_of else self.gate
        error = self.error_of(settings) if self.error_of else self.error
        answer = FakeAnswer(ref, settings, self.script(messages, settings), gate, error)
        self.answers[answer.id] = answer
        return answer

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[FakeAnswer, ...]:
        return tuple(self.start(*request) for request in requests)

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        return self.seconds

    def place(self, ref: ModelRef) -> None:
        pass

    def text_checks(self) -> str:
        return "Nothing checks prompts and answers here."

    def answer(self, answer_id: str) -> FakeAnswer | None:
        return self.answers.get(answer_id)


class FakeCatalog:
    """Two models, one of them on this machine."""

    def __init__(self) -> None:
        self.queries: list[SearchQuery] = []

    def search(self, query: SearchQuery) -> SearchPage:
        self.queries.append(query)
        return SearchPage(
            (summary(REF, "local"), summary(OTHER, "hub")), looked_at=2, complete=True, hub_reachable=True, found=2
        )

    def pages(self, query: SearchQuery, cancelled: Callable[[], bool] = lambda: False) -> Iterator[SearchPage]:
        page = self.search(query)
        yield replace(page, more_coming=True)
        yield page

    def measure(
        self, rows: Sequence[ModelSummary], cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[ModelSummary]:
        for row in rows:
            yield replace(row, memory_bytes=300_000_000, memory_exact=True, memory_note="300 MB = weights and cache")

    def files(self, ref: ModelRef) -> Sequence[LockedFile]:
        return (LockedFile("config.json", 2, blob_id="b" * 40), LockedFile("model.safetensors", 9, sha256="a" * 64))

    def resolve(self, repo_id: str, revision: str = "") -> ModelRef:
        for ref in (REF, OTHER):
            if ref.repo_id == repo_id:
                return ref
        raise ModelNotFound(f"There is no model {repo_id} on the Hub or on this machine. Check its spelling.")

    def card(self, ref: ModelRef) -> ModelCard:
        return ModelCard(
            ref.repo_id, ref.revision, "local", "# A card\n\nSome *text*.", {"license": "apache-2.0"}, None,
            (FileEntry("model.safetensors", 1_000_000),),
            (Finding("license-missing", "medium", "No licence is stated.", "README.md, license"),),
            summary(ref, "local"),
        )  # fmt: skip


def summary(ref: ModelRef, source: str) -> ModelSummary:
    """A plausible row for `ref`."""
    return ModelSummary(
        ref.repo_id, ref.revision, source, task="text-generation", library="transformers", license="apache-2.0",  # type: ignore[arg-type]
        license_class="permissive", params=134_515_008, downloads=1_234_567, likes=321, updated="2026-11-01T00:00:00Z",
    )  # fmt: skip


class FakeStore:
    """Rows in memory, with the store's own idempotence."""

    def __init__(self, consent: Consent | None = None) -> None:
        self.kept: dict[str, Row] = {}
        self.withdrawn: list[str] = []
        self.consent = consent
        self.agreements: set[tuple[str, str]] = set()
        self.names: dict[str, str] = {}

    def name_of(self, rater: str) -> str:
        return self.names.get(rater, "")

    def rename(self, rater: str, name: str) -> str:
        self.names[rater] = checked_name(name)
        return self.names[rater]

    def agreed(self, rater: str | None) -> bool:
        return self.consent is None or (rater or "", self.consent.version) in self.agreements

    def agree(self, rater: str, version: str) -> None:
        self.agreements.add((rater, version))

    def save(self, rows: Sequence[Row], taking_back: Sequence[str] = ()) -> Saved:
        if not all(self.agreed(row.provenance.rater) for row in rows):
            raise NotConsented("Not saved. Agree to the text first.")
        for row_id in taking_back:
            self.withdraw(row_id)
        ids = tuple(row.provenance.id for row in rows)
        fresh = not any(row_id in self.kept for row_id in ids)
        if fresh:
            self.kept |= dict(zip(ids, rows, strict=True))
            for row in rows:
                self.kept.pop(row.provenance.supersedes or "", None)
        told = [{k: v for k, v in row.columns().items() if k != "created_at"} for row in rows]
        kept = [{k: v for k, v in self.kept[i].columns().items() if k != "created_at"} for i in ids if i in self.kept]
        return Saved(ids, fresh, same=told == kept)

    def withdraw(self, row_id: str) -> None:
        self.withdrawn.append(row_id)
        self.kept.pop(row_id, None)

    def withdraw_all(self, rater: str) -> int:
        mine = [row_id for row_id, row in self.kept.items() if row.provenance.rater == rater]
        for row_id in mine:
            self.withdraw(row_id)
        return len(mine)

    def row(self, row_id: str) -> StoredRow | None:
        row = self.kept.get(row_id)
        return None if row is None else StoredRow(row_id, row.config, row.columns(), "waiting")

    def find(self, query: RowQuery, limit: int = 20) -> FoundRows:
        def fits(columns: dict[str, object]) -> bool:
            return (
                (query.rater is None or code_of(query.rater) == code_of(str(columns["rater"])))
                and query.source in ("", columns["source"])
                and query.outcome in ("", columns.get("outcome"))
                and query.comparison_id in ("", columns["comparison_id"])
                and query.text.lower() in str(columns).lower()
            )

        rows = [row for row in self.newest(len(self.kept), query.config) if fits(row.columns)]
        return FoundRows(tuple(rows[:limit]), more=len(rows) > limit)

    def newest(self, limit: int = 20, config: Config | None = None) -> Sequence[StoredRow]:
        rows = [row for row in reversed(self.kept.values()) if config in (None, row.config)]
        return [StoredRow(row.provenance.id, row.config, row.columns(), "waiting") for row in rows[:limit]]

    def status(self) -> FeedbackStatus:
        return FeedbackStatus(len(self.kept), len(self.kept), 0, 0, "folder data/dataset", oldest_waiting_s=3.0)

    def leaving(self, limit: int = 20) -> Sequence[StoredRow]:
        return list(reversed(self.newest(len(self.kept))))[:limit]

    def approve(self) -> FeedbackStatus:
        return self.status()

    def upload_now(self) -> FeedbackStatus:
        return self.status()

    def close(self) -> None:
        pass


def png(colour: int = 0, text: str = "") -> bytes:
    """A small real PNG, with a text chunk if asked."""
    import io

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if text:
        info.add_itxt("parameters", text)
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (colour % 256, 80, 160)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


class FakeDrawing:
    """A drawing in two steps; cancelling before the second keeps the preview as a stopped picture."""

    def __init__(self, ref: ModelRef, settings: ImageSettings) -> None:
        self.id = uuid4().hex
        self.ref, self.settings = ref, replace(settings, seed=settings.seed if settings.seed is not None else 7)
        self.stopped = False

    def listen(self) -> Iterator[Step]:
        yield Step(1, 2, preview=png(9))
        yield Step(2, 2, preview=png(9), finish="stopped" if self.stopped else "done")

    def cancel(self) -> None:
        self.stopped = True

    def pictures(self) -> tuple[Picture, ...]:
        made = []
        for number in range(self.settings.batch):
            settings = replace(self.settings, seed=(self.settings.seed or 0) + number, batch=1)
            colour = (settings.steps or 0) * 10 + number
            data = png(colour, f"{settings.prompt} of {self.ref.repo_id}")
            finish = "stopped" if self.stopped else "done"
            made.append(Picture(uuid4().hex, data, self.ref, settings, "CPU", "float32", Timings(0.1, 1.0), finish))
        return tuple(made)


class FakeImages:
    """Routes every drawing to `FakeDrawing`."""

    remote = None

    def __init__(self) -> None:
        self.asked: list[tuple[ModelRef, ImageSettings]] = []
        self.drawings: dict[str, FakeDrawing] = {}
        self.error: Exception | None = None
        self.here: list[Adapter] = [LORA, CONTROLNET]

    def start_model(self) -> ModelRef:
        return REF

    def pin(self, model: str) -> ModelRef:
        return FakeRouter().pin(model)

    def engine(self, ref: ModelRef) -> str:
        return "CPU"

    def capabilities(self, ref: ModelRef) -> ImageCapabilities:
        able = ref == REF
        why = {"loras": "LoRAs do not fit this model.", "controlnet": "There is no ControlNet for this model."}
        return ImageCapabilities(
            64, 64, 8, 512, 8, 20, 3.5, ("DDIM", "Euler"), "DDIM", loras=able, controlnet=able, image_to_image=able, inpaint=able, family="sd1" if able else "",
            why_not=() if able else tuple(why.items()),
        )  # fmt: skip

    def plan(self, ref: ModelRef) -> LoadPlan:
        return LoadPlan(ref, True)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        yield Progress("ready")

    def start(self, ref: ModelRef, settings: ImageSettings) -> FakeDrawing:
        if self.error:
            raise self.error
        filled = check_image_settings(settings, self.capabilities(ref))
        self.asked.append((ref, filled))
        drawing = FakeDrawing(ref, filled)
        self.drawings[drawing.id] = drawing
        return drawing

    def gpu_seconds(self, ref: ModelRef, settings: ImageSettings) -> int | None:
        return None

    def place(self, ref: ModelRef) -> None:
        pass

    def drawing(self, drawing_id: str) -> FakeDrawing | None:
        return self.drawings.get(drawing_id)

    def adapters(self, ref: ModelRef) -> tuple[Adapter, ...]:
        return tuple(self.here) if ref == REF else ()

    def find_adapter(self, ref: ModelRef, text: str, kind: AdapterKind) -> Adapter:
        if text.endswith(".ckpt") or "pickle" in text:
            raise UnsafeContentError("This LoRA exists only as a pickle file. Choose one with safetensors weights.")
        for adapter in (*self.here, NEW_LORA):
            if text in (adapter.ref.repo_id, str(adapter.ref), adapter.id) and adapter.kind == kind and ref == REF:
                return adapter
        raise UserInputError("This LoRA was made for SDXL and does not fit this model. Choose one for its family.")

    def prepare_adapter(self, ref: ModelRef, adapter: Adapter) -> Iterator[Progress]:
        if adapter not in self.here:
            yield Progress("download", 1_000_000, adapter.size, "bytes")
            self.here.append(adapter)
        yield Progress("ready")

    def recipe_in(self, data: bytes) -> Recipe:
        if not data.startswith(b"\x89PNG"):
            raise UserInputError("There is no recipe in this file.")
        return Recipe(ImageSettings("a dropped prompt", "", 32, 48, 9, 2.0, "Euler", 99), REF)

    def picture_in(self, data: bytes) -> bytes:
        from backends.image.png import read_picture, write_png

        return write_png(read_picture(data), {})


def services(router: FakeRouter | None = None, store: FakeStore | None = None, images: FakeImages | None = None):
    """Services for `app.build`, all stand-ins unless given; the pictures are kept in a folder of their own."""
    import tempfile

    from app import Services
    from backends.gallery.store import SqlitePictures
    from tests.fake_evidence import evidence_of

    store = store or FakeStore()
    return Services(
        FakeCatalog(),
        router or FakeRouter(),
        store,
        "salt",
        "http://127.0.0.1:9",
        images=images or FakeImages(),
        pictures=SqlitePictures(Path(tempfile.mkdtemp(prefix="proving-tests-pictures-")), 200),
        evidence=evidence_of(store),
    )
