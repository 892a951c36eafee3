"""The test Hub against the unmodified huggingface_hub client: lists, files, trees and who may see them."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server import (
    HubServer,
)
from tests.hub_server.client import Client, add, commit, raw, status_of
from tests.hub_server.seed import safetensors

pytest_plugins = ("tests.hub_server.fixtures",)


@pytest.fixture
def catalogue(hub: HubServer) -> HubServer:
    """A Hub with models and datasets to search among."""
    card = b"---\nlicense: mit\nlanguage: [en, no]\nbase_model: org/base\ntags: [chat]\n---\n# Small\n"
    weights = {"README.md": card, "model.safetensors": safetensors({"w": [40, 50]}, "BF16")}
    hub.add_model(
        "alice/Small-Llama",
        weights,
        pipeline_tag="text-generation",
        downloads=10,
        likes=3,
        trending_score=1,
        created_at="2025-05-01T00:00:00.000Z",
    )
    totals = {"parameters": {"BF16": 7_000_000_000}, "total": 7_000_000_000}
    hub.add_model("org/big-llama", gated="manual", safetensors=totals, tags=["chat"], downloads=90, likes=1)
    image = {"pipeline_tag": "text-to-image", "library_name": "diffusers", "trending_score": 9}
    hub.add_model("org/painter", downloads=50, likes=9, created_at="2024-01-01T00:00:00.000Z", **image)
    hub.add_model("bob/hidden-llama", private=True, downloads=99)
    votes = b"---\nlanguage: en\nsize_categories: [n<1K]\n---\n"
    hub.add_dataset("alice/llama-votes", {"README.md": votes}, likes=2)
    hub.add_dataset("org/images", likes=5)
    return hub


class TestLists:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, {"alice/Small-Llama", "org/big-llama", "org/painter"}),
            ({"search": "LLAMA"}, {"alice/Small-Llama", "org/big-llama"}),
            ({"search": "small llama"}, set()),
            ({"author": "org"}, {"org/big-llama", "org/painter"}),
            ({"filter": "chat"}, {"alice/Small-Llama", "org/big-llama"}),
            ({"filter": ["chat", "license:mit", "en"]}, {"alice/Small-Llama"}),
            ({"filter": ["chat", "license:apache-2.0"]}, set()),
            ({"filter": "base_model:finetune:org/base"}, {"alice/Small-Llama"}),
            ({"pipeline_tag": "text-to-image"}, {"org/painter"}),
            ({"num_parameters": "min:6B,max:8B"}, {"org/big-llama"}),
            ({"num_parameters": "max:1M"}, {"alice/Small-Llama"}),
            ({"gated": True}, {"org/big-llama"}),
            ({"gated": False}, {"alice/Small-Llama", "org/painter"}),
        ],
    )
    def test_filters(self, catalogue: HubServer, api: HfApi, query: dict, found: set[str]) -> None:
        assert {model.id for model in api.list_models(**query)} == found

    @pytest.mark.parametrize(
        ("sort", "first"),
        [
            ("downloads", "org/big-llama"),
            ("likes", "org/painter"),
            ("trending_score", "org/painter"),
            ("created_at", "org/big-llama"),
            ("last_modified", "org/painter"),
            (None, "org/painter"),
        ],
    )
    def test_sorts_downwards(self, catalogue: HubServer, api: HfApi, sort: str | None, first: str) -> None:
        assert next(iter(api.list_models(sort=sort))).id == first

    @pytest.mark.parametrize(
        "query", [{"sort": "name"}, {"num_parameters": "6 billion"}, {"expand": ["secrets"]}, {"limit": -1}]
    )
    def test_refuses_what_the_hub_does_not_know(self, catalogue: HubServer, query: dict) -> None:
        name, value = next(iter(query.items()))
        value = value[0] if isinstance(value, list) else value
        assert raw(f"{catalogue.url}/api/models?{name}={str(value).replace(' ', '%20')}").status == 400

    def test_pages_follow_the_link_header_and_no_total_is_given(self, hub: HubServer, api: HfApi) -> None:
        for number in range(7):
            hub.add_model(f"alice/m{number}", downloads=number, tags=["chat"])
        found = [model.id for model in api.list_models(filter=["chat"], sort="downloads")]
        assert found == [f"alice/m{number}" for number in reversed(range(7))]
        assert len(hub.sent("GET /api/models")) == 3
        hub.requests.clear()
        assert len(list(api.list_models(limit=2))) == 2
        assert len(hub.sent()) == 1
        headers = raw(f"{hub.url}/api/models").headers
        assert {name.lower() for name in headers} == {"date", "content-length", "content-type", "link"}

    def test_expand_gives_what_was_asked_and_nothing_else(self, catalogue: HubServer, api: HfApi) -> None:
        model = next(iter(api.list_models(search="small", expand=["safetensors", "baseModels", "cardData"])))
        assert model.safetensors.total == 2000
        assert model.safetensors.parameters == {"BF16": 2000}
        assert model.base_models == {"relation": "finetune", "models": [{"id": "org/base"}]}
        assert model.card_data.license == "mit"
        assert model.card_data.language == ["en", "no"]
        assert (model.downloads, model.tags, model.siblings) == (None, None, None)

    def test_rows_are_short_unless_full(self, catalogue: HubServer, api: HfApi) -> None:
        short = next(iter(api.list_models(search="small")))
        full = next(iter(api.list_models(search="small", full=True, cardData=True)))
        assert (short.sha, short.siblings, short.card_data) == (None, None, None)
        assert full.sha == catalogue.head("alice/Small-Llama")
        assert full.card_data.license == "mit"

    def test_private_models_are_listed_for_their_owner_only(self, catalogue: HubServer, client: Client) -> None:
        assert "bob/hidden-llama" in {model.id for model in client("hf_bob").list_models()}
        assert "bob/hidden-llama" not in {model.id for model in client(False).list_models()}

    def test_datasets(self, catalogue: HubServer, api: HfApi) -> None:
        assert [d.id for d in api.list_datasets(sort="likes")] == ["org/images", "alice/llama-votes"]
        assert [d.id for d in api.list_datasets(search="VOTES")] == ["alice/llama-votes"]
        assert [d.id for d in api.list_datasets(filter="size_categories:n<1K")] == ["alice/llama-votes"]
        assert [d.id for d in api.list_datasets(author="org", expand=["sha"])] == ["org/images"]


class TestReading:
    def test_info_with_files_has_git_and_lfs_ids(self, hub: HubServer, api: HfApi) -> None:
        weights = safetensors({"w": [2, 2]})
        head = hub.add_model("alice/m", {"config.json": b"{}", "model.safetensors": weights})
        info = api.model_info("alice/m", files_metadata=True, securityStatus=True)
        files = {sibling.rfilename: sibling for sibling in info.siblings}
        assert info.sha == head
        assert files["config.json"].blob_id == hashlib.sha1(b"blob 2\0{}").hexdigest()
        assert files["config.json"].lfs is None
        assert files["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
        assert files["model.safetensors"].size == len(weights)

    def test_info_at_a_revision(self, hub: HubServer, api: HfApi) -> None:
        first = hub.add_dataset("alice/d", {"README.md": b"---\nlicense: mit\n---\n"})
        second = hub.commit("alice/d", "dataset", {"README.md": b"---\nlicense: other\n---\n"})
        assert api.dataset_info("alice/d").sha == second
        for revision in (first, first[:8]):
            info = api.dataset_info("alice/d", revision=revision, expand=["sha", "cardData"])
            assert (info.sha, info.card_data.license, info.siblings) == (first, "mit", None)

    @pytest.mark.parametrize("front", [b"[a, b]", b"license: [", b"a: &a [*a]", b"just words"])
    def test_a_broken_card_has_no_metadata_but_its_text(
        self, hub: HubServer, api: HfApi, tmp_path: Path, front: bytes
    ) -> None:
        readme = b"---\n" + front + b"\n---\n# Body\n"
        hub.add_model("alice/odd", {"README.md": readme})
        assert api.model_info("alice/odd").card_data is None
        assert Path(api.hf_hub_download("alice/odd", "README.md", cache_dir=tmp_path)).read_bytes() == readme

    def test_norwegian_and_dates_stay_text(self, hub: HubServer, api: HfApi) -> None:
        hub.add_model("alice/m", {"README.md": b"---\nlanguage: no\nreleased: 2026-01-01\n---\n"})
        data = api.model_info("alice/m").card_data
        assert (data.language, data.released) == ("no", "2026-01-01")

    def test_download_at_a_commit(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        first = hub.add_model("alice/m", {"README.md": b"one"})
        second = hub.commit("alice/m", files={"README.md": b"two"})
        old = api.hf_hub_download("alice/m", "README.md", revision=first, cache_dir=tmp_path)
        new = api.hf_hub_download("alice/m", "README.md", cache_dir=tmp_path)
        assert (Path(old).read_text(), Path(new).read_text()) == ("one", "two")
        assert first in old and second in new

    def test_snapshot(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        files = {f"folder {n}/é{n}.txt": f"{n}".encode() for n in range(3)} | {"w.safetensors": bytes(9)}
        hub.add_model("alice/m", files)
        folder = Path(api.snapshot_download("alice/m", cache_dir=tmp_path))
        assert {path: (folder / path).read_bytes() for path in files} == files

    def test_large_files_come_from_storage_that_never_sees_the_token(
        self, hub: HubServer, api: HfApi, tmp_path: Path
    ) -> None:
        hub.add_model("alice/secret", {"w.safetensors": b"weights"}, private=True)
        path = api.hf_hub_download("alice/secret", "w.safetensors", cache_dir=tmp_path)
        assert Path(path).read_bytes() == b"weights"
        stored = [request for request in hub.requests if request.origin == hub.storage_url]
        assert [(request.method, request.token) for request in stored] == [("GET", None)]
        assert raw(hub.storage_url + stored[0].raw_path).status == 403

    def test_ranges(self, hub: HubServer, api: HfApi) -> None:
        hub.add_model("alice/m", {"a.txt": b"0123456789", "model.safetensors": safetensors({"w": [4, 5]})})
        assert api.get_safetensors_metadata("alice/m").parameter_count == {"F32": 20}
        url = f"{hub.url}/alice/m/resolve/main/a.txt"
        seen = {}
        for ranges in ("bytes=2-4", "bytes=8-99", "bytes=7-", "bytes=-3", "bytes=10-"):
            response = raw(url, headers={"Range": ranges})
            seen[ranges] = (response.status, response.content, response.headers["Content-Range"])
        assert seen == {
            "bytes=2-4": (206, b"234", "bytes 2-4/10"),
            "bytes=8-99": (206, b"89", "bytes 8-9/10"),
            "bytes=7-": (206, b"789", "bytes 7-9/10"),
            "bytes=-3": (206, b"789", "bytes 7-9/10"),
            "bytes=10-": (416, b"", "bytes */10"),
        }

    def test_tree(self, hub: HubServer, api: HfApi) -> None:
        files = {f"data/{n}.txt": b"x" for n in range(5)} | {"data/deep/w.bin": b"w"}
        hub.add_dataset("alice/d", files)
        assert set(api.list_repo_files("alice/d", repo_type="dataset")) == {*files, ".gitattributes"}
        top = api.list_repo_tree("alice/d", repo_type="dataset")
        assert [entry.path for entry in top] == [".gitattributes", "data"]
        inside = list(api.list_repo_tree("alice/d", "data/deep", repo_type="dataset", recursive=True))
        assert [entry.path for entry in inside] == ["data/deep/w.bin"]
        assert inside[0].lfs.sha256 == hashlib.sha256(b"w").hexdigest()
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree("alice/d", "nowhere", repo_type="dataset"))

    def test_tree_tells_the_last_commit_and_the_scan_of_each_file(self, hub: HubServer, api: HfApi) -> None:
        first = hub.add_model("alice/m", {"a.txt": b"a", "b.bin": b"b"}, security={"b.bin": "unsafe"})
        second = hub.commit("alice/m", files={"a.txt": b"changed"}, message="Change a")
        entries = {entry.path: entry for entry in api.list_repo_tree("alice/m", expand=True)}
        assert (entries["a.txt"].last_commit.oid, entries["a.txt"].last_commit.title) == (second, "Change a")
        assert entries["b.bin"].last_commit.oid == first
        assert (entries["a.txt"].security.safe, entries["b.bin"].security.safe) == (True, False)
        status = api.model_info("alice/m", securityStatus=True).security_repo_status
        assert status["filesWithIssues"] == [{"path": "b.bin", "level": "unsafe"}]

    def test_paths_refs_and_commits(self, hub: HubServer, api: HfApi) -> None:
        first = hub.add_model("alice/m", {"data/a.txt": b"a"})
        for number in range(4):
            hub.commit("alice/m", files={"b.txt": f"{number}".encode()}, message=f"Step {number}")
        infos = api.get_paths_info("alice/m", ["data", "data/a.txt", "gone.txt"])
        assert [info.path for info in infos] == ["data", "data/a.txt"]
        api.create_tag("alice/m", tag="v1", revision=first)
        refs = api.list_repo_refs("alice/m", include_pull_requests=True)
        assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first)]
        assert refs.branches[0].target_commit == hub.head("alice/m")
        commits = api.list_repo_commits("alice/m")
        assert [c.commit_id for c in commits] == hub.history("alice/m")
        assert [c.title for c in commits[:2]] == ["Step 3", "Step 2"]
        assert api.list_repo_commits("alice/m", revision="v1")[0].commit_id == first

    def test_a_renamed_repository_redirects(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        hub.add_model("alice/old", {"a.txt": b"a"})
        api.move_repo("alice/old", "alice/new")
        assert api.model_info("alice/old").id == "alice/new"
        path = api.hf_hub_download("alice/old", "a.txt", cache_dir=tmp_path)
        assert Path(path).read_bytes() == b"a"

    def test_git_agrees_with_the_tree_ids(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        head = hub.add_model("alice/m", {"a/b/c.txt": b"c", "a/b.txt": b"b", "a-b": b"d", "a.txt": b"e"})
        for path, content in hub.files("alice/m", revision=head).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)

        def git(*arguments: str) -> str:
            command = ["git", "-C", str(tmp_path), "-c", "core.autocrlf=false", *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        git("init", "-q", ".")
        git("add", ".")
        tree = git("write-tree")
        listed = {e.path: e for e in api.list_repo_tree("alice/m", recursive=True)}
        assert git("rev-parse", f"{tree}:a") == listed["a"].tree_id
        assert git("rev-parse", f"{tree}:a/b") == listed["a/b"].tree_id
        assert git("rev-parse", f"{tree}:a.txt") == listed["a.txt"].blob_id


class TestRefusals:
    def test_gated(self, hub: HubServer, client: Client, tmp_path: Path) -> None:
        hub.add_model("org/gated", {"README.md": b"# x", "w.safetensors": b"w"}, gated="manual")
        for token, status in ((False, 401), ("hf_bob", 403)):
            api = client(token)
            assert api.model_info("org/gated").gated == "manual"
            assert "w.safetensors" in api.list_repo_files("org/gated")
            for name in ("README.md", "w.safetensors"):
                with pytest.raises(GatedRepoError) as error:
                    api.hf_hub_download("org/gated", name, cache_dir=tmp_path)
                assert error.value.response.status_code == status
            with pytest.raises(GatedRepoError):
                api.auth_check("org/gated")
        hub.grant("org/gated", "bob")
        client("hf_bob").hf_hub_download("org/gated", "README.md", cache_dir=tmp_path)

    def test_a_fine_grained_token_needs_the_gated_permission(
        self, hub: HubServer, client: Client, tmp_path: Path
    ) -> None:
        hub.add_model("org/gated", {"README.md": b"# x"}, gated="auto", access=["dan"])
        hub.add_user("dan", "hf_dan", role="fineGrained")
        with pytest.raises(GatedRepoError):
            client("hf_dan").hf_hub_download("org/gated", "README.md", cache_dir=tmp_path)
        hub.add_user("dan", "hf_dan", role="fineGrained", can_read_gated_repos=True)
        client("hf_dan").hf_hub_download("org/gated", "README.md", cache_dir=tmp_path)

    @pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_alice", 404)])
    def test_private_is_like_missing(
        self, hub: HubServer, client: Client, tmp_path: Path, token: str | bool, status: int
    ) -> None:
        hub.add_model("bob/private", {"README.md": b"# x"}, private=True)
        for repo_id in ("bob/private", "bob/missing"):
            with pytest.raises(RepositoryNotFoundError) as error:
                client(token).model_info(repo_id)
            assert status_of(error) == status
            with pytest.raises(RepositoryNotFoundError):
                client(token).hf_hub_download(repo_id, "README.md", cache_dir=tmp_path)
        assert client("hf_bob").model_info("bob/private").private is True

    def test_missing_revision_and_entry(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        hub.add_model("alice/m", {"README.md": b"# x"})
        with pytest.raises(RevisionNotFoundError):
            api.model_info("alice/m", revision="nope")
        with pytest.raises(RevisionNotFoundError):
            api.hf_hub_download("alice/m", "README.md", revision="a" * 40, cache_dir=tmp_path)
        with pytest.raises(EntryNotFoundError):
            api.hf_hub_download("alice/m", "gone.txt", cache_dir=tmp_path)

    def test_disabled(self, hub: HubServer, api: HfApi, tmp_path: Path) -> None:
        hub.add_model("org/m", {"README.md": b"# x"}, disabled=True)
        assert api.model_info("org/m").disabled is True
        with pytest.raises(DisabledRepoError):
            api.auth_check("org/m")
        with pytest.raises(LocalEntryNotFoundError) as error:
            api.hf_hub_download("org/m", "README.md", cache_dir=tmp_path)
        assert isinstance(error.value.__cause__, DisabledRepoError)

    def test_writes_need_the_right_token(self, hub: HubServer, client: Client) -> None:
        hub.add_dataset("alice/votes")
        hub.add_user("carol", "hf_carol_write")
        hub.add_dataset("carol/votes")
        for token, repo_id, status in (
            ("hf_carol", "carol/votes", 403),
            ("hf_bob", "alice/votes", 403),
            (False, "alice/votes", 401),
        ):
            with pytest.raises(HfHubHTTPError) as error:
                commit(client(token), add("a.txt", b"a"), repo_id=repo_id)
            assert status_of(error) == status
        with pytest.raises(HfHubHTTPError) as error:
            client("hf_carol").create_repo("carol/new")
        assert status_of(error) == 403

    def test_fine_grained_writes_where_its_scope_says(self, hub: HubServer, client: Client) -> None:
        hub.add_dataset("alice/votes")
        hub.add_dataset("alice/other")
        scopes = {"dataset:alice/votes": ["repo.content.read", "repo.write"]}
        hub.add_user("alice", "hf_fine", role="fineGrained", scopes=scopes)
        commit(client("hf_fine"), add("a.txt", b"a"))
        with pytest.raises(HfHubHTTPError) as error:
            commit(client("hf_fine"), add("a.txt", b"a"), repo_id="alice/other")
        assert status_of(error) == 403
