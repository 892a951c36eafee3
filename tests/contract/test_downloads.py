"""Downloads from the test Hub through the unmodified client: what is fetched, told, refused and survived."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from backends import downloads
from backends.downloads import CARD, Downloads
from backends.image.files import PipelineDownloads
from core.chat import Progress
from core.errors import DownloadFailed, HubUnreachable, ModelGated, ModelNotFound, RevisionGone, UnsafeContentError
from core.refs import ModelRef
from tests.hub_server import CloseConnection, Hold, HubServer
from tests.tiny_models import make_tiny_chat_model

NEEDED = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
CLUTTER = {"README.md": b"# hi", "pytorch_model.bin": b"\x80" * 999, "model.fp16.safetensors": b"x" * 99, "a.png": b"p"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = make_tiny_chat_model(tmp_path_factory.mktemp("tiny"))
    return {path.name: path.read_bytes() for path in folder.iterdir()} | CLUTTER


@pytest.fixture
def ref(hub: HubServer, files: dict[str, bytes]) -> ModelRef:
    return ModelRef("team/tiny-chat", hub.add_model("team/tiny-chat", files))


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> Downloads:
    return Downloads(hub.url, "hf_alice", tmp_path / "cache")


def fetched(hub: HubServer) -> list[str]:
    return [request.path.rpartition("/")[2] for request in hub.sent("HEAD /*/resolve/*")]


def test_the_plan_says_the_bytes_and_the_download_brings_exactly_them(
    hub: HubServer, client: Downloads, ref: ModelRef, files: dict[str, bytes], tmp_path: Path
) -> None:
    wanted = NEEDED | {"model.safetensors", CARD}
    plan = client.plan(ref)
    size = sum(len(files[name]) for name in wanted)
    assert (plan.ready, plan.download_bytes, plan.files) == (False, size, len(wanted))
    steps = list(client.download(ref))
    assert {(step.stage, step.total, step.unit) for step in steps} == {("download", size, "bytes")}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == size
    folder = client.folder(ref)
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == wanted
    assert set(fetched(hub)) == wanted
    assert fetched(hub)[-1] == "model.safetensors", "weights last: where they are, everything is"
    assert all(ref.revision in request.path for request in hub.sent("HEAD /*/resolve/*"))
    cached = scan_cache_dir(tmp_path / "cache")
    assert [(repo.repo_id, next(iter(repo.revisions)).commit_hash) for repo in cache_models(cached)] == [
        (ref.repo_id, ref.revision)
    ]


@pytest.mark.parametrize("shape", [Downloads, PipelineDownloads])
def test_no_file_of_a_repository_is_written_or_looked_at_outside_its_folder(
    hub: HubServer,
    files: dict[str, bytes],
    tmp_path: Path,
    shape: Callable[..., Downloads],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Hub's git has no such names; whatever speaks its protocol under HF_ENDPOINT may send them."""
    monkeypatch.setattr("tests.hub_server.repos._check_paths", lambda files: None)
    ways_out = [
        "../../../evil.json",
        "unet/../../../../evil.safetensors",
        "/etc/evil.json",
        "text_encoder/..\\evil.json",
    ]
    index = {"model_index.json": b'{"_class_name": "X"}', "unet/config.json": b"{}", "unet/a.safetensors": b"w"}
    repo = {**files, **index, **dict.fromkeys(ways_out, b"evil")}
    ref = ModelRef("team/hostile", hub.add_model("team/hostile", repo))
    client = shape(hub.url, "hf_alice", tmp_path / "deep" / "down" / "cache")
    listed = [entry.path for entry in client._list(ref)]
    assert "config.json" in listed and "unet/config.json" in listed
    assert not set(listed) & set(ways_out)
    # What is left is no whole pipeline.
    with contextlib.suppress(DownloadFailed):
        list(client.download(ref))
    assert fetched(hub)
    assert not list(tmp_path.rglob("*evil*"))
    assert not [request.path for request in hub.requests if "evil" in request.path]


def cache_models(cache):
    return [repo for repo in cache.repos if repo.repo_type == "model"]


def test_what_is_here_asks_no_network_even_after_a_restart(
    hub: HubServer, client: Downloads, ref: ModelRef, tmp_path: Path
) -> None:
    list(client.download(ref))
    hub.stop()
    again = Downloads(hub.url, None, tmp_path / "cache")
    assert again.plan(ref).ready
    assert list(again.download(ref)) == []
    hub.start()


def test_a_pinned_commit_is_fetched_though_main_has_moved(hub: HubServer, client: Downloads, ref: ModelRef) -> None:
    hub.commit(ref.repo_id, files={"config.json": b'{"other": true}'})
    list(client.download(ref))
    assert b"other" not in (client.folder(ref) / "config.json").read_bytes()


