"""The models of the Hub: search, commits and the parts of a card."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from backends.hub.deadline import Pending, start
from backends.hub.errors import About
from backends.hub.rows import Row, commit_of, row_of
from backends.hub.session import HubSession, Params
from core.catalog import SearchQuery, Sort
from core.errors import HubError, HubUnreachable, RevisionGone
from core.refs import COMMIT, ModelRef, check_repo_id, check_revision, shown

SORT_KEYS: dict[Sort, str] = {
    "trending": "trendingScore",
    "downloads": "downloads",
    "likes": "likes",
    "created": "createdAt",
    "updated": "lastModified",
}
# Exactly what a ModelSummary needs; files are left out because some repositories have thousands.
EXPAND = (
    "sha",
    "pipeline_tag",
    "library_name",
    "tags",
    "cardData",
    "safetensors",
    "gguf",
    "downloads",
    "likes",
    "lastModified",
    "gated",
)
# What a revision is resolved with: the commit, and what the plain record of a model does not hold.
RESOLVED: Params = (("expand", "sha"), ("expand", "evalResults"), ("expand", "childrenModelCount"))
INFO: Params = (("blobs", "true"), ("securityStatus", "true"))
MOST_REFS = 500
MOST_REMEMBERED = 200
T = TypeVar("T")
OVERSAMPLED_PAGE = 200
MOST_PAGES = 5
MOST_README_BYTES = 5_000_000
MOST_CONFIG_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of the Hub, and how far its list was read for them."""

    rows: tuple[Row, ...]
    looked_at: int
    complete: bool


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
        self._lock = threading.Lock()
        self._more: OrderedDict[tuple[str, str], Mapping[str, object]] = OrderedDict()

    def find(self, query: SearchQuery, until: float) -> Found:
        """Rows for a query: the Hub looks for one word in the id; further words are looked for in what it returns."""
        words = query.text.lower().split()
        asked = max(words, key=len, default="")
        others = [word for word in words if word != asked]
        size = OVERSAMPLED_PAGE if others else query.limit
        rows: list[Row] = []
        looked_at, complete = 0, False
        try:
            for entries, complete in self._pages(query, asked, size, until):
                looked_at += len(entries)
                rows += [row for raw in entries if (row := row_of(raw)) and row.contains(others)]
                if complete or len(rows) >= query.limit:
                    break
        except HubUnreachable:
            if not looked_at:
                raise
            complete = False  # What came before the deadline is worth showing; `looked_at` says how far it went.
        return Found(tuple(rows[: query.limit]), looked_at, complete and len(rows) <= query.limit)

    def commit(self, repo_id: str, revision: str, until: float) -> str:
        """The commit a branch, tag or short commit means now; "" is the default branch."""
        check_repo_id(repo_id)
        if revision:
            check_revision(revision)
        about = About(self.endpoint, repo_id, revision)
        answer = self._session.get_json(_info_path(repo_id, revision), RESOLVED, about=about, until=until)
        sha = commit_of(answer.data)
        if sha is None:
            raise RevisionGone(
                f"The Hub names no commit for “{repo_id}” at “{shown(revision or 'main')}”. Try another revision."
            )
        with self._lock:
            self._more[repo_id, sha] = answer.data
            while len(self._more) > MOST_REMEMBERED:
                self._more.popitem(last=False)
        return sha

    def parts(self, ref: ModelRef, until: float) -> HubParts:
        """Info, README.md, config.json and the refs, asked at the same time."""
        about = About(self.endpoint, ref.repo_id, ref.revision)

        def info() -> dict[str, Any]:
            path = _info_path(ref.repo_id, ref.revision)
            data = self._session.get_json(path, INFO, about=about, until=until).data
            if not isinstance(data, dict):
                raise HubUnreachable(f"What answered at {about.host} is not a Hub. Check HF_ENDPOINT.")
            return data

        asked = start(info, until)
        refs = start(lambda: self.refs(ref.repo_id, until), until)
        readme = start(lambda: self._file(ref, "README.md", MOST_README_BYTES, until), until)
        config = start(lambda: self._file(ref, "config.json", MOST_CONFIG_BYTES, until), until)
        found = asked.result(until)
        text, settings = _or_error(readme, until), _or_error(config, until)
        texts = Texts(text, _parsed(settings))
        named = _or_error(refs, until)
        with self._lock:
            more = self._more.get((ref.repo_id, ref.revision), {})
        return HubParts(found, texts, None if isinstance(named, HubError) else named, more)

    def refs(self, repo_id: str, until: float) -> tuple[tuple[str, str], ...]:
        """Branches, then tags, each with the commit it points to now."""
        about = About(self.endpoint, repo_id)
        data = self._session.get_json(f"/api/models/{repo_id}/refs", (), about=about, until=until).data
        found: list[tuple[str, str]] = []
        for kind in ("branches", "tags"):
            rows = data.get(kind) if isinstance(data, dict) else None
            for row in rows if isinstance(rows, list) else ():
                name, commit = (row.get("name"), row.get("targetCommit")) if isinstance(row, dict) else (None, None)
                if isinstance(name, str) and isinstance(commit, str) and COMMIT.fullmatch(commit):
                    found.append((name, commit))
        return tuple(found[:MOST_REFS])

    def _file(self, ref: ModelRef, path: str, most: int, until: float) -> bytes | None:
        about = About(self.endpoint, ref.repo_id, ref.revision)
        return self._session.get_file(ref.repo_id, ref.revision, path, about=about, until=until, most=most)

    def _pages(self, query: SearchQuery, asked: str, size: int, until: float) -> Iterator[tuple[list[object], bool]]:
        params: Params | None = [
            *([("search", asked)] if asked else []),
            *([("author", query.author)] if query.author else []),
            *([("filter", query.library)] if query.library else []),
            *([("pipeline_tag", query.task)] if query.task else []),
            ("sort", SORT_KEYS[query.sort]),
            ("limit", str(size)),
            *(("expand", name) for name in EXPAND),
        ]
        for _ in range(MOST_PAGES):
            if params is None or monotonic() >= until:
                return
            answer = self._session.get_json("/api/models", params, about=About(self.endpoint), until=until)
            if not isinstance(answer.data, list):
                raise HubUnreachable(
                    "What answered is not a Hub. Check HF_ENDPOINT, and whether the network wants a login first."
                )
            params = answer.next_params
            yield answer.data, params is None


def _info_path(repo_id: str, revision: str) -> str:
    return f"/api/models/{repo_id}" + (f"/revision/{quote(revision, safe='')}" if revision else "")


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
