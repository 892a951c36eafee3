"""Reads one model of the Hub's JSON into a summary, whatever types strangers put there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.catalog import FileEntry, Kind, ModelSummary, Relation
from core.errors import UserInputError
from core.licenses import license_of
from core.refs import COMMIT, check_repo_id
from core.search_filter import Row
from core.weights import formats_by_tags, formats_of

__all__ = [
    "Row",
    "about_of",
    "bases_of",
    "commit_of",
    "files_of",
    "languages_of",
    "mapping_of",
    "quantization_of",
    "row_of",
    "tags_of",
    "text_of",
    "texts_of",
]

MOST_TAGS = 2000
MOST_ABOUT = 2000
ADULT = "not-for-all-audiences"
_RELATIONS: tuple[Relation, ...] = ("adapter", "finetune", "quantized", "merge")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|multilingual")
_QUANTIZED = re.compile(
    r"(?:^|[-_ ./])(gptq|awq|exl2|exl3|bitsandbytes|bnb|mlx|fp8|nf4|nvfp4|mxfp4|int8|int4|8-bit|4-bit|8bit|4bit|gguf)(?:$|[-_ ./])"
)
_QUANTIZED_NAMES = {"bnb": "bitsandbytes", "8bit": "8-bit", "4bit": "4-bit"}


def row_of(raw: object, kind: Kind = "model") -> Row | None:
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
    metadata = mapping_of(raw.get("cardData")) or {}
    config = mapping_of(raw.get("config"))
    paths = [entry.path for entry in files_of(raw) or ()]
    stated = license_of(metadata, tags)
    gated = raw.get("gated")
    bases, relation = bases_of(tags, metadata)
    return Row(
        ModelSummary(
            repo_id=repo_id,
            revision=commit_of(raw),
            source="hub",
            kind=kind,
            task=_task(raw, kind),
            library=text_of(raw.get("library_name")) or text_of(raw.get("sdk")),
            license=stated.id,
            license_class=stated.license_class,
            params=_count(mapping_of(raw.get("safetensors")), "total") or _count(mapping_of(raw.get("gguf")), "total"),
            downloads=_count(raw, "downloads"),
            likes=_count(raw, "likes"),
            updated=_moment(raw.get("lastModified")),
            gated=None if gated is None else bool(gated),
            has_card=_has_card(paths, metadata),
            weights_formats=formats_of(paths) if paths else _formats(raw, tags),
            created=_moment(raw.get("createdAt")),
            trending=_number(raw.get("trendingScore")),
            languages=languages_of(tags, metadata),
            base_models=bases,
            relation=relation,
            datasets=_after("dataset:", tags),
            papers=_after("arxiv:", tags),
            quantization=quantization_of(repo_id, tags, config),
            chat_template=_chat_template(config, mapping_of(raw.get("gguf"))),
            providers=_providers(raw.get("inferenceProviderMapping")),
            custom_code="custom_code" in tags,
            adult=ADULT in tags,
            architecture=_architecture(config),
        ),
        tags,
        about_of(metadata, raw.get("description")),
    )


def bases_of(tags: tuple[str, ...], metadata: Mapping[str, object]) -> tuple[tuple[str, ...], Relation]:
    """The models this one comes from, and how; ((), "") for an original."""
    named = list(_after("base_model:", tags))
    relation: Relation = ""
    bases: list[str] = []
    for name in named:
        how, _, rest = name.partition(":")
        known = next((each for each in _RELATIONS if each == how), None) if rest else None
        relation = known or relation
        bases.append(rest if known else name)
    if not bases:
        bases = list(texts_of(metadata.get("base_model")))
    if bases and not relation:
        said = text_of(metadata.get("base_model_relation"))
        relation = next((each for each in _RELATIONS if each == said), "finetune")
    return tuple(dict.fromkeys(bases)), relation


def languages_of(tags: tuple[str, ...], metadata: Mapping[str, object]) -> tuple[str, ...]:
    """Language codes: of the card, where `no` reads as False, else those among the tags."""
    said = metadata.get("language")
    written = ["no" if each is False else each for each in (said if isinstance(said, list) else [said])]
    codes = [each.strip().lower() for each in written if isinstance(each, str) and each.strip()]
    codes += [tag.partition(":")[2] for tag in tags if tag.startswith("language:")]
    if not codes:
        codes = [tag for tag in tags if len(tag) == 2 and _LANGUAGE.fullmatch(tag) and tag not in ("tf", "pt")]
    return tuple(dict.fromkeys(code for code in codes if _LANGUAGE.fullmatch(code)))


def quantization_of(repo_id: str, tags: tuple[str, ...], config: Mapping[str, object] | None) -> str | None:
    """How the weights were made smaller, by config, tags or name; None when nothing says so."""
    stated = mapping_of((config or {}).get("quantization_config"))
    if stated and (method := text_of(stated.get("quant_method"))):
        return method.lower()
    for text in (*tags, repo_id):
        if match := _QUANTIZED.search(text.lower()):
            return _QUANTIZED_NAMES.get(match[1], match[1])
    return None


def about_of(metadata: Mapping[str, object], description: object = None) -> str:
    """The words of a card's metadata that say what the model is for, cut short."""
    parts = [
        text
        for key in ("model_name", "pretty_name", "title", "short_description", "description", "summary")
        for text in texts_of(metadata.get(key))
    ]
    return " ".join([*parts, *texts_of(description)])[:MOST_ABOUT]


def texts_of(value: object) -> tuple[str, ...]:
    """The texts in a value that may be a text, a list or nonsense."""
    items = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in items if isinstance(item, str) and item.strip())


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


def _after(prefix: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag[len(prefix) :] for tag in tags if tag.startswith(prefix) and len(tag) > len(prefix)))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value == value else None


def _task(raw: Mapping[str, object], kind: Kind) -> str | None:
    if kind == "model":
        return text_of(raw.get("pipeline_tag"))
    tags = tags_of(raw)
    return next((tag.partition(":")[2] for tag in tags if tag.startswith("task_categories:")), None)


def _architecture(config: Mapping[str, object] | None) -> str | None:
    named = (config or {}).get("architectures")
    return next(iter(texts_of(named)), None)


def _chat_template(config: Mapping[str, object] | None, gguf: Mapping[str, object] | None) -> bool | None:
    tokenizer = mapping_of((config or {}).get("tokenizer_config"))
    if (config or {}).get("chat_template_jinja") or (tokenizer or {}).get("chat_template"):
        return True
    if (gguf or {}).get("chat_template"):
        return True
    return False if tokenizer is not None else None


def _providers(mapping: object) -> tuple[str, ...]:
    if isinstance(mapping, Mapping):
        return tuple(sorted(name for name in mapping if isinstance(name, str)))
    rows = mapping if isinstance(mapping, list) else []
    names = {row.get("provider") for row in rows if isinstance(row, Mapping)}
    return tuple(sorted(name for name in names if isinstance(name, str)))


def _moment(value: object) -> str | None:
    """A date as the Hub writes it; what is no date would be sorted as one."""
    return value if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value) else None