def test_shards_without_one_of_them_are_not_the_model(client: Downloads, ref: ModelRef) -> None:
    snapshot = client.snapshot(ref)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model-00001-of-00002.safetensors").write_text("")
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    (snapshot / "model.safetensors.index.json").write_text(index)
    assert client.folder(ref) is None
    (snapshot / "model-00002-of-00002.safetensors").write_text("")
    assert client.folder(ref) == snapshot


def test_only_what_describes_a_model_is_fetched_to_describe_it(
    hub: HubServer, client: Downloads, ref: ModelRef
) -> None:
    folder = client.describing(ref)
    assert (folder / "config.json").is_file()
    assert "model.safetensors" not in fetched(hub)
    assert client.folder(ref) is None, "a described model is not a downloaded one"


def test_a_full_disk_is_said_before_anything_is_fetched(
    hub: HubServer, client: Downloads, ref: ModelRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(DownloadFailed, match=r"needs .* GB and 0\.00 GB are free"):
        list(client.download(ref))
    assert fetched(hub) == []


def test_a_disk_that_fills_up_half_way_is_a_sentence(
    client: Downloads, ref: ModelRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    whole = huggingface_hub.hf_hub_download

    def full(repo_id: str, path: str, **arguments):
        if path == "model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(repo_id, path, **arguments)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(DownloadFailed, match="disk filled up"):
        list(client.download(ref))
    assert client.folder(ref) is None
    monkeypatch.undo()
    list(client.download(ref))
    assert client.folder(ref) is not None


def test_a_connection_that_is_lost_is_a_sentence_and_can_be_tried_again(
    hub: HubServer, client: Downloads, ref: ModelRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.file_download as theirs

    monkeypatch.setattr(theirs.time, "sleep", lambda seconds: None)
    client.plan(ref)
    hub.fail_next("* /*/resolve/*/model.safetensors", CloseConnection(), times=None)
    with pytest.raises(DownloadFailed, match="connection was lost"):
        list(client.download(ref))
    hub.clear_faults()
    list(client.download(ref))
    assert client.folder(ref) is not None


def test_what_the_hub_refuses_is_told(
    hub: HubServer, client: Downloads, ref: ModelRef, files: dict[str, bytes]
) -> None:
    gated = ModelRef("team/guarded", hub.add_model("team/guarded", files, gated="manual"))
    with pytest.raises(ModelGated) as refused:
        list(client.download(gated))
    assert refused.value.link == f"{hub.url}/team/guarded"
    for plan in (client.plan, lambda ref: list(client.download(ref))):
        with pytest.raises(ModelNotFound):
            plan(ModelRef("team/absent", "a" * 40))
        with pytest.raises(RevisionGone):
            plan(ModelRef(ref.repo_id, "b" * 40))
    pickled = ModelRef("team/pickled", hub.add_model("team/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"}))
    with pytest.raises(UnsafeContentError, match="pickle"):
        client.plan(pickled)


def test_an_unreachable_hub_is_told(tmp_path: Path) -> None:
    nowhere = Downloads("http://127.0.0.1:9", None, tmp_path / "cache")
    with pytest.raises(HubUnreachable):
        nowhere.plan(ModelRef("team/tiny-chat", "a" * 40))


def test_two_at_once_are_one_download(hub: HubServer, client: Downloads, ref: ModelRef) -> None:
    client.plan(ref)
    hold = Hold()
    hub.fail_next("GET /*/resolve/*/config.json", hold)
    heard: list[list[Progress]] = []
    threads = [threading.Thread(target=lambda: heard.append(list(client.download(ref)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert hold.arrived.wait(60)
    until(lambda: client._running[ref].watchers == 2)
    hold.release()
    for thread in threads:
        thread.join(20)
    assert [steps[-1].done == steps[-1].total for steps in heard] == [True, True]
    assert sorted(fetched(hub)) == sorted(set(fetched(hub)))


def test_closing_the_generator_stops_the_download(hub: HubServer, client: Downloads, ref: ModelRef) -> None:
    client.plan(ref)
    hold = Hold()
    hub.fail_next("GET /models/*/objects/*", hold)
    steps = client.download(ref)
    next(steps)
    assert hold.arrived.wait(60)
    job = client._running[ref]
    steps.close()
    assert ref not in client._running
    hold.release()
    until(lambda: job.over)
    assert client.folder(ref) is None
    assert not list(client.snapshot(ref).parents[1].rglob("*.incomplete"))
    list(client.download(ref))
    assert client.folder(ref) is not None


def until(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)
