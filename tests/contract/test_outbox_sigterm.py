"""The real app, told to stop: what waits is sent before it ends, whatever the pace."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

from gradio_client import Client

from tests.contract.outbox_rows import dump, ids
from tests.hub_server import HubServer
from tests.serving import running_app, wait_until

ENDS = 120  # seconds; far more than the 15 the store takes at most, for a busy machine


def pushed(hub: HubServer) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return ids(dump(hub.files("alice/votes", "dataset"), Path(folder)))


def test_sigterm_sends_what_waits(tmp_path: Path, hub: HubServer) -> None:
    first, second = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    settings = {
        **hub.environment(tmp_path / "home", "hf_alice"), "PROVING_DATASET": "alice/votes",
        "PROVING_COMMIT_SECONDS": "86400",
    }  # fmt: skip
    with running_app(tmp_path / "data", tmp_path / "app.log", **settings) as (url, process):
        client = Client(url, verbose=False)
        for number, row in enumerate((first, second)):
            saved = client.predict(
                prompt="Why?", chosen="good", rejected=f"bad {number}", id=row, api_name="/submit_preference"
            )
            assert saved == {"id": row, "state": "saved"}
            if number == 0:
                # The first commit of a run needs no pause before it; the next one may not come for a day.
                wait_until(lambda: client.predict(api_name="/feedback_status")["pushed"] == 1, 60, "nothing was sent")
        assert client.predict(api_name="/feedback_status")["waiting"] == 1 and pushed(hub) == [first]
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS) == 0
    assert pushed(hub) == [first, second]
