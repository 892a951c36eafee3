"""Puts the feedback store together from settings. Touches the data folder; nothing heavy is imported, no network."""

from __future__ import annotations

from pathlib import Path

from backends.feedback.batches import Batches
from backends.feedback.database import Database
from backends.feedback.delivery import Delivery
from backends.feedback.folder import FolderDatasetRepo
from backends.feedback.hub import HubDatasetRepo
from backends.feedback.outbox import FOLDER, HUB, Outbox
from backends.feedback.store import SqliteFeedbackStore


def build_feedback(data_dir: Path, *, dataset: str, token: str | None, endpoint: str) -> SqliteFeedbackStore:
    """The store, its outbox running: to the Hub dataset `dataset`, or into `data_dir/dataset` when that is "".

    `token` None means the one a login stored. Raises `FeedbackError` when `data_dir` cannot hold votes safely.
    """
    database = Database(data_dir / "feedback.sqlite")
    if dataset:
        hub = HubDatasetRepo(dataset, token=token, endpoint=endpoint)
        batches = Batches(database, f"{endpoint.rstrip('/')}/datasets/{dataset}")
        outbox = Outbox(Delivery(batches, hub, data_dir / "outbox"), HUB, hub.account)
        store = SqliteFeedbackStore(database, batches, outbox, hub.name)
    else:
        folder = FolderDatasetRepo(data_dir / "dataset")
        # Not its path: the data folder may be moved as a whole.
        batches = Batches(database, "folder")
        outbox = Outbox(Delivery(batches, folder, data_dir / "outbox"), FOLDER)
        store = SqliteFeedbackStore(database, batches, outbox, folder.name)
    outbox.start()
    return store
