"""The test Hub as tests use it: start it, seed it, let it fail and read what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from tests.hub_server.accounts import Role, Token
from tests.hub_server.faults import Fault, Faults
from tests.hub_server.files import add_file_routes, add_storage_routes
from tests.hub_server.oauth import Provider
from tests.hub_server.people import add_people_routes
from tests.hub_server.reading import add_reading_routes
from tests.hub_server.repos import Kind, Repository, as_date, entries
from tests.hub_server.routes import Routes, State
from tests.hub_server.spaces import Space, add_space_routes
from tests.hub_server.transport import Listener
from tests.hub_server.viewer import PREFIX, add_viewer_routes
from tests.hub_server.web import RecordedRequest, Reply
from tests.hub_server.writing import add_writing_routes

Gate = Literal["auto", "manual", False]


class HubServer:
    """A Hub on loopback. Large files live at a second address, as on the real one."""

    def __init__(self, page_size: int = 1000) -> None:
        self.requests: list[RecordedRequest] = []
        """Every request so far, to the Hub and to its storage, in the order of arrival."""
        self.errors: list[str] = []
        """Tracebacks of handlers that broke: a test Hub without bugs leaves this empty."""
        self._state = State(page_size=page_size)
        self._lock = threading.RLock()
        self._faults = Faults()
        self.oauth = Provider()
        """Who is signed in at the Hub, for sign-in from a Space."""
        self._hub_routes = Routes()
        self.oauth.add_to(self._hub_routes)
        add_viewer_routes(self._hub_routes)
        add_people_routes(self._hub_routes)
        add_reading_routes(self._hub_routes)
        add_writing_routes(self._hub_routes)
        add_file_routes(self._hub_routes)
        add_space_routes(self._hub_routes)
        self._storage_routes = Routes()
        add_storage_routes(self._storage_routes)
        self._listeners: list[Listener] = []
        self._ports = [0, 0]

    @property
    def url(self) -> str:
        """The Hub's address, for HF_ENDPOINT; the same again after a stop and a start."""
        return self._state.url

    @property
    def storage_url(self) -> str:
        """Where LFS objects are uploaded and downloaded, without accounts."""
        return self._state.storage_url

    @property
    def viewer_url(self) -> str:
        """The dataset viewer's address."""
        return self.url + PREFIX

    def start(self, port: int = 0) -> HubServer:
        """Listen, on the former ports where there were some, and return the server."""
        if port:
            self._ports[0] = port
        answers = (self._answer_hub, self._answer_storage)
        self._listeners = [
            Listener(answer, self.requests, self.errors, self._faults, port)
            for answer, port in zip(answers, self._ports, strict=True)
        ]
        self._ports = [listener.port for listener in self._listeners]
        self._state.url, self._state.storage_url = (listener.url for listener in self._listeners)
        return self

    def stop(self) -> None:
        """Go away at once, cutting open connections; what is stored stays for another start."""
        while self._listeners:
            self._listeners.pop().close()

    def __enter__(self) -> HubServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Return the variables a subprocess needs, to be set before huggingface_hub is imported."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0" if token else "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return variables | ({"HF_TOKEN": token} if token else {})

    def add_user(
        self,
        name: str,
        token: str,
        role: Role = "write",
        *,
        orgs: Iterable[str] = (),
        scopes: Mapping[str, Iterable[str]] | None = None,
        global_scopes: Iterable[str] = (),
        can_read_gated_repos: bool = False,
        expired: bool = False,
    ) -> None:
        """Make a token valid; calling it again with the same token changes that token."""
        own = {entity: tuple(permissions) for entity, permissions in (scopes or {}).items()}
        rights = (own, tuple(global_scopes), can_read_gated_repos, expired)
        with self._lock:
            self._state.accounts.add(Token(token, name, role, tuple(orgs), *rights))

    def add_organization(self, name: str, *, verified: bool = False) -> None:
        """Make a name an organisation's, verified or not."""
        with self._lock:
            self._state.organizations[name] = verified

    def add_paper(self, number: str, title: str, authors: Iterable[str], summary: str) -> None:
        """Give the Hub a page of a paper; which repositories name it follows from their cards."""
        with self._lock:
            named = [{"name": name, "hidden": False} for name in authors]
            published = "2021-06-17T00:00:00.000Z"
            self._state.papers[number] = {
                "title": title, "authors": named, "summary": summary, "publishedAt": published,
            }  # fmt: skip

    def tag(self, repo_id: str, name: str, revision: str = "main", kind: Kind = "model") -> None:
        """Give a commit a tag."""
        with self._lock:
            repo = self._state.repos.get(kind, repo_id)
            repo.tags[name] = repo.find(revision).id

    def add_model(self, repo_id: str, files: Mapping[str, bytes] | None = None, **options: object) -> str:
        """Add a model and return the commit id of its main branch; options are those of `add_repo`."""
        return self.add_repo("model", repo_id, files, **options)

    def add_dataset(self, repo_id: str, files: Mapping[str, bytes] | None = None, **options: object) -> str:
        """Add a dataset and return the commit id of its main branch; options are those of `add_repo`."""
        return self.add_repo("dataset", repo_id, files, **options)

    def add_repo(
        self,
        kind: Kind,
        repo_id: str,
        files: Mapping[str, bytes] | None = None,
        *,
        private: bool = False,
        gated: Gate = False,
        disabled: bool = False,
        access: Iterable[str] = (),
        created_at: str | datetime | None = None,
        last_modified: str | datetime | None = None,
        card_data: dict | None = None,
        security: Mapping[str, str] | None = None,
        **metadata: object,
    ) -> str:
        """Add a repository as if it had always been there.

        `access` names users let through the gate; `security` gives scan results by path (`safe`,
        `suspicious`, `unsafe`). `metadata` are further values of the API, by its own names or in snake case:
        pipeline_tag, library_name, tags, downloads, likes, trending_score, safetensors, gguf, model_index ...
        """
        values = {_API_NAMES.get(name, name): value for name, value in metadata.items()}
        values |= {"cardData": card_data} if card_data is not None else {}
        values |= {"security": dict(security)} if security else {}
        repo = Repository(
            kind,
            repo_id,
            private=private,
            gated=gated,
            disabled=disabled,
            access=set(access),
            metadata=values,
        )
        repo.created_at = _date(created_at) if created_at else ""
        with self._lock:
            self._state.repos.create(repo, "system")
            if files:
                author = repo.owner or "system"
                self._state.repos.commit(repo, "main", entries(files), "Upload files", author)
            if last_modified:
                repo.seeded = (repo.head.id, _date(last_modified))
            return repo.head.id

    def commit(
        self,
        repo_id: str,
        kind: Kind = "model",
        files: Mapping[str, bytes] | None = None,
        deletes: Iterable[str] = (),
        message: str = "Update",
        *,
        branch: str = "main",
        author: str | None = None,
    ) -> str:
        """Move a branch as someone else's push would, and return the new commit id."""
        with self._lock:
            repo = self._state.repos.get(kind, repo_id)
            changes = dict(entries(files or {})) | dict.fromkeys(deletes)
            return self._state.repos.commit(repo, branch, changes, message, author or repo.owner).id

    def head(self, repo_id: str, kind: Kind = "model", branch: str = "main") -> str:
        """Return the newest commit id of a branch."""
        with self._lock:
            return self._state.repos.get(kind, repo_id).branch_head(branch).id

    def files(self, repo_id: str, kind: Kind = "model", revision: str = "main") -> dict[str, bytes]:
        """Return every file of a revision, to look at what was really stored."""
        with self._lock:
            commit = self._state.repos.get(kind, repo_id).find(revision)
            return {path: entry.content for path, entry in commit.files.items()}

    def history(self, repo_id: str, kind: Kind = "model", revision: str = "main") -> list[str]:
        """Return the commit ids from the newest to the first."""
        with self._lock:
            repo = self._state.repos.get(kind, repo_id)
            return [commit.id for commit in repo.history(repo.find(revision))]

    def space(self, repo_id: str) -> Space:
        """Return a Space's settings, secrets and all, to look at or to change."""
        with self._lock:
            return self._state.spaces[repo_id]

    def grant(self, repo_id: str, user: str, kind: Kind = "model") -> None:
        """Let a user through the gate of a repository."""
        with self._lock:
            self._state.repos.get(kind, repo_id).access.add(user)

    def delete(self, repo_id: str, kind: Kind = "model") -> None:
        """Remove a repository, as its owner might at any time."""
        with self._lock:
            self._state.repos.delete(self._state.repos.get(kind, repo_id))

    def fail_next(self, match: str, fault: Fault, times: int | None = 1) -> Fault:
        """Let the next requests whose `METHOD /path` fits the pattern fail; None means from now on."""
        self._faults.plan(match, fault, times)
        return fault

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._faults.clear()

    @property
    def pending_faults(self) -> int:
        """How many planned faults were not met yet."""
        return self._faults.pending

    def sent(self, match: str = "*") -> list[RecordedRequest]:
        """Return the recorded requests whose `METHOD /path` fits the pattern."""
        return [request for request in list(self.requests) if request.fits(match)]

    def _answer_hub(self, request: RecordedRequest) -> Reply:
        with self._lock:
            return self._hub_routes.answer(self._state, request)

    def _answer_storage(self, request: RecordedRequest) -> Reply:
        with self._lock:
            return self._storage_routes.answer(self._state, request)


_API_NAMES = {
    "trending_score": "trendingScore",
    "downloads_all_time": "downloadsAllTime",
    "base_models": "baseModels",
    "children_model_count": "childrenModelCount",
    "eval_results": "evalResults",
    "inference_provider_mapping": "inferenceProviderMapping",
    "model_index": "model-index",
    "transformers_info": "transformersInfo",
    "widget_data": "widgetData",
    "resource_group": "resourceGroup",
    "used_storage": "usedStorage",
    "main_size": "mainSize",
}


def _date(value: str | datetime) -> str:
    return value if isinstance(value, str) else as_date(value)
