"""What the Hub's list endpoints can filter and sort, as their query parameters; everything else is filtered here."""

from __future__ import annotations

from collections.abc import Mapping

from backends.hub.session import Params
from core.catalog import Kind, SearchQuery, Sort

SORT_KEYS: Mapping[Sort, str] = {
    "trending": "trendingScore",
    "downloads": "downloads",
    "likes": "likes",
    "created": "createdAt",
    "updated": "lastModified",
    # The Hub does not sort by size: what is looked at is sorted here.
    "params": "trendingScore",
}
# Exactly what a summary needs; files are left out because some repositories have thousands.
EXPAND: Mapping[Kind, tuple[str, ...]] = {
    "model": (
        "sha", "pipeline_tag", "library_name", "tags", "cardData", "safetensors", "gguf", "config", "downloads", "likes",
        "lastModified", "createdAt", "trendingScore", "gated",
    ),
    "dataset": (
        "sha", "tags", "cardData", "description", "downloads", "likes", "lastModified", "createdAt", "trendingScore",
        "gated",
    ),
    "space": ("sha", "tags", "cardData", "sdk", "likes", "lastModified", "createdAt", "trendingScore"),
}  # fmt: skip
PATHS: Mapping[Kind, str] = {"model": "/api/models", "dataset": "/api/datasets", "space": "/api/spaces"}
_TAGGED_FORMATS = ("safetensors", "gguf", "onnx", "diffusers", "openvino")


def list_params(query: SearchQuery, extra: Params, size: int) -> Params:
    """The parameters of one stream: the filters the Hub knows, `extra` (a word to look for), and `size` rows a page."""
    kind = query.kind
    expand = EXPAND[kind]
    asked: list[tuple[str, str]] = [*extra]
    if query.author:
        asked.append(("author", query.author))
    asked += [("filter", tag) for tag in _tags(query)]
    if kind == "model":
        if query.task:
            asked.append(("pipeline_tag", query.task))
        if bounds := _bounds(query):
            asked.append(("num_parameters", bounds))
        if query.provider:
            asked.append(("inference_provider", query.provider))
            expand = (*expand, "inferenceProviderMapping")
    if query.gated != "any" and kind != "space":
        asked.append(("gated", "true" if query.gated == "yes" else "false"))
    return [
        *asked,
        ("sort", "likes" if kind == "space" and query.sort == "downloads" else SORT_KEYS[query.sort]),
        ("limit", str(size)),
        *(("expand", name) for name in expand),
    ]


def filtered_there(query: SearchQuery) -> bool:
    """Whether the Hub filters anything at all for this query, beside a word in the name."""
    return bool(
        query.author or query.task or query.provider or query.gated != "any" or _bounds(query) or list(_tags(query))
    )


def filtered_here(query: SearchQuery) -> bool:
    """Whether something is left to be filtered or sorted here, so that more has to be looked at than is shown."""
    return bool(
        query.license_classes
        or query.quantization
        or query.min_downloads
        or query.min_likes
        or query.updated_since
        or query.relation
        or query.has_card
        or query.chat_template
        or query.runs_here
        or query.exclude
        or query.sort == "params"
        or (query.weights_format and query.weights_format not in _TAGGED_FORMATS)
        or len(query.text.split()) > 1
    )


def is_past(query: SearchQuery, last: object) -> bool:
    """Whether the stream has come below what is asked for: it is sorted by the very thing that is bounded."""
    if not isinstance(last, Mapping):
        return False
    for sort, key, least in (("downloads", "downloads", query.min_downloads), ("likes", "likes", query.min_likes)):
        value = last.get(key)
        if query.sort == sort and least and isinstance(value, int) and value < least:
            return True
    moment = last.get("lastModified")
    return (
        query.sort == "updated"
        and bool(query.updated_since)
        and isinstance(moment, str)
        and moment < query.updated_since
    )


def _tags(query: SearchQuery) -> list[str]:
    prefix = "" if query.kind == "model" else "language:"
    found = []
    if query.kind != "model" and query.task:
        found.append(f"task_categories:{query.task}")
    if query.library:
        found.append(query.library)
    if query.language:
        found.append(prefix + query.language)
    if query.license:
        found.append(f"license:{query.license}")
    if query.dataset:
        found.append(f"dataset:{query.dataset}")
    if query.paper:
        found.append(f"arxiv:{query.paper}")
    if query.base_model:
        how = f"{query.relation}:" if query.relation not in ("", "none") else ""
        found.append(f"base_model:{how}{query.base_model}")
    if query.weights_format in _TAGGED_FORMATS:
        found.append(query.weights_format)
    return found


def _bounds(query: SearchQuery) -> str:
    """The range as the Hub reads it, never narrower than what is asked; the exact bounds are applied here."""
    parts = []
    if query.min_params:
        parts.append(f"min:{_short(query.min_params, up=False)}")
    if query.max_params is not None:
        parts.append(f"max:{_short(query.max_params, up=True)}")
    return ",".join(parts)


def _short(value: int, *, up: bool) -> str:
    """A whole number of the largest unit that is exact, else of millions or thousands, rounded so that nothing is lost."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= unit and (value % unit == 0 or letter != "B"):
            return f"{-(-value // unit) if up else value // unit}{letter}"
    return str(value)
