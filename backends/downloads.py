"""Brings a model's files from the Hub into the Hugging Face cache: the commit that is pinned, what inference needs."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from backends.hub.deadline import within
from backends.hub.errors import About, hub_errors
from backends.hub_client import install_timeouts
from core.catalog import FileEntry
from core.chat import LoadPlan, Progress
from core.errors import AppError, DownloadFailed, HubUnreachable
from core.files import INDEX, PICKLE_INDEX, inference_files, is_plain_path, loadable
from core.refs import ModelRef

log = logging.getLogger(__name__)
LIST_SECONDS = 15.0
# How often a watcher hears of new bytes.
_REPORT_SECONDS = 0.1
_SPARE_BYTES = 50_000_000
# Not what inference reads: how its author samples may stand in it and nowhere else.
CARD = "README.md"
MOST_CARD = 1_000_000
_DESCRIBING = (
    "config.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json", "generation_config.json",
    CARD,
    "processor_config.json", "preprocessor_config.json",
)  # fmt: skip


class Downloads:
    """Plans and downloads by commit. One download per model at a time; whoever else asks joins it."""

    def __init__(
        self, endpoint: str, token: str | None = None, cache_dir: Path | None = None, *, pickle: bool = False
    ) -> None:
        """`cache_dir` is the hub folder of HF_HOME; None is where huggingface_hub itself looks.

        `pickle`: the operator allows weights that exist only so.
        """
        self._pickle = pickle
        self._endpoint = endpoint
        self._token = token
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._running: dict[ModelRef, _Download] = {}
        self._listed: dict[ModelRef, tuple[FileEntry, ...]] = {}

    def folder(self, ref: ModelRef) -> Path | None:
        """The model's snapshot when everything inference needs is in it; asks no network."""
        snapshot = self.snapshot(ref)
        if not (snapshot / "config.json").is_file():
            return None
        known = self._listed.get(ref)
        if known is not None:
            return snapshot if all((snapshot / entry.path).exists() for entry in known) else None
        names = {path.name for path in snapshot.iterdir() if path.exists()}
        weights = loadable(tuple(names), pickle=self._pickle)
        if weights and weights[0] in (INDEX, PICKLE_INDEX) and not _index_complete(snapshot / weights[0], names):
            return None
        return snapshot if weights else None

    def snapshot(self, ref: ModelRef) -> Path:
        """Where the commit's files lie, or would."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        cache = self._cache_dir or Path(constants.HF_HUB_CACHE)
        return cache / repo_folder_name(repo_id=ref.repo_id, repo_type="model") / "snapshots" / ref.revision

    def describing(self, ref: ModelRef) -> Path:
        """The snapshot folder with at least config.json and the chat template in it, fetched when it is not there."""
        snapshot = self.snapshot(ref)
        if (snapshot / "config.json").is_file():
            return snapshot
        wanted = [entry for entry in self.files(ref) if entry.path in _DESCRIBING]

        def fetch(until: float) -> None:
            for entry in wanted:
                self._fetch(ref, entry.path)

        within(LIST_SECONDS, fetch)
        return snapshot

    def files(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        """What inference needs of the commit, and its card, with sizes, as the Hub lists them."""
        known = self._listed.get(ref)
        if known is None:
            listed = within(LIST_SECONDS, lambda until: self._list(ref))
            card = tuple(each for each in listed if each.path == CARD and (each.size or 0) <= MOST_CARD)
            known = self._listed[ref] = (*card, *inference_files(listed, pickle=self._pickle))
        return known

    def plan(self, ref: ModelRef) -> LoadPlan:
        """How many bytes of how many files are not on this disk yet."""
        if self.folder(ref) is not None:
            return LoadPlan(ref, ready=True, source="this machine")
        missing = self._missing(ref)
        size = sum(entry.size or 0 for entry in missing)
        return LoadPlan(ref, not missing, size, len(missing), self._endpoint.partition("//")[2])

    def download(self, ref: ModelRef) -> Iterator[Progress]:
        """Fetch what is missing, telling the bytes. Closing the generator stops the download when nobody else waits.

        Raises `DownloadFailed`, `HubError` or `UnsafeContentError` with what to do.
        """
        if self.folder(ref) is not None:
            return
        missing = self._missing(ref)
        if missing:
            self._check_room(ref, missing)
            job = self._join(ref, missing)
            try:
                yield from job.watch()
            finally:
                self._leave(ref, job)
        if self.folder(ref) is None:
            raise DownloadFailed(f"Some files of {ref} did not arrive whole. Try again: those that did are kept.")

    def _missing(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        snapshot = self.snapshot(ref)
        return tuple(entry for entry in self.files(ref) if not (snapshot / entry.path).exists())

    def _list(self, ref: ModelRef) -> tuple[FileEntry, ...]:
        from huggingface_hub import HfApi

        install_timeouts()
        with hub_errors(self._about(ref)):
            api = HfApi(endpoint=self._endpoint, token=self._token)
            info = api.model_info(ref.repo_id, revision=ref.revision, files_metadata=True, timeout=LIST_SECONDS)
        listed = (FileEntry(entry.rfilename, entry.size) for entry in info.siblings or ())
        return tuple(entry for entry in listed if is_plain_path(entry.path))

    def _fetch(self, ref: ModelRef, path: str, bar: type | None = None) -> None:
        from huggingface_hub import hf_hub_download

        install_timeouts()
        with hub_errors(self._about(ref)):
            try:
                hf_hub_download(
                    ref.repo_id,
                    path,
                    revision=ref.revision,
                    cache_dir=self._cache_dir,
                    endpoint=self._endpoint,
                    token=self._token,
                    tqdm_class=bar,
                )
            except OSError as error:
                if full := _disk_error(error, self.snapshot(ref)):
                    raise full from error
                raise

    def _about(self, ref: ModelRef) -> About:
        return About(self._endpoint, ref.repo_id, ref.revision)

    def _check_room(self, ref: ModelRef, missing: Sequence[FileEntry]) -> None:
        folder = self.snapshot(ref)
        while not folder.exists():
            folder = folder.parent
        needed, free = sum(entry.size or 0 for entry in missing) + _SPARE_BYTES, shutil.disk_usage(folder).free
        if free < needed:
            raise DownloadFailed(
                f"{ref} needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free on the disk of {folder}. Free some "
                "space, or set HF_HOME to a folder on another disk, and try again."
            )

    def _join(self, ref: ModelRef, missing: Sequence[FileEntry]) -> _Download:
        with self._lock:
            job = self._running.get(ref)
            if job is None or job.over:
                job = self._running[ref] = _Download(missing, lambda path, bar: self._fetch(ref, path, bar))
                threading.Thread(target=job.run, name="download", daemon=True).start()
            job.watchers += 1
            return job

    def _leave(self, ref: ModelRef, job: _Download) -> None:
        with self._lock:
            job.watchers -= 1
            if job.watchers == 0:
                job.abandoned.set()
            if (job.watchers == 0 or job.over) and self._running.get(ref) is job:
                del self._running[ref]


class _Abandoned(Exception):
    """Nobody waits for this download any more."""


class _Download:
    """One model's files on their way, in a thread of its own."""

    def __init__(self, missing: Sequence[FileEntry], fetch: Callable[[str, type], None]) -> None:
        self._missing = missing
        self._fetch = fetch
        self._changed = threading.Condition()
        self._done = 0
        self._error: Exception | None = None
        self.total = sum(entry.size or 0 for entry in missing)
        self.watchers = 0
        self.abandoned = threading.Event()
        self.over = False

    def run(self) -> None:
        """Fetch file by file; what arrived whole stays in the cache whatever comes after."""
        bar = _bar(self._count)
        try:
            for entry in self._missing:
                before = self._done
                self._fetch(entry.path, bar)
                # The client's own count leaves out what it found in its store; a file that is there counts in full.
                self._count(before + (entry.size or 0) - self._done)
        except _Abandoned:
            log.info("a download was stopped: nobody waits for it")
        except HubUnreachable as error:
            self._error = DownloadFailed(
                f"The connection was lost after {self._done / 1e6:.0f} of {self.total / 1e6:.0f} MB. Try again: files that "
                "arrived whole are kept."
            )
            log.warning("download: %s", error)
        except Exception as error:  # noqa: BLE001  (raised again in `watch`, where somebody waits for it)
            self._error = error
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def watch(self) -> Iterator[Progress]:
        """Bytes so far, at most ten times a second; raises what went wrong."""
        reported = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda last=reported: self.over or self._done != last)  # type: ignore[misc]
                self._changed.wait_for(lambda: self.over, _REPORT_SECONDS if reported >= 0 else 0)
                done, over, error = self._done, self.over, self._error
            if isinstance(error, AppError):
                raise error.with_traceback(None)
            if error is not None:
                raise error
            if done != reported:
                reported = done
                yield Progress("download", done, self.total, "bytes")
            if over:
                return

    def _count(self, size: int) -> None:
        if self.abandoned.is_set():
            raise _Abandoned
        if size:
            with self._changed:
                self._done += size
                self._changed.notify_all()


def _bar(count: Callable[[int], None]) -> type:
    """A class the client takes for a progress bar; nothing is drawn."""

    class Bar:
        def __init__(self, *args: object, **kwargs: object) -> None: ...

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *error: object) -> None: ...

        def update(self, size: float | None = 1) -> None:
            count(int(size or 0))

        def __getattr__(self, name: str) -> Any:
            # Whatever else a bar can do; xet also calls methods that plain ones do not have.
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *args, **kwargs: None

    return Bar


def _index_complete(index: Path, names: set[str]) -> bool:
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        # Not a readable index: the download puts it right, or loading says so.
        return False
    return shards <= names


def _disk_error(error: OSError, folder: Path) -> DownloadFailed | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder.anchor).free
        return DownloadFailed(
            f"The disk filled up during the download ({free / 1e6:.0f} MB free). Free some space, or set HF_HOME to a "
            "folder on another disk, and try again: files that arrived whole are kept."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DownloadFailed(
            f"The Hugging Face cache at {folder.parents[2]} cannot be written. Set HF_HOME to a folder this app may write."
        )
    return None
