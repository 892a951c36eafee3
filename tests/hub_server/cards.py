"""What the Hub reads out of a repository's files: card metadata, tags and safetensors totals.

PyYAML (which huggingface_hub itself requires) is the one thing here beyond the standard library.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

import yaml

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)

_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0
cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1
eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c
ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa
unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3
llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
LICENSES = frozenset(_LICENSES.split())


class _HubLoader(yaml.SafeLoader):
    """YAML as the Hub reads it: `no` is a language and a date is text."""


_BOOL = "tag:yaml.org,2002:bool"
_HubLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in {_BOOL, "tag:yaml.org,2002:timestamp"}]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_HubLoader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|false)$", re.I), list("tTfF"))


@lru_cache(maxsize=4096)
def card_data(readme: bytes | None) -> dict | None:
    """Return the front matter as the Hub's `cardData`, None where there is none that can be read."""
    try:
        data = _front_matter((readme or b"").decode("utf-8", "replace"))
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            return None
        json.dumps(data, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None
    return data


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Return the errors and warnings `validate-yaml` gives for a README."""
    try:
        data = _front_matter(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return [f"Invalid YAML metadata: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["YAML metadata must be an object"], []
    errors = []
    licenses = data.get("license", [])
    for name in licenses if isinstance(licenses, list) else [licenses]:
        if name not in LICENSES:
            errors.append(f'"license" must be one of the licenses of the Hub, not {name!r}')
    tags = data.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        errors.append('"tags" must be an array of strings')
    return errors, []


def tags_of(kind: str, data: dict, pipeline_tag: str | None, library_name: str | None) -> list[str]:
    """Return the tags the Hub derives from a card, which are what `filter` matches."""
    tags = [tag for tag in (library_name, pipeline_tag) if tag]
    tags += _strings(data.get("tags"))
    if kind == "model":
        tags += _strings(data.get("language"))
        tags += [f"dataset:{name}" for name in _strings(data.get("datasets"))]
        models = _strings(data.get("base_model"))
        tags += [f"base_model:{name}" for name in models]
        tags += [f"base_model:{_relation(data, tags)}:{name}" for name in models]
    else:
        for key in ("task_categories", "task_ids", "language", "size_categories", "multilinguality"):
            tags += [f"{key}:{value}" for value in _strings(data.get(key))]
    tags += [f"license:{name}" for name in _strings(data.get("license"))]
    return list(dict.fromkeys([*tags, "region:us"]))


def base_models(data: dict, tags: Iterable[str]) -> dict | None:
    """Return the parents named by a card, as the Hub's `baseModels`."""
    names = _strings(data.get("base_model"))
    return {"relation": _relation(data, tags), "models": [{"id": name} for name in names]} if names else None


def safetensors_totals(files: Iterable[tuple[str, bytes]]) -> dict | None:
    """Return the number of parameters by dtype over the given files, None where no header can be read."""
    counts: Counter[str] = Counter()
    for path, content in files:
        if path.endswith(".safetensors"):
            for dtype, parameters in _tensors(content):
                counts[dtype] += parameters
    return {"parameters": dict(counts), "total": counts.total()} if counts else None


def _tensors(content: bytes) -> Iterator[tuple[str, int]]:
    size = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + size])
        yield from [(t["dtype"], math.prod(t["shape"])) for n, t in header.items() if n != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return


def _front_matter(content: str) -> object:
    match = _FRONT_MATTER.match(content)
    return yaml.load(match.group(1), Loader=_HubLoader) if match else None


def _relation(data: dict, tags: Iterable[str]) -> str:
    if isinstance(data.get("base_model_relation"), str):
        return data["base_model_relation"]
    found = set(tags)
    if "gguf" in found:
        return "quantized"
    if found & {"peft", "lora", "adapter"} or data.get("library_name") == "peft":
        return "adapter"
    return "merge" if isinstance(data.get("base_model"), list) and len(data["base_model"]) > 1 else "finetune"


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]
