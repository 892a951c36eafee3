"""What to know before using a model: findings made from its card, files and config alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.catalog import FileEntry, Finding
from core.licenses import license_of
from core.weights import formats_of, weights_format

# The Hub derives this tag from `auto_map`, so it still tells when config.json itself cannot be read.
_CUSTOM_CODE_TAG = "custom_code"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read of one model at one commit. None: could not be read, which is itself worth saying.

    `config` is the parsed config.json; None as well when there is no such file in `files`.
    """

    revision: str
    metadata: Mapping[str, object] | None
    files: tuple[FileEntry, ...] | None
    config: Mapping[str, object] | None
    gated: bool | None
    tags: tuple[str, ...] = ()


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """The findings of this version, the gravest first; what could not be checked is a finding too."""
    order = ("high", "medium", "low", "info")
    found = (*_license(evidence), *_weights(evidence), *_custom_code(evidence), *_gate(evidence))
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _license(evidence: Evidence) -> Iterator[Finding]:
    source = _at(evidence, "README.md, license")
    found = license_of(evidence.metadata or {}, evidence.tags)
    if found.license_class != "unknown":
        return
    if evidence.metadata is None and found.id is None:
        yield _unchecked("license-unchecked", "The licence", "the card could not be read", source)
    elif found.id is None:
        sentence = "No licence is stated in the card's metadata. Without one nobody may use the model: ask the author."
        if file := _license_file(evidence):
            sentence = f"No licence is stated in the card's metadata, but there is a file {file}: read it before use."
        yield Finding("license-missing", "high", sentence, source)
    else:
        yield Finding(
            "license-unknown",
            "medium",
            f"The licence is given as “{found.id}”, which does not say what is allowed. Look for the terms in the card.",
            source,
        )


def _weights(evidence: Evidence) -> Iterator[Finding]:
    source = _at(evidence, "list of files")
    if evidence.files is None:
        yield _unchecked(
            "pickle-unchecked", "Whether the weights are pickle files", "the files could not be listed", source
        )
        return
    paths = [entry.path for entry in evidence.files]
    if formats_of(paths) == ("pickle",):
        first = next(path for path in paths if weights_format(path) == "pickle")
        yield Finding(
            "pickle-only",
            "high",
            "The weights come only as pickle files, which can run code when they are loaded. "
            "Look for a version in safetensors.",
            _at(evidence, first),
        )


def _custom_code(evidence: Evidence) -> Iterator[Finding]:
    source = _at(evidence, "config.json, auto_map")
    has_config = evidence.files is None or any(entry.path == "config.json" for entry in evidence.files)
    if (evidence.config or {}).get("auto_map") or _CUSTOM_CODE_TAG in evidence.tags:
        yield Finding(
            "custom-code",
            "high",
            "The model needs Python code from its repository (auto_map in config.json). This app does not run it.",
            source,
        )
    elif evidence.config is None and has_config:
        yield _unchecked(
            "custom-code-unchecked", "Whether the model needs its own code", "config.json could not be read", source
        )


def _gate(evidence: Evidence) -> Iterator[Finding]:
    source = _at(evidence, "the Hub's record, gated")
    if evidence.gated:
        yield Finding(
            "gated",
            "medium",
            "The owner asks for access first: each person who uses the model has to agree to the owner's conditions.",
            source,
        )
    elif evidence.gated is None:
        yield _unchecked(
            "gated-unchecked", "Whether the owner asks for access first", "the Hub was not reached", source
        )


def _license_file(evidence: Evidence) -> str | None:
    names = ("license", "licence", "copying", "notice")
    paths = [entry.path for entry in evidence.files or ()]
    return next((path for path in paths if "/" not in path and path.lower().startswith(names)), None)


def _unchecked(id_: str, what: str, why: str, source: str) -> Finding:
    return Finding(id_, "info", f"{what} could not be checked: {why}.", source)


def _at(evidence: Evidence, place: str) -> str:
    return f"{place} @ {evidence.revision[:7]}"
