"""What the engines on ZeroGPU share: calls in a visitor's name, stopping them from outside, and what their errors mean."""

from __future__ import annotations

import contextvars
import os
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from uuid import uuid4

from core import errors
from core.errors import AppError, BackendError, GenerationFailed, QuotaExceeded
from core.refs import ModelRef

# How long a worker may be silent: between two yields it does not hear that its generator was closed.
BATCH_SECONDS = 0.07
# What a call takes besides its work, and how fast weights come to the GPU: for half an RTX Pro 6000, on the safe side.
# What is asked for has to fit into the visitor's quota before anything runs.
STARTUP_SECONDS = 3.0
PACKED_BYTES_PER_SECOND = 4e9
READ_BYTES_PER_SECOND = 1e9
MARGIN = 1.15
MOST_SECONDS = 180


def on_zero_gpu() -> bool:
    """Whether decorated functions run in a worker of their own."""
    from spaces.config import Config

    return bool(Config.zero_gpu)


def device() -> str:
    """Where models compute; on ZeroGPU this process has only the promise of "cuda"."""
    if on_zero_gpu():
        return "cuda"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def begin_in_worker() -> None:
    """First in every decorated function."""
    if on_zero_gpu():
        import torch

        # A fork of a process that has used torch's thread pool waits forever for the threads it did not get.
        torch.set_num_threads(1)


def moving_seconds(weight_bytes: int, placed: bool) -> float:
    """Seconds until a model's weights are on the GPU; one that was not placed at start may have to be read first."""
    return weight_bytes / (PACKED_BYTES_PER_SECOND if placed else READ_BYTES_PER_SECOND)


def charged(seconds: int) -> int:
    """What asking for `seconds` takes from the visitor's quota on this hardware."""
    if not on_zero_gpu():
        return seconds
    from spaces.zero.config import get_config

    return round(seconds * float(get_config()["duration_factor"]))


class OnDevice(Protocol):
    """A model in memory, and where: "cpu" or "cuda"."""

    @property
    def device(self) -> str: ...


M = TypeVar("M", bound=OnDevice)
S = TypeVar("S")


class Models(Generic[M, S]):
    """The models of one engine: placed on the GPU before the launch, or chosen later and waiting in this process.

    It stands in a module, because workers are forked and inherit what is there.
    """

    def __init__(self, load: Callable[[ModelRef, Path], M], moved: Callable[[M], M], most_later: int) -> None:
        """`load` brings a model into the processor's memory, `moved` to the device of the thread that calls it.

        Of those that were chosen after the launch `most_later` are kept.
        """
        self._load, self._moved, self._most_later = load, moved, most_later
        self.models: dict[tuple[str, str], M] = {}
        # `spaces` deletes files of the Hub's cache that it has packed, so what is asked of them later is kept.
        self._placed: dict[tuple[str, str], tuple[Path, S]] = {}
        self._lock = threading.Lock()
        # Never held by the process that forks.
        self._in_worker = threading.Lock()

    def place(self, ref: ModelRef, folder: Path, size: S) -> None:
        """Put a model on the GPU for every worker to inherit. On ZeroGPU only before the launch, in the main thread."""
        key = (ref.repo_id, ref.revision)
        self.models[key] = self._moved(self._load(ref, folder))
        self._placed[key] = (folder, size)

    def placed(self, ref: ModelRef) -> tuple[Path, S] | None:
        """The folder of a placed model and its size; None for every other."""
        return self._placed.get((ref.repo_id, ref.revision))

    def has(self, ref: ModelRef) -> bool:
        """Whether the model is in this process."""
        return (ref.repo_id, ref.revision) in self.models

    def here(self, ref: ModelRef, folder: Path) -> M:
        """The model in this process, for the workers that are forked from now on."""
        key = (ref.repo_id, ref.revision)
        with self._lock:
            found = self.models.get(key)
            if found is None:
                later = [known for known, model in self.models.items() if model.device == "cpu"]
                for known in later[: max(0, len(later) - self._most_later + 1)]:
                    del self.models[known]
                found = self.models[key] = self._load(ref, folder)
            return found

    def in_worker(self, ref: ModelRef, folder: Path) -> M:
        """The model on the GPU: placed, or moved there now and kept for this worker's next call."""
        key = (ref.repo_id, ref.revision)
        with self._in_worker:
            # A worker may be older than the model, and does not see what this module learned since.
            found = self.models.get(key) or self._load(ref, folder)
            # In the thread that calls: on ZeroGPU only the main thread, and workers, know the device.
            if found.device != device():
                found = self._moved(found)
            if on_zero_gpu():
                self.models[key] = found
            return found


