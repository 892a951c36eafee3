"""The panels of a dataset's or a Space's card, first rows and papers, as HTML. All text in them is a stranger's, and escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from components.card_panels import OPENS, opens
from components.card_tables import files_table, findings_list, metadata_table
from components.numbers import age_since, bytes_of, short_count
from components.results import license_cell
from core.catalog import ModelCard
from core.data_files import DEFAULT
from core.languages import language_name
from core.repo_cards import Cell, Column, DatasetParts, Linked, Paper, Preview, RepoCard, Split

MOST_SPLITS = 60
MOST_SHOWN_COLUMNS = 60
MOST_NAMES = 12
_INLINE = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/gif;base64,")
# A click on a split asks for its rows; one on a paper for its page. Links to other cards open in this page.
ASKS = (
    OPENS
    + """
element.addEventListener('click', (event) => {
  const asked = event.target.closest('[data-ask]');
  if (!asked) return;
  event.preventDefault();
  trigger('input', JSON.parse(asked.dataset.ask));
});
"""
)


def findings_box(found: RepoCard) -> str:
    """What to know before using it."""
    findings = found.card.findings
    if not findings:
        return ""
    return f'<h3 class="pg-head" id="card-at-findings">What to know first</h3>{findings_list(findings)}'


def dataset_panel(parts: DatasetParts | str | None) -> str:
    """Splits and features of every config; None while they are being read, a text why they are not known."""
    head = '<h3 class="pg-head">Splits and features</h3>'
    if parts is None:
        return f'{head}<p class="pg-meta" role="status" aria-busy="true">Reading splits and features …</p>'
    if isinstance(parts, str):
        return f'{head}<div class="pg-error">{escape(parts)}</div>'
    problem = f'<p class="pg-notice">{escape(parts.problem)}</p>' if parts.problem else ""
    table = _splits(parts.splits) if parts.splits else ""
    configs = list(parts.columns.items())
    features = "".join(
        f'<details class="pg-fold"{" open" if len(configs) == 1 else ""}><summary>Features{f" of {escape(name)}" if len(configs) > 1 else ""} '
        f"({len(columns):,})</summary>{_features(columns)}</details>"
        for name, columns in configs[:MOST_SPLITS]
        if columns
    )
    source = f'<p class="pg-meta">Told by {escape(parts.source)}.</p>' if parts.source and (table or features) else ""
    return f"{head}{problem}{table}{source}{features}"


def preview_panel(preview: Preview | str | None, hosts: Sequence[str] = ()) -> str:
    """The first rows of a split. Pictures are shown from `hosts` (the Hub's own) and from inside the rows, from nowhere else."""
    if preview is None:
        return '<h3 class="pg-head">First rows</h3><p class="pg-meta" role="status" aria-busy="true">Reading the first rows …</p>'
    if isinstance(preview, str):
        return f'<h3 class="pg-head">First rows</h3><div class="pg-error">{escape(preview)}</div>'
    named = f'<span class="pg-meta">{escape(preview.config)} / {escape(preview.split)}</span>'
    head = f'<h3 class="pg-head" id="card-at-rows">First rows {named}</h3>'
    if preview.problem:
        return f'{head}<p class="pg-notice">{escape(preview.problem)}</p>'
    notes = "".join(f'<p class="pg-meta">{escape(note)}</p>' for note in preview.notes)
    heads = "".join(
        f'<th>{escape(each.name)}<span class="pg-type">{escape(each.type)}</span></th>' for each in preview.columns
    )
    rows = "".join(
        f"<tr>{''.join(f'<td dir=auto>{_cell(cell, hosts)}</td>' for cell in row)}</tr>" for row in preview.rows
    )
    table = f'<div class="pg-scroll pg-rows-box" tabindex="0"><table class="pg-first-rows"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    count = f"{len(preview.rows):,} {'row' if len(preview.rows) == 1 else 'rows'}"
    return f'{head}{table}<p class="pg-meta">{count}, from {escape(preview.source)}.</p>{notes}'


def space_panel(found: RepoCard) -> str:
    """What a Space runs on, and what it uses."""
    said = [
        f"Built with {escape(found.sdk)}" if found.sdk else "",
        f"on {escape(found.hardware)}" if found.hardware else "",
    ]
    line = " ".join(filter(None, said))
    stage = (
        f'<span class="pg-tag{"" if found.stage == "RUNNING" else " pg-warn"}">{escape(found.stage.replace("_", " ").lower())}</span>'
        if found.stage
        else ""
    )
    lists = "".join(
        f"<tr><th>{title}</th><td>{_names(names, kind)}</td></tr>"
        for title, names, kind in (("Models", found.models, "model"), ("Datasets", found.datasets, "dataset"))
    )
    return (
        f'<h3 class="pg-head">What it uses</h3><p>{line or "The Hub does not say what it is built with"}. {stage}</p>'
        f'<table class="pg-pairs">{lists}</table>'
        '<p class="pg-meta">Models and datasets are those its card names and the Hub found in its code.</p>'
    )


def repo_facts(found: RepoCard, endpoint: str) -> str:
    """Facts, metadata, papers and files beside the card."""
    card, row = found.card, found.card.summary
    facts = [("Licence", license_cell(row.license, row.license_class))]
    if row.languages:
        facts.append(("Languages", escape(", ".join(language_name(code) for code in row.languages[:12]))))
    if row.task:
        facts.append(("Task", escape(row.task.replace("-", " "))))
    sizes = [each.size for each in card.files if each.size is not None]
    if sizes:
        facts.append(("Size", f"{bytes_of(sum(sizes))} in {len(card.files):,} files"))
    facts += [
        ("Downloads", f"{short_count(row.downloads)} in 30 days") if row.downloads is not None else ("", ""),
        ("Likes", short_count(row.likes)),
        ("Updated", age_since(row.updated) + " ago" if row.updated else "–"),
    ]
    listed = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in facts if name)
    papers = f"<details open><summary>Papers</summary>{paper_links(card.papers)}</details>" if card.papers else ""
    prefix = "datasets" if found.kind == "dataset" else "spaces"
    page = f"{endpoint}/{prefix}/{card.repo_id}"
    there = f'<a href="{escape(page, quote=True)}" target="_blank" rel="noopener noreferrer">Its page on the Hub</a>'
    return (
        f"<details open><summary>Facts</summary><table>{listed}</table><p>{there}</p></details>{papers}"
        f"<details><summary>Metadata</summary>{metadata_table(card.metadata)}</details>"
        f"<details open><summary>Files ({len(card.files)})</summary>{files_table(card.files)}</details>"
    )


