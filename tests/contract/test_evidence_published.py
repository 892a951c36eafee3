"""The leaderboard of the published dataset is the leaderboard of the app: from the files alone, with one command."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from backends.evidence.__main__ import main
from backends.evidence.published import PublishedDataset
from backends.evidence.service import EvidenceOf
from backends.feedback.hub import HubDatasetRepo
from core.chat import Message
from core.comparison import item_of
from core.dataset import ComparisonRow, Contender
from core.errors import FeedbackError, UserInputError
from core.evidence import Merge, VoteFilter
from tests.contract.outbox_rows import open_store, pictured, preference, provenance, rating
from tests.fakes import png
from tests.hub_server import HubServer

MAKERS = [
    Contender(f"org/model-{name}", name * 40, None, json.dumps({"temperature": heat, "seed": number}))
    for number, (name, heat) in enumerate((("a", 0.1), ("a", 0.9), ("b", 0.1)))
]


def votes(count: int, seed: int = 0) -> list[ComparisonRow]:
    """Votes of three reviewers on a few prompts, decided by luck and by the model's place in the list."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        left, right = rng.sample(MAKERS, 2)
        better = "left" if MAKERS.index(left) < MAKERS.index(right) else "right"
        outcome = rng.choice([better, better, better, "left", "right", "tie", "both_bad"])
        prompt = (Message("user", f"Prompt {rng.randrange(9)}"),)
        made.append(
            ComparisonRow(
                provenance(
                    rater=f"r-{rng.randrange(3)}", blind=True, leaked=number % 50 == 0, item=item_of(prompt, (left, right)),
                    created_at=f"2026-11-{1 + number % 20:02}T10:00:00.{number:06}+00:00", decision_seconds=rng.random() * 9,
                ),
                "chat",
                prompt,
                (Message("assistant", "**bold** " * rng.randrange(1, 9)),),
                (Message("assistant", "- plain\n" * rng.randrange(1, 9)),),
                outcome,
                left,
                right,
            )
        )  # fmt: skip
    return made


@pytest.fixture
def app(tmp_path: Path):
    """A store with votes, everything sent to the folder dataset in several shards, some taken back afterwards."""
    store, delivery = open_store(tmp_path / "data")
    rows = votes(240)
    pictures = ComparisonRow(
        provenance(blind=True), "image", (Message("user", "a pear"),), None, None, "left", MAKERS[0], MAKERS[2], png(1),
        png(2),
    )  # fmt: skip
    store.save(rows[:100])
    delivery.send()
    store.save([*rows[100:], pictures, rating(), preference(), *pictured(png(3), png(4))])
    delivery.send()
    for row in rows[::30]:
        store.withdraw(row.provenance.id)
    delivery.send()
    yield store, tmp_path / "data" / "dataset"
    store.close()


@pytest.mark.parametrize(
    ("wanted", "merge", "style"),
    [
        (VoteFilter(), Merge(), False),
        (VoteFilter(rater="r-1", leaked=True), Merge(settings=True, revisions=True), False),
        (VoteFilter(), Merge(), True),
        (VoteFilter("image"), Merge(), False),
    ],
)
def test_the_same_numbers_from_the_files_alone(app, wanted: VoteFilter, merge: Merge, style: bool) -> None:
    store, folder = app
    ours = EvidenceOf(store, lambda: ("x", None)).leaderboard(wanted, merge, style=style)
    dataset = PublishedDataset(str(folder))
    theirs = EvidenceOf(dataset, lambda: ("x", None)).leaderboard(wanted, merge, style=style)
    assert ours.standings
    assert [row.record() for row in theirs.standings] == [row.record() for row in ours.standings]
    assert (theirs.votes, theirs.reading, theirs.days) == (ours.votes, ours.reading, ours.days)
    assert EvidenceOf(dataset, lambda: ("x", None)).agreement(wanted) == EvidenceOf(
        store, lambda: ("x", None)
    ).agreement(wanted)


def test_one_command_from_a_copy_of_the_dataset(app, tmp_path: Path) -> None:
    store, folder = app
    board = EvidenceOf(store, lambda: ("x", None)).leaderboard(VoteFilter(), Merge())
    copy = shutil.copytree(folder, tmp_path / "copy")
    command = [sys.executable, "-m", "backends.evidence", str(copy), "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(told.stdout) == [row.record() for row in board.standings]


def test_the_command_prints_and_exports(app, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = app
    assert main([str(folder), "--merge", "settings", "--style"]) == 0
    printed = capsys.readouterr().out
    assert "model-a @ aaaaaaa" in printed and "puts together 2 settings" in printed
    assert "Krippendorff's alpha" in printed and "style: one standard deviation" in printed
    assert (
        main([str(folder), "--export", "dpo", "--format", "jsonl", "--to", str(tmp_path / "out"), "--test-share", "0"])
        == 0
    )
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == 1
    # The row on a picture is in it as it went in.
    capsys.readouterr()
    assert main([str(folder), "--export", "dpo", "--to", str(tmp_path / "all"), "--test-share", "0"]) == 0
    assert "1 of them with pictures in the prompt: config vision_dpo" in capsys.readouterr().err
    [seen] = pq.read_table(tmp_path / "all" / "vision-train.parquet").to_pylist()
    assert [image["bytes"] for image in seen["images"]] == [png(3), png(4)]
    assert main([str(tmp_path / "nothing here")]) == 1
    assert "neither a folder" in capsys.readouterr().err


def test_the_answer_is_remembered_until_a_vote_changes(app) -> None:
    store, _ = app
    evidence = EvidenceOf(store, lambda: ("x", None))
    first = evidence.leaderboard(VoteFilter(), Merge())
    assert evidence.leaderboard(VoteFilter(), Merge()) is first
    store.save(votes(2, seed=9)[1:])
    assert evidence.leaderboard(VoteFilter(), Merge()).votes == first.votes + 1


def test_rows_of_a_folder_are_those_of_the_store(app) -> None:
    store, folder = app
    for config in ("preferences", "ratings", "comparisons"):
        ours = {row.id: row.columns for row in store.rows(config)}
        theirs = {row.id: row.columns for row in PublishedDataset(str(folder)).rows(config)}
        assert theirs == ours and ours


def test_a_folder_without_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="holds no rows"):
        PublishedDataset(str(tmp_path)).votes()


def test_a_hub_dataset_is_read_at_its_commit(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    repo = HubDatasetRepo("alice/votes", token="hf_alice", endpoint=hub.url)
    store, delivery = open_store(tmp_path / "data", repo)
    store.save(votes(20))
    assert delivery.send() == "sent"
    board = EvidenceOf(store, lambda: ("x", None)).leaderboard(VoteFilter(), Merge())
    commit = store.status().last_commit
    store.save(votes(20, seed=3))
    assert delivery.send() == "sent"
    store.close()
    dataset = PublishedDataset(f"alice/votes@{commit}", token="hf_alice", endpoint=hub.url)
    found = EvidenceOf(dataset, lambda: ("x", None)).leaderboard(VoteFilter(), Merge())
    assert [row.record() for row in found.standings] == [row.record() for row in board.standings]
    assert dataset.commit == commit
    with pytest.raises(FeedbackError, match="cannot be read from the Hub"):
        PublishedDataset("alice/nothing", token="hf_alice", endpoint=hub.url).votes()
