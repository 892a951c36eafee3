"""The docs are tested: what they name exists, what exists is named."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

import core

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def front_matter() -> dict:
    return yaml.safe_load(text("README.md").split("---\n")[1])


def pins(name: str = "requirements.txt") -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_-]+)(?:\[[^\]]*\])?==(\S+)$", text(name), re.M))


def modules_in_agents() -> list[str]:
    return re.findall(r"^- `([^`]+)`", text("AGENTS.md").split("## Modules")[1], re.M)


def test_every_path_agents_names_exists() -> None:
    paths = modules_in_agents()
    assert len(paths) > 30
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing


def test_every_module_has_its_line_in_agents() -> None:
    named = set(modules_in_agents())
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {
        path
        for path in tracked.stdout.splitlines()
        if not path.startswith("tests/") and not path.endswith("__init__.py")
    }
    assert modules - named == set()


def test_the_changelog_is_the_version() -> None:
    top = re.search(r"^## \[([^\]]+)\]", text("CHANGELOG.md"), re.M)
    assert top
    assert top.group(1) == core.__version__


def test_the_space_front_matter_is_valid() -> None:
    matter = front_matter()
    assert matter["sdk"] == "gradio"
    assert matter["sdk_version"] == pins()["gradio"]
    # A float would read 3.10 as 3.1; and the Space's own default cannot install this stack.
    assert matter["python_version"] == "3.12"
    assert (ROOT / matter["app_file"]).exists()
    assert len(matter["short_description"]) <= 60
    assert matter["colorFrom"] in {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_dockerfile_runs_the_same_python_and_entry_point() -> None:
    docker = text("Dockerfile")
    assert f"ARG PYTHON={front_matter()['python_version']}\nFROM python:${{PYTHON}}-slim" in docker
    # Its versions are those of requirements.txt, and what it starts becomes app.py.
    assert "-r requirements.txt" in docker and "torch==" not in docker
    assert 'CMD ["python", "-m", "backends.deploy.container"]' in docker
    assert '[sys.executable, "app.py"]' in text("backends/deploy/container.py")


def test_the_two_commands_are_the_readmes_first_lines() -> None:
    body = text("README.md").split("---\n", 2)[2]
    commands = [line.split("#")[0].strip() for line in body.splitlines() if line.startswith("    ")]
    assert commands[:2] == ["make run", "make test"]
    for target in ("run", "test", "bench", "lint"):
        assert re.search(rf"^{target}:", text("Makefile"), re.M)


def test_ci_calls_make_test_and_nothing_else() -> None:
    lines = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make test"]


def test_pictures_in_the_readme_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text("README.md")):
        assert (ROOT / path).stat().st_size > 10_000, path


def test_readme_endpoints_are_the_apis() -> None:
    from tests.served.test_api import NAMES

    for name in NAMES:
        assert f"`{name.removeprefix('/')}`" in text("README.md")


def test_every_defence_of_the_threat_model_has_a_test_that_exists() -> None:
    rows = [line for line in text("docs/security.md").splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    for row in rows:
        path, group, name = re.findall(r"`(tests/[\w/]+\.py)::(?:(\w+)::)?(\w+)`", row)[0]
        begin = text(path).partition(f"\nclass {group}:")[2] if group else text(path)
        assert re.search(rf"^{' {4}' if group else ''}(async )?def {name}\(", begin, re.M), f"{path} has no {name}"
