"""What a dataset repository raises beyond core's errors."""

from __future__ import annotations

from core.errors import DatasetRejected, HubError


class ShardConflict(DatasetRejected):
    """The repository has other bytes at a shard's path; that shard will never be taken, the others may."""

    def __init__(self, path: str, where: str) -> None:
        super().__init__(
            f"{where} already has other content at {path}, which this app did not put there. These rows are kept on this "
            "machine, in the outbox folder, and are not sent. Look at that file; remove it or keep it."
        )
        self.path = path


class ShardsMissing(HubError):
    """Shards that the books say are in the repository are not; nothing was changed. The books have to be looked at first."""

    def __init__(self, count: int, where: str) -> None:
        super().__init__(
            f"{where} has changed since this app last wrote to it: {count} files are gone. It is looked at again, and "
            "the rows are sent then. They wait on this machine."
        )


class NotApproved(DatasetRejected):
    """The dataset is public, and nobody has looked yet at what would leave."""

    def __init__(self, repo_id: str) -> None:
        super().__init__(
            f"{repo_id} is a public dataset: everybody could read what reviewers said. Look at the first rows under Feedback, "
            "then choose Publish there. The rows wait on this machine."
        )
