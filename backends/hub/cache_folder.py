"""The Hugging Face cache of this machine: its revisions with sizes, and deleting some of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.cached import CachedRevision, Freed, chosen
from core.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, HFCacheInfo

log = logging.getLogger(__name__)


class CacheFolder:
    """Implements `LocalCache`. `pinned` names the commits that the app itself uses: they are never deleted."""

    def __init__(self, cache_dir: Path | None = None, pinned: Callable[[], Collection[str]] = tuple) -> None:
        self._cache_dir = cache_dir
        self._pinned = pinned

    def revisions(self) -> tuple[CachedRevision, ...]:
        """Everything in the cache, the largest first; () where there is no cache."""
        info = self._scan()
        pinned = set(self._pinned())
        found = [each for repo in info.repos for each in _revisions(repo, pinned)] if info else []
        return tuple(sorted(found, key=lambda each: (-each.size, each.key)))

    def would_free(self, keys: Sequence[str]) -> Freed:
        """What deleting these revisions together frees; nothing is deleted."""
        info, wanted = self._scan(), chosen(self.revisions(), keys)
        if info is None or not wanted:
            return Freed((), 0)
        plan = info.delete_revisions(*(each.revision for each in wanted))
        return Freed(wanted, plan.expected_freed_size)

    def free(self, keys: Sequence[str]) -> Freed:
        """Delete these revisions; raises `HubError` when the folder does not allow it."""
        info, wanted = self._scan(), chosen(self.revisions(), keys)
        if info is None or not wanted:
            return Freed((), 0)
        plan = info.delete_revisions(*(each.revision for each in wanted))
        try:
            plan.execute()
        except OSError as error:
            raise HubError(f"The cache cannot be changed: {error.strerror}. Check who may write to it.") from error
        left = {each.key for each in self.revisions()}
        gone = tuple(each for each in wanted if each.key not in left)
        if len(gone) < len(wanted):
            raise HubError(
                f"{len(wanted) - len(gone)} of {len(wanted)} revisions could not be deleted. Check who may write to the cache."
            )
        return Freed(gone, plan.expected_freed_size)

    def _scan(self) -> HFCacheInfo | None:
        from huggingface_hub import scan_cache_dir
        from huggingface_hub.errors import CacheNotFound

        try:
            return scan_cache_dir(self._cache_dir)
        except (CacheNotFound, OSError, ValueError) as error:
            log.info("the Hugging Face cache cannot be read: %s", error)
            return None


def _revisions(repo: CachedRepoInfo, pinned: Collection[str]) -> list[CachedRevision]:
    blobs: dict[Path, int] = {}
    for revision in repo.revisions:
        for path in {file.blob_path for file in revision.files}:
            blobs[path] = blobs.get(path, 0) + 1
    return [
        CachedRevision(
            repo.repo_id,
            revision.commit_hash,
            repo.repo_type,
            revision.size_on_disk,
            sum({file.blob_path: file.size_on_disk for file in revision.files if blobs[file.blob_path] == 1}.values()),
            len(revision.files),
            datetime.fromtimestamp(repo.last_accessed, UTC).isoformat(timespec="seconds"),
            tuple(sorted(revision.refs)),
            revision.commit_hash in pinned,
        )
        for revision in repo.revisions
    ]
