"""The engine on ZeroGPU: models wait in this module, and a decorated generator answers in a forked GPU worker.

Only plain data crosses: numbers, text, tuples. Off ZeroGPU the decorator does nothing and this is ordinary code.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import spaces

from backends import zerogpu
from backends.chat.answers import BufferedAnswer
from backends.chat.loaded import LoadedModel
from backends.chat.metadata import capabilities
from backends.chat.turns import Turns
from backends.chat.work import check_request, refuse_adapter, request, run
from backends.model_files import ModelFiles
from backends.zerogpu import BATCH_SECONDS, StopFlag
from core.chat import Capabilities, Finish, GenerationSettings, LoadPlan, Message, Progress, refuse_images
from core.chat_protocols import ChatRequest
from core.errors import AppError, GenerationFailed
from core.refs import ModelRef

log = logging.getLogger(__name__)
LESS = "fewer new tokens"
NOT_HERE = "on ZeroGPU"
NO_PICTURES = f"Pictures are not read {NOT_HERE} in this version."
# Estimates for half an RTX Pro 6000: what one token costs at least, how fast weights are read for one, and prompts.
_STEP_SECONDS = 0.025
_READ_BYTES = 3e11
_PREFILL_TOKENS = 4000
# Models that were chosen after the launch are kept in the processor's memory, so many of them.
_MOST_WAITING = 2
_TURNS = Turns()
Piece = tuple[int, str, str, int]


@dataclass(frozen=True, slots=True)
class Job:
    """One answer as it crosses into the worker. `placed`: the model was put on the GPU before the launch."""

    repo_id: str
    revision: str
    folder: str
    prompt: tuple[int, ...]
    settings: dict[str, Any]
    weight_bytes: int
    placed: bool
    stop: str
    own: tuple[int, ...] = ()


def _loaded(ref: ModelRef, folder: Path) -> LoadedModel:
    """The model in the processor's memory, in the dtype of the device it will be moved to."""
    from backends.chat.loading import load

    return load(ref, folder, zerogpu.device(), move=False)


def _moved(loaded: LoadedModel) -> LoadedModel:
    device = zerogpu.device()
    return replace(loaded, model=loaded.model.to(device), device=device)


_MODELS: zerogpu.Models[LoadedModel, int] = zerogpu.Models(_loaded, _moved, _MOST_WAITING)


def place(ref: ModelRef, folder: Path) -> None:
    """Put a model on the GPU for every worker to inherit. On ZeroGPU only before the launch, in the main thread."""
    from backends.chat.loading import weight_bytes

    _MODELS.place(ref, folder, weight_bytes(folder))


def seconds_needed(jobs: Sequence[Job]) -> int:
    """The GPU time to ask for, from the models' sizes, the prompts' lengths and the most new tokens, with a margin."""
    models = {(job.repo_id, job.revision): (job.weight_bytes, job.placed) for job in jobs}
    moving = sum(zerogpu.moving_seconds(*model) for model in models.values())
    work = sum(_work(job.weight_bytes, len(job.prompt), int(job.settings["max_new_tokens"])) for job in jobs)
    return min(zerogpu.MOST_SECONDS, math.ceil(zerogpu.STARTUP_SECONDS + (moving + work) * zerogpu.MARGIN))


def _work(weight_bytes: int, prompt_tokens: int, new_tokens: int) -> float:
    return prompt_tokens / _PREFILL_TOKENS + new_tokens * max(_STEP_SECONDS, weight_bytes / _READ_BYTES)


@spaces.GPU(duration=seconds_needed)  # type: ignore[untyped-decorator]
def write(jobs: Sequence[Job]) -> Iterator[tuple[Piece, ...]]:
    """Answer all `jobs` at once, in batches of (job, "text", new text, tokens so far); its last is "end" or "error".

    It yields even when there is nothing new, because a worker hears of a closed generator only between yields.
    """
    zerogpu.begin_in_worker()
    news: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    pipes = [_Pipe(number, job, news) for number, job in enumerate(jobs)]
    threads = [threading.Thread(target=pipe.run, daemon=True) for pipe in pipes]
    for thread in threads:
        thread.start()
    running = len(pipes)
    try:
        while running:
            batch = _gathered(news)
            running -= sum(piece[1] != "text" for piece in batch)
            yield batch
    finally:
        for pipe in pipes:
            pipe.closed = True
        for thread in threads:
            thread.join()


