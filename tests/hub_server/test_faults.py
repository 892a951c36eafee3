"""The test Hub against the unmodified huggingface_hub client: what goes wrong when a test wants it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
)

from tests.hub_server import (
    Alter,
    CloseConnection,
    DropAfterCommit,
    Hold,
    HubServer,
    RateLimited,
    Reply,
    Slow,
    Status,
)
from tests.hub_server.client import COMMIT, PARQUET, add, commit

pytest_plugins = ("tests.hub_server.fixtures",)


class TestFaults:
    def test_rate_limit_is_an_error_where_the_client_does_not_retry(self, hub: HubServer, api: HfApi) -> None:
        hub.add_model("alice/m")
        hub.fail_next("GET /api/models/*", RateLimited(7))
        with pytest.raises(HfHubHTTPError) as error:
            api.model_info("alice/m")
        assert error.value.response.headers["Retry-After"] == "7"
        hub.fail_next("GET /api/models/*", RateLimited(7, header="RateLimit"))
        with pytest.raises(HfHubHTTPError, match="Retry after 7 seconds"):
            api.model_info("alice/m")
        assert api.model_info("alice/m").id == "alice/m"

    def test_rate_limit_of_a_list_is_waited_out(self, hub: HubServer, api: HfApi) -> None:
        hub.add_model("alice/m")
        hub.fail_next("GET /api/models", RateLimited(0))
        assert [model.id for model in api.list_models()] == ["alice/m"]
        assert [request.status for request in hub.sent("GET /api/models")] == [429, 200]

    def test_status_for_some_requests_or_all(self, hub: HubServer, api: HfApi) -> None:
        hub.add_model("alice/m")
        hub.fail_next("GET /api/models/alice/m", Status(503, "Down"), times=2)
        for _ in range(2):
            with pytest.raises(HfHubHTTPError, match="Down"):
                api.model_info("alice/m")
        assert api.model_info("alice/m").id == "alice/m"
        assert hub.pending_faults == 0
        hub.fail_next("*", Status(500), times=None)
        for _ in range(3):
            with pytest.raises(HfHubHTTPError):
                api.model_info("alice/m")
        hub.clear_faults()
        assert api.model_info("alice/m").id == "alice/m"

    def test_a_commit_whose_reply_is_lost_has_landed(self, hub: HubServer, api: HfApi) -> None:
        before = hub.add_dataset("alice/votes")
        hub.fail_next(COMMIT, DropAfterCommit())
        with pytest.raises(httpx2.RemoteProtocolError):
            commit(api, add("a.txt", b"a"))
        assert hub.history("alice/votes", "dataset")[1:2] == [before]
        assert hub.files("alice/votes", "dataset")["a.txt"] == b"a"
        assert [request.status for request in hub.sent(COMMIT)] == [None]

    def test_a_connection_closed_before_the_commit_leaves_nothing(self, hub: HubServer, api: HfApi) -> None:
        before = hub.add_dataset("alice/votes")
        hub.fail_next(COMMIT, CloseConnection())
        with pytest.raises(httpx2.RemoteProtocolError):
            commit(api, add("a.txt", b"a"))
        assert hub.head("alice/votes", "dataset") == before

    def test_slow(self, hub: HubServer) -> None:
        hub.fail_next("GET /api/models", Slow(0.3))
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.get(f"{hub.url}/api/models", timeout=0.1)
        hub.fail_next("GET /api/models", Slow(0.1))
        assert httpx2.get(f"{hub.url}/api/models", timeout=60).status_code == 200

    def test_hold_answers_when_released_and_never_before(self, hub: HubServer, api: HfApi) -> None:
        parent = hub.add_dataset("alice/votes")
        held = Hold()
        hub.fail_next(COMMIT, held)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(commit, api, add("a.txt", b"a"), parent=parent)
            assert held.arrived.wait(60)
            winner = hub.commit("alice/votes", "dataset", {"b.txt": b"b"})
            held.release()
            with pytest.raises(HfHubHTTPError, match="412"):
                first.result(60)
        assert hub.head("alice/votes", "dataset") == winner

    def test_a_held_request_ends_when_the_hub_stops(self) -> None:
        held = Hold()
        with HubServer() as hub, ThreadPoolExecutor(1) as pool:
            hub.fail_next("*", held)
            waiting = pool.submit(httpx2.get, f"{hub.url}/api/models", timeout=60)
            assert held.arrived.wait(60)
            hub.stop()
            with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
                waiting.result(60)

    def test_a_reply_can_be_altered(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        hub.add_model("alice/m", {"a.txt": b"abc"})
        hub.fail_next("GET /api/models/*", Alter(lambda reply: Reply(200, b"<html>", {"Content-Type": "text/html"})))
        with pytest.raises(json.JSONDecodeError):
            api.model_info("alice/m")
        hub.fail_next("GET */resolve/*", Alter(lambda reply: Reply(reply.status, reply.body[::-1], reply.headers)))
        path = api.hf_hub_download("alice/m", "a.txt", cache_dir=tmp_path)
        assert Path(path).read_bytes() == b"cba"

    def test_storage_can_fail_too(self, hub: HubServer, api: HfApi) -> None:
        hub.add_dataset("alice/votes")
        hub.fail_next("PUT *", Status(403, "Expired"))
        with pytest.raises(RuntimeError, match="Error while uploading") as error:
            commit(api, add("a.parquet", PARQUET))
        assert isinstance(error.value.__cause__, HfHubHTTPError)
        assert hub.sent(COMMIT) == []

    def test_an_outage_keeps_the_address_and_what_was_stored(self, hub: HubServer) -> None:
        head = hub.add_model("alice/m")
        url = hub.url
        with httpx2.Client() as session:
            assert session.get(f"{url}/api/models/alice/m").status_code == 200
            hub.stop()
            with pytest.raises(httpx2.TransportError):
                session.get(f"{url}/api/models/alice/m")
            hub.start()
            assert hub.url == url
            assert session.get(f"{url}/api/models/alice/m").json()["sha"] == head
