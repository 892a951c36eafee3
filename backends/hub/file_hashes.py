"""The files of a model at a commit with their hashes: from the Hub's tree, or read from a folder of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from backends.hub.errors import About
from backends.hub.local import LocalModel, LocalModels
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession, Params
from core.errors import HubError, HubUnreachable
from core.refs import ModelRef
from core.shortlist import LockedFile

MOST_FILES = 20_000
_PAGE = 1000


def hub_files(session: HubSession, ref: ModelRef, until: float) -> tuple[LockedFile, ...]:
    """Every file of the commit, as the Hub's tree lists it."""
    about = About(session.endpoint, ref.repo_id, ref.revision)
    path = f"/api/models/{ref.repo_id}/tree/{quote(ref.revision, safe='')}"
    params: Params | None = [("recursive", "true"), ("expand", "false"), ("limit", str(_PAGE))]
    found: list[LockedFile] = []
    while params is not None:
        answer = session.get_json(path, params, about=about, until=until)
        if not isinstance(answer.data, list):
            raise HubUnreachable(f"What answered at {about.host} is not a Hub. Check HF_ENDPOINT.")
        found += [file for raw in answer.data if (file := _file_of(raw))]
        if len(found) > MOST_FILES:
            raise HubError(
                f"“{ref.repo_id}” has more than {MOST_FILES:,} files, too many for a lock file. Leave it out."
            )
        params = answer.next_params
    return tuple(found)


def local_files(models: LocalModels, ref: ModelRef) -> tuple[LockedFile, ...] | None:
    """The files of a copy on this machine, hashed by reading them; None when the commit is not here."""
    here = models.get(ref)
    return tuple(_hashed(here)) if here and here.path.is_dir() else None


def _hashed(model: LocalModel) -> Iterator[LockedFile]:
    for path in sorted(model.path.rglob("*")):
        if path.is_file():
            yield LockedFile(path.relative_to(model.path).as_posix(), path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file_of(raw: object) -> LockedFile | None:
    if not isinstance(raw, Mapping) or raw.get("type") != "file" or (path := text_of(raw.get("path"))) is None:
        return None
    size = raw.get("size")
    lfs = mapping_of(raw.get("lfs"))
    return LockedFile(
        path,
        size if isinstance(size, int) and not isinstance(size, bool) else None,
        sha256=text_of((lfs or {}).get("oid")),
        blob_id=None if lfs else text_of(raw.get("oid")),
    )
