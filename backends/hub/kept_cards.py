"""Cards the Hub told, kept on disk by commit: shown with their age while it does not answer. Only what is open to everybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backends.hub.disk_cache import DiskCache
from backends.hub.remote import HubParts, Texts
from backends.hub.rows import mapping_of
from core.errors import HubError
from core.refs import COMMIT, ModelRef

MOST_CHARACTERS = 400_000
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"))


class KeptCards:
    """What a card is made of, and what a branch meant. None of it where there is no folder for it."""

    def __init__(self, disk: DiskCache | None) -> None:
        self._disk = disk

    def keep(self, ref: ModelRef, parts: HubParts) -> None:
        """Remember a card that everybody may read; a gated or private one, or one with a part missing, is not kept."""
        info, texts = parts.info, parts.texts
        if self._disk is None or info.get("private") is not False or info.get("gated"):
            return
        if isinstance(texts.readme, HubError) or isinstance(texts.config, HubError):
            return
        readme = None if texts.readme is None else texts.readme.decode("latin-1")
        config = None if texts.config is None else dict(texts.config)
        value = {"info": info, "readme": readme, "config": config, "refs": parts.refs, "more": dict(parts.more)}
        if (len(readme or "") + len(json.dumps(info))) <= MOST_CHARACTERS:
            self._disk.put(_card_key(ref), value)

    def parts(self, ref: ModelRef) -> tuple[HubParts, float] | None:
        """The card's parts and their age in seconds."""
        found = self._disk.get(_card_key(ref)) if self._disk else None
        value = mapping_of(found[0]) if found else None
        info = mapping_of((value or {}).get("info"))
        if found is None or value is None or info is None:
            return None
        readme, config = value.get("readme"), mapping_of(value.get("config"))
        texts = Texts(readme.encode("latin-1") if isinstance(readme, str) else None, config)
        more: Mapping[str, Any] = mapping_of(value.get("more")) or {}
        # What branches point to now is not known.
        return HubParts(info, texts, None, more), found[1]

    def named(self, repo_id: str, revision: str, commit: str) -> None:
        """Remember what a branch or tag of an open model meant; kept with its card."""
        if self._disk:
            self._disk.put(_ref_key(repo_id, revision), commit)

    def commit(self, repo_id: str, revision: str) -> str | None:
        """What a revision meant when it was last asked, if the card of that commit is here."""
        found = self._disk.get(_ref_key(repo_id, revision)) if self._disk else None
        commit = found[0] if found else revision
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            return None
        return commit if self.parts(ModelRef(repo_id, commit)) else None


def ago(seconds: float) -> str:
    """An age in words."""
    for size, unit in _UNITS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def _card_key(ref: ModelRef) -> str:
    return f"card 1 {ref.repo_id}@{ref.revision}"


def _ref_key(repo_id: str, revision: str) -> str:
    return f"ref 1 {repo_id}@{revision}"
