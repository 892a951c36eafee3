"""The routing table, and what every route is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.hub_server.accounts import Accounts, Token
from tests.hub_server.repos import PREFIXES, Kind, Repository, RepositoryStore
from tests.hub_server.web import RecordedRequest, Refusal, Reply

_REPO = r"[^/]+(?:/[^/]+)?"
_PATTERNS = {
    "{kind}": r"(?P<kind>model|dataset|space)s",
    "{prefix}": r"(?P<prefix>datasets/|spaces/|)",
    "{repo}": rf"(?P<repo>{_REPO})",
    "{rev}": r"(?P<rev>refs/(?:convert|pr)/[^/]+|[^/]+)",
    "{path}": r"(?P<path>.+)",
}


@dataclass
class State:
    """Everything the Hub knows, shared by all routes under one lock."""

    accounts: Accounts = field(default_factory=Accounts)
    repos: RepositoryStore = field(default_factory=RepositoryStore)
    spaces: dict[str, Any] = field(default_factory=dict)
    """`spaces.Space` by repository id."""
    url: str = ""
    storage_url: str = ""
    organizations: dict[str, bool] = field(default_factory=dict)
    """Organisations by name, and whether the Hub calls them verified."""
    papers: dict[str, dict] = field(default_factory=dict)
    """Pages of papers by arXiv number."""
    page_size: int = 1000
    """Rows in one page of a list or a tree."""


@dataclass(frozen=True)
class Call:
    """One request on its way through a route."""

    state: State
    request: RecordedRequest
    token: Token | None
    groups: dict[str, str]

    @property
    def url(self) -> str:
        """This request's own address without its query, which the next page has too."""
        return self.state.url + self.request.raw_path

    @property
    def kind(self) -> Kind:
        """Model, dataset or space, from whichever part of the path tells."""
        if "kind" in self.groups:
            return self.groups["kind"]
        return next(kind for kind, prefix in PREFIXES.items() if prefix == self.groups["prefix"])

    @property
    def revision(self) -> str:
        """The revision in the path, main where there is none."""
        return self.groups.get("rev") or "main"

    @property
    def path(self) -> str:
        """The file or folder in the path."""
        return self.groups.get("path") or ""

    def repo(self) -> Repository:
        """Return the repository in the path, redirecting from a former name."""
        return self.find(self.kind, self.groups["repo"])

    def find(self, kind: Kind, repo_id: str) -> Repository:
        """Return a repository this caller may know of."""
        if new := self.state.repos.moved_to(kind, repo_id):
            location = self.request.raw_path.replace(f"/{repo_id}", f"/{new}", 1)
            raise Refusal(307, "Temporary Redirect", headers={"Location": self.state.url + location})
        return self.state.repos.find(kind, repo_id, self.token)

    def writable_repo(self) -> Repository:
        """Return the repository in the path if this caller may change it."""
        repo = self.repo()
        self.check_write(repo.kind, repo.id)
        return repo

    def check_write(self, kind: Kind, repo_id: str) -> Token:
        """Refuse callers that may not write under that name."""
        if self.token is None:
            raise Refusal(401, "Invalid username or password.")
        if not self.token.may_write(kind, repo_id):
            namespace = repo_id.partition("/")[0]
            message = f'You don\'t have the rights to change a {kind} under the namespace "{namespace}"'
            raise Refusal(403, message)
        return self.token


Route = Callable[[Call], Reply]


class Routes:
    """Routes by method and path, tried in the order in which they were added."""

    def __init__(self) -> None:
        self._table: list[tuple[str, re.Pattern[str], Route]] = []

    def add(self, methods: str, path: str) -> Callable[[Route], Route]:
        """Register a function for a path with `{kind}`, `{repo}` and the like in it."""
        for name, pattern in _PATTERNS.items():
            path = path.replace(name, pattern)

        def register(route: Route) -> Route:
            self._table += [(method, re.compile(path), route) for method in methods.split()]
            return route

        return register

    def answer(self, state: State, request: RecordedRequest) -> Reply:
        """Find the route of a request and call it; an unknown path is a 404."""
        try:
            for method, pattern, route in self._table:
                if method == request.method and (match := pattern.fullmatch(request.raw_path)):
                    token = state.accounts.authenticate(request.token)
                    found = match.groupdict().items()
                    groups = {name: unquote(value) for name, value in found if value is not None}
                    return route(Call(state, request, token, groups))
            raise Refusal(404, "Not Found")
        except Refusal as refusal:
            return refusal.reply()
