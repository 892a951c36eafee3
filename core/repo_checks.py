"""Findings about a dataset or a Space: its licence, who may read it, whether its rows need code, and what was flagged."""

from __future__ import annotations

from collections.abc import Iterator

from core.catalog import Finding
from core.data_files import is_script_only
from core.licenses import display_name, license_of
from core.origin_checks import TERMS
from core.repo_cards import RepoCard

NOUNS = {"dataset": "dataset", "space": "Space"}
_ORDER = ("high", "medium", "low", "info")


def repo_findings(found: RepoCard) -> tuple[Finding, ...]:
    """What to know before using it, the gravest first."""
    findings = [*_license(found), *_access(found), *_content(found)]
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))


def _license(found: RepoCard) -> Iterator[Finding]:
    card, noun = found.card, NOUNS[found.kind]
    source = f"README.md, license @ {card.revision[:7]}"
    stated = license_of(card.metadata, card.record.tags)
    if stated.id is None and any("text could not be read" in each for each in card.notices):
        yield Finding(
            "license-unchecked", "info", "The licence could not be checked: the card could not be read.", source
        )
    elif stated.id is None:
        grave = "high" if found.kind == "dataset" else "medium"
        sentence = (
            f"No licence is stated in the card's metadata. Without one nobody may use the {noun}: ask the author."
        )
        yield Finding("license-missing", grave, sentence, source)  # type: ignore[arg-type]
    elif stated.license_class == "unknown":
        sentence = f"The licence is given as “{stated.id}”, which does not say what is allowed. Look for the terms in the card."
        yield Finding("license-unknown", "medium", sentence, source)
    elif (terms := TERMS.get(stated.license_class or "")) and stated.license_class != "copyleft":
        grave = "high" if stated.license_class in ("non-commercial", "research-only") else "medium"
        what = ", and a model trained on it is in doubt too" if grave == "high" and found.kind == "dataset" else ""
        sentence = f"{stated.name or display_name(stated.id)}: {terms}{what}."
        yield Finding("license-terms", grave, sentence, source)  # type: ignore[arg-type]


def _access(found: RepoCard) -> Iterator[Finding]:
    if found.card.gated:
        sentence = "The owner asks for access first: each person who uses it has to agree to the owner's conditions."
        yield Finding("gated", "medium", sentence, f"the Hub's record, gated @ {found.card.revision[:7]}")
    if found.card.main_moved:
        sentence = f"main has moved on to {found.card.main_moved[:7]} since this commit."
        yield Finding("main-moved", "low", sentence, "the Hub's refs")


def _content(found: RepoCard) -> Iterator[Finding]:
    card, at = found.card, found.card.revision[:7]
    if found.kind == "dataset" and is_script_only(card.files):
        sentence = (
            "Its rows exist only where the repository's own Python code is run, which the datasets library no longer "
            "does. Look for a version as parquet files."
        )
        yield Finding("script-only", "high", sentence, f"list of files @ {at}")
    if not card.markdown.strip() and not card.notices:
        yield Finding("card-empty", "medium", "The card has no text: nobody says what this is.", f"README.md @ {at}")
    if "not-for-all-audiences" in card.record.tags:
        sentence = "The author marks it as not for all audiences."
        yield Finding("not-for-all", "medium", sentence, f"README.md, tags @ {at}")
    if found.kind == "space" and found.stage and found.stage.upper().endswith("ERROR"):
        sentence = f"It does not run now: the Hub says {found.stage.replace('_', ' ').lower()}."
        yield Finding("space-stopped", "medium", sentence, "the Hub's record, runtime")
