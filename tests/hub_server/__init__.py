"""A Hub for tests: a loopback HTTP server that the unmodified huggingface_hub client talks to."""

from tests.hub_server.faults import (
    Alter,
    CloseConnection,
    DropAfterCommit,
    Hold,
    RateLimited,
    SilentAfterCommit,
    Slow,
    Status,
)
from tests.hub_server.server import HubServer
from tests.hub_server.web import RecordedRequest, Reply

__all__ = [
    "Alter",
    "CloseConnection",
    "DropAfterCommit",
    "Hold",
    "HubServer",
    "RateLimited",
    "RecordedRequest",
    "Reply",
    "SilentAfterCommit",
    "Slow",
    "Status",
]
