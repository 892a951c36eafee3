"""The HTTP client that huggingface_hub uses everywhere, with timeouts it does not have by itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
_lock = threading.Lock()
_installed = False


def install_timeouts() -> None:
    """Give every request of huggingface_hub a connect and a read timeout; doing it again changes nothing."""
    global _installed
    with _lock:
        if _installed:
            return
        from huggingface_hub import set_client_factory

        set_client_factory(_client)
        _installed = True


def _client() -> httpx2.Client:
    import httpx2
    from huggingface_hub.utils._http import default_client_factory

    client = default_client_factory()
    client.timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], _fill_timeouts]}
    return client


def _fill_timeouts(request: httpx2.Request) -> None:
    # model_info and the list pages pass `timeout=None` themselves, which would switch the client's own off.
    given = request.extensions.get("timeout") or {}
    limits = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": READ_SECONDS}
    request.extensions["timeout"] = {name: given.get(name) or limit for name, limit in limits.items()}
