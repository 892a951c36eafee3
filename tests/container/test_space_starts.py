"""What `make deploy` uploads installs into an empty environment and starts there as on a duplicated Space: without a secret."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client

from backends.deploy.__main__ import main
from tests.contract.outbox_rows import dump
from tests.hub_server import HubServer
from tests.serving import wait_until

SPACE = "alice/ground"
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
INSTALL_SECONDS = 3000
# What a container has of its machine; nothing of the tests' own environment.
KEPT = ("PATH", "LANG", "HOME", "PIP_", "SSL_", "REQUESTS_", "CURL_")


@pytest.mark.long
@pytest.mark.timeout(INSTALL_SECONDS + 900)
def test_the_uploaded_files_install_and_start_in_a_clean_environment(hub: HubServer, tmp_path: Path) -> None:
    hub.add_model(MODEL, {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"\0" * 40})
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_alice"}
    assert main([SPACE, "--poll", "0.01", "--hardware", "cpu-basic"], environment) == 0
    assert hub.space(SPACE).secrets == {}
    home = dump(hub.files(SPACE, "space"), tmp_path / "app")

    # As the Space's build: its own Python, requirements.txt, nothing else.
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv/bin/python"
    inherited = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"],
        cwd=home,
        env=inherited,
        check=True,
        timeout=INSTALL_SECONDS,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    space = {"SPACE_ID": SPACE, "SYSTEM": "spaces", "SPACE_HOST": "alice-ground.hf.space", "PORT": str(port)}
    # The bucket's mount; a Space's variables are in its environment.
    volumes = {"PROVING_JOURNAL": str(tmp_path / "bucket"), "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url}
    log = tmp_path / "log"
    with log.open("wb") as said:
        started = inherited | hub.space(SPACE).variables | space | volumes | {"PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen([python, "app.py"], cwd=home, env=started, stdout=said, stderr=said)
    try:
        url = f"http://127.0.0.1:{port}/"

        def page() -> Client | None:
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            try:
                return Client(url, verbose=False)
            except Exception:
                return None

        wait_until(page, 600, "the page did not come")
        found = page()
        assert found is not None
        status = found.predict(api_name="/feedback_status")
        assert status["dataset"].endswith(f"{SPACE}-feedback")
        text = log.read_text(errors="replace")
        assert "no secret HF_TOKEN" in text and "no secret PROVING_SECRET" in text
        assert "Traceback" not in text, text[-4000:]
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(tmp_path / "venv", ignore_errors=True)
