"""Card tab for what is no model: datasets with their first rows, Spaces with what they use; and the papers any card names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from components.card_head import head_of, not_opened
from components.card_html import outline_of, render_card
from components.errors import shown_to_user
from components.repo_panels import (
    dataset_code,
    dataset_panel,
    findings_box,
    paper_panel,
    preview_panel,
    repo_facts,
    space_panel,
)
from core.address import Address
from core.errors import AppError, UserInputError
from core.hub_protocols import RepoDetails
from core.refs import shown
from core.repo_cards import DatasetParts, Preview, RepoCard, check_repo_kind
from pages.card_layout import SAME, Shown
from pages.card_record import or_sentence

MOST_PAPERS = 5
FIRST = ("train", "training", "default")


class RepoPages:
    """What is shown and returned of datasets, Spaces and papers."""

    def __init__(self, repos: RepoDetails, endpoint: str) -> None:
        self.repos = repos
        self.endpoint = endpoint
        hub = urlsplit(endpoint)
        # Pictures of first rows are shown from the Hub and its viewer alone.
        self.hosts = (f"{hub.scheme}://{hub.netloc}", "https://datasets-server.huggingface.co")

    def steps(self, place: Address) -> Iterator[Shown]:
        """The card's text first, then what takes longer; `Shown` as the Card tab takes it."""
        name = f"<h2>{escape(place.model)}</h2>"
        hidden = gr.Button(visible=False)
        try:
            found = self.repos.open(place.kind, place.model, place.revision)
        except AppError as error:
            yield Shown(name, gr.skip(), "", not_opened(error, place.query()))
            return
        is_data = found.kind == "dataset"
        yield Shown(
            head_of(found.card, self.endpoint, found.kind),
            hidden,
            "",
            findings_box(found),
            dataset_panel(None) if is_data else space_panel(found),
            "",
            f'<h3 class="pg-said">What the author says</h3>{self._body(found)}',
            repo_facts(found, self.endpoint),
            "",
            preview=preview_panel(None) if is_data else "",
            repo=Address("card", place.model, found.card.revision, kind=found.kind),
        )
        if not is_data:
            return
        parts = or_sentence(lambda: self.repos.parts(found))
        first = first_split(parts)
        code = dataset_code(found, *first) if first else ""
        yield SAME._replace(tree=dataset_panel(parts), preview=preview_panel(None) if first else "", code=code)
        if first:
            rows = or_sentence(lambda: self.repos.rows(found, *first))
            yield SAME._replace(preview=preview_panel(rows, self.hosts))

    def rows(self, event: gr.EventData, repo: Address | None) -> Iterator[str]:
        """The first rows of the split that was chosen."""
        with shown_to_user():
            if repo is None:
                raise UserInputError("Open a dataset first.")
            config, split = str(event.config), str(event.split)
            yield preview_panel(None)
            found = or_sentence(lambda: self.repos.open(repo.kind, repo.model, repo.revision))
            preview = found if isinstance(found, str) else or_sentence(lambda: self.repos.rows(found, config, split))
            yield preview_panel(preview, self.hosts)

    def paper(self, event: gr.EventData) -> Iterator[str]:
        """The paper that was chosen."""
        with shown_to_user():
            number = str(event.paper)
            yield paper_panel(None)
            yield paper_panel(or_sentence(lambda: self.repos.paper(number)))

    def papers(self, numbers: tuple[str, ...] | None) -> list[dict[str, Any]]:
        """Records of the papers a card names, asked at the same time; the first few."""
        wanted = list(numbers or ())[:MOST_PAPERS]
        if not wanted:
            return []
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="card-paper") as pool:
            asked = [
                pool.submit(copy_context().run, or_sentence, lambda number=number: self.repos.paper(number))
                for number in wanted
            ]
            answers = [call.result() for call in asked]
        return [
            {"number": number, "problem": answer} if isinstance(answer, str) else asdict(answer)
            for number, answer in zip(wanted, answers, strict=True)
        ]

    def record(self, kind: str, repo_id: str, revision: str, split: str = "") -> dict[str, Any]:
        """The record of `model_card` for a dataset or a Space. No key is named `path`.

        `split` names the split whose first rows are read, as `split` or `config/split`; "" is the one the page shows.
        """
        found = self.repos.open(check_repo_kind(kind), repo_id, revision)
        card = found.card
        record: dict[str, Any] = {
            "kind": found.kind,
            "repo_id": card.repo_id,
            "revision": card.revision,
            "metadata": card.metadata,
            "card_html": self._rendered(found),
            "findings": [asdict(finding) for finding in card.findings],
            "license": card.summary.license,
            "license_class": card.summary.license_class,
            "languages": list(card.summary.languages),
            "task": card.summary.task,
            "downloads": card.summary.downloads,
            "likes": card.summary.likes,
            "updated": card.summary.updated,
            "files": [{"file": entry.path, "size": entry.size} for entry in card.files],
            "refs": [{"name": name, "commit": commit} for name, commit in card.record.refs or ()],
            "gated": card.gated,
            "gated_link": card.gated_link,
            "main_moved": card.main_moved,
            "notices": list(card.notices),
            "papers": list(card.papers or ()),
            "paper_records": self.papers(card.papers),
            "models": list(found.models),
            "datasets": list(found.datasets),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if found.kind == "space":
            return {**record, "sdk": found.sdk, "stage": found.stage, "hardware": found.hardware}
        parts = or_sentence(lambda: self.repos.parts(found))
        if isinstance(parts, str):
            return {**record, "features": {}, "splits": [], "problem": parts, "first_rows": None}
        first = named_split(parts, split) if split else first_split(parts)
        rows = or_sentence(lambda: self.repos.rows(found, *first)) if first else None
        return {
            **record,
            "features": {config: [asdict(each) for each in columns] for config, columns in parts.columns.items()},
            "splits": [asdict(each) for each in parts.splits],
            "counted_by": parts.source,
            "problem": parts.problem,
            "first_rows": {"problem": rows} if isinstance(rows, str) else rows_record(rows),
        }

    def _body(self, found: RepoCard) -> str:
        html = self._rendered(found)
        return (
            outline_of(html) + html
            if html
            else '<p class="pg-meta">Nothing: the card has no text that can be read.</p>'
        )

    def _rendered(self, found: RepoCard) -> str:
        card = found.card
        return render_card(
            card.markdown, repo_id=card.repo_id, revision=card.revision, endpoint=self.endpoint, kind=found.kind
        )


def first_split(parts: DatasetParts | str) -> tuple[str, str] | None:
    """The split whose rows are shown unasked: train where there is one."""
    if isinstance(parts, str) or not parts.splits:
        return None
    chosen = next((each for each in parts.splits if each.name in FIRST), parts.splits[0])
    return chosen.config, chosen.name


def named_split(parts: DatasetParts, name: str) -> tuple[str, str]:
    """The split that `name` means: `split`, or `config/split` where several configs have one of that name."""
    wanted = [each for each in parts.splits if name in (each.name, f"{each.config}/{each.name}")]
    if not wanted:
        known = ", ".join(f"{each.config}/{each.name}" for each in parts.splits[:12]) or "none"
        raise UserInputError(f"This dataset has no split “{shown(name)}”. It has: {known}.")
    return wanted[0].config, wanted[0].name


def rows_record(preview: Preview | None) -> dict[str, Any] | None:
    """First rows for a program: a record a row, text for each column."""
    if preview is None:
        return None
    names = [each.name for each in preview.columns]
    return {
        "config": preview.config,
        "split": preview.split,
        "columns": [asdict(each) for each in preview.columns],
        "rows": [
            {name: cell.address or cell.text for name, cell in zip(names, row, strict=True)} for row in preview.rows
        ],
        "source": preview.source,
        "notes": list(preview.notes),
        "problem": preview.problem,
    }
