"""A checkout becomes a Space on the test Hub: created, updated, left alone, failed, rolled back."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from backends.deploy import Request, apply, plan, roll_back
from backends.deploy.__main__ import main
from backends.deploy.pins import ZERO_GPU, pins, wrong_pins
from backends.deploy.plan import read_front_matter
from backends.deploy.space import DeployFailed
from core.errors import ModelNotFound, UserInputError
from tests.hub_server import HubServer, Status

pytest_plugins = ("tests.hub_server.fixtures",)

SPACE = "alice/ground"
MODEL = "org/small"
CANARY = "hf_canary0123456789"
README = """---
title: Ground
sdk: gradio
sdk_version: 6.31.0
python_version: "3.12"
app_file: app.py
---
# Ground
"""
WEIGHTS = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": b"\0" * 40,
    "pytorch_model.bin": b"no",
    "a, b.json": b"{}",
}


def git(root: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", "-C", str(root), *name, *arguments], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small checkout with what a Space needs, and with what stays at home."""
    folder = tmp_path / "checkout"
    for path, text in {
        "README.md": README,
        "requirements.txt": "gradio[mcp]==6.31.0\ntorch==2.13.0\n",
        "app.py": "print('hello')\n",
        "tests/test_app.py": "",
        "benchmarks/speed.py": "",
        "models/card.png": "\x89PNG",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    (folder / "secret.txt").write_text(CANARY)
    return folder


@pytest.fixture
def seeded(hub: HubServer) -> HubServer:
    hub.add_model(MODEL, WEIGHTS)
    hub.add_model("HuggingFaceTB/SmolLM2-135M-Instruct", WEIGHTS)
    return hub


def request(**changes: object) -> Request:
    return replace(Request(SPACE, chat_model=MODEL), **changes)  # type: ignore[arg-type]


def deploy(api: HfApi, root: Path, asked: Request) -> list[str]:
    said: list[str] = []
    assert apply(api, plan(api, root, asked), said.append, poll=0.01).endswith(f"/spaces/{SPACE}")
    return said


def test_a_new_space_has_everything_pinned_and_nothing_that_stays_at_home(
    seeded: HubServer, api: HfApi, root: Path
) -> None:
    said = deploy(api, root, request(secrets={"HF_TOKEN": CANARY}))
    commit = seeded.head(MODEL)
    space = seeded.space(SPACE)
    assert api.space_info(SPACE).private and space.hardware == ZERO_GPU
    assert space.variables == {
        "PROVING_CHAT_MODEL": f"{MODEL}@{commit}",
        "PROVING_JOURNAL": "/journal",
    }
    assert space.volumes == [{"type": "bucket", "source": f"{SPACE}-journal", "mountPath": "/journal"}]
    assert api.bucket_info(f"{SPACE}-journal").private
    assert space.secrets == {"HF_TOKEN": CANARY}
    assert api.dataset_info(f"{SPACE}-feedback").private
    files = seeded.files(SPACE, "space")
    assert files.keys() - {".gitattributes"} == {"README.md", "requirements.txt", "app.py", "models/card.png"}
    front, body = read_front_matter(files["README.md"].decode())
    # pytorch_model.bin is never loaded, and a comma in a name would be read as two files.
    assert front["preload_from_hub"] == [f"{MODEL} config.json,model.safetensors {commit}"]
    assert front["suggested_hardware"] == ZERO_GPU and front["python_version"] == "3.12"
    assert body == "# Ground\n"
    assert not any(CANARY in line for line in said)
    assert not any(CANARY.encode() in content for content in files.values())


def test_deploying_twice_changes_nothing_and_a_change_is_one_commit(seeded: HubServer, api: HfApi, root: Path) -> None:
    deploy(api, root, request())
    first, before = seeded.head(SPACE, "space"), len(seeded.requests)
    assert "files      as they are there" in deploy(api, root, request())
    assert seeded.head(SPACE, "space") == first
    asking = ("/api/validate-yaml", "/preupload/main", "/lfs/objects/batch")
    changed = [sent for sent in seeded.requests[before:] if sent.method != "GET" and not sent.path.endswith(asking)]
    assert changed == []

    git(root, "mv", "app.py", "main.py")
    (root / "app.py").write_text("print('again')\n")
    git(root, "add", ".")
    git(root, "rm", "-q", "--cached", "models/card.png")
    git(root, "commit", "-q", "-m", "second")
    said = deploy(api, root, request(variables={"PROVING_LOCAL_ONLY": "1"}, hardware="t4-small"))
    assert any(first in line and "replaces" in line for line in said)
    assert seeded.history(SPACE, "space")[1] == first
    assert seeded.files(SPACE, "space").keys() >= {"main.py", "app.py"}
    assert "models/card.png" not in seeded.files(SPACE, "space")
    assert seeded.space(SPACE).variables["PROVING_LOCAL_ONLY"] == "1"
    assert seeded.space(SPACE).hardware == "t4-small"


def test_rolling_back_puts_the_files_back_and_keeps_the_history(seeded: HubServer, api: HfApi, root: Path) -> None:
    deploy(api, root, request())
    first = seeded.head(SPACE, "space")
    before = seeded.files(SPACE, "space")
    (root / "app.py").write_text("broken\n")
    (root / "extra.py").write_text("more\n")
    (root / "models/card.png").write_text("another")
    git(root, "add", "-A", "app.py", "extra.py", "models")
    git(root, "commit", "-q", "-m", "broken")
    deploy(api, root, request())
    second = seeded.head(SPACE, "space")
    said: list[str] = []
    roll_back(api, SPACE, first, said.append, poll=0.01)
    assert seeded.files(SPACE, "space") == before
    assert seeded.history(SPACE, "space")[1] == second
    assert any(second in line for line in said)
    roll_back(api, SPACE, first, said.append, poll=0.01)
    assert seeded.history(SPACE, "space")[1] == second
    with pytest.raises(UserInputError, match="no commit"):
        roll_back(api, SPACE, "e" * 40, said.append, wait=False)
    with pytest.raises(UserInputError, match="no Space"):
        roll_back(api, "alice/nothing", first, said.append, wait=False)


def test_a_space_that_does_not_run_is_an_error(seeded: HubServer, api: HfApi, root: Path) -> None:
    deploy(api, root, request())
    seeded.space(SPACE).builds = ("BUILDING", "BUILD_ERROR")
    (root / "app.py").write_text("broken\n")
    with pytest.raises(DeployFailed, match="BUILD_ERROR"):
        apply(api, plan(api, root, request()), print, poll=0.01)


def test_a_private_model_is_not_preloaded_and_it_is_said(seeded: HubServer, api: HfApi, root: Path) -> None:
    seeded.add_model("alice/own", WEIGHTS, private=True)
    made = plan(api, root, request(image_model="alice/own", chat_model="remote:served"))
    front, _ = read_front_matter(made.files["README.md"].decode())
    assert "preload_from_hub" not in front
    assert made.variables["PROVING_CHAT_MODEL"] == "remote:served"
    assert any("alice/own is private" in remark for remark in made.remarks)
    assert any("HF_TOKEN" in remark for remark in made.remarks)


def test_a_classifier_is_pinned_too(seeded: HubServer, api: HfApi, root: Path) -> None:
    seeded.add_model("org/classifier", WEIGHTS)
    made = plan(api, root, request(variables={"PROVING_IMAGE_CLASSIFIER": "org/classifier"}))
    pinned = f"org/classifier@{seeded.head('org/classifier')}"
    assert made.variables["PROVING_IMAGE_CLASSIFIER"] == pinned and f"model      {pinned}" in made.lines()
    front, _ = read_front_matter(made.files["README.md"].decode())
    assert len(front["preload_from_hub"]) == 2 and "PROVING_TEXT_CLASSIFIER" not in made.variables


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (request(space="ground"), "owner"),
        (request(variables={"HF_TOKEN": CANARY}), "is a secret"),
        (request(variables={"PORT": "1"}), "not a setting of a Space"),
        (request(secrets={"AWS_KEY": CANARY}), "not a secret of the app"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    seeded: HubServer, api: HfApi, root: Path, asked: Request, words: str
) -> None:
    with pytest.raises(UserInputError, match=words) as raised:
        plan(api, root, asked)
    assert CANARY not in str(raised.value) and CANARY not in repr(asked)
    assert not [sent for sent in seeded.requests if sent.method != "GET"]


def test_a_model_that_is_not_there_stops_the_deploy(seeded: HubServer, api: HfApi, root: Path) -> None:
    with pytest.raises(ModelNotFound):
        plan(api, root, request(chat_model="org/absent"))


def test_a_public_dataset_needs_the_operators_word(seeded: HubServer, api: HfApi, root: Path) -> None:
    seeded.add_dataset("alice/votes")
    asked = request(dataset="alice/votes")
    with pytest.raises(UserInputError, match="is public"):
        deploy(api, root, asked)
    deploy(api, root, replace(asked, variables={"PROVING_DATASET_PUBLIC": "1"}))


def test_an_account_without_buckets_is_told_what_that_means(seeded: HubServer, api: HfApi, root: Path) -> None:
    seeded.fail_next("POST /api/buckets/*", Status(403))
    said = deploy(api, root, request())
    assert any("no bucket" in line and "container" in line for line in said)
    assert seeded.space(SPACE).volumes == [] and "PROVING_JOURNAL" not in seeded.space(SPACE).variables

    # A bucket that comes later is mounted beside what the owner mounted since.
    mine = {"type": "model", "source": MODEL, "mountPath": "/models", "readOnly": True}
    seeded.space(SPACE).volumes = [mine]
    said = deploy(api, root, request())
    assert any(f"{SPACE}-journal at /journal" in line for line in said)
    assert [volume["mountPath"] for volume in seeded.space(SPACE).volumes] == ["/models", "/journal"]
    assert seeded.space(SPACE).variables["PROVING_JOURNAL"] == "/journal"

    api.create_bucket("alice/open-journal", visibility="public")
    with pytest.raises(UserInputError, match="bucket alice/open-journal is public"):
        deploy(api, root, request(space="alice/open"))
    assert not api.repo_exists("alice/open", repo_type="space")


def test_pins_are_checked_against_the_hardware() -> None:
    front = {"sdk_version": "6.31.0", "python_version": "3.12"}
    fine = "gradio[oauth]==6.31.0\ntorch==2.13.0\n"
    assert pins(fine) == {"gradio": "6.31.0", "torch": "2.13.0"}
    assert wrong_pins(front, fine, ZERO_GPU) == ()
    gradio, python, torch = wrong_pins({"sdk_version": "6.0"}, "gradio==6.31.0\ntorch==2.5.0", ZERO_GPU)
    assert "sdk_version 6.0" in gradio and "python_version 3.10" in python and "pins 2.5.0" in torch
    assert wrong_pins(front, fine.replace("2.13.0", "2.5.0"), "t4-small") == ()


def test_this_checkout_can_be_deployed_and_a_dry_run_changes_nothing(
    seeded: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"HF_ENDPOINT": seeded.url, "HF_TOKEN": "hf_alice"}
    assert main([SPACE, "--dry-run", "--secret", "HF_TOKEN"], environment) == 0
    printed = capsys.readouterr().out
    assert f"HuggingFaceTB/SmolLM2-135M-Instruct@{seeded.head('HuggingFaceTB/SmolLM2-135M-Instruct')}" in printed
    assert "hf_alice" not in printed and "dry run" in printed
    assert not [sent for sent in seeded.requests if sent.method != "GET"]
    assert main([SPACE, "--secret", "PROVING_SECRET"], environment) == 2
    assert "PROVING_SECRET is not set" in capsys.readouterr().err
