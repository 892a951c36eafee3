"""The timeouts under huggingface_hub, which passes `timeout=None` itself and would wait for ever."""

from __future__ import annotations

import socket

import httpx2
import pytest

from backends import hub_client


def test_a_call_that_switches_the_timeout_off_still_ends(monkeypatch):
    monkeypatch.setattr(hub_client, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, hub_client._client() as client:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for timeout in (None, httpx2.USE_CLIENT_DEFAULT):
            with pytest.raises(httpx2.ReadTimeout):
                client.get(url, timeout=timeout)


def test_a_shorter_timeout_of_the_caller_holds():
    request = httpx2.Request("GET", "http://hub.example", extensions={"timeout": {"read": 1.5, "connect": None}})
    hub_client._fill_timeouts(request)
    given = request.extensions["timeout"]
    assert (given["read"], given["connect"]) == (1.5, hub_client.CONNECT_SECONDS)
