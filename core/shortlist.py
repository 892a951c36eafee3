"""The shortlist: up to twelve exact models with a status and a reason, as a browser keeps it and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from core.catalog import ModelSummary
from core.errors import AppError, UserInputError
from core.licenses import CLASS_OF
from core.refs import ModelRef, shown

MOST_ENTRIES = 12
VERSION = 1
MOST_REASON = 500
MOST_WHO = 80
_MOST_JSON = 200_000

Status = Literal["candidate", "chosen", "rejected"]
STATUSES: tuple[Status, ...] = ("candidate", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the shortlist, at a commit. `who` and `when` (ISO 8601) are of the last decision about it."""

    repo_id: str
    revision: str
    status: Status = "candidate"
    reason: str = ""
    who: str = ""
    when: str = ""
    license: str = ""
    license_class: str = ""
    task: str = ""
    params: int | None = None

    @property
    def ref(self) -> ModelRef:
        """The exact model."""
        return ModelRef(self.repo_id, self.revision)

    @property
    def key(self) -> str:
        """`repo_id@revision`."""
        return f"{self.repo_id}@{self.revision}"


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file of a commit: its size in bytes, and its sha256 or, for small files, the git blob id, both in hex."""

    path: str
    size: int | None
    sha256: str | None = None
    blob_id: str | None = None


def entry_of(summary: ModelSummary, when: str) -> Entry:
    """A new candidate from a row; raises `UserInputError` when the row names no commit."""
    if summary.revision is None:
        raise UserInputError(f"The list names no commit of {summary.repo_id}. Open its card and pin the commit there.")
    return Entry(
        summary.repo_id, summary.revision, when=when, license=summary.license or "",
        license_class=summary.license_class or "", task=summary.task or "", params=summary.params,
    )  # fmt: skip


def added(entries: Sequence[Entry], entry: Entry) -> tuple[Entry, ...]:
    """The shortlist with `entry` at its end; the same commit stands in it once."""
    if any(each.key == entry.key for each in entries):
        return tuple(entries)
    if len(entries) >= MOST_ENTRIES:
        raise UserInputError(f"The shortlist holds {MOST_ENTRIES} models. Remove one to add {entry.repo_id}.")
    return (*entries, entry)


def removed(entries: Sequence[Entry], key: str) -> tuple[Entry, ...]:
    """The shortlist without one model."""
    return tuple(each for each in entries if each.key != key)


def decided(
    entries: Sequence[Entry], key: str, *, status: str | None = None, reason: str | None = None, who: str, when: str
) -> tuple[Entry, ...]:
    """The shortlist with a status or a reason changed, and by whom."""
    changes: dict[str, Any] = {"who": who.strip()[:MOST_WHO], "when": when}
    if status is not None:
        if status not in STATUSES:
            raise UserInputError(f"status has to be one of {', '.join(STATUSES)}; it is “{shown(status)}”.")
        changes["status"] = status
    if reason is not None:
        changes["reason"] = reason.strip()[:MOST_REASON]
    return tuple(replace(each, **changes) if each.key == key else each for each in entries)


def kept(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The shortlist as the browser keeps it."""
    return [asdict(each) for each in entries]


def read_kept(value: object) -> tuple[Entry, ...]:
    """What a browser kept. Whatever is not an entry is left out: it may be of another version, or edited by hand."""
    found: list[Entry] = []
    for item in value if isinstance(value, list) else []:
        try:
            entry = _entry(item)
        except AppError:
            continue
        if all(entry.key != each.key for each in found):
            found.append(entry)
    return tuple(found[:MOST_ENTRIES])


def to_json(entries: Sequence[Entry]) -> str:
    """The shortlist as a file, one that `from_json` reads."""
    return json.dumps({"proving_shortlist": VERSION, "models": kept(entries)}, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> tuple[Entry, ...]:
    """A shortlist out of a file: its own, or a lock file. Raises `UserInputError` saying which entry is wrong."""
    if len(text) > _MOST_JSON:
        raise UserInputError("The file is too large to be a shortlist. Choose the JSON or lock file that was exported.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserInputError("The file is not JSON. Choose the JSON or lock file that was exported.") from error
    rows = data.get("models") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not ({"proving_shortlist", "proving_lock"} & set(data)):
        raise UserInputError("The file is not a shortlist. Choose the JSON or lock file that was exported.")
    if len(rows) > MOST_ENTRIES:
        raise UserInputError(f"The file names {len(rows)} models; a shortlist holds {MOST_ENTRIES}. Shorten it.")
    found: tuple[Entry, ...] = ()
    for number, row in enumerate(rows, 1):
        try:
            found = added(found, _entry(row))
        except AppError as error:
            raise UserInputError(f"Entry {number} of the file is wrong. {error}") from error
    return found


def to_lock(entries: Sequence[Entry], files: Mapping[str, Sequence[LockedFile]]) -> str:
    """The lock file: what `snapshot_download(repo_id, revision=revision, allow_patterns=...)` has to fetch, with hashes.

    `files` are by `Entry.key`.
    """
    models = [
        {
            "repo_id": each.repo_id,
            "repo_type": "model",
            "revision": each.revision,
            "license": each.license,
            "license_class": each.license_class,
            "status": each.status,
            "reason": each.reason,
            "who": each.who,
            "when": each.when,
            "files": [asdict(file) for file in files[each.key]],
        }
        for each in entries
    ]
    return json.dumps({"proving_lock": VERSION, "models": models}, indent=2, ensure_ascii=False) + "\n"


_TEXTS = ("reason", "who", "when", "license", "license_class", "task")


def _entry(item: object) -> Entry:
    if not isinstance(item, dict):
        raise UserInputError("It is not a set of fields.")
    values: dict[str, Any] = {}
    for field in fields(Entry):
        value = item.get(field.name)
        if field.name in _TEXTS:
            values[field.name] = value[:MOST_REASON] if isinstance(value, str) else ""
        elif field.name == "params":
            known = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            values["params"] = value if known else None
        elif field.name == "status":
            if value is not None and value not in STATUSES:
                raise UserInputError(f"status has to be one of {', '.join(STATUSES)}.")
            values["status"] = value or "candidate"
        else:
            values[field.name] = value if isinstance(value, str) else ""
    if values["license"] and not values["license_class"]:
        values["license_class"] = CLASS_OF.get(values["license"], "unknown")
    entry = Entry(**values)
    _ = entry.ref  # Raises for a malformed repository id, and for anything but a commit.
    return entry
