"""The head of a card page and the panel beside it: name, commit, what to know first, facts, links, files, code."""

from __future__ import annotations

from html import escape

from components.card_links import linked_to
from components.card_panels import facts_table, opens, snippets_panel
from components.card_tables import files_table, metadata_table
from core.catalog import ModelCard
from core.origin_checks import successor_of


def head_of(card: ModelCard, endpoint: str) -> str:
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
            "Ask for access on the Hub</a>, then open the card again.</p>"
        )
    if successor := successor_of(card.metadata):
        lines += f'<p class="pg-notice">The author names a newer version: {opens(successor)}.</p>'
    where = "On this machine" if card.source == "local" else escape(endpoint.partition("//")[2])
    return (
        f"<h2>{escape(card.repo_id)}</h2>"
        f'<p class="pg-meta">{where} · commit <code>{card.revision}</code> '
        f'<button class="pg-copy" data-copy="{card.revision}">Copy commit</button></p>{lines}'
    )


def facts_of(card: ModelCard, endpoint: str) -> str:
    """Facts, the card's metadata, what it is linked to, and its files, folded where they are long."""
    linked = linked_to(card, endpoint)
    return (
        f"<details open><summary>Facts</summary>{facts_table(card)}</details>"
        f"<details><summary>Metadata</summary>{metadata_table(card.metadata)}</details>"
        + (f"<details open><summary>Linked</summary>{linked}</details>" if linked else "")
        + f"<details open><summary>Files ({len(card.files)})</summary>{files_table(card.files)}</details>"
    )


def snippets_of_card(card: ModelCard) -> str:
    """Code for exactly this commit."""
    return f'<h3 class="pg-head">Code for this commit</h3>{snippets_panel(card)}'
