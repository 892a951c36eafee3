"""Reads one model of the Hub's JSON into a summary, whatever types strangers put there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.catalog import FileEntry, ModelSummary
from core.errors import UserInputError
from core.licenses import license_of
from core.refs import COMMIT, check_repo_id
from core.weights import formats_by_tags, formats_of

MOST_TAGS = 2000


@dataclass(frozen=True, slots=True)
class Row:
    """A summary with the tags behind it, which search looks into but does not show."""

    summary: ModelSummary
    tags: tuple[str, ...] = ()

    def contains(self, words: Iterable[str]) -> bool:
        """Whether every word (lower case) is in the id, the task, the library or a tag."""
        summary = self.summary
        hay = "\n".join((summary.repo_id, summary.task or "", summary.library or "", *self.tags)).lower()
        return all(word in hay for word in words)


def row_of(raw: object) -> Row | None:
    """The row for one entry of the Hub's list; None when it does not even name a repository."""
    if not isinstance(raw, Mapping):
        return None
    repo_id = text_of(raw.get("id")) or text_of(raw.get("modelId"))
    try:
        check_repo_id(repo_id or "")
    except UserInputError:
        return None
    assert repo_id is not None
    tags = tags_of(raw)
    metadata = mapping_of(raw.get("cardData"))
    paths = [entry.path for entry in files_of(raw) or ()]
    stated = license_of(metadata or {}, tags)
    gated = raw.get("gated")
    return Row(
        ModelSummary(
            repo_id=repo_id,
            revision=commit_of(raw),
            source="hub",
            task=text_of(raw.get("pipeline_tag")),
            library=text_of(raw.get("library_name")),
            license=stated.id,
            license_class=stated.license_class,
            params=_count(mapping_of(raw.get("safetensors")), "total") or _count(mapping_of(raw.get("gguf")), "total"),
            downloads=_count(raw, "downloads"),
            likes=_count(raw, "likes"),
            updated=text_of(raw.get("lastModified")),
            gated=None if gated is None else bool(gated),
            has_card=_has_card(paths, metadata),
            weights_formats=formats_of(paths) if paths else _formats(raw, tags),
        ),
        tags,
    )


def commit_of(raw: object) -> str | None:
    """The full commit an answer is about."""
    sha = raw.get("sha") if isinstance(raw, Mapping) else None
    return sha if isinstance(sha, str) and COMMIT.fullmatch(sha) else None


def tags_of(raw: Mapping[str, object]) -> tuple[str, ...]:
    """The texts among an entry's tags."""
    tags = raw.get("tags")
    return tuple(tag for tag in tags[:MOST_TAGS] if isinstance(tag, str)) if isinstance(tags, list) else ()


def files_of(raw: Mapping[str, object]) -> tuple[FileEntry, ...] | None:
    """The repository's files, None when the answer does not list them."""
    siblings = raw.get("siblings")
    if not isinstance(siblings, list):
        return None
    entries = []
    for sibling in siblings:
        if isinstance(sibling, Mapping) and (path := text_of(sibling.get("rfilename"))):
            size = _count(sibling, "size")
            entries.append(FileEntry(path, _count(mapping_of(sibling.get("lfs")), "size") if size is None else size))
    return tuple(entries)


def text_of(value: object) -> str | None:
    """`value` if it is a text that says something."""
    return value if isinstance(value, str) and value.strip() else None


def mapping_of(value: object) -> dict[str, object] | None:
    """`value` if it is a JSON object."""
    return value if isinstance(value, dict) else None


def _count(raw: Mapping[str, object] | None, key: str) -> int | None:
    value = (raw or {}).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    return int(value)


def _formats(raw: Mapping[str, object], tags: tuple[str, ...]) -> tuple[str, ...] | None:
    """What a list row, which names no files, tells of the weights."""
    seen = {name for name in ("safetensors", "gguf") if mapping_of(raw.get(name))}
    return tuple(sorted(seen.union(formats_by_tags(tags)))) or None


def _has_card(paths: list[str], metadata: Mapping[str, object] | None) -> bool | None:
    if paths:
        return "README.md" in paths
    # A list row without metadata may still have a card that is text alone.
    return True if metadata else None
