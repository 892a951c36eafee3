"""Findings from where a model comes from: the chain above it, its publisher, the Hub's scan, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.card_parts import UNSAFE, Ancestor, Changed, Discussion, Lineage, Publisher
from core.catalog import Finding, ModelCard
from core.licenses import display_name, license_of
from core.lineage import chain_of, parents_of, stricter, strictest
from core.refs import shown

FEW_DOWNLOADS = 100
TERMS: Mapping[str, str] = {
    "copyleft": "what is made from it has to be passed on under the same terms",
    "use-restricted": "some uses are forbidden, and whoever passes it on has to forbid them too",
    "own-terms": "it has terms of its own: conditions on use, on the name and on what is made from it",
    "non-commercial": "commercial use is forbidden",
    "research-only": "any use but research is forbidden",
}


def lineage_findings(card: ModelCard, lineage: Lineage | str | None) -> Iterator[Finding]:
    """The licence against those above it. A text is why the chain could not be followed, None that it was not asked."""
    parents = parents_of(card.metadata, card.record.tags).parents
    source = f"README.md, base_model @ {card.revision[:7]}"
    if not parents:
        return
    if lineage is None or isinstance(lineage, str):
        why = f" {lineage}" if lineage else " It is being read."
        sentence = (
            f"Whether the licence fits that of {parents[0]}, which this model is made from, could not be checked.{why}"
        )
        yield Finding("lineage-unchecked", "info", sentence, source)
        return
    own = license_of(card.metadata, card.record.tags)
    binding = strictest(lineage)
    if binding and stricter(binding.license_class, own.license_class):
        yield _contradiction(card, own.name, binding, lineage)
    for ancestor in lineage.ancestors:
        at = f"{ancestor.child}, base_model"
        if ancestor.problem and "name each other" in ancestor.problem:
            sentence = f"{ancestor.problem} Where the weights began cannot be told."
            yield Finding("base-cycle", "medium", sentence, at)
        elif ancestor.problem and ancestor.license is None and "states no licence" in ancestor.problem:
            sentence = (
                f"{ancestor.repo_id}, which this model is made from, states no licence: nobody is told what is allowed."
            )
            yield Finding("parent-license-missing", "medium", sentence, f"{ancestor.repo_id}, license")
        elif ancestor.problem:
            sentence = f"{ancestor.repo_id}, which this model is made from: {_small(ancestor.problem)}"
            yield Finding("parent-unknown", "medium", sentence, at)
        elif ancestor.license_class == "unknown":
            sentence = f"{ancestor.repo_id}, which this model is made from, gives its licence as “{ancestor.license}”: read it there."
            yield Finding("parent-license-unknown", "low", sentence, f"{ancestor.repo_id}, license")
        if ancestor.gated:
            sentence = f"{ancestor.repo_id}, which this model is made from, asks each person for access and to agree to its conditions."
            yield Finding("parent-gated", "low", sentence, f"{ancestor.repo_id}, gated")
    if lineage.problem:
        yield Finding("lineage-partial", "info", lineage.problem, source)


def record_findings(card: ModelCard, successors: tuple[str, ...] = ()) -> Iterator[Finding]:
    """The Hub's scan, audience, successors, and whether main has moved on."""
    at = card.revision[:7]
    scan = card.record.scan
    issues = scan.get("filesWithIssues") if scan else None
    if isinstance(issues, list) and issues:
        bad = [str(row.get("path", "?")) for row in issues if isinstance(row, Mapping)]
        levels = {str(row.get("level", "")) for row in issues if isinstance(row, Mapping)}
        grave = "high" if levels - {"suspicious", "caution"} else "medium"
        sentence = f"The Hub's scan has found {', '.join(shown(path) for path in bad[:3])} {'unsafe' if grave == 'high' else 'suspicious'}. Do not load {'it' if len(bad) == 1 else 'them'}."
        yield Finding("scan-unsafe", grave, sentence, f"the Hub's security record @ {at}")  # type: ignore[arg-type]
    elif scan is None or scan.get("scansDone") is False:
        why = (
            "it came with the app, and the Hub has not seen it"
            if card.summary.bundled
            else "the scan is not finished"
            if scan
            else "the Hub was not reached"
        )
        yield Finding(
            "scan-unchecked", "info", f"The Hub's scan of the files is not known: {why}.", "the Hub's security record"
        )
    if "not-for-all-audiences" in card.record.tags or "not-for-all-audiences" in _texts(card.metadata.get("tags")):
        sentence = (
            "The author marks it as not for all audiences: it can write or draw what must not be shown to everybody."
        )
        yield Finding("not-for-all", "medium", sentence, f"README.md, tags @ {at}")
    successor = successor_of(card.metadata)
    if successor:
        last = successors[-1] if successors else successor
        further = f", which in turn was followed by {last}" if last != successor else ""
        sentence = f"The author names {successor} as the newer version{further}. Check it before choosing this one."
        yield Finding("superseded", "medium", sentence, f"README.md, new_version @ {at}")
    if card.main_moved:
        sentence = f"main has moved on to {card.main_moved[:7]} since this commit. History shows what changed."
        yield Finding("main-moved", "low", sentence, "the Hub's refs")


