"""`kill -9` at every step between a vote and its commit: nothing is lost, nothing is twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.feedback.hub import HubDatasetRepo
from tests.contract.outbox_child import MOMENT, OLD, begin
from tests.contract.outbox_rows import dump, ids, loaded_ids, open_store, preference
from tests.hub_server import DropAfterCommit, Hold, HubServer

ROOT = Path(__file__).resolve().parents[2]
CHILD = [sys.executable, "-m", "tests.contract.outbox_child"]
SCENARIOS = ("vote", "withdraw", "change")


MOST = 150


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The process whose copies die; it has imported everything they need."""
    said = tmp_path_factory.mktemp("parent") / "stderr"
    with said.open("w") as errors:
        process = subprocess.Popen(
            CHILD, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    process.said = said  # type: ignore[attr-defined]
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def run_killed(parent: subprocess.Popen[str], root: Path, scenario: str, hub: dict[str, str] | None) -> int:
    if hub is None:
        begin(root / "base", None, "")
    given = {"root": str(root), "base": str(root / "base"), "scenario": scenario, "hub": hub, "most": MOST}
    assert parent.stdin is not None and parent.stdout is not None
    # A copy that hangs ends the test instead of the whole run's patience.
    end = threading.Timer(240, parent.kill)
    end.start()
    parent.stdin.write(json.dumps(given) + "\n")
    parent.stdin.flush()
    answer = parent.stdout.readline()
    end.cancel()
    said = parent.said.read_text()  # type: ignore[attr-defined]
    assert answer, said
    outcome = json.loads(answer)
    assert outcome["exit"] == 0, said
    killed: int = outcome["killed"]
    return killed


def expected(scenario: str, told: str) -> list[tuple[set[str], set[str]]]:
    """What may be in (preferences, comparisons) at the end; more than one when the killed step was not confirmed."""
    old, new = set(OLD), {"new-preference"}
    if scenario == "vote":
        with_vote = (old | new, {"new-comparison"})
        return [with_vote] if "saved" in told else [(old, set()), with_vote]
    if scenario == "withdraw":
        after = (old - {OLD[0]}, set())
        return [after] if "withdrawn" in told else [(old, set()), after]
    stages: list[set[str]] = [old, old - {OLD[0]}, {OLD[2]} | new, new, set()]
    first = {"": 0, "withdrawn": 1, "saved": 2, "emptied": 4}[told.split()[-1] if told.split() else ""]
    last = {0: 1, 1: 2, 2: 4, 4: 4}[first]
    return [(stage, set()) for stage in stages[first : last + 1]]


def check_reader(found: list[str], scenario: str, told: str) -> None:
    """What anybody who loads the dataset right after the crash sees: no row twice, and every row that was to stay."""
    assert len(found) == len(set(found))
    stay = {"vote": set(OLD), "withdraw": set(OLD[1:]), "change": {OLD[2]}}[scenario]
    if scenario == "change" and "saved" in told:
        stay = set()
    assert set(found) >= stay


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_step_into_a_folder(parent: subprocess.Popen[str], tmp_path: Path, scenario: str) -> None:
    killed = run_killed(parent, tmp_path, scenario, None)
    assert killed > 15
    for number in range(killed + 1):
        folder = tmp_path / str(number)
        told = (folder / "told").read_text()
        check_reader(loaded_ids(folder / "dataset"), scenario, told)
        store, delivery = open_store(folder)
        delivery.send()
        after = (loaded_ids(folder / "dataset"), ids(folder / "dataset", "comparisons"))
        assert all(len(rows) == len(set(rows)) for rows in after)
        assert tuple(map(set, after)) in expected(scenario, told), (number, told, after)
        assert store.status().waiting == 0
        assert {row.id for row in store.newest()} == set(after[0]) | set(after[1])
        if list(folder.rglob("*.part")) or len(list((folder / "outbox").iterdir())) > 1:
            # What the crash left lying about is gone after the next delivery.
            store.save([preference(created_at=MOMENT)])
            delivery.send()
        assert [file.name for file in (folder / "outbox").iterdir()] == ["lock.sqlite"]
        assert not list(folder.rglob("*.part"))
        store.close()


@pytest.mark.parametrize("scenario", ["vote", "change"])
def test_killed_at_every_step_into_a_hub(
    parent: subprocess.Popen[str], tmp_path: Path, hub: HubServer, scenario: str
) -> None:
    access = {"url": hub.url, "token": "hf_alice"}
    begin(tmp_path / "base", access, "alice/votes-base")
    # As many repositories as steps, each as the first delivery left it.
    held = hub.files("alice/votes-base", "dataset")
    for number in range(MOST):
        hub.add_dataset(f"alice/votes-{number}", held, private=True)
    killed = run_killed(parent, tmp_path, scenario, access)
    assert killed > 20
    for number in range(killed + 1):
        folder, repo_id = tmp_path / str(number), f"alice/votes-{number}"
        told = (folder / "told").read_text()
        store, delivery = open_store(folder, HubDatasetRepo(repo_id, token="hf_alice", endpoint=hub.url))
        delivery.send()
        files = dump(hub.files(repo_id, "dataset"), tmp_path / f"read-{number}")
        after = (ids(files), ids(files, "comparisons"))
        assert all(len(rows) == len(set(rows)) for rows in after)
        assert tuple(map(set, after)) in expected(scenario, told), (number, told, after)
        assert store.status().waiting == 0
        store.close()


def test_killed_while_the_hub_still_works_on_the_commit(tmp_path: Path, hub: HubServer) -> None:
    """The request is on its way, the process dies, and the commit lands after all."""
    access = {"url": hub.url, "token": "hf_alice"}
    begin(tmp_path / "0", access, "alice/votes-1")
    given = json.dumps({"folder": str(tmp_path / "0"), "hub": access})
    code = (
        "import json, sys; from pathlib import Path; from tests.contract.outbox_child import Steps, play;"
        "given = json.loads(sys.argv[1]); play(Path(given['folder']), 'vote', given['hub'], Steps(), 1)"
    )
    environment = os.environ | hub.environment(tmp_path / "home")
    held = Hold()
    hub.fail_next("POST /api/datasets/*/commit/*", held)
    child = subprocess.Popen([sys.executable, "-c", code, given], cwd=ROOT, env=environment)
    assert held.arrived.wait(120)
    child.kill()
    child.wait()
    repo = HubDatasetRepo("alice/votes-1", token="hf_alice", endpoint=hub.url)
    store, delivery = open_store(tmp_path / "0", repo)
    # Both are on their way now: the commit of the dead process, and the same one again.
    hub.fail_next("POST /api/datasets/*/commit/*", DropAfterCommit())
    held.release()
    while store.status().waiting:
        try:
            delivery.send()
        except Exception as error:
            assert "The rows wait" in str(error)
    files = dump(hub.files("alice/votes-1", "dataset"), tmp_path / "read")
    assert ids(files) == sorted([*OLD, "new-preference"])
    assert ids(files, "comparisons") == ["new-comparison"]
    assert store.status().pushed == 5
