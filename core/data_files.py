"""Which files of a dataset repository hold which split: as its card says, else by the names people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch

from core.catalog import FileEntry

READABLE = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".opus")
ARCHIVES = (".tar", ".zip", ".gz", ".zst", ".bz2", ".xz", ".7z", ".arrow", ".h5", ".hdf5", ".npz")
DEFAULT = "default"
MOST_CONFIGS = 200
_SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_NOT_DATA = re.compile(r"(^|/)(\.|readme|license|dataset_infos?\.json|dataset_dict\.json|requirements)", re.IGNORECASE)
Files = dict[tuple[str, str], list[FileEntry]]


def files_by_split(files: Sequence[FileEntry], metadata: Mapping[str, object]) -> Files:
    """The data files by (config, split), in the order of their names; nothing is invented where no name tells."""
    data = [each for each in files if each.path.lower().endswith((*READABLE, *PICTURES, *SOUNDS))]
    data = [each for each in data if not _NOT_DATA.search(each.path)]
    return _said(data, metadata) or _named(data)


def is_script_only(files: Sequence[FileEntry]) -> bool:
    """Whether the rows exist only where somebody runs the repository's own code."""
    paths = [each.path.lower() for each in files]
    return any("/" not in path and path.endswith(".py") for path in paths) and not any(
        path.endswith((*READABLE, *PICTURES, *SOUNDS, *ARCHIVES)) and not _NOT_DATA.search(path) for path in paths
    )


def _said(data: Sequence[FileEntry], metadata: Mapping[str, object]) -> Files:
    """As the card's `configs` say: patterns by config and split."""
    found: Files = {}
    configs = metadata.get("configs")
    for raw in configs[:MOST_CONFIGS] if isinstance(configs, list) else []:
        if not isinstance(raw, dict):
            continue
        name = raw.get("config_name")
        name = name if isinstance(name, str) and name else DEFAULT
        for split, patterns in _patterns(raw.get("data_files"), raw.get("data_dir")):
            chosen = [each for each in data if any(_fits(each.path, pattern) for pattern in patterns)]
            if chosen:
                found.setdefault((name, split), []).extend(chosen)
    return found


def _patterns(data_files: object, data_dir: object) -> Iterable[tuple[str, list[str]]]:
    if isinstance(data_files, str):
        return [("train", [data_files])]
    rows = data_files if isinstance(data_files, list) else []
    if rows and all(isinstance(row, str) for row in rows):
        return [("train", [str(row) for row in rows])]
    found = []
    for row in rows:
        split, paths = (row.get("split"), row.get("path")) if isinstance(row, dict) else (None, None)
        wanted = (
            [paths]
            if isinstance(paths, str)
            else [p for p in paths if isinstance(p, str)]
            if isinstance(paths, list)
            else []
        )
        if isinstance(split, str) and wanted:
            found.append((split, wanted))
    if not found and isinstance(data_dir, str) and data_dir:
        return [("train", [f"{data_dir.strip('/')}/*"])]
    return found


def _fits(path: str, pattern: str) -> bool:
    # `**` means any depth, and so does `*` here: a pattern that is a little wide shows a file too many, never too few.
    return len(pattern) < 300 and fnmatch(path, pattern.removeprefix("./").replace("**/", "*"))


def _named(data: Sequence[FileEntry]) -> Files:
    """By the words of the paths, as the datasets library does; train where none tells."""
    readable = [each for each in data if each.path.lower().endswith(READABLE)]
    chosen = [each for each in readable if each.path.startswith("data/")] or readable or list(data)
    found: Files = {}
    for each in sorted(chosen, key=lambda file: file.path):
        words = _WORD.findall(each.path.lower())
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "train")
        found.setdefault((DEFAULT, split), []).append(each)
    return found
