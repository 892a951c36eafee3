"""This machine's models: folders and the Hugging Face cache, with the ways in which a cache breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backends.hub.folder import read_folder
from backends.hub.local import LocalModels
from backends.hub.safetensors_header import NotSafetensors, parameters_by_dtype
from core.catalog import LocalFolder, SearchQuery
from core.refs import ModelRef
from tests.hub_server.seed import safetensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
CARD = b"---\nlicense: apache-2.0\npipeline_tag: text-generation\ntags: [chat]\n---\n# Card\n"
CONFIG = json.dumps({"architectures": ["LlamaForCausalLM"]}).encode()
WEIGHTS = safetensors({"a": [16, 8], "b": [2]}, "BF16")
FILES = {"README.md": CARD, "config.json": CONFIG, "model.safetensors": WEIGHTS}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def cached(
    cache: Path, repo_id: str, commit: str = COMMIT, files: dict[str, bytes] | None = None, ref: str = "main"
) -> Path:
    repo = cache / f"models--{repo_id.replace('/', '--')}"
    write(repo / "snapshots" / commit, FILES if files is None else files)
    if ref:
        write(repo / "refs", {ref: commit.encode()})
    return repo


def ids(local: LocalModels, **query: object) -> list[str]:
    return [row.summary.repo_id for row in local.find(SearchQuery(**query))]


def test_a_cached_model(tmp_path):
    cached(tmp_path, "org/chat")
    (row,) = LocalModels((), tmp_path).find(SearchQuery())
    summary = row.summary
    assert (summary.repo_id, summary.revision, summary.source) == ("org/chat", COMMIT, "local")
    assert (summary.task, summary.library, summary.license_class) == ("text-generation", "transformers", "permissive")
    assert (summary.params, summary.weights_formats, summary.has_card) == (130, ("safetensors",), True)
    assert (summary.downloads, summary.updated, summary.gated) == (None, None, None)


def test_filters(tmp_path):
    cached(tmp_path, "org/chat")
    cached(
        tmp_path,
        "else/masked",
        files={**FILES, "README.md": b"", "config.json": b'{"architectures": ["BertForMaskedLM"]}'},
    )
    local = LocalModels((), tmp_path)
    assert ids(local, task="fill-mask") == ["else/masked"]
    assert ids(local, author="org") == ["org/chat"]
    assert ids(local, text="CHAT text-gen") == ["org/chat"]
    assert ids(local, library="chat") == ["org/chat"]
    assert ids(local, text="nothing") == []


def test_what_is_broken_hides_only_itself(tmp_path):
    cached(tmp_path, "org/good")
    cached(tmp_path, "org/dangling")
    (tmp_path / "models--org--dangling/snapshots" / COMMIT / "gone").symlink_to(tmp_path / "nowhere")
    (cached(tmp_path, "org/badref") / "refs/dev").write_text(OTHER)
    write(tmp_path / "models--org--empty", {})
    (tmp_path / "models--org--empty").mkdir()
    write(tmp_path, {"models--org--file": b"", "junk": b"", "version.txt": b"1"})
    cached(tmp_path, "org/handmade", commit="not-a-commit")
    cached(tmp_path, "bad name!", commit=OTHER)
    cached(tmp_path, "org/metadata-only", files={"README.md": CARD, "config.json": CONFIG})
    cached(tmp_path, "org/odd", files={"config.json": b"[1", "README.md": b"\xff---", "model.safetensors": b"short"})
    local = LocalModels((), tmp_path)
    assert sorted(ids(local)) == ["org/good", "org/odd"]
    assert LocalModels((), tmp_path / "missing").find(SearchQuery()) == ()
    assert LocalModels((), tmp_path / "junk").find(SearchQuery()) == ()


def test_datasets_in_the_cache_are_not_models(tmp_path):
    write(tmp_path / "datasets--org--votes/snapshots" / COMMIT, {"data.parquet": b"x"})
    assert ids(LocalModels((), tmp_path)) == []


def test_a_bundled_model_shows_before_and_after_it_is_prepared(tmp_path):
    folder = tmp_path / "models/bundled"
    local = LocalModels(
        [LocalFolder(ModelRef("came/with", OTHER), folder, ready=False, bundled=True)], tmp_path / "cache"
    )
    (row,) = local.find(SearchQuery())
    assert (row.summary.bundled, row.summary.revision, row.summary.params) == (True, OTHER, None)
    assert row.summary.weights_formats is None
    write(folder, FILES)
    (row,) = local.find(SearchQuery(task="text-generation"))
    assert row.summary.params == 130
    assert row.summary.gated is False


def test_bundled_models_stand_first(tmp_path):
    cached(tmp_path / "cache", "org/chat")
    folder = LocalFolder(ModelRef("came/with", OTHER), write(tmp_path / "m", FILES), ready=True, bundled=True)
    assert ids(LocalModels([folder], tmp_path / "cache")) == ["came/with", "org/chat"]


def test_names_for_one_commit(tmp_path):
    cached(tmp_path, "org/chat")
    cached(tmp_path, "org/chat", commit=OTHER, ref="v1.0")
    local = LocalModels((), tmp_path)

    def commit(revision: str) -> str | None:
        found = local.named("org/chat", revision)
        return found.ref.revision if found else None

    assert commit("") == commit("main") == commit(COMMIT) == commit(COMMIT[:7]) == COMMIT
    assert commit("v1.0") == OTHER
    assert commit(COMMIT[:6]) is None
    assert commit("dev") is None
    assert local.named("org/none", "") is None


def test_files_that_arrive_are_seen(tmp_path, monkeypatch):
    """A cached summary was kept by commit alone, and a download that finished later stayed without parameters."""
    monkeypatch.setattr("backends.hub.local.SCAN_SECONDS", 0.0)
    repo = cached(tmp_path, "org/chat", files={"config.json": CONFIG})
    local = LocalModels((), tmp_path)
    assert ids(local) == []
    write(repo / "snapshots" / COMMIT, FILES)
    assert ids(local) == ["org/chat"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{x",
        (8).to_bytes(8, "little") + b'{"a": 1}',
        (24).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}   ',
        (36).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[-1, 2]}}'[:36],
        (60_000).to_bytes(8, "little") + b"[" * 60_000,
    ],
)
def test_broken_safetensors(tmp_path, content):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(NotSafetensors):
        parameters_by_dtype(file)


def test_parameters_are_counted_once(tmp_path):
    one = safetensors({"a": [10]})
    write(tmp_path / "shards", {"model-00001-of-00002.safetensors": one, "model-00002-of-00002.safetensors": one})
    write(tmp_path / "both", {"model.safetensors": one, "model-00001-of-00001.safetensors": one})
    write(tmp_path / "mistral", {"model.safetensors": one, "consolidated.safetensors": one})
    write(tmp_path / "variants", {"unet/x.safetensors": one, "unet/x.fp16.safetensors": one, "vae/y.safetensors": one})
    assert read_folder(tmp_path / "shards").params == 20
    assert read_folder(tmp_path / "both").params == 10
    assert read_folder(tmp_path / "mistral").params == 10
    assert read_folder(tmp_path / "variants").params == 20
    assert read_folder(tmp_path / "nothing").params is None


def test_a_bundled_model_has_its_licence_before_it_is_prepared(tmp_path):
    from backends.bundled.card import metadata_text
    from backends.bundled.constants import PARAMETERS, REF

    folder = LocalFolder(REF, tmp_path / "none", ready=False, bundled=True, foretold=(metadata_text(), PARAMETERS))
    (row,) = LocalModels([folder], tmp_path / "cache").find(SearchQuery())
    summary = row.summary
    assert (summary.license, summary.license_class, summary.task) == ("apache-2.0", "permissive", "text-generation")
    assert (summary.params, summary.has_card, summary.weights_formats) == (134_515_008, True, ("safetensors",))
    assert (summary.languages, summary.relation) == (("en",), "quantized")
