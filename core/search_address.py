"""A search as the query part of a link, and back: every filter stands in it, and nothing that is not set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from core.catalog import SearchQuery
from core.errors import UserInputError
from core.search_check import check_query
from core.search_words import read_count

# Short names where the field's own would be odd in a link; the others are called as the field.
_SHORT = {"text": "q", "license_classes": "license_class", "weights_format": "format", "source": "where"}
_NAMES = {field.name: _SHORT.get(field.name, field.name) for field in fields(SearchQuery) if field.name != "limit"}
_DEFAULTS = {field.name: field.default for field in fields(SearchQuery)}
KEYS = frozenset(_NAMES.values())
"""The parameters of a link that belong to a search."""


def search_pairs(query: SearchQuery) -> dict[str, str]:
    """What is set in `query`, as parameters of a link."""
    pairs = {}
    for name, short in _NAMES.items():
        value = getattr(query, name)
        if value == _DEFAULTS[name]:
            continue
        if isinstance(value, bool):
            pairs[short] = "1"
        elif isinstance(value, tuple):
            pairs[short] = ",".join(value)
        elif name in ("min_params", "max_params"):
            pairs[short] = short_params(value)
        else:
            pairs[short] = str(value)
    return pairs


def short_params(value: int) -> str:
    """A parameter count as it is typed: 3_000_000_000 as "3B"; digits where no unit fits exactly."""
    for size, unit in ((10**9, "B"), (10**6, "M")):
        if value >= size and value % (size // 100) == 0:
            return f"{value / size:g}{unit}"
    return str(value)


def search_link(query: SearchQuery) -> str:
    """`search_pairs` as a query string."""
    return urlencode(search_pairs(query))


def read_search(params: Mapping[str, str]) -> SearchQuery:
    """The search a link asks for; what is malformed in it (it may come from a stranger) is left out."""
    query = SearchQuery()
    for name, short in _NAMES.items():
        text = params.get(short, "")
        if not text:
            continue
        try:
            query = check_query(replace(query, **{name: _value(name, text)}))
        except UserInputError:
            continue
    return query


def read_link(link: str) -> SearchQuery:
    """`read_search` of a query string."""
    return read_search(dict(parse_qsl(link)))


def _value(name: str, text: str) -> Any:
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        return text == "1"
    if isinstance(default, tuple):
        return tuple(part for part in text.split(",") if part)
    if name in ("min_params", "max_params"):
        count = read_count(text)
        if count is None:
            raise UserInputError(f"{name} has to be a number such as 3B or 360M.")
        return count
    if isinstance(default, int):
        if not text.isdigit() or len(text) > 18:
            raise UserInputError(f"{name} has to be a whole number.")
        return int(text)
    return text
