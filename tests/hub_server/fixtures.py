"""Fixtures for tests that talk to the test Hub through the real client, in this process.

A test module gets them by `pytest_plugins = ("tests.hub_server.fixtures",)`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from huggingface_hub import HfApi, constants

from tests.hub_server.client import Client
from tests.hub_server.server import HubServer


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running Hub with three users; a handler that breaks fails the test."""
    # HF_HUB_DISABLE_XET is read when the client is imported, which another test may have done before.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with HubServer(page_size=3) as server:
        server.add_user("alice", "hf_alice")
        server.add_user("bob", "hf_bob")
        server.add_user("carol", "hf_carol", role="read")
        yield server
    assert server.errors == []


@pytest.fixture
def client(hub: HubServer) -> Client:
    """Make a client of the Hub for one token; without a token, a visitor."""

    def make(token: str | bool = "hf_alice") -> HfApi:
        return HfApi(endpoint=hub.url, token=token)

    return make


@pytest.fixture
def api(client: Client) -> HfApi:
    """The client of alice, who may write."""
    return client()