def age_findings(card: ModelCard, changed: Changed | str | None) -> Iterator[Finding]:
    """A card that was not touched when the weights were. None: not asked, which only a page within its requests is."""
    if isinstance(changed, str):
        sentence = f"Whether the card is older than the weights could not be checked. {changed}"
        yield Finding("card-age-unchecked", "info", sentence, "the Hub's list of files")
    elif changed and changed.card and changed.weights and changed.card[:10] < changed.weights[:10]:
        sentence = (
            f"The card was last changed on {changed.card[:10]}, the weights on {changed.weights[:10]} "
            f"({shown(changed.file or '')}): it may describe another version of the model."
        )
        yield Finding("card-older", "medium", sentence, f"the Hub's list of files @ {card.revision[:7]}")


def scan_findings(card: ModelCard, changed: Changed | str | None) -> Iterator[Finding]:
    """Files that the list of files marks and the repository's own record does not name."""
    if not isinstance(changed, Changed):
        return
    issues = card.record.scan.get("filesWithIssues") if card.record.scan else None
    named = {row.get("path") for row in issues if isinstance(row, Mapping)} if isinstance(issues, list) else set()
    bad = {path: status for path, status in changed.scans.items() if status in UNSAFE and path not in named}
    if bad:
        grave = "high" if set(bad.values()) - {"suspicious", "caution"} else "medium"
        said = ", ".join(f"{shown(path)} ({status})" for path, status in list(bad.items())[:3])
        sentence = f"The Hub's scan of the files marks {said}. Do not load {'it' if len(bad) == 1 else 'them'}."
        yield Finding("scan-file", grave, sentence, f"the Hub's list of files @ {card.revision[:7]}")  # type: ignore[arg-type]


def publisher_findings(
    card: ModelCard, publisher: Publisher | str | None, discussions: tuple[Discussion, ...] | str | None
) -> Iterator[Finding]:
    """An unknown hand: a derivative that nobody seems to use. High numbers are never a point in favour."""
    if card.source == "local" and card.summary.bundled:
        return
    derived = bool(parents_of(card.metadata, card.record.tags).parents)
    downloads, likes = card.summary.downloads, card.summary.likes
    source = f"the Hub's record of {card.repo_id}"
    if isinstance(publisher, str):
        yield Finding("publisher-unchecked", "info", f"Who published it could not be read. {publisher}", source)
    if not derived or (isinstance(publisher, Publisher) and publisher.verified):
        return
    if downloads is None or likes is None:
        sentence = "How much this derivative is used could not be checked: the Hub's numbers are not known here."
        yield Finding("unproven-unchecked", "info", sentence, source)
    elif downloads < FEW_DOWNLOADS and likes == 0 and not (isinstance(discussions, tuple) and discussions):
        talked = ", no discussion" if discussions == () else ""
        sentence = (
            f"A derivative by a publisher the Hub does not call verified, with {downloads:,} downloads in 30 days, no "
            f"likes{talked}: nobody else seems to have looked at it. Look at its files before running it."
        )
        yield Finding("unproven", "medium", sentence, source)


def successor_of(metadata: Mapping[str, object]) -> str | None:
    """The repository named as `new_version`."""
    value = metadata.get("new_version")
    return value.strip()[:200] if isinstance(value, str) and "/" in value.strip() else None


def _contradiction(card: ModelCard, own: str | None, binding: Ancestor, lineage: Lineage) -> Finding:
    name = binding.license_name or display_name(binding.license or "other")
    says = f"says {own}" if own else "states no licence"
    term = TERMS.get(binding.license_class or "", "its terms hold for what is made from it")
    way = chain_of(lineage)
    through = f" ({card.repo_id} ← {way})" if binding.depth > 1 else ""
    sentence = (
        f"The card {says}, but it is made from {binding.repo_id} under the {name}{through}: {term}. "
        "A child cannot give more than its parent; the parent's terms hold."
    )
    return Finding(
        "license-contradiction", "high", sentence, f"{binding.repo_id}, license @ {(binding.revision or 'unknown')[:7]}"
    )


def _small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
