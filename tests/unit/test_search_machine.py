"""The cache of this machine: what is in it, what deleting would free, and that nothing else goes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from backends.hub.cache_folder import CacheFolder
from pages.search_machine import MachinePage

OLD, NEW, OTHER = "a" * 40, "b" * 40, "c" * 40


def revision(cache: Path, repo: str, commit: str, files: dict[str, tuple[str, bytes]], ref: str = "") -> None:
    """A snapshot as hf_hub_download leaves it: links to blobs."""
    root = cache / f"models--{repo.replace('/', '--')}"
    for name, (blob, content) in files.items():
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        (root / "blobs" / blob).write_bytes(content)
        link = root / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(root / "blobs" / blob)
    if ref:
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / ref).write_text(commit)


def filled(cache: Path) -> CacheFolder:
    config = ("c1", b"{}" * 50)
    revision(cache, "org/chat", OLD, {"config.json": config, "model.safetensors": ("w1", b"x" * 5000)})
    revision(cache, "org/chat", NEW, {"config.json": config, "model.safetensors": ("w2", b"y" * 6000)}, "main")
    revision(cache, "org/else", OTHER, {"model.safetensors": ("w3", b"z" * 9000)}, "main")
    return CacheFolder(cache, lambda: [OTHER])


def event(*keys: str) -> Any:
    return gr.EventData(None, {"keys": list(keys)})


def test_sizes_and_what_each_would_free_alone(tmp_path: Path) -> None:
    found = filled(tmp_path).revisions()
    assert [(each.key, each.size, each.frees, each.files) for each in found] == [
        (f"org/else@{OTHER}", 9000, 9000, 1), (f"org/chat@{NEW}", 6100, 6000, 2), (f"org/chat@{OLD}", 5100, 5000, 2),
    ]  # fmt: skip
    assert [each.in_use for each in found] == [True, False, False]
    assert found[1].refs == ("main",)
    assert CacheFolder(tmp_path / "none").revisions() == ()


def test_what_is_shown_is_what_goes(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    page = MachinePage(cache)
    keys = [f"org/chat@{OLD}", f"org/else@{OTHER}", "org/chat@nothing", "../../etc@x"]
    plan = page.plan(event(*keys))
    assert "This revision goes, and 5 kB become free" in plan
    assert "org/else" not in plan, "what is in use stays"
    assert len(cache.revisions()) == 3, "nothing goes before it is confirmed"
    _, table, said = page.free(event(*keys))
    assert "5 kB are free again" in said
    assert {each.revision for each in cache.revisions()} == {NEW, OTHER}
    # The file that both revisions shared is still there, and readable.
    assert (tmp_path / "models--org--chat/snapshots" / NEW / "config.json").read_bytes() == b"{}" * 50
    assert OLD[:7] not in table


def test_both_revisions_together_free_what_they_share(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert cache.would_free([f"org/chat@{OLD}", f"org/chat@{NEW}"]).size == 11_100
    cache.free([f"org/chat@{OLD}", f"org/chat@{NEW}"])
    assert [each.repo_id for each in cache.revisions()] == ["org/else"]


def test_nothing_marked_frees_nothing(tmp_path: Path) -> None:
    page = MachinePage(filled(tmp_path))
    assert "Mark revisions" in page.plan(event())
    assert "Mark revisions" in page.plan(SimpleNamespace(keys="everything"))  # type: ignore[arg-type]
    assert "0 revisions" in page.free(event())[2]
    assert "cache is empty" in MachinePage(CacheFolder(tmp_path / "none")).show()[1]