def _gathered(news: queue.SimpleQueue[Piece]) -> tuple[Piece, ...]:
    """What came in one batch time, the text of each job as one piece; at once when a job ends."""
    until = monotonic() + BATCH_SECONDS
    texts: dict[int, Piece] = {}
    while True:
        try:
            piece = news.get(timeout=max(0.0, until - monotonic()))
        except queue.Empty:
            return tuple(texts.values())
        job, kind, text, tokens = piece
        if kind != "text":
            return (*texts.values(), piece)
        texts[job] = (job, kind, texts[job][2] + text if job in texts else text, tokens)


class _Pipe:
    """One answer inside a worker: decodes in a thread of its own, and tells the generator."""

    def __init__(self, number: int, job: Job, news: queue.SimpleQueue[Piece]) -> None:
        self.closed = False
        self._number, self._job, self._news = number, job, news
        self._tokens = 0

    @property
    def goes_on_from(self) -> tuple[int, ...]:
        """The tokens of the beginning of the answer, where one was given."""
        return self._job.own

    @property
    def cancelled(self) -> bool:
        """Whether the work is not wanted any more."""
        return self.closed or zerogpu.stop_wanted(self._job.stop)

    def step(self) -> None:
        self._tokens += 1

    def put(self, text: str) -> None:
        if text:
            self._tell("text", text)

    def run(self) -> None:
        from backends.chat.decoding import decode

        job = self._job
        try:
            loaded = _MODELS.in_worker(ModelRef(job.repo_id, job.revision), Path(job.folder))
            # A lock may have been held by another thread at the moment of the fork.
            loaded = replace(loaded, lock=threading.Lock())
            settings = GenerationSettings(**{**job.settings, "stop": tuple(job.settings["stop"])})
            self._tell("end", decode(loaded, list(job.prompt), settings, self, _TURNS))
        except AppError as error:
            # What it came from stays here, so it is told here.
            log.warning("an answer failed: %s", error, exc_info=error.__cause__)
            # By name: an exception would reach the other process as "worker error" only.
            self._tell("error", zerogpu.named(error))
        except Exception:
            log.exception("an answer failed")
            self._tell("error", "GenerationFailed: The engine failed while it was answering. Try again.")

    def _tell(self, kind: str, text: str) -> None:
        self._news.put((self._number, kind, text, self._tokens))


