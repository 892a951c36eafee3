"""Rows, stores and readers that the dataset and outbox tests share."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from backends.feedback.batches import Batches
from backends.feedback.database import Database
from backends.feedback.delivery import Delivery
from backends.feedback.folder import FolderDatasetRepo
from backends.feedback.journal import Journal
from backends.feedback.outbox import Outbox, Pace
from backends.feedback.segments import Segments
from backends.feedback.store import SqliteFeedbackStore
from core.attached import Attached
from core.chat import Message
from core.dataset import ComparisonRow, Contender, PreferenceRow, Provenance, RatingRow
from core.feedback_protocols import DatasetHead, DatasetRepo
from core.identity import now

# What tends to be trimmed, dedented, normalised or lost on the way. No NUL-free control character is special to us.
AWKWARD = "  leading\ttab\n\n\tline 🙂 é e\u0301 \x01\x1f\x7f\u2028 «x» \\n trailing  \n"
EVERY_RATE = Pace(settle=0.02, between=0.0, retry_first=0.02, retry_most=0.05, rejected_first=0.02, idle=5.0)


def provenance(**changes: object) -> Provenance:
    """Provenance with only what is required, and `changes`."""
    return replace(Provenance(id=str(uuid4()), created_at=now(), source="manual", app_version="0.1.0"), **changes)


def preference(text: str = "a", **changes: object) -> PreferenceRow:
    """A pair with everything unknown that may be."""
    return PreferenceRow(
        provenance(**changes),
        (Message("user", f"Question {text}"),),
        (Message("assistant", f"Good {text}"),),
        (Message("assistant", f"Bad {text}"),),
    )


def rating(label: bool = True, **changes: object) -> RatingRow:
    """One answer, rated."""
    return RatingRow(provenance(**changes), (Message("user", "Question"),), (Message("assistant", "Answer"),), label)


def pictured(*pngs: bytes, **changes: object) -> tuple[PreferenceRow, RatingRow]:
    """A pair and a rated answer about pictures: one with each message, the last two with the last."""
    images = tuple(Attached(hashlib.sha256(png).hexdigest(), 8, 8) for png in pngs)
    earlier = [(Message("user", f"Look {n}", (one,)), Message("assistant", "Yes")) for n, one in enumerate(images[:-2])]
    prompt = (*(each for pair in earlier for each in pair), Message("user", "And these?", images[-2:]))
    good, bad = (Message("assistant", "Good"),), (Message("assistant", "Bad"),)
    about = provenance(**changes)
    return (
        PreferenceRow(about, prompt, good, bad, images=pngs),
        RatingRow(replace(about, id=f"{about.id}-rated"), prompt, good, True, images=pngs),
    )


def comparison(outcome: str = "tie", **changes: object) -> ComparisonRow:
    """A comparison that nobody won."""
    sides = (Message("assistant", "Left"),), (Message("assistant", "Right"),)
    return ComparisonRow(provenance(**changes), "chat", (Message("user", "Question"),), *sides, outcome)


def full_preference() -> PreferenceRow:
    """A pair with every column filled in, awkward text in all of them."""
    maker = Contender("org/model", "a" * 40, f"org/adapter@{'b' * 40}", '{"seed": 1}')
    return PreferenceRow(
        full_provenance(),
        (Message("system", AWKWARD), Message("user", "Hi"), Message("assistant", ""), Message("user", AWKWARD)),
        (Message("assistant", AWKWARD),),
        (Message("assistant", AWKWARD[::-1]),),
        maker,
        maker,
        tools='[{"type": "function"}]',
    )


def full_provenance() -> Provenance:
    """Every provenance column filled in."""
    texts = {
        name: f"{name} {AWKWARD}"
        for name in ("rater", "campaign", "item", "comparison_id", "consent_version", "rubric_version", "comment")
    }
    return provenance(
        **texts, supersedes=str(uuid4()), blind=True, leaked=False, derived=False, shown_left="chosen",
        strength="clearly", reasons=("correct", AWKWARD), tags=("x",), decision_seconds=1.25,
        safety=json.dumps({"ok": True}), backend="CPU", dtype="float32",
    )  # fmt: skip


class TakesAll:
    """A repository in memory that only knows which files it has; `shared` and `name` may be set."""

    name = "in memory"
    shared = False

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def head(self) -> DatasetHead:
        return DatasetHead("c" * 40, frozenset(self.paths))

    def has(self, commit: str) -> bool:
        return False

    def read(self, path: str, head: DatasetHead) -> bytes:
        raise AssertionError("nothing to read")

    def commit(
        self,
        adds: Mapping[str, Path | bytes],
        deletes: Mapping[str, str | None],
        message: str,
        expects: Collection[frozenset[str]] = (),
        numbers: str = "",
    ) -> str:
        self.paths = (self.paths | set(adds)) - set(deletes)
        return "c" * 40


def open_store(
    folder: Path,
    repo: DatasetRepo | None = None,
    *,
    pace: Pace = EVERY_RATE,
    start: bool = False,
    name: str = "folder",
    journal: Path | None = None,
) -> tuple[SqliteFeedbackStore, Delivery]:
    """A store on `folder` and its delivery; unless `start`, nothing is sent but by calling `delivery.send()`."""
    database = Database(folder / "feedback.sqlite")
    if journal is not None:
        Journal(Segments(journal)).start(database)
    batches = Batches(database, name)
    delivery = Delivery(batches, repo or FolderDatasetRepo(folder / "dataset"), folder / "outbox")
    outbox = Outbox(delivery, pace)
    store = SqliteFeedbackStore(batches.database, batches, outbox, name)
    if start:
        outbox.start()
    return store, delivery


def load(dataset: Path, config: str = "preferences"):
    """The whole config as `load_dataset` gives it, never from an earlier cache."""
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        return datasets.load_dataset(str(dataset), config, split="train", cache_dir=cache, keep_in_memory=True)


_LOADED: dict[tuple[object, ...], list[str]] = {}


def loaded_ids(dataset: Path, config: str = "preferences") -> list[str]:
    """The ids `load_dataset` gives, sorted; none when the card does not name the config.

    Folders that differ in nothing but the names of their shards are loaded once: `load_dataset` sees names through the
    card's glob alone.
    """
    if not _named(dataset, config):
        return []
    shards = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in dataset.glob(f"data/{config}/*.parquet"))
    folders = sorted(file.parent.name for file in dataset.glob("data/*/*"))
    # Dot files and the front matter decide what is found; the numbers below it say when they were counted.
    others = sorted(file.name for file in dataset.rglob("*") if file.is_file() and file.suffix != ".parquet")
    key = (config, (dataset / "README.md").read_text().split("---\n")[1], *shards, "|", *folders, "|", *others)
    if key not in _LOADED:
        _LOADED[key] = sorted(load(dataset, config)["id"][:])
    return _LOADED[key]


def ids(dataset: Path, config: str = "preferences") -> list[str]:
    """As `loaded_ids`, but straight from the files its glob finds, for tests that look a hundred times."""
    import pyarrow.parquet as pq

    files = sorted(dataset.glob(f"data/{config}/*.parquet")) if _named(dataset, config) else []
    return sorted(one for file in files for one in pq.read_table(file, columns=["id"])["id"].to_pylist())


def _named(dataset: Path, config: str) -> bool:
    card = dataset / "README.md"
    return card.is_file() and f"config_name: {config}\n" in card.read_text()


def dump(files: dict[str, bytes], folder: Path) -> Path:
    """A Hub repository's files as a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
