"""The models of this machine: folders that came with the app or were named, and the Hugging Face cache."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from backends.hub.folder import Folder, read_folder
from backends.hub.front_matter import read_readme
from backends.hub.rows import Row
from core.catalog import LocalFolder, SearchQuery
from core.errors import NotPinnedError, UserInputError
from core.refs import ModelRef
from core.search_filter import select

log = logging.getLogger(__name__)
SCAN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model at one commit in a folder. `refs` are the branches and tags the cache knows for it."""

    ref: ModelRef
    path: Path
    bundled: bool = False
    registered: bool = False
    ready: bool = True
    refs: frozenset[str] = frozenset()
    changed: float = 0.0
    signature: tuple[int, int] = (0, 0)
    foretold: tuple[str, int] | None = None


class LocalModels:
    """What lies on this machine. Nothing here touches the network, and a broken cache entry hides only itself."""

    def __init__(self, bundled: Sequence[LocalFolder] = (), cache_dir: Path | None = None) -> None:
        """`cache_dir` is the hub folder of HF_HOME; None is where huggingface_hub itself looks."""
        self._folders = tuple(bundled)
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._scanned: tuple[float, tuple[LocalModel, ...]] | None = None
        self._read: dict[Path, tuple[tuple[int, int], Folder]] = {}

    def rows(self) -> list[Row]:
        """Every row: what came with the app first, then the newest."""
        models = sorted(self.models(), key=lambda model: (not model.bundled, not model.registered, -model.changed))
        return [self.row(model) for model in models if model.registered or self._holds_weights(model)]

    def find(self, query: SearchQuery) -> tuple[Row, ...]:
        """Every row that fits the query, in that order."""
        return select(self.rows(), query, ordered=True).rows

    def config(self, repo_id: str, revision: str) -> Mapping[str, object] | None:
        """config.json of a model that is here at exactly that commit."""
        here = next((m for m in self.models() if (m.ref.repo_id, m.ref.revision) == (repo_id, revision)), None)
        return self.folder(here).config if here else None

    def models(self) -> tuple[LocalModel, ...]:
        """Every model on this machine, registered folders first."""
        return (*(self._registered(folder) for folder in self._folders), *self._cached())

    def get(self, ref: ModelRef) -> LocalModel | None:
        """The model of exactly this commit."""
        wanted = (ref.repo_id, ref.revision)
        return next((m for m in self.models() if (m.ref.repo_id, m.ref.revision) == wanted), None)

    def named(self, repo_id: str, revision: str) -> LocalModel | None:
        """A model by commit, short commit (7 characters or more), branch or tag, as far as this machine knows them.

        "" is a registered folder, else the cached main branch.
        """
        models = [model for model in self.models() if model.ref.repo_id == repo_id]
        if not revision:
            registered = next((model for model in models if model.registered), None)
            return registered or next((model for model in models if "main" in model.refs), None)
        exact = [m for m in models if m.ref.revision == revision or revision in m.refs]
        short = [m for m in models if len(revision) >= 7 and m.ref.revision.startswith(revision.lower())]
        return exact[0] if exact else short[0] if len(short) == 1 else None

    def folder(self, model: LocalModel) -> Folder:
        """What the model's folder tells; read again only when files came or went."""
        with self._lock:
            known = self._read.get(model.path)
        if known and known[0] == model.signature and not model.registered:
            return known[1]
        found = read_folder(model.path)
        with self._lock:
            self._read[model.path] = (model.signature, found)
        return found

    def row(self, model: LocalModel) -> Row:
        """The summary of one local model."""
        gated = False if model.bundled else None
        if model.foretold and not self.folder(model).files:
            return _foretold(model.ref, *model.foretold)
        return self.folder(model).row(model.ref, bundled=model.bundled, gated=gated)

    def _registered(self, folder: LocalFolder) -> LocalModel:
        # Folders are registered at start and prepared later, by a rename: what is there now is whole.
        ready = folder.ready or (folder.path / "config.json").is_file()
        return LocalModel(
            folder.ref, folder.path, folder.bundled, registered=True, ready=ready, foretold=folder.foretold
        )

    def _holds_weights(self, model: LocalModel) -> bool:
        return bool(self.folder(model).formats)

    def _cached(self) -> tuple[LocalModel, ...]:
        with self._lock:
            if self._scanned and monotonic() < self._scanned[0]:
                return self._scanned[1]
        found = tuple(_scan(self._cache_dir))
        with self._lock:
            self._scanned = (monotonic() + SCAN_SECONDS, found)
        return found


def _foretold(ref: ModelRef, card: str, params: int) -> Row:
    """The row of a model that came with the app, before its folder is made."""
    row = Folder((), read_readme(card.encode()), None).row(ref, bundled=True, gated=False)
    return Row(
        replace(row.summary, params=params, library="transformers", has_card=True, weights_formats=("safetensors",)),
        row.tags,
    )


def _scan(cache_dir: Path | None) -> Iterator[LocalModel]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir(cache_dir)
    except CacheNotFound:
        return
    except (OSError, ValueError) as error:
        log.warning("the Hugging Face cache cannot be read: %s", error)
        return
    for repo in cache.repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            try:
                ref = ModelRef(repo.repo_id, revision.commit_hash)
            except (UserInputError, NotPinnedError):
                continue  # A folder somebody made by hand; the Hub has no such name or commit.
            yield LocalModel(
                ref,
                revision.snapshot_path,
                refs=frozenset(revision.refs),
                changed=revision.last_modified,
                signature=(len(revision.files), revision.size_on_disk),
            )
