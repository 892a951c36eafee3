"""Stand-ins for the services, entering by the same door as the real ones (core/protocols.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from uuid import uuid4

from core.catalog import FileEntry, Finding, ModelCard, ModelSummary, SearchPage, SearchQuery
from core.chat import Capabilities, Delta, GenerationSettings, LoadPlan, Message, Progress, Reply, Usage, with_seed
from core.dataset import Config, Row
from core.errors import ModelNotFound
from core.feedback import FeedbackStatus, Saved, StoredRow
from core.refs import ModelRef

REF = ModelRef("org/tiny-model", "c" * 40)
OTHER = ModelRef("org/other-model", "d" * 40)


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
        self.ready = True
        self.moved: str | None = None

    def start_model(self) -> ModelRef:
        return REF

    def main_moved(self) -> str | None:
        return self.moved

    def pin(self, model: str) -> ModelRef:
        known = {"": REF, REF.repo_id: REF, str(REF): REF, OTHER.repo_id: OTHER, str(OTHER): OTHER}
        if model not in known:
            raise ModelNotFound(f"There is no model {model} on the Hub or on this machine. Check its spelling.")
        return known[model]

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
        answer = FakeAnswer(ref, settings, self.script(messages, settings), self.gate, self.error)
        self.answers[answer.id] = answer
        return answer

    def answer(self, answer_id: str) -> FakeAnswer | None:
        return self.answers.get(answer_id)


class FakeCatalog:
    """Two models, one of them on this machine."""

    def __init__(self) -> None:
        self.queries: list[SearchQuery] = []

    def search(self, query: SearchQuery) -> SearchPage:
        self.queries.append(query)
        return SearchPage(
            (summary(REF, "local"), summary(OTHER, "hub")), looked_at=2, complete=True, hub_reachable=True
        )

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

    def __init__(self) -> None:
        self.kept: dict[str, Row] = {}
        self.withdrawn: list[str] = []

    def save(self, rows: Sequence[Row]) -> Saved:
        ids = tuple(row.provenance.id for row in rows)
        fresh = not any(row_id in self.kept for row_id in ids)
        if fresh:
            self.kept |= dict(zip(ids, rows, strict=True))
            for row in rows:
                self.kept.pop(row.provenance.supersedes or "", None)
        return Saved(ids, fresh)

    def withdraw(self, row_id: str) -> None:
        self.withdrawn.append(row_id)
        self.kept.pop(row_id, None)

    def newest(self, limit: int = 20, config: Config | None = None) -> Sequence[StoredRow]:
        rows = [row for row in reversed(self.kept.values()) if config in (None, row.config)]
        return [StoredRow(row.provenance.id, row.config, row.columns(), "waiting") for row in rows[:limit]]

    def status(self) -> FeedbackStatus:
        return FeedbackStatus(len(self.kept), len(self.kept), 0, 0, "folder data/dataset", oldest_waiting_s=3.0)

    def upload_now(self) -> FeedbackStatus:
        return self.status()

    def close(self) -> None:
        pass


def services(router: FakeRouter | None = None, store: FakeStore | None = None):
    """Services for `app.build`, all stand-ins unless given."""
    from app import Services

    return Services(FakeCatalog(), router or FakeRouter(), store or FakeStore(), "salt", "http://127.0.0.1:9")