def in_visitors_name(work: Callable[[], object], name: str) -> threading.Thread:
    """Run `work` in a thread that is still the visitor's: whose quota is used stands in the context of the handler."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=name, daemon=True)
    thread.start()
    return thread


class StopFlag:
    """Reaches into a running worker: a file that is there once somebody wants the work to end.

    Closing the generator says it too, but what the worker had to say last is then lost, and two answers of one call
    cannot be stopped one by one.
    """

    def __init__(self) -> None:
        self.path = str(Path(tempfile.gettempdir()) / f"proving-stop-{uuid4().hex}")
        self._lock = threading.Lock()
        self._over = False

    def set(self) -> None:
        """Ask the worker to end. Idempotent; after `close` nothing happens."""
        with self._lock:
            if not self._over:
                Path(self.path).touch(mode=0o600)

    def close(self) -> None:
        """The work has ended."""
        with self._lock:
            self._over = True
            Path(self.path).unlink(missing_ok=True)


def stop_wanted(path: str) -> bool:
    """In the worker: whether the flag of that path is set."""
    return os.path.exists(path)  # noqa: PTH110  (once for each token)


def named(error: AppError) -> str:
    """An error as text that crosses between processes; as an exception it would arrive as "worker error"."""
    return f"{type(error).__name__}: {error}"


def error_named(text: str) -> AppError:
    """What `named` was given, or `GenerationFailed` with its sentence for the kinds that need more than a sentence."""
    name, _, sentence = text.partition(": ")
    kind = getattr(errors, name, None)
    if kind in (errors.OutOfMemory, errors.GenerationFailed, errors.UserInputError, errors.UnsafeContentError):
        return kind(sentence)  # type: ignore[no-any-return]
    return GenerationFailed(sentence)


def translated(error: Exception, less: str, what: str) -> BackendError:
    """The sentence for what a call raised; `less` says what to ask less of, `what` what was being made."""
    # ZeroGPU raises gradio's Error with a title; backends do not know gradio, so it is told by that.
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error))
    if "duration" in title:
        return QuotaExceeded(f"The {what} would take more GPU time than one call may have. Ask for {less}.")
    if "credits" in title:
        return QuotaExceeded(
            f"The GPU time of this account is taken by what it has running. Wait for its end, then try again, or ask for "
            f"{less}."
        )
    if "timeout" in title or "No GPU" in message:
        return GenerationFailed(f"No GPU became free. Try again in a minute; asking for {less} gets one sooner.")
    if "quota" in title:
        return _quota(message, less)
    if "aborted" in message:
        return GenerationFailed(f"The GPU worker was ended before the {what} was. Ask for {less}, or try again.")
    return GenerationFailed(f"The GPU worker failed on the {what}. Try again in a moment.")


def _quota(message: str, less: str) -> QuotaExceeded:
    asked = re.search(r"\((\d+)s requested vs\. (\d+)s left\)", message)
    wait = re.search(r"Try again in (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)", message)
    if wait is None:
        return QuotaExceeded(
            f"The GPU time of this page or visitor is used up for now. Sign in to Hugging Face for time of your own, ask "
            f"for {less}, or try again later."
        )
    days, hours, minutes, seconds = (int(part or 0) for part in wait.groups())
    until = f"{days * 24 + hours} h {minutes} min" if days or hours else f"{minutes} min {seconds} s"
    left = f"This needs {asked[1]} s and {asked[2]} s are left. " if asked else ""
    return QuotaExceeded(
        f"The GPU time of this visitor is nearly used up. {left}Ask for {less}, sign in to Hugging Face for more, or try "
        f"again in {until}.",
        ((days * 24 + hours) * 60 + minutes) * 60 + seconds,
    )
