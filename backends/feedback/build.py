"""Puts the feedback store together from settings. Touches the data folder; nothing heavy is imported, no network."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from backends.feedback import consents
from backends.feedback.batches import Batches
from backends.feedback.database import Database
from backends.feedback.delivery import Delivery
from backends.feedback.figures import Figures
from backends.feedback.folder import FolderDatasetRepo
from backends.feedback.hub import HubDatasetRepo
from backends.feedback.journal import Journal
from backends.feedback.outbox import FOLDER, HUB, Outbox
from backends.feedback.segments import Segments
from backends.feedback.store import SqliteFeedbackStore
from core.consent import MOST_CONSENT, Consent, consent_of
from core.errors import UserInputError

DATABASE = "feedback.sqlite"
log = logging.getLogger(__name__)


def build_feedback(
    data_dir: Path,
    *,
    dataset: str,
    token: str | None,
    endpoint: str,
    public: bool = False,
    commit_seconds: float = 60.0,
    consent: str = "",
    journal: Path | None = None,
    space_id: str | None = None,
    warnings: tuple[str, ...] = (),
) -> SqliteFeedbackStore:
    """The store, its outbox running: to the Hub dataset `dataset`, or into `data_dir/dataset` when that is "".

    `token` None means the one a login stored. `public`: the dataset may be public, after somebody looked. `consent` as
    in `read_consent`. `journal`: a folder on a bucket or volume that outlives this disk; every change is there before it
    counts as saved, and a new disk starts from it. `space_id`: the Space this runs on, whose own disk ends with it.
    `warnings`: what else the operator should know, for the status. Raises
    `FeedbackError` when `data_dir` or `journal` cannot hold votes safely, `UserInputError` for a consent file that cannot
    be read.
    """
    asked = read_consent(consent)
    database = Database(data_dir / DATABASE)
    if journal is not None:
        Journal(Segments(journal)).start(database)
    if asked is not None:
        database.change(lambda db: consents.remember_text(db, asked))
    if dataset:
        batches = Batches(database, f"{endpoint.rstrip('/')}/datasets/{dataset}", many_at_once=True)
        may_publish = batches.approved if public else None
        hub = HubDatasetRepo(dataset, token=token, endpoint=endpoint, may_publish=may_publish)
        delivery = Delivery(batches, hub, data_dir / "outbox")
        outbox = Outbox(delivery, replace(HUB, between=commit_seconds), hub.account)
        name = hub.name
    else:
        folder = FolderDatasetRepo(data_dir / "dataset")
        # Not its path: the data folder may be moved as a whole.
        batches = Batches(database, "folder")
        delivery = Delivery(batches, folder, data_dir / "outbox")
        outbox = Outbox(delivery, FOLDER)
        name = folder.name
    ends = is_ephemeral(data_dir, space_id) and (journal is None or is_ephemeral(journal, space_id))
    for sentence in (warnings := (*(at_risk(dataset) if ends else ()), *warnings)):
        log.warning("%s", sentence)
    store = SqliteFeedbackStore(database, batches, outbox, name, asked, warnings)
    delivery.numbers = Figures(database, batches.destination, lambda: known_biases(store))
    outbox.start()
    return store


def known_biases(store: SqliteFeedbackStore) -> list[str]:
    """What the evidence finds in the comparisons of each kind that has any, for the dataset's card."""
    # numpy comes with it; the first row that leaves pays, not the start of the app.
    from backends.evidence.agreement import agreement
    from core.evidence import KINDS, VoteFilter

    votes = store.votes()
    names = {"chat": "Answers", "image": "Pictures"}
    measured = {kind: agreement(votes, VoteFilter(kind=kind)) for kind in KINDS}
    return [f"{names[kind]}: {one}" for kind, found in measured.items() if found.votes for one in found.findings]


def read_consent(value: str) -> Consent | None:
    """The consent of the setting's value: the text itself, or one line that names a .txt or .md file."""
    if value.endswith((".txt", ".md")) and "\n" not in value:
        try:
            value = Path(value).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UserInputError(
                f"PROVING_CONSENT names the file {value}, which cannot be read. Check its name."
            ) from error
    if len(value) > MOST_CONSENT:
        raise UserInputError(f"PROVING_CONSENT has {len(value):,} characters; at most {MOST_CONSENT:,} can be shown.")
    return consent_of(value)


def at_risk(dataset: str) -> tuple[str, ...]:
    """What a disk that ends with the Space puts at risk."""
    if dataset:
        return (
            "This Space has no persistent storage: when it restarts, rows that were not uploaded yet are lost, and so are the "
            "consents given. Mount a storage bucket and set PROVING_JOURNAL to its folder to keep them.",
        )
    return (
        "This Space has no persistent storage and PROVING_DATASET is not set: when it restarts, every row is lost. Set "
        "PROVING_DATASET to a private dataset, or mount a storage bucket and set PROVING_JOURNAL to its folder.",
    )


def is_ephemeral(data_dir: Path, space_id: str | None, mounts: str | None = None) -> bool:
    """Whether `data_dir` is on a Space's own disk, which ends with its container; `mounts` is the text of /proc/mounts."""
    if not space_id:
        return False
    if mounts is None:
        table = Path("/proc/self/mounts")
        mounts = table.read_text(encoding="utf-8", errors="replace") if table.is_file() else ""
    points = [line.split(" ")[1].replace("\\040", " ") for line in mounts.splitlines() if line.count(" ") >= 2]
    return not any(point != "/" and data_dir.is_relative_to(point) for point in points)
