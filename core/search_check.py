"""What may be searched for: every value of a query against its vocabulary, refused with a sentence that names it."""

from __future__ import annotations

import re
from datetime import date
from typing import get_args

from core.catalog import KINDS, MOST_LOOKED_AT, MOST_ROWS, RELATIONS, SORTS, Gating, SearchQuery, SearchSource
from core.errors import UserInputError
from core.licenses import CLASS_OF, LICENSE_CLASSES
from core.refs import check_repo_id, shown
from core.tasks import TASKS

MOST_TEXT = 500
FORMATS = ("safetensors", "gguf", "diffusers", "onnx", "pickle", "tensorflow", "flax", "openvino")
QUANTIZATIONS = (
    "gguf", "gptq", "awq", "bitsandbytes", "8-bit", "4-bit", "fp8", "nf4", "nvfp4", "mxfp4", "int8", "int4", "exl2", "exl3",
    "mlx", "compressed-tensors", "torchao", "quanto", "hqq",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|multilingual|code")
_PAPER = re.compile(r"[0-9]{4}\.[0-9]{4,5}(v[0-9]+)?|[a-z-]+/[0-9]{7}")
_COUNTS = (("min_downloads", 2**62), ("min_likes", 2**62), ("offset", MOST_LOOKED_AT), ("look_at", MOST_LOOKED_AT))


def check_query(query: SearchQuery) -> SearchQuery:
    """Return `query` if it can be asked, else raise `UserInputError` naming the vocabulary a value is outside of."""
    for name, value, known in (
        ("sort", query.sort, SORTS),
        ("source", query.source, get_args(SearchSource)),
        ("kind", query.kind, KINDS),
        ("gated", query.gated, get_args(Gating)),
    ):
        if value not in known:
            raise UserInputError(f"{name} has to be one of {', '.join(known)}; it is “{shown(str(value))}”.")
    if query.task and query.task not in TASKS:
        raise UserInputError(
            f"“{shown(query.task)}” is not a task of the Hub. Use a pipeline_tag such as text-generation, "
            "text-classification or text-to-image; the Task menu of the Search tab lists them all."
        )
    _one_of("relation", query.relation, RELATIONS)
    _one_of("weights_format", query.weights_format, FORMATS)
    _one_of("quantization", query.quantization, QUANTIZATIONS)
    for each in query.license_classes:
        _one_of("license_class", each, LICENSE_CLASSES)
    if query.license and query.license not in CLASS_OF:
        raise UserInputError(
            f"“{shown(query.license)}” is not a licence id of the Hub. Use one such as apache-2.0, mit or llama3.1, or "
            "filter by licence class."
        )
    if not 1 <= query.limit <= MOST_ROWS:
        raise UserInputError(f"limit has to be between 1 and {MOST_ROWS}; it is {query.limit}.")
    for name, most in _COUNTS:
        number = getattr(query, name)
        if not 0 <= number <= most:
            raise UserInputError(f"{name} has to be between 0 and {most}; it is {number}.")
    if len(query.text) > MOST_TEXT or sum(map(len, query.exclude)) > MOST_TEXT:
        raise UserInputError(f"The search text is too long. Use a few words, {MOST_TEXT} characters at most.")
    _check_names(query)
    return query


def _check_names(query: SearchQuery) -> None:
    for name, value in (("author", query.author), ("library", query.library), ("provider", query.provider)):
        if value and not _NAME.fullmatch(value):
            raise UserInputError(f"{name} has to be one name as the Hub writes it; “{shown(value)}” is not.")
    for value in (query.base_model, query.dataset):
        if value:
            check_repo_id(value)
    if query.language and not _LANGUAGE.fullmatch(query.language):
        raise UserInputError(f"language has to be a code such as en, de or zh; “{shown(query.language)}” is not.")
    if query.paper and not _PAPER.fullmatch(query.paper):
        raise UserInputError(f"paper has to be an arXiv id such as 2302.13971; “{shown(query.paper)}” is not.")
    if query.updated_since:
        try:
            date.fromisoformat(query.updated_since)
        except ValueError as error:
            raise UserInputError(
                f"updated_since has to be a date such as 2026-01-31; “{shown(query.updated_since)}” is not."
            ) from error
    low, high = query.min_params, query.max_params
    if any(value is not None and value < 0 for value in (low, high)) or (low or 0) > (
        high if high is not None else 2**63
    ):
        raise UserInputError("The fewest parameters asked for are more than the most. Widen the range.")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value and value not in known:
        raise UserInputError(f"{name} has to be one of {', '.join(known)}; it is “{shown(value)}”.")
