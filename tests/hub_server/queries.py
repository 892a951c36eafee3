"""The lists of models and datasets: which rows a query selects, in which order and page by page."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from urllib.parse import urlencode

from tests.hub_server.info import check_expand, facts_at_head, list_row
from tests.hub_server.repos import Kind, Repository
from tests.hub_server.web import RecordedRequest, Refusal, Reply, json_reply

_SORT_KEYS = ("trendingScore", "lastModified", "createdAt", "downloads", "likes")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_BOUND = re.compile(r"(min|max):(\d+(?:\.\d+)?)([KMBT]?)", re.IGNORECASE)


def list_reply(repos: Sequence[Repository], kind: Kind, request: RecordedRequest, url: str, page_size: int) -> Reply:
    """Answer `list_models` and `list_datasets`."""
    expand = check_expand(kind, request.query.get("expand", []))
    options = {
        "full": request.flag("full"),
        "card": request.flag("cardData"),
        "config": request.flag("config"),
    }
    bounds = _bounds(request.first("num_parameters"))
    selected = []
    for repo in repos:
        if not _named(repo, request):
            continue
        facts = _known_facts(repo)
        if _matches(repo, facts, request, bounds):
            selected.append((facts, repo))
    key = request.first("sort") or "trendingScore"
    if key not in _SORT_KEYS:
        raise Refusal(400, f'"sort" must be one of [{", ".join(_SORT_KEYS)}]')
    selected.sort(key=lambda pair: pair[1].id)
    selected.sort(key=lambda pair: _sortable(pair[0].get(key)), reverse=True)
    page, headers = paginate([repo for _, repo in selected], request, url, page_size)
    return json_reply([list_row(repo, expand, **options) for repo in page], headers=headers)


def paginate(rows: Sequence, request: RecordedRequest, url: str, page_size: int) -> tuple[Sequence, dict[str, str]]:
    """Cut one page out of the rows and return it with the Link header to the next one."""
    size = page_size
    if (limit := request.first("limit")) is not None:
        if not limit.isdigit() or int(limit) == 0:
            raise Refusal(400, '"limit" must be a positive number')
        size = min(int(limit), page_size)
    start = _cursor_position(request.first("cursor"))
    page = rows[start : start + size]
    if start + size >= len(rows):
        return page, {}
    query = {name: values for name, values in request.query.items() if name != "cursor"}
    query["cursor"] = [base64.urlsafe_b64encode(json.dumps({"at": start + size}).encode()).decode()]
    return page, {"Link": f'<{url}?{urlencode(query, doseq=True)}>; rel="next"'}


def _cursor_position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor))["at"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Refusal(400, "Invalid cursor") from None


def _known_facts(repo: Repository) -> dict[str, object]:
    """The facts of a list row, made again only after a change: a Hub of thousands is asked many times in a test."""
    own = (repo.id, repo.private, repo.gated, repo.disabled, repo.last_modified, repo.created_at, repr(repo.metadata))
    state = (*own, repo.head.id, len(repo.commits))
    if repo.listed is None or repo.listed[0] != state:
        repo.listed = (state, facts_at_head(repo))
    return repo.listed[1]


def _sortable(value: object) -> tuple[float, str]:
    """Numbers by size, dates by text, and what is neither (seeded on purpose) last."""
    if isinstance(value, int | float):
        return float(value), ""
    return 0.0, value if isinstance(value, str) else ""


def _named(repo: Repository, request: RecordedRequest) -> bool:
    if any(text.lower() not in repo.id.lower() for text in request.query.get("search", [])):
        return False
    return (author := request.first("author")) is None or author == repo.owner


def _matches(repo: Repository, facts: dict, request: RecordedRequest, bounds: tuple[float, float] | None) -> bool:
    query = request.query
    if not set(query.get("filter", [])) <= set(facts["tags"]):
        return False
    if (tag := request.first("pipeline_tag")) is not None and tag != facts.get("pipeline_tag"):
        return False
    if "gated" in query and request.flag("gated") != bool(repo.gated):
        return False
    if bounds is not None and not bounds[0] <= _parameters(facts) <= bounds[1]:
        return False
    if (inference := request.first("inference")) is not None and inference != facts.get("inference"):
        return False
    if not set(query.get("apps", [])) <= set(facts.get("apps") or ()):
        return False
    wanted = set(query.get("inference_provider", []))
    mapping = facts.get("inferenceProviderMapping")
    rows = mapping if isinstance(mapping, list) else []
    providers = {row["provider"] for row in rows if isinstance(row, dict) and "provider" in row}
    providers |= set(mapping) if isinstance(mapping, dict) else set()
    return not wanted or bool(providers & wanted) or ("all" in wanted and bool(providers))


def _parameters(facts: dict) -> float:
    sizes = facts.get("safetensors") or facts.get("gguf")
    total = sizes.get("total") if isinstance(sizes, dict) else None
    return total if isinstance(total, int) else float("nan")


def _bounds(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    limits = {"min": 0.0, "max": float("inf")}
    for part in text.split(","):
        match = _BOUND.fullmatch(part)
        if match is None:
            raise Refusal(400, f'"num_parameters" is not a range such as min:6B,max:128B: {text}')
        limits[match[1].lower()] = float(match[2]) * _UNITS[match[3].upper()]
    return limits["min"], limits["max"]
