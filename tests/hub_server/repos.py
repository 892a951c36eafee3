"""Repositories in memory: commits, branches, tags and the rules by which they change."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from tests.hub_server.accounts import Token
from tests.hub_server.objects import Entry, entry_for, git_id, regular_entry, tree_ids
from tests.hub_server.web import Refusal

Kind = Literal["model", "dataset", "space"]
PREFIXES: dict[str, str] = {"model": "", "dataset": "datasets/", "space": "spaces/"}
_REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}(?<![.-])(?<!\.git)")
_GITATTRIBUTES = b"".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n".encode()
    for suffix in ("bin", "gguf", "onnx", "parquet", "png", "pt", "safetensors", "zip")
)
STALE_PARENT = "The branch was updated since you opened this page. Please refresh and try again."


@dataclass(frozen=True)
class Commit:
    """One commit: a snapshot of all files and where it came from."""

    id: str
    parent: str | None
    title: str
    message: str
    date: str
    author: str
    files: Mapping[str, Entry]
    trees: Mapping[str, str]
    """Git tree id of every folder."""


@dataclass
class Repository:
    """One model, dataset or Space with its whole history."""

    kind: Kind
    id: str
    private: bool = False
    gated: Literal["auto", "manual", False] = False
    disabled: bool = False
    access: set[str] = field(default_factory=set)
    """Users who were let through the gate."""
    metadata: dict[str, object] = field(default_factory=dict)
    """Values of the API that do not come from files; they win over derived ones."""
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lfs_objects: dict[str, bytes] = field(default_factory=dict)
    created_at: str = ""
    seeded: tuple[str, str] | None = None
    """Commit for which a seed has given another date of last change, and that date."""
    listed: tuple[object, dict[str, object]] | None = field(default=None, compare=False, repr=False)
    """What the lists last said of it, and what it was then."""

    @property
    def owner(self) -> str:
        """The namespace."""
        return self.id.rpartition("/")[0]

    @property
    def head(self) -> Commit:
        """The newest commit of main."""
        return self.commits[self.branches["main"]]

    @property
    def last_modified(self) -> str:
        """Date of the last change, or the one the seed gave."""
        if self.seeded and self.seeded[0] == self.head.id:
            return self.seeded[1]
        return self.head.date

    def find(self, revision: str) -> Commit:
        """Return the commit a branch, tag or (abbreviated) commit id stands for."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        commit = self.branches.get(name) or self.tags.get(name)
        if commit is None and re.fullmatch(r"[0-9a-fA-F]{7,40}", revision):
            matches = [id_ for id_ in self.commits if id_.startswith(revision.lower())]
            commit = matches[0] if len(matches) == 1 else None
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[commit]

    def branch_head(self, branch: str, parent: str | None = None) -> Commit:
        """Return the newest commit of a branch, refusing a caller who expects another one there."""
        if branch not in self.branches:
            raise Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self.commits[self.branches[branch]]
        if parent is not None and not head.id.startswith(parent.lower()):
            raise Refusal(412, STALE_PARENT)
        return head

    def file(self, commit: Commit, path: str) -> Entry:
        """Return one file of a commit."""
        try:
            return commit.files[path]
        except KeyError:
            headers = {"X-Repo-Commit": commit.id}
            raise Refusal(404, "Entry not found", "EntryNotFound", headers) from None

    def history(self, commit: Commit) -> Iterator[Commit]:
        """Walk from a commit to the first one."""
        current: Commit | None = commit
        while current is not None:
            yield current
            current = self.commits[current.parent] if current.parent else None

    def last_change(self, commit: Commit, path: str) -> Commit:
        """Return the commit that gave a file or folder the content it has in this commit."""

        def content(at: Commit) -> str | None:
            return at.files[path].oid if path in at.files else at.trees.get(path)

        wanted = content(commit)
        return list(itertools.takewhile(lambda at: content(at) == wanted, self.history(commit)))[-1]

    def open_to(self, token: Token | None) -> bool:
        """Tell whether this caller may know that the repository exists."""
        return not self.private or (token is not None and token.may_see_private(self.kind, self.id))

    def check_file_access(self, token: Token | None) -> None:
        """Refuse the files of a gated or disabled repository to those who were not let in."""
        if self.disabled:
            raise Refusal(403, "Access to this resource is disabled.")
        if not self.gated:
            return
        about = f"Access to {self.kind} {self.id} is restricted"
        if token is None:
            message = f"{about}. You must have access to it and be authenticated to access it. Please log in."
            raise Refusal(401, message, "GatedRepo")
        if token.belongs_to(self.owner):
            return
        if token.user not in self.access:
            raise Refusal(403, f"{about} and you are not in the authorized list. Ask for access.", "GatedRepo")
        if token.role == "fineGrained" and not token.can_read_gated_repos:
            message = "Please enable access to public gated repositories in your fine-grained token settings"
            raise Refusal(403, message, "GatedRepo")


