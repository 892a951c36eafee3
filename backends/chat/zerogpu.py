"""The engine on ZeroGPU: models wait in this module, and a decorated generator answers in a forked GPU worker.

Only plain data crosses: numbers, text, tuples. Off ZeroGPU the decorator does nothing and this is ordinary code.
"""

from __future__ import annotations

import contextvars
import logging
import math
import queue
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import spaces

from backends.chat.answers import BufferedAnswer
from backends.chat.loaded import LoadedModel
from backends.chat.metadata import capabilities
from backends.chat.turns import Turns
from backends.chat.work import check_request, refuse_adapter, request, run
from backends.model_files import ModelFiles
from core import errors
from core.chat import Capabilities, Finish, GenerationSettings, LoadPlan, Message, Progress
from core.errors import AppError, BackendError, GenerationFailed, QuotaExceeded
from core.refs import ModelRef

log = logging.getLogger(__name__)
BATCH_SECONDS = 0.07
# Estimates for half an RTX Pro 6000, on the safe side: what is asked for has to fit the visitor's quota.
_STARTUP_SECONDS = 4.0
_TO_GPU_BYTES = 4e9
_READ_BYTES = 3e11
_STEP_SECONDS = 0.025
_PREFILL_TOKENS = 4000
_MOST_SECONDS = 180
_MODELS: dict[tuple[str, str], LoadedModel] = {}
_TURNS = Turns()
Piece = tuple[str, str, int]


def place(ref: ModelRef, folder: Path) -> LoadedModel:
    """Load a model and put it on the GPU. On ZeroGPU call it before launch: workers inherit what is placed by then."""
    from backends.chat.loading import load

    key = (ref.repo_id, ref.revision)
    if key not in _MODELS:
        _MODELS[key] = load(ref, folder, _device())
    return _MODELS[key]


def seconds_needed(
    repo_id: str, revision: str, folder: str, prompt: Sequence[int], settings: dict[str, Any], weight_bytes: int
) -> int:
    """The GPU time to ask for, from the model's size, the prompt's length and the most new tokens."""
    step = max(_STEP_SECONDS, weight_bytes / _READ_BYTES)
    work = len(prompt) / _PREFILL_TOKENS + int(settings["max_new_tokens"]) * step
    return min(_MOST_SECONDS, math.ceil(_STARTUP_SECONDS + weight_bytes / _TO_GPU_BYTES + work))


@spaces.GPU(duration=seconds_needed)  # type: ignore[untyped-decorator]
def write(
    repo_id: str, revision: str, folder: str, prompt: Sequence[int], settings: dict[str, Any], weight_bytes: int
) -> Iterator[Piece]:
    """Answer in batches: ("text", new text, tokens so far), then one ("end", finish, tokens) or ("error", …).

    It yields even when there is nothing new, because a worker hears of a stop only between yields.
    """
    if _on_zero_gpu():
        import torch

        # A fork of a process that has used torch's thread pool waits forever for the threads it did not get.
        torch.set_num_threads(1)
    ref = ModelRef(repo_id, revision)
    # A lock may have been held by another thread at the moment of the fork.
    loaded = replace(_MODELS.get((repo_id, revision)) or place(ref, Path(folder)), lock=threading.Lock())
    pipe = _Pipe()
    applied = GenerationSettings(**{**settings, "stop": tuple(settings["stop"])})
    worker = threading.Thread(target=pipe.run, args=(loaded, list(prompt), applied), daemon=True)
    worker.start()
    try:
        while (piece := pipe.next())[0] == "text":
            yield piece
        yield piece
    finally:
        pipe.cancelled = True
        worker.join()


class _Pipe:
    """Between the thread that decodes and the generator that yields, inside one worker."""

    def __init__(self) -> None:
        self.cancelled = False
        self._queue: queue.SimpleQueue[Piece] = queue.SimpleQueue()
        self._tokens = 0

    def step(self) -> None:
        self._tokens += 1

    def put(self, text: str) -> None:
        if text:
            self._queue.put(("text", text, self._tokens))

    def run(self, loaded: LoadedModel, prompt: list[int], settings: GenerationSettings) -> None:
        from backends.chat.decoding import decode

        last: Piece
        try:
            last = ("end", decode(loaded, prompt, settings, self, _TURNS), self._tokens)
        except AppError as error:
            # By name: an exception would reach the other process as "worker error" only.
            last = ("error", f"{type(error).__name__}: {error}", self._tokens)
        except Exception:
            log.exception("an answer failed")
            last = ("error", "GenerationFailed: The engine failed while it was answering. Try again.", self._tokens)
        self._queue.put(last)

    def next(self) -> Piece:
        """What came in one batch time, as one piece; the last piece alone."""
        until = monotonic() + BATCH_SECONDS
        text = ""
        while True:
            try:
                piece = self._queue.get(timeout=max(0.0, until - monotonic()))
            except queue.Empty:
                return ("text", text, self._tokens)
            if piece[0] != "text":
                if text:
                    self._queue.put(piece)
                    return ("text", text, piece[2])
                return piece
            text += piece[1]


