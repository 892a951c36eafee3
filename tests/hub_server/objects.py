"""Git and LFS objects: the ids, trees and pointers that the Hub shows to its clients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

LFS_SIZE = 10 * 1024 * 1024
"""A larger file is refused as a regular git blob."""

_SUFFIXES = """
7z arrow avro bin bz2 ckpt ftz gguf gz h5 joblib lz4 mds mlmodel model msgpack npy npz onnx ot parquet pb
pickle pkl pt pth rar safetensors tar tflite tgz wasm xz zip zst pcm sam raw aac flac mp3 ogg wav bmp gif
png tiff jpg jpeg webp mp4 webm mov pdf
"""
_LFS_SUFFIXES = frozenset(_SUFFIXES.split())


@dataclass(frozen=True)
class Entry:
    """One file of one commit."""

    path: str
    content: bytes
    oid: str
    """Git sha1 of the blob; for an LFS file, of its pointer."""
    sha256: str | None
    """Sha256 of the content for an LFS file, None for a regular one."""

    @property
    def etag(self) -> str:
        """What the Hub gives as the file's ETag."""
        return self.sha256 or self.oid

    @property
    def lfs(self) -> dict[str, object] | None:
        """Size, sha256 and pointer size of an LFS file, else None."""
        if self.sha256 is None:
            return None
        pointer = lfs_pointer(self.sha256, len(self.content))
        return {"oid": self.sha256, "size": len(self.content), "pointerSize": len(pointer)}


def regular_entry(path: str, content: bytes) -> Entry:
    """Make the entry of a file that git itself stores."""
    return Entry(path, content, git_id("blob", content), None)


def lfs_entry(path: str, content: bytes) -> Entry:
    """Make the entry of a file that LFS stores."""
    sha256 = hashlib.sha256(content).hexdigest()
    return Entry(path, content, git_id("blob", lfs_pointer(sha256, len(content))), sha256)


def entry_for(path: str, content: bytes) -> Entry:
    """Make the entry the way the Hub's own rule would have it stored."""
    if needs_lfs(path, len(content), content[:512]):
        return lfs_entry(path, content)
    return regular_entry(path, content)


def needs_lfs(path: str, size: int, sample: bytes) -> bool:
    """Tell whether the Hub takes this file through LFS only."""
    if size == 0:
        return False
    suffix = PurePosixPath(path).suffix.lstrip(".").lower()
    return suffix in _LFS_SUFFIXES or size > LFS_SIZE or b"\0" in sample


def git_id(kind: str, content: bytes) -> str:
    """Return the id git gives to an object."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """Return the small text file that git stores in place of an LFS object."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def tree_ids(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the git tree id of every folder, the root being ``""``."""
    folders: dict[str, dict[str, tuple[bytes, str]]] = {"": {}}
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        folders.setdefault(parent, {})[name] = (b"100644", entry.oid)
        while parent:
            parent, _, _ = parent.rpartition("/")
            folders.setdefault(parent, {})
    ids: dict[str, str] = {}
    for folder in sorted(folders, key=lambda path: (path != "", path.count("/")), reverse=True):
        ids[folder] = _tree_id(folders[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            folders[parent][name] = (b"40000", ids[folder])
    return ids


def _tree_id(children: Mapping[str, tuple[bytes, str]]) -> str:
    def git_order(name: str) -> bytes:
        return name.encode() + (b"/" if children[name][0] == b"40000" else b"")

    lines = [
        children[name][0] + b" " + name.encode() + b"\0" + bytes.fromhex(children[name][1])
        for name in sorted(children, key=git_order)
    ]
    return git_id("tree", b"".join(lines))