class ZeroGpuChat:
    """Implements `core.chat_protocols.ChatBackend`, and what only an engine with a quota needs, around `write`."""

    name = "ZeroGPU"

    def __init__(self, files: ModelFiles, *, orphan_seconds: float) -> None:
        self._files = files
        self._orphan_seconds = orphan_seconds
        self._known: dict[ModelRef, Capabilities] = {}

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model, from config.json alone."""
        refuse_adapter(ref, NOT_HERE)
        found = self._known.get(ref) or capabilities(self._files, ref)
        unable = (("adapters", f"Adapters are not loaded {NOT_HERE} in this version."), ("images", NO_PICTURES))
        return replace(found, images=False, why_not=(*found.why_not, *unable))

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        refuse_adapter(ref, NOT_HERE)
        if placed := _MODELS.placed(ref):
            return LoadPlan(ref, ready=True, source=str(placed[0]))
        return self._files.plan(ref)

    def place(self, ref: ModelRef) -> None:
        """Fetch the model and put it on the GPU; before the launch, in the main thread."""
        refuse_adapter(ref, NOT_HERE)
        for _ in self._files.fetch(ref):
            pass
        self._known[ref] = capabilities(self._files, ref)
        place(ref, self._files.present(ref))

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and load the model, saying how far it is; the last item has stage "ready"."""
        refuse_adapter(ref, NOT_HERE)
        if not _MODELS.has(ref):
            yield from self._files.fetch(ref)
            yield Progress("load")
            _MODELS.here(ref, self._files.present(ref))
        yield Progress("ready")

    def gpu_seconds(self, requests: Sequence[ChatRequest]) -> int | None:
        """The GPU time that a call with these requests would be charged at most; None while a model is not here."""
        jobs = []
        for ref, messages, settings in requests:
            if ref.adapter is not None or not self.plan(ref).ready:
                return None
            placed = _MODELS.placed(ref)
            folder = placed[0] if placed else self._files.folder(ref)
            if folder is None:
                return None
            # Three characters a token or more, in most languages: enough before the prompt is there.
            characters = sum(len(message.content) for message in messages)
            jobs.append(self._job(ref, folder, (0,) * (characters // 3), settings, ""))
        return zerogpu.charged(seconds_needed(jobs))

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        """Begin an answer. A prompt that is too long is refused here, before any GPU time is asked for."""
        (answer,) = self.start_together([(ref, messages, settings)])
        return answer

    def start_together(self, requests: Sequence[ChatRequest]) -> tuple[BufferedAnswer, ...]:
        """Begin several answers in one GPU call; they are written a token each in turn, and each is stopped alone."""
        started = monotonic()
        for ref, messages, settings in requests:
            refuse_adapter(ref, NOT_HERE)
            check_request(messages, settings)
            refuse_images(messages, NO_PICTURES)
        work: list[tuple[Job, BufferedAnswer, StopFlag]] = []
        for ref, messages, settings in requests:
            placed = _MODELS.placed(ref)
            folder = placed[0] if placed else self._files.present(ref)
            prompt, answer = request(
                _MODELS.here(ref, folder),
                messages,
                settings,
                backend=self.name,
                path="zerogpu",
                orphan_seconds=self._orphan_seconds,
                started=started,
            )
            flag = StopFlag()
            answer.when_over = flag.set
            work.append(
                (self._job(ref, folder, tuple(prompt), answer.settings, flag.path, answer.goes_on_from), answer, flag)
            )
        call = _Call(tuple(work))
        zerogpu.in_visitors_name(call.run, f"answer-{work[0][1].id[:8]}")
        return tuple(answer for _, answer, _ in work)

    def _job(
        self,
        ref: ModelRef,
        folder: Path,
        prompt: tuple[int, ...],
        settings: GenerationSettings,
        stop: str,
        own: tuple[int, ...] = (),
    ) -> Job:
        from backends.chat.loading import weight_bytes

        placed = _MODELS.placed(ref)
        size = placed[1] if placed else weight_bytes(folder)
        return Job(
            ref.repo_id, ref.revision, str(folder), prompt, asdict(settings), size, placed is not None, stop, own
        )


class _Call:
    """One GPU call in this process: hands what the worker says to the answers, each of which ends for itself."""

    def __init__(self, work: tuple[tuple[Job, BufferedAnswer, StopFlag], ...]) -> None:
        self._jobs = tuple(job for job, _, _ in work)
        self._answers = tuple(answer for _, answer, _ in work)
        self._flags = tuple(flag for _, _, flag in work)

    def run(self) -> None:
        """Follow the worker to its end; every answer is closed afterwards."""
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  (told to every answer that is still open)
            self._fail(error)
        finally:
            for flag in self._flags:
                flag.close()
            self._fail(None)

    def _follow(self) -> None:
        if all(answer.cancelled for answer in self._answers):
            return
        # To its own end even when nobody wants it any more: the flags end it within a token, while closing a generator
        # that is just ending could stop the call that has its worker next.
        for batch in write(self._jobs):
            for piece in batch:
                self._tell(*piece)

    def _tell(self, number: int, kind: str, text: str, tokens: int) -> None:
        answer = self._answers[number]
        for _ in range(tokens - answer.steps):
            answer.step()
        if kind == "end":
            run(answer, lambda: cast(Finish, text))
        elif kind == "error":
            _end_with(answer, zerogpu.error_named(text))
        else:
            answer.put(text)

    def _fail(self, error: Exception | None) -> None:
        known = GenerationFailed("The GPU worker ended before the answer did. Try again.")
        if error is not None:
            known = error if isinstance(error, AppError) else zerogpu.translated(error, LESS, "answer")  # type: ignore[assignment]
            known.__cause__ = error
        for answer in self._answers:
            if not answer.done:
                _end_with(answer, known)


def _end_with(answer: BufferedAnswer, error: AppError) -> None:
    def raised() -> Finish:
        raise error

    run(answer, raised)
