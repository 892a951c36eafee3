"""A dataset repository on the Hub: private, made when missing, one commit per delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.feedback import durable
from backends.feedback.account import Account, account_of
from backends.feedback.card import card, configs_of
from backends.feedback.errors import NotApproved, ShardConflict, ShardsMissing
from backends.feedback.hub_errors import HeadMoved, Target, dataset_errors, no_token
from backends.hub_client import install_timeouts
from core.errors import DatasetRejected
from core.feedback_protocols import DatasetHead

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi

CARD = "README.md"
MOST_RACES = 4


class HubDatasetRepo:
    """`repo_id` on the Hub at `endpoint`. `token` None means the one a login stored."""

    def __init__(
        self, repo_id: str, *, token: str | None, endpoint: str, may_publish: Callable[[], bool] | None = None
    ) -> None:
        self.repo_id = repo_id
        # None: to a private dataset only. Else asked before anything goes to a public one.
        self._may_publish = may_publish
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._target = Target(repo_id, self._endpoint.partition("//")[2] or self._endpoint)
        self._card: tuple[str | None, str | None] = ("", None)

    def __repr__(self) -> str:
        return f"HubDatasetRepo({self.repo_id!r})"

    @property
    def name(self) -> str:
        """How the page calls it."""
        return self.repo_id

    def account(self) -> Account:
        """Whose token it is and what it may do; raises `DatasetRejected` for a token that is no good."""
        with dataset_errors(self._target):
            api, token = self._api()
            return account_of(api.whoami(token=token), self.repo_id)

    @property
    def shared(self) -> bool:
        """Other apps, and the owner, may write to it too."""
        return True

    def head(self) -> DatasetHead:
        """What is there now; makes nothing."""
        with dataset_errors(self._target):
            info = self._info(self._api()[0])
            return DatasetHead(None, frozenset()) if info is None else _head_of(info)

    def has(self, commit: str) -> bool:
        """Whether a commit is in its history."""
        from huggingface_hub.errors import RevisionNotFoundError

        with dataset_errors(self._target):
            try:
                self._api()[0].dataset_info(self.repo_id, revision=commit)
            except RevisionNotFoundError:
                return False
            return True

    def read(self, path: str, head: DatasetHead) -> bytes:
        """The bytes of a file at that commit."""
        with dataset_errors(self._target):
            file = self._api()[0].hf_hub_download(self.repo_id, path, repo_type="dataset", revision=head.commit)
            return Path(file).read_bytes()

    def commit(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]] = (),
        numbers: str = "",
    ) -> str:
        """Bring the repository to the new state on top of whatever is there; returns the commit that has it.

        What is there already, byte for byte, is not sent again: after a lost reply the second try finds its own commit.
        """
        moved: HeadMoved | None = None
        for _ in range(MOST_RACES):
            try:
                with dataset_errors(self._target):
                    return self._commit_once(adds, deletes, message, expects, numbers)
            except HeadMoved as error:
                moved = error
        assert moved is not None
        raise moved

    def _commit_once(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]],
        numbers: str,
    ) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        api, _ = self._api()
        head = self._head(api, expects)
        assert head.commit is not None
        if lost := [ways for ways in expects if not ways & head.paths]:
            raise ShardsMissing(len(lost), self.repo_id)
        missing = self._missing(api, head, adds)
        gone = [path for path in deletes if path in head.paths]
        existing = self._read_card(api, head)
        readme = card(existing, configs_of((head.paths | set(adds)) - set(deletes)), self.repo_id, numbers)
        operations: list[Any] = [CommitOperationAdd(path, durable.bytes_of(adds[path])) for path in missing]
        operations += [CommitOperationDelete(path, is_folder=False) for path in gone]
        if readme != existing:
            operations.append(CommitOperationAdd(CARD, readme.encode()))
        if not operations:
            return head.commit
        # Not upload_folder: with xet it makes several commits and only the first one minds the parent.
        info = api.create_commit(
            self.repo_id, operations, commit_message=message, repo_type="dataset", parent_commit=head.commit
        )
        self._card = (info.oid, readme)
        return info.oid

    def _info(self, api: HfApi) -> DatasetInfo | None:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        try:
            return api.dataset_info(self.repo_id)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None

    def _head(self, api: HfApi, expects: Collection[frozenset[str]]) -> DatasetHead:
        """The head to commit on: of a private dataset, which is made when absent unless shards are expected in it."""
        info = self._info(api)
        if info is None and expects:
            # Not made anew before the rows that were in it are among those that wait.
            raise ShardsMissing(len(expects), self.repo_id)
        if info is None:
            self._create(api)
            info = api.dataset_info(self.repo_id)
        if not info.private and self._may_publish is None:
            raise DatasetRejected(
                f"{self.repo_id} is a public dataset. What reviewers said goes to a private one only: make it private in "
                "its settings on the Hub, set PROVING_DATASET to another, or set PROVING_DATASET_PUBLIC=1 if everybody may "
                "read it. The rows wait on this machine."
            )
        if not info.private and self._may_publish is not None and not self._may_publish():
            raise NotApproved(self.repo_id)
        return _head_of(info)

    def _create(self, api: HfApi) -> None:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            api.model_info(self.repo_id)
        except RepositoryNotFoundError:
            api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)
            return
        raise DatasetRejected(
            f"{self.repo_id} is a model, not a dataset. Set PROVING_DATASET to the id of a dataset (it is made when it does "
            "not exist). The rows wait on this machine."
        )

    def _missing(self, api: HfApi, head: DatasetHead, adds: Mapping[str, Path | bytes]) -> list[str]:
        there = sorted(path for path in adds if path in head.paths)
        if there:
            for info in api.get_paths_info(self.repo_id, there, revision=head.commit, repo_type="dataset"):
                if not same_content(info, adds[info.path]):
                    raise ShardConflict(info.path, self.repo_id)
        return [path for path in adds if path not in head.paths]

    def _read_card(self, api: HfApi, head: DatasetHead) -> str | None:
        if self._card[0] != head.commit:
            text = None
            if CARD in head.paths:
                # By commit id, so that the cache cannot answer with an older one.
                file = api.hf_hub_download(self.repo_id, CARD, repo_type="dataset", revision=head.commit)
                text = Path(file).read_text(encoding="utf-8", errors="replace")
            self._card = (head.commit, text)
        return self._card[1]

    def _api(self) -> tuple[HfApi, str]:
        from huggingface_hub import HfApi, get_token

        install_timeouts()
        token = self._token or get_token()
        if not token:
            raise no_token(self._target)
        return HfApi(endpoint=self._endpoint, token=token), token


def _head_of(info: DatasetInfo) -> DatasetHead:
    assert info.sha is not None
    return DatasetHead(info.sha, frozenset(sibling.rfilename for sibling in info.siblings or ()))


def same_content(info: Any, content: Path | bytes) -> bool:
    """Whether a file of the Hub, as its info tells, is byte for byte what is here."""
    if getattr(info, "lfs", None) is not None:
        return bool(info.lfs.sha256 == durable.sha256_of(content))
    data = durable.bytes_of(content)
    # A file that is not in LFS is known by git's own hash of it.
    header = f"blob {len(data)}\0".encode()
    return bool(getattr(info, "blob_id", None) == hashlib.sha1(header + data, usedforsecurity=False).hexdigest())
