"""The test Hub against the unmodified huggingface_hub client: identity, writing and a fresh process.

Reading and faults are tested beside the server, in tests/hub_server/."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    RepositoryNotFoundError,
)

from tests.hub_server import (
    HubServer,
    RecordedRequest,
)
from tests.hub_server.client import COMMIT, PARQUET, Client, add, commit, raw, status_of
from tests.hub_server.seed import seed

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ("tests.hub_server.fixtures",)


class TestIdentity:
    def test_whoami_tells_the_role(self, client: Client) -> None:
        assert client().whoami()["name"] == "alice"
        assert client("hf_carol").whoami()["auth"]["accessToken"]["role"] == "read"

    def test_whoami_tells_the_scopes_of_a_fine_grained_token(self, hub: HubServer, client: Client) -> None:
        scopes = {"dan": ["repo.content.read"], "dataset:dan/votes": ["repo.write"]}
        hub.add_user("dan", "hf_dan", role="fineGrained", scopes=scopes, can_read_gated_repos=True)
        access = client("hf_dan").whoami()["auth"]["accessToken"]
        fine = access["fineGrained"]
        assert access["role"] == "fineGrained"
        assert fine["canReadGatedRepos"] is True
        assert [(s["entity"]["type"], s["entity"]["name"], s["permissions"]) for s in fine["scoped"]] == [
            ("user", "dan", ["repo.content.read"]),
            ("dataset", "dan/votes", ["repo.write"]),
        ]

    def test_a_bad_or_expired_token_is_refused_even_for_public_repositories(
        self, hub: HubServer, client: Client
    ) -> None:
        hub.add_model("alice/open")
        hub.add_user("eve", "hf_eve", expired=True)
        for token in ("hf_unknown", "hf_eve"):
            with pytest.raises(HfHubHTTPError, match="Invalid user token") as error:
                client(token).whoami()
            assert status_of(error) == 401
            with pytest.raises(HfHubHTTPError) as error:
                client(token).model_info("alice/open")
            assert status_of(error) == 401


class TestWriting:
    def test_create_and_delete(self, hub: HubServer, api: HfApi, client: Client) -> None:
        url = api.create_repo("alice/d", repo_type="dataset", private=True)
        assert (url.repo_id, url.repo_type) == ("alice/d", "dataset")
        with pytest.raises(HfHubHTTPError) as error:
            api.create_repo("alice/d", repo_type="dataset")
        assert status_of(error) == 409
        assert api.create_repo("alice/d", repo_type="dataset", exist_ok=True) == url
        assert hub.history("alice/d", "dataset") == [hub.head("alice/d", "dataset")]
        with pytest.raises(RepositoryNotFoundError):
            client("hf_bob").dataset_info("alice/d")
        api.update_repo_settings("alice/d", repo_type="dataset", private=False, gated="auto")
        assert client("hf_bob").dataset_info("alice/d").gated == "auto"
        api.delete_repo("alice/d", repo_type="dataset")
        with pytest.raises(RepositoryNotFoundError):
            api.dataset_info("alice/d")

    def test_branches_and_tags(self, hub: HubServer, api: HfApi) -> None:
        head = hub.add_dataset("alice/votes", {"a.txt": b"a"})
        for make in (api.create_branch, api.create_tag):
            name = "branch" if make == api.create_branch else "tag"
            make("alice/votes", repo_type="dataset", **{name: "try/one"})
            with pytest.raises(HfHubHTTPError) as error:
                make("alice/votes", repo_type="dataset", **{name: "try/one"})
            assert status_of(error) == 409
            make("alice/votes", repo_type="dataset", exist_ok=True, **{name: "try/one"})
        info = api.upload_file(
            path_or_fileobj=b"b",
            path_in_repo="b.txt",
            repo_id="alice/votes",
            repo_type="dataset",
            revision="try/one",
        )
        assert hub.head("alice/votes", "dataset") == head
        assert hub.head("alice/votes", "dataset", branch="try/one") == info.oid
        api.delete_branch("alice/votes", repo_type="dataset", branch="try/one")
        api.delete_tag("alice/votes", repo_type="dataset", tag="try/one")
        assert hub.files("alice/votes", "dataset", info.oid)["b.txt"] == b"b"
        with pytest.raises(HfHubHTTPError):
            api.delete_branch("alice/votes", repo_type="dataset", branch="main")

    def test_commit_of_regular_and_large_files(self, hub: HubServer, api: HfApi) -> None:
        before = hub.add_dataset("alice/votes", {"old/a.txt": b"a", "old/b.txt": b"b", "c.txt": b"c"})
        oid = commit(
            api,
            add("README.md", b"---\nlicense: mit\n---\n"),
            add("data/a.parquet", PARQUET),
            CommitOperationAdd("data/b.parquet", io.BytesIO(PARQUET + b"b")),
            CommitOperationDelete("old/", is_folder=True),
            CommitOperationDelete("c.txt"),
        )
        files = hub.files("alice/votes", "dataset", oid)
        assert set(files) == {".gitattributes", "README.md", "data/a.parquet", "data/b.parquet"}
        assert files["data/a.parquet"] == PARQUET
        assert len(oid) == 40 and hub.history("alice/votes", "dataset")[:2] == [oid, before]
        uploads = hub.sent("PUT *")
        assert {request.origin for request in uploads} == {hub.storage_url}
        assert {request.token for request in uploads} == {None}
        commit(api, CommitOperationCopy("data/a.parquet", "data/c.parquet"))
        assert hub.files("alice/votes", "dataset")["data/c.parquet"] == PARQUET

    def test_unchanged_files_make_no_commit(self, hub: HubServer, api: HfApi) -> None:
        hub.add_dataset("alice/votes")
        first = commit(api, add("a.txt", b"a"), add("b.parquet", PARQUET))
        hub.requests.clear()
        assert commit(api, add("a.txt", b"a"), add("b.parquet", PARQUET)) == first
        assert hub.sent(COMMIT) == [] and hub.sent("PUT *") == []

    def test_an_object_already_there_is_not_sent_again(self, hub: HubServer, api: HfApi) -> None:
        hub.add_dataset("alice/votes")
        commit(api, add("a.parquet", PARQUET))
        commit(api, add("copy.parquet", PARQUET))
        assert len(hub.sent("PUT *")) == 1

    def test_a_stale_parent_changes_nothing(self, hub: HubServer, api: HfApi) -> None:
        stale = hub.add_dataset("alice/votes", {"a.txt": b"a"})
        head = hub.commit("alice/votes", "dataset", deletes=["a.txt"])
        for operation in (add("b.txt", b"b"), CommitOperationDelete("a.txt")):
            with pytest.raises(HfHubHTTPError, match="branch was updated") as error:
                commit(api, operation, parent=stale)
            assert status_of(error) == 412
        assert hub.head("alice/votes", "dataset") == head
        commit(api, add("b.txt", b"b"), parent=head[:7])

    def test_of_writers_with_one_parent_exactly_one_lands(self, hub: HubServer, client: Client) -> None:
        parent = hub.add_dataset("alice/votes")
        start = threading.Barrier(4)

        def write(number: int) -> int:
            start.wait()
            try:
                commit(client(), add(f"{number}.txt", b"x"), parent=parent)
            except HfHubHTTPError as error:
                return error.response.status_code
            return 200

        with ThreadPoolExecutor(4) as pool:
            results = sorted(pool.map(write, range(4)))
        assert results == [200, 412, 412, 412]
        assert len(hub.history("alice/votes", "dataset")) == 2

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ({"key": "lfsFile", "value": {"path": "a.parquet", "oid": "0" * 64, "size": 3}}, "LFS pointer"),
            ({"key": "file", "value": {"path": "a.parquet", "content": "UEFSMQ=="}}, "binary files"),
            ({"key": "file", "value": {"path": "../a.txt", "content": "a"}}, "Invalid path"),
            ({"key": "file", "value": {"path": "a.txt/b", "content": "a"}}, "both a file and a folder"),
            (
                {"key": "file", "value": {"path": "big.txt", "content": "x" * 10_485_761}},
                "larger than 10 MiB",
            ),
            (
                {"key": "file", "value": {"path": "README.md", "content": "---\na: [\n---\n"}},
                "Invalid metadata",
            ),
            ({"key": "deletedFile", "value": {"path": "gone.txt"}}, "does not exist"),
            ({"key": "rename", "value": {"path": "a.txt"}}, "Unknown operation"),
        ],
    )
    def test_a_commit_the_hub_would_not_take(self, hub: HubServer, line: dict, reason: str) -> None:
        head = hub.add_dataset("alice/votes", {"a.txt": b"a"})
        lines = [{"key": "header", "value": {"summary": "x"}}, line]
        body = "\n".join(json.dumps(line) for line in lines).encode()
        url = f"{hub.url}/api/datasets/alice/votes/commit/main"
        response = raw(url, "POST", {"Authorization": "Bearer hf_alice"}, body)
        assert response.status in (400, 404)
        assert reason in json.loads(response.content)["error"]
        assert hub.head("alice/votes", "dataset") == head

    def test_storage_takes_only_what_was_announced(self, hub: HubServer, api: HfApi) -> None:
        hub.add_dataset("alice/votes")
        commit(api, add("a.parquet", PARQUET))
        put = hub.sent("PUT *")[0]
        signature = put.query["signature"][0]
        assert raw(f"{put.origin}{put.raw_path}?signature={signature}", "PUT", body=b"other").status == 400
        assert raw(f"{put.origin}{put.raw_path}?signature=0", "PUT", body=PARQUET).status == 403

    @pytest.mark.parametrize("front", ["license: [", "- a list", "license: my-own", "tags: one"])
    def test_bad_metadata_stops_the_commit(self, hub: HubServer, api: HfApi, front: str) -> None:
        hub.add_dataset("alice/votes")
        with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
            commit(api, add("README.md", f"---\n{front}\n---\n".encode()))
        assert hub.sent(COMMIT) == []

    def test_missing_metadata_is_a_warning(self, hub: HubServer, api: HfApi) -> None:
        hub.add_dataset("alice/votes")
        with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
            commit(api, add("README.md", b"# No front matter"))


class TestTheServerItself:
    def test_requests_are_recorded(self, hub: HubServer, client: Client) -> None:
        hub.add_dataset("alice/votes")
        client(False).dataset_info("alice/votes", expand=["sha", "tags"])
        [request] = hub.requests
        assert isinstance(request, RecordedRequest)
        assert (request.line, request.token) == ("GET /api/datasets/alice/votes", None)
        assert request.query == {"expand": ["sha", "tags"]}
        assert "hf_hub/" in request.headers["user-agent"]
        hub.requests.clear()
        commit(client(), add("a.txt", b"secret words"))
        [sent] = hub.sent(COMMIT)
        assert (sent.token, sent.status, sent.body_size) == ("hf_alice", 200, len(sent.body))
        assert sent.body_size == int(sent.headers["content-length"])

    def test_ids_come_from_contents(self) -> None:
        heads = []
        for _ in range(2):
            hub = HubServer()
            seed(hub)
            heads.append([hub.head("team/tiny-chat"), hub.head("alice/votes", "dataset")])
        assert heads[0] == heads[1]
        assert len({*heads[0]}) == 2

    def test_an_unknown_route_is_a_json_404(self, hub: HubServer) -> None:
        response = raw(f"{hub.url}/api/nonsense", "POST")
        assert (response.status, json.loads(response.content)) == (404, {"error": "Not Found"})

    def test_a_broken_handler_is_a_recorded_500(self) -> None:
        with HubServer() as hub:
            hub.add_user("alice", "hf_alice")
            hub.add_model("alice/m")
            body = json.dumps({"files": [{}]}).encode()
            url = f"{hub.url}/api/models/alice/m/preupload/main"
            assert raw(url, "POST", {"Authorization": "Bearer hf_alice"}, body).status == 500
        assert len(hub.errors) == 1 and "KeyError" in hub.errors[0]

    def test_chunked_bodies_are_read(self, hub: HubServer) -> None:
        parts = iter([b'{"content": ', b'"# x", "repoType": "model"}'])
        reply = httpx2.post(f"{hub.url}/api/validate-yaml", content=parts)
        assert reply.json()["errors"] == []
        assert hub.requests[0].headers["transfer-encoding"] == "chunked"

    def test_it_runs_by_hand(self) -> None:
        command = [sys.executable, "-m", "tests.hub_server", "--port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            url = process.stdout.readline().split()[0].removeprefix("HF_ENDPOINT=")
            models = {row["id"]: row for row in httpx2.get(f"{url}/api/models?expand=gated").json()}
            process.terminate()
        assert models["team/guarded-chat"]["gated"] == "manual"
        assert "alice/secret" not in models


IN_A_FRESH_PROCESS = """
import io, json, sys
import huggingface_hub as hf
import datasets, pyarrow as pa, pyarrow.parquet as pq

