"""The repositories of the Hub: commits and the parts of a card."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from backends.hub.deadline import Pending, start
from backends.hub.errors import About
from backends.hub.file_hashes import hub_files
from backends.hub.lists import HubLists
from backends.hub.rows import commit_of
from backends.hub.session import HubSession, Params
from core.catalog import Kind
from core.errors import HubError, HubUnreachable, RevisionGone
from core.refs import COMMIT, ModelRef, check_repo_id, check_revision, shown
from core.shortlist import LockedFile

# What a revision is resolved with: the commit, and what the plain record of a model does not hold.
RESOLVED: Params = (("expand", "sha"), ("expand", "evalResults"), ("expand", "childrenModelCount"))
INFO: Params = (("blobs", "true"), ("securityStatus", "true"))
PREFIXES: Mapping[Kind, str] = {"model": "", "dataset": "datasets/", "space": "spaces/"}
MOST_REFS = 500
MOST_REMEMBERED = 200
T = TypeVar("T")
MOST_README_BYTES = 5_000_000
MOST_CONFIG_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Texts:
    """README.md and config.json at one commit. An error stands where the Hub did not hand the file out."""

    readme: bytes | HubError | None
    config: Mapping[str, object] | HubError | None


@dataclass(frozen=True, slots=True)
class HubParts:
    """Everything a card is made of. `refs` are branches and tags with their commits, None when that could not be asked.

    `more` is what only an expanded request tells: evaluation results and the number of children.
    """

    info: dict[str, Any]
    texts: Texts
    refs: tuple[tuple[str, str], ...] | None
    more: Mapping[str, object]

    @property
    def main(self) -> str | None:
        """The commit main points to now."""
        return next((commit for name, commit in self.refs or () if name == "main"), None)


class HubModels:
    """What one Hub tells of its models. Every method ends by `until` (monotonic seconds) or raises `HubError`."""

    def __init__(self, endpoint: str, token: str | bool | None = None) -> None:
        self.session = self._session = HubSession(endpoint, token)
        self.endpoint = self._session.endpoint
        self.lists = HubLists(endpoint, token)
        self._lock = threading.Lock()
        self._more: OrderedDict[tuple[str, str], Mapping[str, object]] = OrderedDict()

    def for_token(self, token: str) -> HubModels:
        """The same Hub as the owner of `token` sees it; nothing that is read with it is kept here."""
        return HubModels(self.endpoint, token)

    def commit(self, repo_id: str, revision: str, until: float, kind: Kind = "model") -> str:
        """The commit a branch, tag or short commit means now; "" is the default branch."""
        check_repo_id(repo_id)
        if revision:
            check_revision(revision)
        about = About(self.endpoint, PREFIXES[kind] + repo_id, revision)
        asked = RESOLVED if kind == "model" else RESOLVED[:1]
        answer = self._session.get_json(_info_path(repo_id, revision, kind), asked, about=about, until=until)
        sha = commit_of(answer.data)
        if sha is None:
            raise RevisionGone(
                f"The Hub names no commit for “{repo_id}” at “{shown(revision or 'main')}”. Try another revision."
            )
        if kind != "model":
            return sha
        with self._lock:
            self._more[repo_id, sha] = answer.data
            while len(self._more) > MOST_REMEMBERED:
                self._more.popitem(last=False)
        return sha

    def parts(self, ref: ModelRef, until: float, kind: Kind = "model") -> HubParts:
        """Info, README.md, the refs and a model's config.json, asked at the same time."""
        about = About(self.endpoint, PREFIXES[kind] + ref.repo_id, ref.revision)

        def info() -> dict[str, Any]:
            path = _info_path(ref.repo_id, ref.revision, kind)
            data = self._session.get_json(path, INFO if kind == "model" else INFO[:1], about=about, until=until).data
            if not isinstance(data, dict):
                raise HubUnreachable(f"What answered at {about.host} is not a Hub. Check HF_ENDPOINT.")
            return data

        asked = start(info, until)
        refs = start(lambda: self.refs(ref.repo_id, until, kind), until)
        readme = start(lambda: self._file(ref, "README.md", MOST_README_BYTES, until, kind), until)
        config: Pending[bytes | None] | None = None
        if kind == "model":
            config = start(lambda: self._file(ref, "config.json", MOST_CONFIG_BYTES, until), until)
        found = asked.result(until)
        text = _or_error(readme, until)
        settings = None
        if config is not None:
            settings = _or_error(config, until)
        texts = Texts(text, _parsed(settings))
        named = _or_error(refs, until)
        with self._lock:
            more = self._more.get((ref.repo_id, ref.revision), {})
        return HubParts(found, texts, None if isinstance(named, HubError) else named, more)

    def config(self, repo_id: str, revision: str, until: float) -> Mapping[str, object] | None:
        """config.json at a commit; None when there is none that can be read."""
        found = _parsed(self._file(ModelRef(repo_id, revision), "config.json", MOST_CONFIG_BYTES, until))
        return None if isinstance(found, HubError) else found

    def files(self, ref: ModelRef, until: float) -> tuple[LockedFile, ...]:
        """Every file of a commit with its hash."""
        return hub_files(self._session, ref, until)

    def refs(self, repo_id: str, until: float, kind: Kind = "model") -> tuple[tuple[str, str], ...]:
        """Branches, then tags, each with the commit it points to now."""
        about = About(self.endpoint, PREFIXES[kind] + repo_id)
        data = self._session.get_json(f"/api/{kind}s/{repo_id}/refs", (), about=about, until=until).data
        found: list[tuple[str, str]] = []
        for group in ("branches", "tags"):
            rows = data.get(group) if isinstance(data, dict) else None
            for row in rows if isinstance(rows, list) else ():
                name, commit = (row.get("name"), row.get("targetCommit")) if isinstance(row, dict) else (None, None)
                if isinstance(name, str) and isinstance(commit, str) and COMMIT.fullmatch(commit):
                    found.append((name, commit))
        return tuple(found[:MOST_REFS])

    def _file(self, ref: ModelRef, path: str, most: int, until: float, kind: Kind = "model") -> bytes | None:
        name = PREFIXES[kind] + ref.repo_id
        about = About(self.endpoint, name, ref.revision)
        return self._session.get_file(name, ref.revision, path, about=about, until=until, most=most)


def _info_path(repo_id: str, revision: str, kind: Kind = "model") -> str:
    return f"/api/{kind}s/{repo_id}" + (f"/revision/{quote(revision, safe='')}" if revision else "")


def _or_error(pending: Pending[T], until: float) -> T | HubError:
    """A part the card can be shown without."""
    try:
        return pending.result(until)
    except HubError as error:
        return error


def _parsed(content: bytes | HubError | None) -> Mapping[str, object] | HubError | None:
    if content is None or isinstance(content, HubError):
        return content
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None
