"""The Dockerfile, compose.yaml and the deploying workflow as far as they can be checked where no engine runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from backends.deploy import bake, container
from backends.deploy.pins import pins
from core.errors import UserInputError
from core.settings import VARIABLES
from tests.container.dockerfile import command, context, mounts, stages

ROOT = Path(__file__).parents[2]
_, STAGES = stages((ROOT / "Dockerfile").read_text())
LAST = STAGES[-1]
# Beside this Python, as requirements-dev.txt installs it, or anywhere.
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
SETTINGS = {variable.name for variable in VARIABLES}


def test_the_image_ends_as_uid_1000_with_a_health_check_and_the_app_itself() -> None:
    said = dict(LAST.steps)
    assert said["USER"] == "1000" and said["STOPSIGNAL"] == "SIGTERM" and said["VOLUME"] == "/data"
    assert command(said["CMD"]) == ["python", "-m", "backends.deploy.container"]
    assert command(said["HEALTHCHECK"])[0] == "python"
    written = next(text for word, text in LAST.steps if word == "ENV")
    for name in ("PROVING_DATA_DIR", "HF_HOME", "HOME", "TMPDIR", "XDG_CACHE_HOME"):
        assert f"{name}=/data/" in written


def test_code_comes_after_packages_so_that_layers_are_used_again() -> None:
    packages = next(stage for stage in STAGES if stage.name == "packages")
    copied = [text for word, text in packages.steps if word == "COPY"]
    assert copied == ["requirements.txt requirements-bundled.txt ./"]
    runs = [mounts(text)[1] for word, text in packages.steps if word == "RUN"]
    assert "--torch-backend=cpu" in runs[1] and "cuda)" in runs[1]


def test_the_context_holds_the_app_and_nothing_else() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    there = context(ROOT, [*tracked, "data/feedback.sqlite", "core/__pycache__/x.pyc", ".git/config", ".env"])
    assert {"app.py", "requirements.txt", "core/settings.py", "pages/chat.py"} <= set(there)
    assert not [path for path in there if path.startswith(("tests/", "benchmarks/", "data/", ".", "docs/"))]
    assert not [path for path in there if "__pycache__" in path]


def test_the_data_volume_is_made_ready_and_baked_models_are_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baked = tmp_path / "image/hub"
    snapshot = Path("models--org--small/snapshots") / ("a" * 40)
    (baked / snapshot).mkdir(parents=True)
    (baked / snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(container, "BAKED", baked)
    data = tmp_path / "data"
    environment = {
        "PROVING_DATA_DIR": str(data / "proving"),
        "HF_HOME": str(data / "hf"),
        "TMPDIR": str(data / "tmp"),
        "PROVING_CHAT_MODEL": f"org/small@{'a' * 40}",
    }
    (data / "tmp/left").mkdir(parents=True)
    assert container.ready(environment) == 0
    assert (data / "hf/hub" / snapshot / "config.json").read_text() == "{}"
    assert not list((data / "tmp").iterdir())
    assert container.link(baked, data / "hf/hub") == 0

    # The next image holds another model.
    shutil.rmtree(baked / snapshot)
    (baked / snapshot).mkdir(parents=True)
    (baked / snapshot / "config.json").write_text("new")
    assert container.ready(environment) == 0
    assert (data / "hf/hub" / snapshot / "config.json").read_text() == "new"

    (data / "file").write_text("")
    assert container.ready(environment | {"HF_HOME": str(data / "file")}) == 2
    assert "HF_HOME" in capsys.readouterr().err


def test_only_whole_commits_are_baked() -> None:
    assert bake.exact(f"org/small@{'b' * 40}").revision == "b" * 40
    for text in ("org/small", "org/small@main", f"org/small@{'b' * 12}"):
        with pytest.raises(UserInputError, match="whole commit"):
            bake.exact(text)


def test_compose_uses_settings_the_app_knows_and_gives_it_time_to_end() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    app, server = compose["services"]["app"], compose["services"]["vllm"]
    assert set(app["environment"]) <= SETTINGS
    assert app["read_only"] and app["stop_grace_period"] == "30s" and app["cap_drop"] == ["ALL"]
    assert {volume.partition(":")[0] for volume in [*app["volumes"], *server["volumes"]]} == set(compose["volumes"])
    assert app["environment"]["PROVING_REMOTE_URL"] == "http://vllm:8000/v1"
    # No tag that moves.
    assert server["image"].rpartition(":")[2].startswith("v")


def test_the_workflow_pins_its_actions_and_installs_what_deploying_imports() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())
    (job,) = workflow["jobs"].values()
    # YAML reads the key `on` as a truth value.
    assert workflow[True] == {"push": {"branches": ["main"]}} and workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used and all(len(one.rpartition("@")[2]) == 40 for one in used)
    assert {"huggingface-hub", "pyyaml"} <= pins((ROOT / "requirements.txt").read_text()).keys()
    # Nothing of the app's other packages is needed to plan and to upload.
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'gradio', 'transformers', 'datasets', 'pandas', 'numpy')));"
        "import backends.deploy.__main__, backends.deploy.space, backends.downloads"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not to be had for this machine")
def test_hadolint_finds_nothing() -> None:
    found = subprocess.run([str(HADOLINT), "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0 and not found.stdout, found.stdout


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root on Linux")
def test_the_steps_of_the_dockerfile_run_in_empty_roots(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.container.run_steps", "--folder", str(tmp_path), "--build-arg", "VARIANT=cuda"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
