"""What the API tells about one repository: `model_info`, `dataset_info` and the rows of the lists."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.hub_server.accounts import object_id
from tests.hub_server.cards import base_models, card_data, safetensors_totals, tags_of
from tests.hub_server.repos import Commit, Kind, Repository
from tests.hub_server.web import Refusal

_MODEL_PROPERTIES = """
author baseModels cardData childrenModelCount config createdAt disabled downloads downloadsAllTime
evalResults gated gguf inference inferenceProviderMapping lastModified library_name likes mask_token
model-index pipeline_tag private resourceGroup safetensors sha siblings spaces tags transformersInfo
trendingScore usedStorage widgetData
"""
_DATASET_PROPERTIES = """
author cardData citation createdAt description disabled downloads downloadsAllTime gated lastModified
likes mainSize paperswithcode_id private resourceGroup sha siblings tags trendingScore usedStorage
"""
_SPACE_PROPERTIES = """
author cardData createdAt datasets disabled lastModified likes models private region resourceGroup runtime
sdk sha siblings subdomain tags trendingScore usedStorage
"""
EXPANDABLE: dict[Kind, frozenset[str]] = {
    "model": frozenset(_MODEL_PROPERTIES.split()),
    "dataset": frozenset(_DATASET_PROPERTIES.split()),
    "space": frozenset(_SPACE_PROPERTIES.split()),
}
_ONLY_EXPANDED = frozenset(
    [
        "baseModels",
        "childrenModelCount",
        "downloadsAllTime",
        "evalResults",
        "inferenceProviderMapping",
        "mainSize",
        "resourceGroup",
        "trendingScore",
    ]
)
_LIST_ROW = frozenset(
    [
        "likes",
        "trendingScore",
        "private",
        "downloads",
        "tags",
        "pipeline_tag",
        "library_name",
        "createdAt",
        "sdk",
    ]
)
_FULL_LIST_ROW = frozenset(["author", "disabled", "gated", "lastModified", "sha", "siblings", "mask_token"])


def check_expand(kind: Kind, expand: Iterable[str]) -> frozenset[str]:
    """Return the properties asked for, refusing one the Hub does not have."""
    wanted = frozenset(expand)
    if unknown := sorted(wanted - EXPANDABLE[kind]):
        raise Refusal(400, f'"expand" must be one of {sorted(EXPANDABLE[kind])}, not {unknown}')
    return wanted


def describe(
    repo: Repository, commit: Commit, expand: frozenset[str], *, blobs: bool = False, security: bool = False
) -> dict[str, object]:
    """Return the info of a repository at a commit; without `expand`, what the Hub gives by itself."""
    facts = _facts(repo, commit)
    wanted = expand or (EXPANDABLE[repo.kind] - _ONLY_EXPANDED)
    row = _identity(repo) | {key: value for key, value in facts.items() if key in wanted}
    if "siblings" in wanted:
        row["siblings"] = siblings(commit, blobs=blobs)
    if security:
        levels = repo.metadata.get("security")
        issues = [{"path": path, "level": level} for path, level in dict(levels or {}).items() if level != "safe"]
        row["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": issues}
    return row


def list_row(repo: Repository, expand: frozenset[str], *, full: bool, card: bool, config: bool) -> dict[str, object]:
    """Return one row of `list_models` or `list_datasets`."""
    wanted = expand or _LIST_ROW | (_FULL_LIST_ROW if full or repo.kind != "model" else frozenset())
    if card or (full and repo.kind != "model"):
        wanted |= {"cardData"}
    if config:
        wanted |= {"config"}
    if not expand and repo.kind != "model" and not full:
        wanted -= {"siblings"}
    return describe(repo, repo.head, wanted)


def siblings(commit: Commit, *, blobs: bool) -> list[dict[str, object]]:
    """List a commit's files, with sizes and ids when asked."""
    rows: list[dict[str, object]] = []
    for path in sorted(commit.files):
        entry = commit.files[path]
        row: dict[str, object] = {"rfilename": path}
        if blobs:
            row |= {"size": len(entry.content), "blobId": entry.oid}
            if lfs := entry.lfs:
                row["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
        rows.append(row)
    return rows


def facts_at_head(repo: Repository) -> dict[str, object]:
    """Return every property of a repository as it is now, for filters and sorting."""
    return _facts(repo, repo.head)


def _identity(repo: Repository) -> dict[str, object]:
    row: dict[str, object] = {"_id": object_id(repo.kind, repo.id), "id": repo.id}
    return row | {"modelId": repo.id} if repo.kind == "model" else row


def _facts(repo: Repository, commit: Commit) -> dict[str, object]:
    given = repo.metadata
    readme = commit.files.get("README.md")
    data = card_data(readme.content if readme else None)
    if isinstance(given.get("cardData"), dict):
        data = given["cardData"]
    card = data or {}
    blobs = {e.oid: len(e.content) for c in repo.commits.values() for e in c.files.values()}
    facts: dict[str, object] = {
        "author": repo.owner or None,
        "cardData": data,
        "createdAt": repo.created_at,
        "disabled": repo.disabled,
        "downloads": 0,
        "downloadsAllTime": 0,
        "gated": repo.gated,
        "lastModified": repo.last_modified,
        "likes": 0,
        "private": repo.private,
        "sha": commit.id,
        "siblings": None,
        "trendingScore": 0,
        "usedStorage": sum(blobs.values()),
    }
    if repo.kind == "model":
        facts |= _model_facts(given, card, commit)
    if repo.kind == "space":
        facts |= {name: card[name] for name in ("models", "datasets", "sdk") if name in card}
    pipeline_tag, library = facts.get("pipeline_tag"), facts.get("library_name")
    tags = tags_of(repo.kind, card, pipeline_tag, library)
    facts["tags"] = list(dict.fromkeys([*given.get("tags", ()), *tags]))
    if repo.kind == "model" and (parents := base_models(card, facts["tags"])):
        facts["baseModels"] = parents
    return facts | {key: value for key, value in given.items() if key not in {"tags", "cardData", "security"}}


def _model_facts(given: dict[str, object], card: dict, commit: Commit) -> dict[str, object]:
    facts: dict[str, object] = {"spaces": [], "childrenModelCount": 0}
    for name in ("pipeline_tag", "library_name"):
        value = given.get(name) or card.get(name)
        if isinstance(value, str):
            facts[name] = value
    if "model-index" in card:
        facts["model-index"] = card["model-index"]
    config = commit.files.get("config.json")
    if read := (_config(config.content) if config else {}) | _tokenizer(commit):
        facts["config"] = read
    if totals := safetensors_totals((path, entry.content) for path, entry in commit.files.items()):
        facts["safetensors"] = totals
    return facts


def _tokenizer(commit: Commit) -> dict[str, object]:
    """The part of tokenizer_config.json that the Hub hands out, and chat_template.jinja."""
    found: dict[str, object] = {}
    if "tokenizer_config.json" in commit.files:
        try:
            data = json.loads(commit.files["tokenizer_config.json"].content)
        except ValueError:
            data = {}
        kept = ("bos_token", "chat_template", "eos_token", "pad_token", "unk_token")
        if isinstance(data, dict):
            found["tokenizer_config"] = {name: data[name] for name in kept if name in data}
    if "chat_template.jinja" in commit.files:
        found["chat_template_jinja"] = commit.files["chat_template.jinja"].content.decode()
    return found


def _config(content: bytes) -> dict[str, object]:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(config, dict):
        return {}
    return {key: config[key] for key in ("architectures", "model_type") if key in config}
