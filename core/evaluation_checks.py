"""Findings from the numbers a page states: missing configuration, one benchmark alone, judges, shots that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.catalog import Finding, ModelCard
from core.evaluations import FEW_SHOT, JUDGED, USUAL, Check, Evaluation

FAR_APART = 3.0
"""Points of a hundred: more than repeating a run with another harness usually moves these benchmarks."""
_TEXT = ("text-generation", "text2text-generation", "image-text-to-text", None)


def evaluation_findings(
    card: ModelCard, evaluations: Sequence[Evaluation], checks: Sequence[Check] | str | None
) -> Iterator[Finding]:
    """`checks` are the numbers beside third parties': a text is why that failed, None that it was not asked."""
    source = f"evaluation results @ {card.revision[:7]}"
    writes = card.summary.task in _TEXT and "adapter_config.json" not in {entry.path for entry in card.files}
    if not evaluations:
        if not card.markdown.strip():
            return
        sentence = "No evaluation number is stated anywhere: how good the model is has to be found out by trying it."
        yield Finding("evaluation-none", "medium", sentence, source)
        return
    names = list(dict.fromkeys(each.benchmark for each in evaluations))
    missing = [name for name in USUAL if name not in names]
    usual = f" The usual ones are missing: {', '.join(missing)}." if writes and missing else ""
    if set(names) <= JUDGED:
        sentence = (
            f"Only results that another model judged are reported ({', '.join(names)}), which rewards style.{usual}"
        )
        yield Finding("evaluation-judged-only", "medium", sentence, source)
    elif len(names) == 1:
        yield Finding("evaluation-one", "medium", f"Only one benchmark is reported, {names[0]}.{usual}", source)
    own = [each for each in evaluations if each.who == "self-reported"]
    if len(own) == len(evaluations):
        sentence = "Every number is the author's own; none is verified or measured by somebody else."
        yield Finding("evaluation-self-reported", "low", sentence, source)
    bare = list(dict.fromkeys(each.benchmark for each in evaluations if not each.config and each.shots is None))
    if bare:
        sentence = f"How {_some(bare)} {'was' if len(bare) == 1 else 'were'} measured is not said: no split, settings or number of shots."
        yield Finding("evaluation-no-config", "medium", sentence, f"{source}, {evaluations[0].place}")
    silent = list(dict.fromkeys(e.benchmark for e in evaluations if e.benchmark in FEW_SHOT and e.shots is None))
    if silent:
        sentence = f"The number of shots is missing for {_some(silent)}: such numbers cannot be compared with others."
        yield Finding("evaluation-shots-missing", "low", sentence, source)
    for name in names:
        shots = sorted({each.shots for each in evaluations if each.benchmark == name and each.shots is not None})
        if len(shots) > 1:
            sentence = f"{name} is given with {' and '.join(map(str, shots))} shots: the two cannot be compared."
            yield Finding("evaluation-shots-differ", "medium", sentence, source)
    yield from _crossed(checks)


def _crossed(checks: Sequence[Check] | str | None) -> Iterator[Finding]:
    source = "the Hub's benchmark leaderboards"
    if isinstance(checks, str):
        yield Finding(
            "crosscheck-unchecked", "info", f"The numbers could not be set beside third-party results. {checks}", source
        )
        return
    for check in checks or ():
        difference = check.difference
        if difference is not None and check.comparable and abs(difference) > FAR_APART:
            more = "higher" if difference > 0 else "lower"
            sentence = (
                f"{check.benchmark}: the card says {check.stated.percent:.1f}, a third party measured "
                f"{check.stated.percent - difference:.1f}; the author's number is {abs(difference):.1f} points {more}."
            )
            place = (check.third.source if check.third else None) or source
            yield Finding("evaluation-differs", "medium", sentence, place)
    if checks and all(check.third is None for check in checks):
        yield Finding(
            "crosscheck-none", "info", "No third-party result was found for any of the stated numbers.", source
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