class RepositoryStore:
    """All repositories of the Hub; callers hold the server's lock."""

    def __init__(self) -> None:
        self._repos: dict[tuple[Kind, str], Repository] = {}
        self._moved: dict[tuple[Kind, str], str] = {}
        self._ticks = itertools.count()

    def all(self, kind: Kind, token: Token | None) -> list[Repository]:
        """List the repositories of one kind that this caller may know of."""
        return [repo for (k, _), repo in self._repos.items() if k == kind and repo.open_to(token)]

    def find(self, kind: Kind, repo_id: str, token: Token | None) -> Repository:
        """Return a repository, refusing private ones as if they did not exist."""
        repo = self._repos.get((kind, repo_id))
        if repo is None or not repo.open_to(token):
            if token is None:
                raise Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return repo

    def get(self, kind: Kind, repo_id: str) -> Repository:
        """Return a repository whoever asks."""
        try:
            return self._repos[kind, repo_id]
        except KeyError:
            raise Refusal(404, "Repository not found", "RepoNotFound") from None

    def exists(self, kind: Kind, repo_id: str) -> bool:
        """Tell whether the name is taken, for those who may know."""
        return (kind, repo_id) in self._repos

    def moved_to(self, kind: Kind, repo_id: str) -> str | None:
        """Return the new name of a repository that was renamed."""
        return None if self.exists(kind, repo_id) else self._moved.get((kind, repo_id))

    def create(self, repo: Repository, author: str) -> Repository:
        """Add a repository with the first commit that the Hub itself makes."""
        if not _REPO_ID.fullmatch(repo.id):
            raise Refusal(400, f"Invalid repository name: {repo.id}")
        files = {".gitattributes": regular_entry(".gitattributes", _GITATTRIBUTES)}
        commit = self._store(repo, None, files, "initial commit", "", author)
        repo.branches["main"] = commit.id
        repo.created_at = repo.created_at or commit.date
        self._repos[repo.kind, repo.id] = repo
        return repo

    def delete(self, repo: Repository) -> None:
        """Remove a repository and its history."""
        del self._repos[repo.kind, repo.id]

    def move(self, repo: Repository, new_id: str) -> None:
        """Rename a repository; its old name then redirects."""
        if not _REPO_ID.fullmatch(new_id):
            raise Refusal(400, f"Invalid repository name: {new_id}")
        if self.exists(repo.kind, new_id):
            raise Refusal(409, f"Repository {new_id} already exists")
        del self._repos[repo.kind, repo.id]
        self._moved[repo.kind, repo.id] = new_id
        repo.id = new_id
        self._repos[repo.kind, new_id] = repo

    def commit(
        self,
        repo: Repository,
        branch: str,
        changes: Mapping[str, Entry | None],
        title: str,
        author: str,
        *,
        message: str = "",
    ) -> Commit:
        """Add a commit to a branch: entries are written, None deletes."""
        head = repo.branch_head(branch)
        files = dict(head.files)
        for path, entry in changes.items():
            if entry is None:
                files.pop(path, None)
            else:
                files[path] = entry
        _check_paths(files)
        commit = self._store(repo, head.id, files, title, message, author)
        repo.branches[branch] = commit.id
        return commit

    def now(self) -> str:
        """Return the Hub's time, a second later at each call: commit ids are the same in every run."""
        return as_date(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._ticks)))

    def _store(
        self,
        repo: Repository,
        parent: str | None,
        files: Mapping[str, Entry],
        title: str,
        message: str,
        author: str,
    ) -> Commit:
        date = self.now()
        trees = tree_ids(files.values())
        lines = [f"tree {trees['']}", *([f"parent {parent}"] if parent else [])]
        body = "\n".join([*lines, f"author {author} {date}", "", title, message])
        commit = Commit(git_id("commit", body.encode()), parent, title, message, date, author, files, trees)
        repo.commits[commit.id] = commit
        for entry in files.values():
            if entry.sha256:
                repo.lfs_objects.setdefault(entry.sha256, entry.content)
        return commit


def as_date(moment: datetime) -> str:
    """Write a moment the way the Hub does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def entries(files: Mapping[str, bytes]) -> dict[str, Entry]:
    """Make entries of plain bytes, by the Hub's own LFS rule."""
    return {path: entry_for(path, content) for path, content in files.items()}


def _check_paths(files: Iterable[str]) -> None:
    folders = set()
    for path in files:
        parts = path.split("/")
        if any(part in {"", ".", "..", ".git"} for part in parts) or "\\" in path or "\0" in path:
            raise Refusal(400, f"Invalid path in repository: {path}")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if clash := folders.intersection(files):
        raise Refusal(400, f"Path is both a file and a folder: {sorted(clash)[0]}")
