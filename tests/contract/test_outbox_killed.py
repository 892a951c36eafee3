"""`kill -9` at every step between a vote and its commit: nothing is lost, nothing is twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.feedback.hub import HubDatasetRepo
from tests.contract.outbox_child import OLD
from tests.contract.outbox_rows import dump, ids, loaded_ids, open_store, preference
from tests.hub_server import DropAfterCommit, Hold, HubServer

ROOT = Path(__file__).resolve().parents[2]
CHILD = [sys.executable, "-m", "tests.contract.outbox_child"]
SCENARIOS = ("vote", "withdraw", "change")


def run_killed(root: Path, scenario: str, hub: dict[str, str] | None, environment: dict[str, str]) -> int:
    given = json.dumps({"root": str(root), "scenario": scenario, "hub": hub, "most": 150})
    done = subprocess.run(
        [*CHILD, given], cwd=ROOT, capture_output=True, text=True, timeout=150, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["exit"] == 0, done.stderr
    return outcome["killed"]


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
def test_killed_at_every_step_into_a_folder(tmp_path: Path, scenario: str) -> None:
    killed = run_killed(tmp_path, scenario, None, {})
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
        store.save([preference()])
        delivery.send()
        assert [file.name for file in (folder / "outbox").iterdir()] == ["lock.sqlite"]
        assert not list((folder / "dataset").rglob("*.part"))
        store.close()


@pytest.mark.parametrize("scenario", ["vote", "change"])
def test_killed_at_every_step_into_a_hub(tmp_path: Path, hub: HubServer, scenario: str) -> None:
    access = {"url": hub.url, "token": "hf_alice"}
    killed = run_killed(tmp_path, scenario, access, hub.environment(tmp_path / "home"))
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
    first, held = Hold(), Hold()
    hub.fail_next("POST /api/datasets/*/commit/*", first)
    hub.fail_next("POST /api/datasets/*/commit/*", held)
    given = json.dumps({"folder": str(tmp_path / "0"), "hub": access})
    code = (
        "import json, sys; from pathlib import Path; from tests.contract.outbox_child import Steps, play;"
        "given = json.loads(sys.argv[1]); play(Path(given['folder']), 'vote', given['hub'], Steps(), 1)"
    )
    environment = os.environ | hub.environment(tmp_path / "home")
    child = subprocess.Popen([sys.executable, "-c", code, given], cwd=ROOT, env=environment)
    assert first.arrived.wait(60)
    first.release()
    assert held.arrived.wait(60)
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
