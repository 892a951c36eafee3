"""The remote engine through the served app, as a program reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app import build_services
from core.settings import Settings
from tests.openai_server import NAME, serving
from tests.serving import served


def settings(data_dir: Path, **env: str) -> Settings:
    return Settings.from_env({"PROVING_DATA_DIR": str(data_dir), "HF_ENDPOINT": "http://127.0.0.1:9", **env})


def test_a_program_reaches_the_host_by_name_and_only_by_name(tmp_path: Path) -> None:
    with serving() as server:
        services = build_services(settings(tmp_path, PROVING_REMOTE_URL=server.url))
        try:
            with served(services, tmp_path) as url:
                client = Client(url, verbose=False)
                assert client.predict("hi", model=f"remote:{NAME}", api_name="/chat") == "Hello there"
                assert len(server.streams()) == 1
                with pytest.raises(AppError, match="does not serve"):
                    client.predict("hi", model="remote:org/absent", api_name="/chat")
                with pytest.raises(AppError):
                    client.predict("hi", model=NAME, api_name="/chat")
                for url_as_name in (f"remote:{server.url}", server.url):
                    with pytest.raises(AppError):
                        client.predict("hi", model=url_as_name, api_name="/chat")
                assert len(server.streams()) == 1
        finally:
            services.store.close()


def test_local_only_holds_for_programs_too(tmp_path: Path) -> None:
    with serving() as server:
        services = build_services(settings(tmp_path, PROVING_REMOTE_URL=server.url, PROVING_LOCAL_ONLY="1"))
        try:
            with served(services, tmp_path) as url, pytest.raises(AppError, match="PROVING_LOCAL_ONLY"):
                Client(url, verbose=False).predict("hi", model=f"remote:{NAME}", api_name="/chat")
        finally:
            services.store.close()
        assert server.asked == []
