"""`model_card` for programs and agents: everything the Card tab shows, as one record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from components.api import expose
from components.card_html import render_card
from components.errors import shown_to_user
from core.arguments import check_types
from core.catalog import ModelCard
from core.citation import citation_of
from core.errors import UserInputError
from core.hub_protocols import CardDetails, HubCatalog
from core.refs import split_model
from core.repo_cards import check_kind
from pages.card_kinds import RepoPages
from pages.card_record import beside, gathered, record_of


class CardApi:
    """Reading cards without the page."""

    def __init__(
        self, catalog: HubCatalog, endpoint: str, details: CardDetails | None = None, repos: RepoPages | None = None
    ) -> None:
        self.catalog = catalog
        self.endpoint = endpoint
        self.details = details
        self.repos = repos

    def wire(self) -> None:
        """Register the endpoint."""
        expose(self.model_card, concurrency_limit=8)

    def model_card(self, repo_id: str, revision: str = "main", kind: str = "model", split: str = "") -> dict[str, Any]:
        """Read a card at one commit: a model's facts, findings, verdict, tree, evaluations, files. Loads no weights.

        A dataset's has features, splits, licence and first rows; a Space's the models and datasets it uses. `paper_records`
        hold title, authors, abstract and the repositories of each paper the card names.

        Args:
            repo_id: owner/name.
            revision: A commit, branch or tag; the answer names the commit it means.
            kind: model, dataset or space.
            split: Of a dataset: the split whose first rows are read, as train or config/train; its first one without.
        """
        with shown_to_user():
            check_types(text={"repo_id": repo_id, "revision": revision, "kind": kind, "split": split})
            check_kind(kind)
            name, at = split_model(repo_id)
            commit = at or ("" if revision == "main" else revision)
            if kind != "model":
                if self.repos is None:
                    raise UserInputError("Cards of datasets and Spaces are not set up here.")
                return self.repos.record(kind, name, commit, split)
            card = opened(self.catalog, self.details, name, commit)
            record = record_of(gathered(card, self.details), rendered(card, self.endpoint, self.details))
            papers = self.repos.papers(card.papers) if self.repos and card.source == "hub" else []
            cited = asdict(citation_of(card, self.endpoint))
            return {"kind": "model", **record, **beside(card, self.details), "paper_records": papers, "citation": cited}


def opened(catalog: HubCatalog, details: CardDetails | None, repo_id: str, revision: str) -> ModelCard:
    """A model's card at the commit that `revision` means; "" is the default branch."""
    if details is not None:
        return details.open(repo_id, revision)
    return catalog.card(catalog.resolve(repo_id, revision))


def rendered(card: ModelCard, endpoint: str, details: CardDetails | None) -> str:
    """The card's text as safe HTML; the pictures of a model that is here stand in it."""
    picture = (lambda file: details.picture(card, file)) if details and card.source == "local" else None
    return render_card(card.markdown, repo_id=card.repo_id, revision=card.revision, endpoint=endpoint, picture=picture)
