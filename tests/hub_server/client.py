"""Short hands for tests that talk to the test Hub through the real client, in this process."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
)

PARQUET = b"PAR1" + bytes(64) + b"PAR1"
"""Enough of a parquet file for the LFS rule; nothing reads it."""
COMMIT = "POST /api/datasets/*/commit/*"
Client = Callable[..., HfApi]


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def commit(api: HfApi, *operations: object, repo_id: str = "alice/votes", parent: str | None = None) -> str:
    """Commit to a dataset and return the new commit id."""
    info = api.create_commit(
        repo_id, list(operations), commit_message="Add votes", repo_type="dataset", parent_commit=parent
    )
    return info.oid


def raw(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
) -> http.client.HTTPResponse:
    """Send a request without the client, to see what is really on the wire."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers or {})
    response = connection.getresponse()
    response.content = response.read()
    connection.close()
    return response


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code
