"""What the Hugging Face cache of this machine holds, and what deleting some of it frees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CachedRevision:
    """One revision of a repository in the cache. Sizes in bytes, `used` in ISO 8601.

    `frees` is what deleting it alone would free: files it shares with another revision stay.
    """

    repo_id: str
    revision: str
    kind: str
    size: int
    frees: int
    files: int
    used: str | None = None
    refs: tuple[str, ...] = ()
    in_use: bool = False

    @property
    def key(self) -> str:
        """`repo_id@revision`."""
        return f"{self.repo_id}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Freed:
    """What deleting would free, or has freed: exactly these revisions, and this many bytes."""

    revisions: tuple[CachedRevision, ...]
    size: int


def chosen(revisions: Sequence[CachedRevision], keys: Sequence[str]) -> tuple[CachedRevision, ...]:
    """Those of `revisions` that are named and not in use."""
    wanted = set(keys)
    return tuple(each for each in revisions if each.key in wanted and not each.in_use)