class ZeroGpuChat:
    """Implements `core.protocols.ChatBackend` around `write`."""

    name = "ZeroGPU"

    def __init__(self, files: ModelFiles, *, orphan_seconds: float) -> None:
        self._files = files
        self._orphan_seconds = orphan_seconds

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What it can do with a model, from config.json alone."""
        refuse_adapter(ref)
        return capabilities(self._files, ref)

    def plan(self, ref: ModelRef) -> LoadPlan:
        """What has to be fetched before this model answers."""
        refuse_adapter(ref)
        return self._files.plan(ref)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch and place the model, saying how far it is; the last item has stage "ready"."""
        refuse_adapter(ref)
        if (ref.repo_id, ref.revision) not in _MODELS:
            yield from self._files.fetch(ref)
            yield Progress("load")
            place(ref, self._files.present(ref))
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        """Begin an answer. A prompt that is too long is refused here, before any GPU time is asked for."""
        started = monotonic()
        check_request(ref, messages, settings)
        from backends.chat.loading import weight_bytes

        folder = self._files.present(ref)
        loaded = place(ref, folder)
        prompt, answer = request(
            loaded,
            messages,
            settings,
            backend=self.name,
            path="zerogpu",
            orphan_seconds=self._orphan_seconds,
            started=started,
        )
        call = (ref.repo_id, ref.revision, str(folder), prompt, asdict(answer.settings), weight_bytes(folder))
        # The visitor's identity, whose quota is used, is in this context and would be lost in a bare thread.
        context = contextvars.copy_context()
        work = (run, answer, lambda: _follow(call, answer))
        threading.Thread(target=context.run, args=work, name=f"answer-{answer.id[:8]}", daemon=True).start()
        return answer


def _follow(call: tuple[Any, ...], answer: BufferedAnswer) -> Finish:
    try:
        pieces = write(*call)
        try:
            for kind, text, tokens in pieces:
                for _ in range(tokens - answer.steps):
                    answer.step()
                if kind == "end":
                    return cast(Finish, text)
                if kind == "error":
                    raise _as_error(text)
                answer.put(text)
                if answer.cancelled:
                    return "cancelled"
        finally:
            pieces.close()
    except AppError:
        raise
    except Exception as error:
        raise _translated(error) from error
    raise GenerationFailed("The GPU worker ended before the answer did. Try again.")


def _as_error(text: str) -> AppError:
    name, _, sentence = text.partition(": ")
    kind = getattr(errors, name, None)
    if kind in (errors.OutOfMemory, errors.GenerationFailed, errors.UserInputError):
        return kind(sentence)  # type: ignore[no-any-return]
    return GenerationFailed(sentence)


def _translated(error: Exception) -> BackendError:
    # ZeroGPU raises gradio's Error with a title; backends do not know gradio, so it is told by that.
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error))
    if "quota" in title or "credits" in title:
        wait = re.search(r"Try again in (\d+):(\d\d):(\d\d)", message)
        seconds = (
            sum(int(part) * unit for part, unit in zip(wait.groups(), (3600, 60, 1), strict=True)) if wait else None
        )
        when = f" in {wait[0].removeprefix('Try again in ')} (hours:minutes:seconds)" if wait else " later"
        return QuotaExceeded(
            f"The GPU time of this visitor is used up. Try again{when}, sign in for more, or ask for fewer new tokens.",
            seconds,
        )
    if "duration" in title:
        return QuotaExceeded("The answer would take more GPU time than is allowed. Ask for fewer new tokens.")
    return GenerationFailed("The GPU worker failed while it was answering. Try again in a moment.")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _on_zero_gpu() -> bool:
    from spaces.config import Config

    return bool(Config.zero_gpu)
