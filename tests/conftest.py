"""Fixtures every tier shares: a scrubbed environment, and the test Hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports huggingface_hub or gradio: no test may reach a real host, whatever this machine has set.
CLOSED = "http://127.0.0.1:9"
# Tiers that drive a browser, sockets and other processes: what a machine does with these is not ours alone.
TWICE = {"browser", "served", "zerogpu", "contract"}
for name in list(os.environ):
    if name.startswith(("PROVING_", "HF_", "HUGGING", "GRADIO_", "SPACE")):
        del os.environ[name]
os.environ.update(
    HF_ENDPOINT=CLOSED,
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HOME=str(Path(os.environ.get("PYTEST_HF_HOME", "/tmp/proving-tests-hf"))),
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
    # Two-layer models are too small to share out: a second thread spends its time waiting for the first.
    OMP_NUM_THREADS="1",
)

pytest_plugins = ("tests.hub_server.fixtures", "tests.transformers_server")


@pytest.fixture(autouse=True)
def _leave_the_environment_alone() -> Iterator[None]:
    """A test that leaves a variable behind would decide what the next one sees."""
    before = dict(os.environ)
    yield
    changed = {k for k in before.keys() | os.environ.keys() if before.get(k) != os.environ.get(k)}
    # pytest itself keeps the name of the running test there.
    changed.discard("PYTEST_CURRENT_TEST")
    for name in changed:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


@pytest.fixture(scope="session")
def prepared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the real bundled model, prepared once: by `make test` before, else here."""
    from backends.bundled import is_prepared, prepare

    ready = Path(__file__).parents[1] / "data" / "models"
    if is_prepared(ready):
        return ready
    made = tmp_path_factory.mktemp("bundled") / "models"
    for _ in prepare(made):
        pass
    return made


@pytest.fixture
def data_dir(tmp_path: Path, prepared_models: Path) -> Path:
    """A data folder of its own that already holds the bundled model (hard links: no second copy on disk)."""
    folder = tmp_path / "data"
    try:
        shutil.copytree(prepared_models, folder / "models", copy_function=os.link)
    except OSError:
        shutil.rmtree(folder / "models", ignore_errors=True)
        shutil.copytree(prepared_models, folder / "models")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs what takes minutes, too."""
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests skip unless they are asked for, GPU tests where there is no CUDA device; both with the reason.

    What drives a browser or processes of its own gets a second try, and the summary lists each test that took one.
    """
    for item in items:
        if item.path.parent.name in TWICE:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if "long" in item.keywords and not config.getoption("--long", default=False):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run it with --long"))
    if not any("gpu" in item.keywords for item in items):
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
