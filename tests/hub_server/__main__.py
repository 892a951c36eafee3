"""Serve the demonstration seed: `python -m tests.hub_server --port 8900`."""

from __future__ import annotations

import argparse
import threading

from tests.hub_server.seed import seed
from tests.hub_server.seed_cards import seed_cards
from tests.hub_server.server import HubServer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.hub_server", description=__doc__)
    parser.add_argument("--port", type=int, default=8900)
    hub = HubServer()
    seed(hub)
    seed_cards(hub)
    hub.start(parser.parse_args().port)
    print(f"HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=hf_alice", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        hub.stop()


if __name__ == "__main__":
    main()
