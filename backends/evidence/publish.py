"""Pushes an export to a private dataset repository of its own and tags it: the same rows once, a tag never moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.evidence.export import CARD, LOCK
from backends.feedback.hub import MOST_RACES, same_content
from backends.feedback.hub_errors import HeadMoved, Target, dataset_errors, no_token
from backends.hub_client import install_timeouts
from core.errors import DatasetRejected, UserInputError
from core.export import Published, checked_tag

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi

# What an export consists of; anything else in a repository was put there by somebody for another purpose.
_DATA = re.compile(r"(?:vision-)?(?:train|test)\.(?:parquet|jsonl|csv)")
_OURS = (CARD, LOCK, ".gitattributes")


class HubExports:
    """Writes exports to the Hub at `endpoint`. `token` None means the one a login stored."""

    def __init__(self, *, token: str | None, endpoint: str | None = None) -> None:
        self._token, self._endpoint = token, endpoint.rstrip("/") if endpoint else None

    def push(self, files: Mapping[str, Path], repo_id: str, tag: str) -> Published:
        """Bring `repo_id` to hold `files` (name in the repository -> file here) and tag that commit.

        Doing it again, also after a crash or a lost reply on the way, finds what is there and makes nothing twice. Raises
        `UserInputError` when the tag holds other rows, `DatasetRejected` or `HubError` as the outbox does.
        """
        checked_tag(tag)
        moved: HeadMoved | None = None
        for _ in range(MOST_RACES):
            try:
                with dataset_errors(self._target(repo_id)):
                    return self._push_once(files, repo_id, tag)
            except HeadMoved as error:
                moved = error
        assert moved is not None
        raise moved

    def _push_once(self, files: Mapping[str, Path], repo_id: str, tag: str) -> Published:
        api = self._api(repo_id)
        head = self._head(api, repo_id)
        tagged = self._at(api, repo_id, tag)
        if tagged is not None:
            if not _holds(tagged, files, data_only=True):
                raise UserInputError(
                    f"{repo_id} has a tag {tag} with other rows, and a tag is never moved: somebody may have trained on it. "
                    "Choose another tag."
                )
            return Published(repo_id, tag, str(tagged.sha), fresh=False)
        commit = str(head.sha) if _holds(head, files) else self._commit(api, repo_id, head, files, tag)
        # A tag that was made meanwhile is a conflict; the next round says whether it holds the same.
        api.create_tag(repo_id, tag=tag, revision=commit, repo_type="dataset")
        return Published(repo_id, tag, commit, fresh=True)

    def _head(self, api: HfApi, repo_id: str) -> DatasetInfo:
        head = self._at(api, repo_id, "main")
        if head is None:
            api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
            head = api.dataset_info(repo_id, files_metadata=True)
        if not head.private:
            raise DatasetRejected(
                f"{repo_id} is a public dataset. Exports go to a private one: make it private in its settings on the Hub, "
                "look at what it holds, and publish it there yourself when you mean to."
            )
        foreign = [path for path in _paths(head) if path not in _OURS and not _DATA.fullmatch(path)]
        if foreign:
            raise DatasetRejected(
                f"{repo_id} holds something else than an export ({foreign[0]}). Rename that dataset on the Hub, then export "
                "again."
            )
        return head

    def _at(self, api: HfApi, repo_id: str, revision: str) -> DatasetInfo | None:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        try:
            return api.dataset_info(repo_id, revision=revision, files_metadata=True)
        except GatedRepoError:
            raise
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return None

    def _commit(self, api: HfApi, repo_id: str, head: DatasetInfo, files: Mapping[str, Path], tag: str) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        operations += [
            CommitOperationDelete(path, is_folder=False)
            for path in _paths(head)
            if _DATA.fullmatch(path) and path not in files
        ]
        # One commit, on top of what was looked at: another export of the same moment comes before it or after it.
        info = api.create_commit(
            repo_id, operations, commit_message=f"Export {tag}", repo_type="dataset", parent_commit=head.sha
        )
        return info.oid

    def _api(self, repo_id: str) -> HfApi:
        from huggingface_hub import HfApi, get_token

        install_timeouts()
        token = self._token or get_token()
        if not token:
            raise no_token(self._target(repo_id))
        return HfApi(endpoint=self._endpoint, token=token)

    def _target(self, repo_id: str) -> Target:
        host = (self._endpoint or "the Hub").partition("//")[2] or "the Hub"
        return Target(repo_id, host, safe="The rows are untouched.", again="Push again.")


def _paths(info: DatasetInfo) -> list[str]:
    return [sibling.rfilename for sibling in info.siblings or ()]


def _holds(info: DatasetInfo, files: Mapping[str, Path], *, data_only: bool = False) -> bool:
    """Whether a commit holds exactly these rows, and their card. The lock file says when it was made: it may differ."""
    there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    wanted = {name for name in files if _DATA.fullmatch(name)}
    if {name for name in there if _DATA.fullmatch(name)} != wanted:
        return False
    compared = wanted if data_only else wanted | {CARD}
    return all(name in there and same_content(there[name], files[name]) for name in compared)
