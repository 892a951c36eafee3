"""Reads the Hub's dataset viewer: features, splits and first rows it has computed. Wire format: its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backends.hub.errors import About
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession
from core.errors import HubError
from core.repo_cards import MOST_CELL, MOST_COLUMNS, MOST_PREVIEWED, Cell, Column, DatasetParts, Preview, Split, type_of

VIEWERS: Mapping[str, str] = {"https://huggingface.co": "https://datasets-server.huggingface.co"}
"""Only the Hub itself has one (`huggingface_hub.constants.DATASETS_SERVER_ENDPOINT`); other hosts are read file by file."""
SOURCE = "the Hub's dataset viewer"
MOST_SPLITS = 400


def viewer_of(endpoint: str) -> str:
    """The viewer that goes with a Hub, "" where there is none."""
    return VIEWERS.get(endpoint.rstrip("/"), "")


def viewer_parts(session: HubSession, repo_id: str, until: float) -> DatasetParts:
    """Features by config and the splits with rows and bytes; raises `HubError` where the viewer does not know them."""
    data = session.get_json("/info", [("dataset", repo_id)], about=About(session.endpoint, repo_id), until=until).data
    configs = mapping_of((mapping_of(data) or {}).get("dataset_info")) or {}
    if not configs:
        raise HubError("The dataset viewer has nothing to tell of this dataset yet.")
    return parts_of_info(configs, SOURCE)


def parts_of_info(configs: Mapping[str, object], source: str) -> DatasetParts:
    """Features and splits from descriptions by config, each as `datasets.DatasetInfo` writes itself."""
    columns: dict[str, tuple[Column, ...]] = {}
    splits: list[Split] = []
    for config, raw in configs.items():
        info = mapping_of(raw) or {}
        columns[config] = columns_of(info.get("features"))
        named = info.get("splits")
        rows: list[Any] = list(named.values()) if isinstance(named, dict) else named if isinstance(named, list) else []
        for row in rows:
            split = mapping_of(row) or {}
            if name := text_of(split.get("name")):
                splits.append(Split(config, name, _count(split.get("num_examples")), _count(split.get("num_bytes"))))
    return DatasetParts(columns, tuple(splits[:MOST_SPLITS]), source)


def columns_of(features: object) -> tuple[Column, ...]:
    """Columns of `features`: a mapping of names to types as JSON has it, or the list of a card's YAML."""
    if isinstance(features, dict):
        return tuple(Column(str(name)[:200], type_of(kind)) for name, kind in features.items())
    found = []
    for raw in features if isinstance(features, list) else []:
        feature = mapping_of(raw) or {}
        if name := text_of(feature.get("name")):
            inside = next(
                (feature[key] for key in ("dtype", "list", "sequence", "struct", "type") if key in feature), "?"
            )
            kind = type_of(inside)
            wrapped = "list" in feature or "sequence" in feature
            found.append(Column(name[:200], f"List({kind})" if wrapped and not kind.startswith("List(") else kind))
    return tuple(found)


def viewer_rows(session: HubSession, repo_id: str, config: str, split: str, until: float) -> Preview:
    """The first rows as the viewer computed them; raises `HubError` where it has none."""
    asked = [("dataset", repo_id), ("config", config), ("split", split)]
    data = session.get_json("/first-rows", asked, about=About(session.endpoint, repo_id), until=until).data
    answer = mapping_of(data) or {}
    features, rows = answer.get("features"), answer.get("rows")
    if not isinstance(features, list) or not isinstance(rows, list):
        raise HubError("The dataset viewer has no first rows of this split.")
    described = [mapping_of(raw) or {} for raw in features]
    columns = [Column(str(each.get("name", "?"))[:200], type_of(each.get("type"))) for each in described]
    records = [mapping_of((mapping_of(raw) or {}).get("row")) or {} for raw in rows]
    labels = {
        str(each.get("name", "?"))[:200]: names
        for each in described
        if isinstance(names := (mapping_of(each.get("type")) or {}).get("names"), list)
    }
    return preview_of(config, split, columns, records, SOURCE, labels=labels)


def preview_of(
    config: str,
    split: str,
    columns: list[Column],
    records: list[dict[str, Any]],
    source: str,
    *notes: str,
    labels: Mapping[str, list[Any]] | None = None,
) -> Preview:
    """A preview that fits a page: the first rows and columns, long values cut, what is left out said.

    `labels` are the names of the classes of a column, in their order: rows hold their numbers.
    """
    shown, said = columns[:MOST_COLUMNS], list(notes)
    labels = labels or {}
    if len(columns) > MOST_COLUMNS:
        said.append(f"{len(columns):,} columns: the first {MOST_COLUMNS} are shown.")
    rows = tuple(
        tuple(_named_cell(row.get(each.name), each.type, labels.get(each.name)) for each in shown)
        for row in records[:MOST_PREVIEWED]
    )
    if any("Audio" in each.type for each in shown):
        said.append("Sounds are not played here; each link opens one on the Hub.")
    return Preview(config, split, tuple(shown), rows, source, tuple(said), None if rows else "This split has no rows.")


def _named_cell(value: object, kind: str, names: list[Any] | None) -> Cell:
    if names and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return Cell(f"{value} ({str(names[value])[:80]})")
    return cell_of(value, kind)


def cell_of(value: object, kind: str) -> Cell:
    """One value for the screen."""
    first = value[0] if isinstance(value, list) and value else value
    media = first if isinstance(first, dict) else {}
    address = media.get("src")
    if isinstance(address, str) and address.startswith(("https://", "http://")):
        if kind.startswith(("Image", "List(Image")) or "height" in media:
            size = f"{media.get('width', '?')} × {media.get('height', '?')}"
            return Cell(f"picture, {size}", "image", address)
        return Cell("sound" if "Audio" in kind else kind, "audio", address)
    if value is None:
        return Cell("–")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return Cell(text if len(text) <= MOST_CELL else text[:MOST_CELL] + "…")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