api = hf.HfApi()
table = io.BytesIO()
pq.write_table(pa.table({"prompt": ["a", "b"], "label": [True, False]}), table)
hf.create_repo("alice/votes", repo_type="dataset")
card = b"---\\nconfigs:\\n- config_name: ratings\\n  data_files: data/ratings/*.parquet\\n---\\n# Votes\\n"
files = {"README.md": card, "data/ratings/1.parquet": table.getvalue()}
info = api.create_commit(
    "alice/votes",
    [hf.CommitOperationAdd(path, content) for path, content in files.items()],
    commit_message="Votes",
    repo_type="dataset",
)
rows = datasets.load_dataset("alice/votes", "ratings", split="train")
streamed = datasets.load_dataset("alice/votes", "ratings", split="train", streaming=True, revision=info.oid)
datasets.Dataset.from_dict({"n": [1, 2, 3]}).push_to_hub("alice/pushed")
print(json.dumps({
    "who": hf.whoami()["name"],
    "rows": rows.to_list(),
    "streamed": list(streamed),
    "pushed": datasets.load_dataset("alice/pushed")["train"]["n"][:],
    "card": hf.ModelCard.load("alice/m").data.license,
    "file": open(hf.hf_hub_download("alice/m", "README.md")).read(),
    "snapshot": hf.snapshot_download("alice/m")[-40:],
}))
"""


def test_the_environment_is_all_that_a_fresh_process_needs(hub: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT alone leads the client and `datasets` here: push, load, stream, download."""
    head = hub.add_model("alice/m", {"README.md": b"---\nlicense: mit\n---\n# M\n"})
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        **hub.environment(tmp_path / "hf", "hf_alice"),
    }
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    votes = [{"prompt": "a", "label": True}, {"prompt": "b", "label": False}]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "who": "alice",
        "rows": votes,
        "streamed": votes,
        "pushed": [1, 2, 3],
        "card": "mit",
        "file": "---\nlicense: mit\n---\n# M\n",
        "snapshot": head,
    }
    assert {request.origin for request in hub.requests} == {hub.url, hub.storage_url}
