"""What a licence id of the Hub allows, in one of seven classes, and its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

LicenseClass = Literal[
    "permissive", "copyleft", "use-restricted", "own-terms", "non-commercial", "research-only", "unknown"
]
LICENSE_CLASSES: tuple[LicenseClass, ...] = (
    "permissive",
    "copyleft",
    "use-restricted",
    "own-terms",
    "non-commercial",
    "research-only",
    "unknown",
)
COMMERCIAL: tuple[LicenseClass, ...] = ("permissive", "copyleft", "use-restricted")
"""The classes whose licences allow commercial use to everybody. Terms of one's own have to be read: they are not in it."""

# The ids the Hub accepts in a card's `license`. `cc` names a family, from public domain to non-commercial: unknown.
_BY_CLASS: Mapping[LicenseClass, str] = {
    "permissive": """apache-2.0 mit afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
        cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
        etalab-2.0 isc ms-pl odc-by openmdw-1.0 postgresql ofl-1.1 ncsa unlicense zlib pddl""",
    "copyleft": """cc-by-sa-3.0 cc-by-sa-4.0 cdla-sharing-1.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl
        gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mpl-2.0 odbl osl-3.0""",
    "use-restricted": """openrail openrail++ bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
        bigcode-openrail-m c-uda cc-by-nd-4.0""",
    "own-terms": """llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma grok2-community apple-ascl""",
    "non-commercial": """cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
        cc-by-nc-sa-3.0 cc-by-nc-sa-4.0""",
    "research-only": """h-research intel-research apple-amlr deepfloyd-if-license
        fair-noncommercial-research-license""",
    "unknown": "cc unknown other",
}
CLASS_OF: Mapping[str, LicenseClass] = {name: kind for kind, names in _BY_CLASS.items() for name in names.split()}

_NAMES: Mapping[str, str] = {
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "openrail": "OpenRAIL",
    "openrail++": "OpenRAIL++-M",
    "bigscience-openrail-m": "BigScience OpenRAIL-M",
    "creativeml-openrail-m": "CreativeML OpenRAIL-M",
    "bigscience-bloom-rail-1.0": "BigScience BLOOM RAIL 1.0",
    "bigcode-openrail-m": "BigCode OpenRAIL-M",
    "bsl-1.0": "Boost 1.0",
    "bsd": "BSD",
    "cc0-1.0": "CC0 1.0",
    "odc-by": "ODC-By",
    "odbl": "ODbL",
    "wtfpl": "WTFPL",
    "unlicense": "Unlicense",
    "zlib": "zlib",
    "ms-pl": "Microsoft Public License",
    "postgresql": "PostgreSQL",
    "llama2": "Llama 2 Community License",
    "llama3": "Llama 3 Community License",
    "llama3.1": "Llama 3.1 Community License",
    "llama3.2": "Llama 3.2 Community License",
    "llama3.3": "Llama 3.3 Community License",
    "llama4": "Llama 4 Community License",
    "gemma": "Gemma Terms of Use",
    "grok2-community": "Grok 2 Community License",
    "apple-ascl": "Apple Sample Code License",
    "apple-amlr": "Apple Model License for Research",
    "deepfloyd-if-license": "DeepFloyd IF License",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License",
    "intel-research": "Intel Research Use License",
    "h-research": "H Research License",
    "c-uda": "Computational Use of Data Agreement",
}
# Words in the `license_name` of an `other` licence that restrict whatever else it says, the most restrictive first.
_IN_NAME: tuple[tuple[str, LicenseClass], ...] = (
    ("research", "research-only"),
    ("non-commercial", "non-commercial"),
    ("noncommercial", "non-commercial"),
    ("-nc", "non-commercial"),
    ("openrail", "use-restricted"),
)
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class License:
    """A model's licence as its card states it. `id` is None when it states none; `link` is not checked."""

    id: str | None
    name: str | None
    license_class: LicenseClass
    link: str | None = None


def license_of(metadata: Mapping[str, object], tags: Iterable[object] = ()) -> License:
    """The licence stated in a card's metadata, else in the Hub's `license:` tag; whatever the types found there."""
    found = _text(metadata.get("license")) or _tagged(tags)
    name, link = _text(metadata.get("license_name")), _text(metadata.get("license_link"))
    if found is None:
        # A name or a link without an id still says that there are terms.
        return License(None, name, _class_by_name(name) if name or link else "unknown", link)
    found = found.lower()
    if found == "other":
        return License(found, name or "Other", _class_by_name(name) if name or link else "unknown", link)
    return License(found, display_name(found), CLASS_OF.get(found, "unknown"), link)


def display_name(license_id: str) -> str:
    """The licence's name as people write it."""
    return _NAMES.get(license_id) or license_id.upper().replace("CC-", "CC ").replace("CLAUSE", "Clause")


def _class_by_name(name: str | None) -> LicenseClass:
    lowered = (name or "").lower()
    if lowered in CLASS_OF:
        return CLASS_OF[lowered]
    return next((kind for word, kind in _IN_NAME if word in lowered), "own-terms")


def _text(value: object) -> str | None:
    """The first usable text in a value that may be a text, a list or nonsense."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and item.strip():
            return item.strip()[:_MOST_CHARACTERS]
    return None


def _tagged(tags: Iterable[object]) -> str | None:
    for tag in tags:
        if isinstance(tag, str) and tag.startswith("license:"):
            return _text(tag.removeprefix("license:"))
    return None
