"""Secrets are planted in every place the operator has for one, and looked for in all the app writes, serves and sends."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from core.export import ExportOrder
from core.settings import Settings
from tests.accounts import KEPT, csrf_in, signed_in
from tests.hub_server import HubServer
from tests.hub_server.seed import seed

TOKEN, ENGINE, SALT = "hf_canaryHubToken0123456789", "sk-canaryEngineKey012345", "canarySecretSalt0123456789"
PLANTED = (TOKEN, ENGINE, SALT, KEPT)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        seed(server)
        server.add_user("operator", TOKEN)
        yield server


def test_a_planted_secret_is_in_nothing_the_app_writes_serves_or_sends(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = tmp_path / "data"
    env = {
        "PROVING_DATA_DIR": str(data),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "PROVING_SECRET": SALT,
        "PROVING_REMOTE_URL": "http://127.0.0.1:9/v1",
        "PROVING_REMOTE_TOKEN": ENGINE,
        "PROVING_AUTH": f"ann:{KEPT}:admin",
        "PROVING_JOURNAL": str(tmp_path / "bucket"),
    }
    settings = Settings.from_env(env)
    services = app.build_services(settings)
    demo = app.build(services)
    served: list[str] = [repr(settings), repr(services), str(services.access)]
    _, url, _ = app.launch(demo, replace(settings, port=0), block=False, access=services.access)
    try:
        with signed_in(url, "ann") as browser:
            for path in ("", "config", "gradio_api/info", "account", "account/me", "account/audit.json", "sign-in"):
                reply = browser.get(path)
                served.append(reply.text + str(reply.headers))
            key = browser.post("account/key", data={"csrf": csrf_in(browser.get("account").text)}).text
            served.append(key)
        made = key.partition('class="key">')[2].partition("<")[0]
        program = Client(url, verbose=False, headers={"Authorization": f"Bearer {made}"})
        calls = [
            {"query": "llama", "api_name": "/search_models"},
            {"repo_id": "no/such-model", "api_name": "/model_card"},
            {"message": "hello", "model": "remote:no-such", "api_name": "/chat"},
            {"prompt": f"say {TOKEN[:6]}", "completion": "no", "label": False, "api_name": "/submit_rating"},
            {"api_name": "/feedback_status"},
            {"api_name": "/leaderboard"},
        ]
        for call in calls:
            try:
                served.append(json.dumps(program.predict(**call), default=str))
            except AppError as error:
                served.append(str(error))
        services.store.upload_now()
        assert services.evidence is not None
        for kind in ("csv", "jsonl", "parquet"):
            list(services.evidence.export(ExportOrder("kto", kind, 0), tmp_path / f"exported-{kind}"))
        served.append(httpx.get(f"{url}config", headers={"Authorization": "Bearer wrong"}, timeout=60).text)
    finally:
        demo.close(verbose=False)
        services.store.close()

    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(name.endswith("feedback.sqlite") for name in written)
    assert any(name.endswith("audit.sqlite") for name in written)
    for folder in ("bucket/audit/", "bucket/", "exported-csv/", "exported-parquet/", "data/dataset/"):
        assert [name for name in written if name.startswith(folder)], folder
    for secret in PLANTED:
        assert [name for name, content in written.items() if secret.encode() in content] == []
        assert secret not in caplog.text
        assert [one[:200] for one in served if secret in one] == []
        for request in hub.requests:
            assert secret not in request.raw_path + json.dumps(request.query)
            assert secret.encode() not in request.body
            elsewhere = {name: value for name, value in request.headers.items() if name != "authorization"}
            assert secret not in json.dumps(elsewhere)
    # The engine's key went to the engine alone, and the salt to nobody.
    sent = {request.headers.get("authorization", "") for request in hub.requests}
    assert not any(ENGINE in one or SALT in one for one in sent)