def dataset_code(found: RepoCard, config: str, split: str) -> str:
    """Code that streams a split of exactly this commit."""
    card = found.card
    named = "" if config == DEFAULT else f"{config!r}, ".replace("'", '"')
    code = (
        "from datasets import load_dataset\n\n"
        f'rows = load_dataset("{card.repo_id}", {named}split="{split}",\n'
        f'                    revision="{card.revision}",\n'
        "                    streaming=True)\n"
        "print(next(iter(rows)))"
    )
    copy = f'<button class="pg-copy" data-copy="{escape(code, quote=True)}">Copy</button>'
    return (
        '<h3 class="pg-head">Code for this commit</h3><details open><summary>datasets</summary>'
        f'<div class="pg-code">{copy}<pre tabindex="0"><code>{escape(code)}</code></pre></div></details>'
    )


def linked_to(card: ModelCard) -> str:
    """Datasets, Spaces and papers that a model's card names; each opens in this page."""
    datasets = card.metadata.get("datasets")
    named = [
        name for name in (datasets if isinstance(datasets, list) else [datasets]) if isinstance(name, str) and name
    ]
    rows = [
        ("Datasets", _names(named, "dataset") if named else ""),
        ("Spaces", _names(card.record.spaces, "space") if card.record.spaces else ""),
        ("Papers", paper_links(card.papers or ())),
    ]
    cells = "".join(f"<tr><th>{title}</th><td>{links}</td></tr>" for title, links in rows if links)
    return f"<table>{cells}</table>" if cells else ""


def paper_links(numbers: Sequence[str]) -> str:
    """A button for each paper that a card names."""
    return "".join(
        f'<button class="pg-small" data-ask="{escape(json.dumps({"paper": number}), quote=True)}">arXiv:{escape(number)}</button> '
        for number in numbers[:MOST_NAMES]
    )


