"""The panels beside a card: verdict, facts, model tree, evaluation and snippets, as HTML. All text in them is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from components.card_tables import findings_list
from components.numbers import bytes_of, parameters, short_count
from core.card_parts import Ancestor, Children, Lineage, Sized
from core.card_sections import Section
from core.catalog import Finding, ModelCard
from core.evaluations import Check, Evaluation
from core.licenses import license_of
from core.model_facts import facts_of
from core.report import Report
from core.snippets import snippets_of

MOST_EVALUATIONS = 60
_RELATIONS = {
    "finetune": "fine-tuned from",
    "adapter": "adapter on",
    "merge": "merged from",
    "quantized": "quantised from",
    None: "made from",
}
_KINDS = {"finetune": "Finetunes", "adapter": "Adapters", "merge": "Merges", "quantized": "Quantised", "other": "Other"}
_WHO = {"self-reported": "author", "verified": "verified", "community": "community"}
_STATES = {"present": "there", "thin": "thin", "absent": "absent", "unread": "not read"}
# A click inside a panel opens another model's card in this page; the link itself still works in a new tab.
OPENS = """
element.addEventListener('click', (event) => {
  const link = event.target.closest('[data-open]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger('select', JSON.parse(link.dataset.open));
});
"""


def verdict_box(report: Report, *, pending: bool = False) -> str:
    """The verdict in one sentence, and the findings under it, the notes folded."""
    verdict = report.verdict
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    head, _, _ = verdict.sentence.partition(", because ")
    waiting = (
        '<p class="pg-meta" role="status">The models above it are being read; this may still change.</p>'
        if pending
        else ""
    )
    box = (
        f'<section class="pg-verdict pg-verdict-{verdict.answer}" aria-label="Verdict"><p class="pg-lead">{escape(head.rstrip("."))}</p>'
        f"<ul>{reasons}</ul>{waiting}"
        '<p class="pg-meta">Concluded from the card, the headers of files and the Hub’s records. It is not legal advice.</p></section>'
    )
    grave = [finding for finding in report.findings if finding.severity in ("high", "medium")]
    small = [finding for finding in report.findings if finding.severity == "low"]
    notes = [finding for finding in report.findings if finding.severity == "info"]
    counts = {level: sum(f.severity == level for f in report.findings) for level in ("high", "medium", "low")}
    said = ", ".join(f"{count} {level}" for level, count in counts.items() if count) or "none"
    more = _folded("Smaller things", small) + _folded("What could not be checked", notes)
    listed = (
        findings_list(grave)
        if grave
        else '<p class="pg-meta">Nothing of high or medium severity was found among what is checked.</p>'
    )
    return f'{box}<h3 class="pg-head" id="card-at-findings">Findings <span class="pg-meta">{said}</span></h3>{listed}{more}'


def _folded(title: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    return f'<details class="pg-fold"><summary>{title} ({len(findings)})</summary>{findings_list(findings)}</details>'


def facts_table(card: ModelCard) -> str:
    """What the model is; each fact says on hover where it was read."""
    rows = "".join(
        f'<tr title="from: {escape(fact.source, quote=True)}"><th>{escape(fact.name)}</th><td>{escape(fact.value)}</td></tr>'
        for fact in facts_of(card)
    )
    return (
        f"<table>{rows}</table>" if rows else '<p class="pg-meta">Neither a config nor a header tells what it is.</p>'
    )


def tree_panel(
    card: ModelCard, lineage: Lineage | str | None, children: Children | str | None, sized: Sized | None = None
) -> str:
    """The models above and below. A text is why a part is missing, None that it is still being read."""
    own = license_of(card.metadata, card.record.tags)
    body = f'<ol class="pg-tree"><li><b>{escape(card.repo_id)}</b> {_tag(own.name or "no licence stated")} <span class="pg-meta">this model</span></li>'
    if isinstance(lineage, Lineage):
        body += "".join(_above(each) for each in lineage.ancestors)
        if not lineage.ancestors:
            body += '<li class="pg-meta">The card names no model that it was made from.</li>'
    body += "</ol>"
    if lineage is None:
        body += _reading("Reading the models above it …")
    elif isinstance(lineage, str):
        body += _failed(lineage)
    elif lineage.problem:
        body += f'<p class="pg-notice">{escape(lineage.problem)}</p>'
    return f'<h3 class="pg-head">Model tree</h3>{body}{_below(card, children, sized)}'


def evaluation_panel(
    evaluations: Sequence[Evaluation], checks: Sequence[Check] | str | None, sections: Sequence[Section]
) -> str:
    """Every stated number with its shots and who measured it, beside a third party's; then the sections of the card."""
    third = {check.stated: check for check in checks} if isinstance(checks, list | tuple) else {}
    asked = isinstance(checks, list | tuple)
    rows = "".join(_evaluation(each, third.get(each), asked=asked) for each in evaluations[:MOST_EVALUATIONS])
    if rows:
        head = (
            '<thead><tr><th>Benchmark</th><th class="n">Value</th><th class="n">Shots</th><th>Measured by</th>'
            "<th>How</th><th>Third party</th></tr></thead>"
        )
        table = f'<div class="pg-scroll"><table class="pg-numbers">{head}<tbody>{rows}</tbody></table></div>'
    else:
        table = '<p class="pg-meta">No evaluation result is stated in the metadata, in the Hub’s records or in a table of the card.</p>'
    if isinstance(checks, str):
        table += _failed(checks)
    marks = "".join(
        f'<li class="pg-{section.state}"><span>{escape(section.title)}</span> <b>{_STATES[section.state]}</b></li>'
        for section in sections
    )
    return (
        f'<h3 class="pg-head">Evaluation</h3>{table}'
        f'<h3 class="pg-head">Sections of the card</h3><ul class="pg-sections">{marks}</ul>'
    )


def snippets_panel(card: ModelCard) -> str:
    """Code for this commit, one fold a library, each with its own copy button."""
    found = snippets_of(card)
    if not found:
        return '<p class="pg-meta">No library is known that loads these files.</p>'
    return "".join(
        f"<details{' open' if not position else ''}><summary>{escape(each.library)}</summary>"
        f'<div class="pg-code"><button class="pg-copy" data-copy="{escape(each.code, quote=True)}">Copy</button>'
        f'<pre tabindex="0"><code>{escape(each.code)}</code></pre></div></details>'
        for position, each in enumerate(found)
    )


def opens(repo_id: str, revision: str = "", text: str = "", kind: str = "model") -> str:
    """A link that opens another card in this page."""
    target = escape(json.dumps({"repo_id": repo_id, "revision": revision, "kind": kind}), quote=True)
    pairs = {"tab": "card", "repo": "" if kind == "model" else kind, "model": repo_id, "revision": revision}
    query = "?" + escape(urlencode({name: value for name, value in pairs.items() if value}, safe="/"), quote=True)
    return f'<a href="{query}" data-open="{target}">{escape(text or repo_id)}</a>'


def _above(each: Ancestor) -> str:
    licence = _tag(each.license_name or each.license or "no licence stated", warn=each.license is None)
    gated = " " + _tag("asks for access", warn=True) if each.gated else ""
    commit = f" <code>{each.revision[:7]}</code>" if each.revision else ""
    problem = f'<p class="pg-meta">{escape(each.problem)}</p>' if each.problem else ""
    known = f"{licence}{gated}" if each.revision else ""
    return (
        f'<li style="margin-inline-start:{min(each.depth, 6) * 16}px"><span class="pg-meta">{_RELATIONS[each.relation]}</span> '
        f"{opens(each.repo_id)}{commit} {known}{problem}</li>"
    )


def _below(card: ModelCard, children: Children | str | None, sized: Sized | None) -> str:
    if children is None:
        return _reading("Counting the models made from it …")
    if isinstance(children, str):
        return _failed(children)
    if not children.counts and card.summary.bundled:
        return '<p class="pg-meta">It came with the app; no model is made from exactly these files.</p>'
    if not children.counts:
        return '<p class="pg-meta">The Hub lists no model made from it.</p>'
    total = sum(children.counts.values())
    least = "" if children.complete else "at least "
    counts = " · ".join(
        f"{name} {children.counts[kind]:,}" for kind, name in _KINDS.items() if children.counts.get(kind)
    )
    rows = "".join(
        f'<tr><td>{opens(child.repo_id)}</td><td>{escape(child.relation or "–")}</td><td class="n">{parameters(child.params)}</td>'
        f'<td class="n">{short_count(child.downloads)}</td></tr>'
        for child in children.top
    )
    best = _quantised(sized) if sized else ""
    return (
        f'{best}<details class="pg-fold"><summary>Made from it: {least}{total:,}</summary><p class="pg-meta">{counts}</p>'
        '<table class="pg-numbers"><thead><tr><th>Model</th><th>How</th><th class="n">Parameters</th>'
        f'<th class="n">Downloads</th></tr></thead><tbody>{rows}</tbody></table></details>'
    )


def _quantised(sized: Sized) -> str:
    """What to take instead of a model that does not run here."""
    has = {True: ", which this machine has", False: ", which this machine does not have", None: ""}[sized.fits]
    how = " A runtime for GGUF such as llama.cpp loads it; this app runs safetensors." if sized.format == "gguf" else ""
    return (
        f'<p class="pg-notice">This model does not run here. The most downloaded quantised copy is {opens(sized.child.repo_id)} '
        f"by {escape(sized.child.repo_id.partition('/')[0])}: its smallest file has {bytes_of(sized.bytes)}, and needs about a "
        f"quarter more than that in memory{has}.{how}</p>"
    )


def _evaluation(each: Evaluation, check: Check | None, *, asked: bool) -> str:
    beside = "–"
    if check is not None and check.third is not None and check.difference is not None:
        mark = ' class="pg-warn"' if check.comparable and abs(check.difference) > 3 else ""
        apart = f"{check.difference:+.1f}" if check.comparable else f"{check.third.shots} shots"
        where = f' <span class="pg-meta">{escape(check.third.source)}</span>' if check.third.source else ""
        beside = f"<span{mark}>{check.third.value:.4g} ({apart})</span>{where}"
    elif asked and each.who == "self-reported":
        beside = '<span class="pg-meta">no third-party result found</span>'
    how = ", ".join(filter(None, (each.metric, each.config))) or "not said"
    shots = "–" if each.shots is None else str(each.shots)
    return (
        f'<tr><td title="{escape(each.place, quote=True)}">{escape(each.benchmark)}</td><td class="n">{each.value:g}</td>'
        f'<td class="n">{shots}</td><td>{_WHO[each.who]}</td><td>{escape(how[:120])}</td><td>{beside}</td></tr>'
    )


def _tag(text: str, *, warn: bool = False) -> str:
    return f'<span class="pg-tag{" pg-warn" if warn else ""}">{escape(text[:80])}</span>'


def _reading(text: str) -> str:
    return f'<p class="pg-meta" role="status" aria-busy="true">{text}</p>'


def _failed(text: str) -> str:
    return f'<div class="pg-error">{escape(text)}</div>'
