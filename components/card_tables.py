"""A card's metadata, files and findings as small HTML tables. Everything in them is a stranger's text, and escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice

from components.numbers import bytes_of
from core.card_parts import UNSAFE
from core.catalog import FileEntry, Finding
from core.weights import file_format

MOST_ROWS = 60
MOST_FILES = 200
MOST_CHARACTERS = 400
MOST_DEPTH = 4
MOST_ITEMS = 30
_MARKERS = {
    "safetensors": ("safetensors", ""),
    "gguf": ("GGUF", ""),
    "onnx": ("ONNX", ""),
    "pickle": ("pickle", " pg-warn"),
    "tensorflow": ("TensorFlow", ""),
    "flax": ("Flax", ""),
    "openvino": ("OpenVINO", ""),
}
EMPTY: Mapping[str, str] = {}
_SEVERITIES = {"high": "High", "medium": "Medium", "low": "Low", "info": "Note"}


def metadata_table(metadata: Mapping[str, object]) -> str:
    """The card's front matter, one row a name; nested values in one line, long ones cut."""
    if not metadata:
        return '<p class="pg-meta">The card has no metadata.</p>'
    rows = "".join(
        f"<tr><th>{escape(_cut(str(name), 80))}</th><td>{escape(_cut(_compact(value)))}</td></tr>"
        for name, value in islice(metadata.items(), MOST_ROWS)
    )
    return f'<table dir="auto">{rows}</table>{_more(len(metadata) - MOST_ROWS, "entries")}'


def files_table(files: Sequence[FileEntry], scans: Mapping[str, str] = EMPTY) -> str:
    """Files with their sizes, for weights the format, and what the Hub's scan said of a file where it is known."""
    if not files:
        return '<p class="pg-meta">No files are known.</p>'
    rows = "".join(
        f"<tr><td>{escape(_cut(entry.path, 200))}{_marker(entry.path)}{_scan(scans.get(entry.path))}</td>"
        f'<td class="n">{bytes_of(entry.size)}</td></tr>'
        for entry in files[:MOST_FILES]
    )
    known = [entry.size for entry in files if entry.size is not None]
    total = f"{len(files):,} files, {bytes_of(sum(known))}" if len(known) == len(files) else f"{len(files):,} files"
    head = '<thead><tr><th>File</th><th class="n">Size</th></tr></thead>'
    return (
        f"<table>{head}<tbody>{rows}</tbody></table>{_more(len(files) - MOST_FILES, 'files')}"
        f'<p class="pg-meta">{total}{_scanned(files, scans)}</p>'
    )


def findings_list(findings: Sequence[Finding]) -> str:
    """What was found, the gravest first, each with the place it comes from."""
    if not findings:
        return (
            '<p class="pg-meta">Nothing was found among what is checked: licence, pickle weights, own code, access.</p>'
        )
    items = "".join(
        f'<li class="pg-finding pg-{escape(finding.severity)}"><b>{_SEVERITIES.get(finding.severity, "Note")}</b> '
        f'{escape(finding.sentence)} <span class="pg-meta">{escape(_cut(finding.source, 200))}</span></li>'
        for finding in findings
    )
    return f'<ul class="pg-findings">{items}</ul>'


def _compact(value: object, depth: int = 0) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if depth >= MOST_DEPTH and isinstance(value, list | dict):
        return "…"
    if isinstance(value, list):
        parts = [_compact(item, depth + 1) for item in value[:MOST_ITEMS]]
        text = ", ".join(parts) + (f" and {len(value) - MOST_ITEMS} more" if len(value) > MOST_ITEMS else "")
        return f"[{text}]" if depth else text
    if isinstance(value, dict):
        parts = [
            f"{_cut(str(name), 80)}: {_compact(item, depth + 1)}" for name, item in islice(value.items(), MOST_ITEMS)
        ]
        text = ", ".join(parts) + (f" and {len(value) - MOST_ITEMS} more" if len(value) > MOST_ITEMS else "")
        return f"{{{text}}}" if depth else text
    return _cut(str(value))


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text[:most] + "…" if len(text) > most else text


def _more(count: int, what: str) -> str:
    return f'<p class="pg-meta">and {count:,} more {what}</p>' if count > 0 else ""


def _scan(status: str | None) -> str:
    """A mark for a file that the Hub's scan did not find safe; a safe one needs none in a list of a hundred."""
    if status is None or status == "safe":
        return ""
    warn = " pg-warn" if status in UNSAFE else ""
    return f' <span class="pg-tag{warn}" title="the Hub\'s scan of this file">scan: {escape(_cut(status, 40))}</span>'


def _scanned(files: Sequence[FileEntry], scans: Mapping[str, str]) -> str:
    if not scans:
        return ""
    safe = sum(scans.get(entry.path) == "safe" for entry in files)
    unknown = sum(entry.path not in scans for entry in files)
    rest = f", {unknown:,} not told" if unknown else ""
    return f". The Hub's scan: {safe:,} safe{rest}"


def _marker(path: str) -> str:
    found = file_format(path)
    if found is None:
        return ""
    text, kind = _MARKERS[found]
    return f' <span class="pg-tag{kind}">{text}</span>'