def paper_panel(paper: Paper | str | None) -> str:
    """Title, authors and abstract of a paper, and what else names it."""
    if paper is None:
        return '<p class="pg-meta" role="status" aria-busy="true">Reading the paper …</p>'
    if isinstance(paper, str):
        return f'<div class="pg-error">{escape(paper)}</div>'
    arxiv = f'<a href="https://arxiv.org/abs/{escape(paper.number, quote=True)}" target="_blank" rel="noopener noreferrer nofollow">arXiv:{escape(paper.number)}</a>'
    if paper.problem:
        return f'<div class="pg-paper"><p class="pg-notice">{escape(paper.problem)}</p><p>{arxiv}</p></div>'
    year = f", {escape(paper.published[:4])}" if paper.published else ""
    groups = "".join(
        f'<p class="pg-meta">{title}{_total(total)}</p><ul class="pg-linked">{_linked(rows)}</ul>'
        for title, kind, total in (
            ("Models", "model", paper.models),
            ("Datasets", "dataset", paper.datasets),
            ("Spaces", "space", None),
        )
        if (rows := [each for each in paper.linked if each.kind == kind])
    )
    return (
        f'<div class="pg-paper"><b>{escape(paper.title or "Without a title")}</b>'
        f'<p class="pg-meta">{escape(", ".join(paper.authors) or "authors not known")}{year} · {arxiv}</p>'
        f'<details class="pg-fold" open><summary>Abstract</summary><p>{escape(paper.abstract or "None.")}</p></details>{groups}</div>'
    )


def _splits(splits: Sequence[Split]) -> str:
    several = len({each.config for each in splits}) > 1
    rows = "".join(
        f"<tr>{f'<td>{escape(each.config)}</td>' if several else ''}<td>{escape(each.name)}</td>"
        f'<td class="n">{"–" if each.rows is None else f"{each.rows:,}"}</td><td class="n">{bytes_of(each.bytes)}</td>'
        f'<td><button class="pg-small" data-ask="{escape(json.dumps({"config": each.config, "split": each.name}), quote=True)}">First rows</button></td></tr>'
        for each in splits[:MOST_SPLITS]
    )
    more = f'<p class="pg-meta">and {len(splits) - MOST_SPLITS:,} more splits</p>' if len(splits) > MOST_SPLITS else ""
    head = f'<thead><tr>{"<th>Config</th>" if several else ""}<th>Split</th><th class="n">Rows</th><th class="n">Bytes</th><th></th></tr></thead>'
    return f'<table class="pg-numbers pg-splits">{head}<tbody>{rows}</tbody></table>{more}'


def _features(columns: Sequence[Column]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td><code>{escape(each.type)}</code></td></tr>"
        for each in columns[:MOST_SHOWN_COLUMNS]
    )
    left = len(columns) - MOST_SHOWN_COLUMNS
    more = f'<p class="pg-meta">and {left:,} more columns</p>' if left > 0 else ""
    return f'<table class="pg-numbers"><tbody>{rows}</tbody></table>{more}'


def _cell(cell: Cell, hosts: Sequence[str]) -> str:
    if cell.kind == "text" or not cell.address:
        return escape(cell.text)
    address = escape(cell.address, quote=True)
    here = urlsplit(cell.address)
    if cell.kind == "image" and (cell.address.startswith(_INLINE) or f"{here.scheme}://{here.netloc}" in hosts):
        return f'<img class="pg-row-picture" src="{address}" alt="{escape(cell.text, quote=True)}" loading="lazy" referrerpolicy="no-referrer">'
    if here.scheme not in ("http", "https"):
        return escape(cell.text)
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">{escape(cell.text)}</a>'


def _names(names: Sequence[str], kind: str) -> str:
    if not names:
        return '<span class="pg-meta">none named</span>'
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(opens(name, kind=kind) for name in names[:MOST_NAMES]) + more


def _linked(rows: Sequence[Linked]) -> str:
    return "".join(
        f'<li>{opens(each.repo_id, kind=each.kind)} <span class="pg-meta">{f"{short_count(each.downloads)} downloads" if each.downloads is not None else ""}</span></li>'
        for each in rows
    )


def _total(total: int | None) -> str:
    return f" ({total:,} in all)" if total else ""
