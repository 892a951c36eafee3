"""The fact sheet: one page for somebody who decides, as a file of its own that prints on paper and loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components.numbers import bytes_of

MOST_FINDINGS = 14
MOST_EVALUATIONS = 12
_STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1b1f23; background: #fff; max-width: 780px; margin: 32px auto; padding: 0 24px; overflow-wrap: anywhere; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 14px; margin: 20px 0 6px; border-bottom: 1px solid #d5d9de; padding-bottom: 3px; }
.meta { color: #59636e; font-size: 12px; } .verdict { border: 1px solid #7a8490; border-radius: 8px; padding: 10px 14px; margin: 14px 0; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; } th, td { text-align: left; vertical-align: top; padding: 3px 10px 3px 0; border-bottom: 1px solid #eceff2; }
th { font-weight: 500; color: #59636e; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: 12px; }
ul { margin: 4px 0; padding-left: 18px; } li { margin: 3px 0; } b.sev { font-weight: 600; font-size: 12px; }
@page { size: A4; margin: 14mm; } @media print { body { margin: 0; max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; } tr, li { break-inside: avoid; } }
"""
_SEVERITIES = {"high": "High", "medium": "Medium", "low": "Low", "info": "Note"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def fact_sheet(record: Mapping[str, Any]) -> str:
    """The page for a record of `model_card`. It names the commit and the date, and says what could not be checked."""
    name, commit = escape(str(record["repo_id"])), escape(str(record["revision"]))
    verdict = record["verdict"]
    facts = "".join(
        f"<tr><th>{escape(row['name'])}</th><td>{escape(row['value'])}</td></tr>" for row in record["facts"]
    )
    grave = [row for row in record["findings"] if row["severity"] != "info"]
    notes = [row for row in record["findings"] if row["severity"] == "info"]
    sizes = [row["size"] for row in record["files"] if row["size"] is not None]
    total = f"{len(record['files']):,} files, {bytes_of(sum(sizes))}" if sizes else f"{len(record['files']):,} files"
    absent = [row["title"] for row in record["sections"] if row["state"] != "present"]
    missing = (
        f"<p>Absent or thin in the card: {escape(', '.join(absent))}.</p>"
        if absent
        else "<p>All sections are there.</p>"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{name} at {commit[:7]}: fact sheet</title><style>{_STYLE}</style></head><body>
<h1>{name}</h1><p class="meta">Commit <code>{commit}</code> · made {escape(str(record["made_at"]))} by Proving Ground from the card, the headers of files and the Hub's records. No weights were loaded. It is not legal advice.</p>
<div class="verdict">{escape(verdict["sentence"])}</div>
<h2>Facts</h2><table>{facts}<tr><th>Files</th><td>{total}</td></tr></table>
<h2>Made from</h2>{_lineage(record["lineage"])}
<h2>Findings</h2>{_findings(grave, MOST_FINDINGS) or "<p>Nothing was found among what is checked.</p>"}
<h2>Evaluation</h2>{_evaluations(record["evaluations"])}
<h2>Sections of the card</h2>{missing}
{f"<h2>What could not be checked</h2>{_findings(notes, MOST_FINDINGS)}" if notes else ""}
</body></html>
"""


def _lineage(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = "".join(
        f"<tr><td>{'&nbsp;' * 3 * min(int(row['depth']), 8)}{escape(row['repo_id'])}</td><td>{escape(str(row['relation'] or ('this model' if not row['depth'] else '')))}</td>"
        f"<td>{escape(str(row['license'] or row['problem'] or 'no licence stated'))}</td><td><code>{escape(str(row['revision'] or '')[:7])}</code></td></tr>"
        for row in rows
    )
    return f"<table><tr><th>Model</th><th>How</th><th>Licence</th><th>Commit</th></tr>{cells}</table>"


def _findings(rows: Sequence[Mapping[str, Any]], most: int) -> str:
    items = "".join(
        f'<li><b class="sev">{_SEVERITIES.get(row["severity"], "Note")}.</b> {escape(row["sentence"])} <span class="meta">{escape(row["source"])}</span></li>'
        for row in rows[:most]
    )
    more = f'<p class="meta">and {len(rows) - most} more in the JSON.</p>' if len(rows) > most else ""
    return f"<ul>{items}</ul>{more}" if items else ""


def _evaluations(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>No evaluation result is stated.</p>"
    cells = "".join(
        f'<tr><td>{escape(row["benchmark"])}</td><td class="n">{row["value"]:g}</td><td class="n">{"–" if row["shots"] is None else row["shots"]}</td>'
        f"<td>{escape(row['who'])}</td><td>{_third(row)}</td></tr>"
        for row in rows[:MOST_EVALUATIONS]
    )
    more = (
        f'<p class="meta">and {len(rows) - MOST_EVALUATIONS} more in the JSON.</p>'
        if len(rows) > MOST_EVALUATIONS
        else ""
    )
    head = '<tr><th>Benchmark</th><th class="n">Value</th><th class="n">Shots</th><th>Measured by</th><th>Third party</th></tr>'
    return f"<table>{head}{cells}</table>{more}"


def _third(row: Mapping[str, Any]) -> str:
    if row["third_party"]:
        return f"{row['third_party']['value']:g} ({row['difference']:+.1f})"
    return "none found" if row["who"] == "self-reported" else "–"
