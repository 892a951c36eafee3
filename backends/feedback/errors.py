"""What a dataset repository raises beyond core's errors."""

from __future__ import annotations

from core.errors import DatasetRejected


class ShardConflict(DatasetRejected):
    """The repository has other bytes at a shard's path; that shard will never be taken, the others may."""

    def __init__(self, path: str, where: str) -> None:
        super().__init__(
            f"{where} already has other content at {path}, which this app did not put there. These rows are kept on this "
            "machine, in the outbox folder, and are not sent. Look at that file; remove it or keep it."
        )
        self.path = path
