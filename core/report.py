"""The trust report of one model at one commit: every finding, and above them a verdict in one sentence with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.card_checks import config_findings, text_findings, text_unread
from core.card_parts import Changed, Discussion, Lineage, Publisher
from core.card_sections import Section, sections_of
from core.catalog import Finding, ModelCard
from core.evaluation_checks import evaluation_findings
from core.evaluations import Check, Evaluation, evaluations_of
from core.licenses import license_of
from core.lineage import stricter, strictest
from core.origin_checks import (
    age_findings,
    lineage_findings,
    publisher_findings,
    record_findings,
    scan_findings,
)

Answer = Literal["yes", "conditions", "no", "unclear"]
_ORDER = ("high", "medium", "low", "info")
_SAID: dict[Answer, str] = {
    "yes": "yes, as far as is known",
    "conditions": "only under conditions",
    "no": "no",
    "unclear": "not to be told",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the model is usable for a commercial product, and why; each reason is a clause without a full stop."""

    answer: Answer
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The verdict as one sentence."""
        because = f", because {'; '.join(self.reasons)}" if self.reasons else ""
        return f"Usable for a commercial product: {_SAID[self.answer]}{because}."


@dataclass(frozen=True, slots=True)
class Known:
    """What was asked besides the card. None: not asked (yet); a text: why it could not be told."""

    lineage: Lineage | str | None = None
    publisher: Publisher | str | None = None
    discussions: tuple[Discussion, ...] | str | None = None
    checks: tuple[Check, ...] | str | None = None
    changed: Changed | str | None = None
    successors: tuple[str, ...] | str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything concluded about one model at one commit."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    evaluations: tuple[Evaluation, ...]


def report_of(card: ModelCard, known: Known | None = None) -> Report:
    """The report from what is known now; asked again when more is."""
    known = known or Known()
    sections = sections_of(card.markdown, card.metadata)
    if text_unread(card):
        sections = tuple(replace(each, state="unread") for each in sections)
    evaluations = evaluations_of(card.metadata, card.record.results, card.markdown, card.repo_id.rpartition("/")[2])
    found = [
        *card.findings,
        *lineage_findings(card, known.lineage),
        *record_findings(card, known.successors if isinstance(known.successors, tuple) else ()),
        *scan_findings(card, known.changed),
        *age_findings(card, known.changed),
        *publisher_findings(card, known.publisher, known.discussions),
        *text_findings(card, sections),
        *config_findings(card),
        *evaluation_findings(card, evaluations, known.checks),
    ]
    unique = {(finding.id, finding.sentence): finding for finding in found}
    ordered = sorted(unique.values(), key=lambda finding: _ORDER.index(finding.severity))
    return Report(verdict_of(card, known.lineage, ordered), tuple(ordered), sections, evaluations)


def verdict_of(card: ModelCard, lineage: Lineage | str | None, findings: Sequence[Finding]) -> Verdict:
    """From the licences of the whole chain and the findings that stop anybody, commercial or not."""
    own = license_of(card.metadata, card.record.tags)
    ids = {finding.id for finding in findings}
    no: list[str] = []
    conditions: list[str] = []
    unclear: list[str] = []
    name = own.name or "its licence"
    if own.license_class in ("non-commercial", "research-only"):
        no.append(
            f"its licence ({name}) {'allows research only' if own.license_class == 'research-only' else 'forbids commercial use'}"
        )
    elif "license-missing" in ids:
        no.append("no licence is stated, and without one nobody may use it")
    elif own.license_class == "unknown":
        unclear.append(f"the licence is given as “{own.id or 'nothing'}”, which does not say what is allowed")
    elif own.license_class == "use-restricted":
        conditions.append(f"its licence ({name}) forbids some uses and has to be passed on")
    elif own.license_class == "own-terms":
        conditions.append(f"its licence ({name}) has conditions of its own")
    elif own.license_class == "copyleft":
        conditions.append(f"its licence ({name}) asks that derivatives are passed on under the same terms")
    above = strictest(lineage) if isinstance(lineage, Lineage) else None
    if above and stricter(above.license_class, own.license_class):
        whose = f"it is made from {above.repo_id} under the {above.license_name}, whatever its own card says"
        if above.license_class in ("non-commercial", "research-only"):
            no.append(f"{whose}, and that forbids commercial use")
        else:
            conditions.append(f"{whose}, and those terms hold for it")
    for id_, clause in (
        ("lineage-unchecked", "the licences of the models it is made from could not be checked"),
        ("parent-unknown", "a model it is made from cannot be read"),
        ("parent-license-missing", "a model it is made from states no licence"),
        ("parent-license-unknown", "a model it is made from has a licence that does not say what is allowed"),
        ("base-cycle", "the cards of its parents name each other"),
        ("base-unnamed", "the model it is made from is not named"),
        ("base-local", "the model it is made from cannot be told"),
        ("license-unchecked", "its licence could not be read"),
        ("card-empty", "there is no card that says what it is for"),
    ):
        if id_ in ids:
            unclear.append(clause)
    for id_, clause in (
        ("scan-unsafe", "the Hub's scan found unsafe files"),
        ("scan-file", "the Hub's scan found unsafe files"),
        ("pickle-only", "its weights are pickle files, which can run code when loaded"),
        ("custom-code", "it needs code from its author to run"),
    ):
        if any(finding.id == id_ and finding.severity == "high" for finding in findings):
            no.append(clause)
    for id_, clause in (
        ("gated", "each user has to be let in by the owner"),
        ("not-for-all", "it is not for all audiences"),
    ):
        if id_ in ids:
            conditions.append(clause)
    if no:
        return Verdict("no", tuple(no + conditions[:2]))
    if unclear:
        return Verdict("unclear", tuple(unclear + conditions[:2]))
    if conditions:
        return Verdict("conditions", tuple(conditions))
    fits = ", and so do those of the models above it" if isinstance(lineage, Lineage) and lineage.ancestors else ""
    return Verdict("yes", (f"its licence ({name}) allows it and asks for little more than naming its source{fits}",))
