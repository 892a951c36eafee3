"""The head of a card page and the panel beside it: name, commit, what to know first, facts, links, files, code."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from components.card_panels import facts_table, opens, snippets_panel
from components.card_tables import files_table, metadata_table
from components.repo_panels import linked_to
from core.access import THEN
from core.catalog import ModelCard
from core.citation import citation_of
from core.errors import AppError
from core.origin_checks import successor_of


def head_of(card: ModelCard, endpoint: str, kind: str = "model") -> str:
    """Name, commit, access, and anything that has to be known first."""
    notices = list(card.notices)
    if card.metadata_error:
        notices.append(card.metadata_error)
    if card.main_moved:
        notices.append(f"main has moved on to {card.main_moved[:7]} since this commit.")
    lines = "".join(f'<p class="pg-notice">{escape(notice)}</p>' for notice in notices)
    if card.gated_link:
        lines += (
            '<p class="pg-notice">The owner asks for access first. '
            f'<a href="{escape(card.gated_link, quote=True)}" target="_blank" rel="noopener noreferrer">'
            f"Ask for access on the Hub</a>, {THEN}</p>"
        )
    if successor := successor_of(card.metadata):
        lines += f'<p class="pg-notice">The author names a newer version: {opens(successor)}.</p>'
    where = "On this machine" if card.source == "local" else escape(endpoint.partition("//")[2])
    what = f' <span class="pg-tag">{"Space" if kind == "space" else kind}</span>' if kind != "model" else ""
    return (
        f"<h2>{escape(card.repo_id)}{what}</h2>"
        f'<p class="pg-meta">{where} · commit <code>{card.revision}</code> '
        f'<button class="pg-copy" data-copy="{card.revision}">Copy commit</button></p>{lines}'
    )


def not_opened(error: AppError, query: str) -> str:
    """Why there is no card, and a link that asks again; `query` is the address of the place."""
    again = f'<p class="pg-meta"><a href="?{escape(query, quote=True)}">Try again</a></p>'
    return f'<div class="pg-error" role="alert">{escape(str(error))}</div>{again}'


def facts_of(card: ModelCard, scans: Mapping[str, str] | None = None) -> str:
    """Facts, the card's metadata, what it is linked to, and its files with what the Hub's scan says of each."""
    linked = linked_to(card)
    return (
        f"<details open><summary>Facts</summary>{facts_table(card)}</details>"
        f"<details><summary>Metadata</summary>{metadata_table(card.metadata)}</details>"
        + (f"<details open><summary>Linked</summary>{linked}</details>" if linked else "")
        + f"<details open><summary>Files ({len(card.files)})</summary>{files_table(card.files, scans or {})}</details>"
    )


def snippets_of_card(card: ModelCard, endpoint: str) -> str:
    """Code for exactly this commit, and how to cite it."""
    cited = citation_of(card, endpoint)
    who = "as its author asks" if cited.stated else "made from the repository: its author asks for nothing of their own"
    text = cited.bibtex
    citation = (
        f'<details><summary>Citation</summary><p class="pg-meta">BibTeX, {who}.</p><div class="pg-code">'
        f'<button class="pg-copy" data-copy="{escape(text, quote=True)}">Copy</button>'
        f'<pre tabindex="0"><code>{escape(text)}</code></pre></div></details>'
    )
    return f'<h3 class="pg-head">Code for this commit</h3>{snippets_panel(card)}{"" if card.summary.bundled and not cited.stated else citation}'
