"""Everything a card page shows as one typed record, gathered at the same time: for programs, and for the fact sheet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from core.card_parts import Children, Lineage, Sized
from core.catalog import ModelCard
from core.errors import AppError
from core.evaluations import checks_of, evaluations_of
from core.licenses import license_of
from core.lineage import parents_of
from core.model_facts import facts_of
from core.origin_checks import FEW_DOWNLOADS, successor_of
from core.protocols import CardDetails
from core.report import Known, Report, report_of
from core.snippets import snippets_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gathered:
    """A card with what fills in beside it. A text stands where a part could not be read, and says why."""

    card: ModelCard
    known: Known
    children: Children | str | None
    sized: Sized | None = None

    @property
    def report(self) -> Report:
        """The trust report from what is known."""
        return report_of(self.card, self.known)


def or_sentence(ask: Callable[[], T]) -> T | str:
    """What `ask` returns, or the sentence of its error."""
    try:
        return ask()
    except AppError as error:
        return str(error)


def parts_of(card: ModelCard, details: CardDetails) -> dict[str, Callable[[], Any]]:
    """What a page asks for beside the card, by name, each a call that may wait for the Hub.

    Publisher and discussions are asked only of derivatives that hardly anybody uses: they cost requests, and for others
    they change no finding.
    """
    asked: dict[str, Callable[[], Any]] = {"children": lambda: details.children(card)}
    if parents_of(card.metadata, card.record.tags).parents:
        asked["lineage"] = lambda: details.lineage(card)
        downloads, likes = card.summary.downloads, card.summary.likes
        if downloads is not None and downloads < FEW_DOWNLOADS and likes == 0:
            asked["publisher"] = lambda: details.publisher(card.repo_id)
            asked["discussions"] = lambda: details.discussions(card.repo_id)
    evaluations = _evaluations(card)
    datasets = tuple(dict.fromkeys(each.dataset for each in evaluations if each.dataset and "/" in each.dataset))
    if datasets and card.source == "hub":
        asked["checks"] = lambda: checks_of(evaluations, details.boards(card.repo_id, datasets))
    return asked


def known_of(card: ModelCard, done: dict[str, Any]) -> Known:
    """What the finished parts tell; a model that names no parent has an empty tree."""
    empty = () if parents_of(card.metadata, card.record.tags).parents else Lineage()
    lineage = done.get("lineage", empty if isinstance(empty, Lineage) else None)
    return Known(lineage, done.get("publisher"), done.get("discussions"), done.get("checks"))


def gathered(card: ModelCard, details: CardDetails | None) -> Gathered:
    """The card with every part, asked at the same time."""
    if details is None:
        return Gathered(card, known_of(card, {}), None)
    asked = parts_of(card, details)
    with ThreadPoolExecutor(max(1, len(asked)), thread_name_prefix="card-part") as pool:
        running: dict[str, Future[Any]] = {name: pool.submit(or_sentence, ask) for name, ask in asked.items()}
        done = {name: future.result() for name, future in running.items()}
    return Gathered(card, known_of(card, done), done.get("children"))


def record_of(found: Gathered, card_html: str) -> dict[str, Any]:
    """The record of `model_card`. No key is named `path`: gradio_client would take the record for a file."""
    card, report, known = found.card, found.report, found.known
    stated = license_of(card.metadata, card.record.tags)
    lineage = known.lineage
    above = [asdict(each) for each in lineage.ancestors] if isinstance(lineage, Lineage) else []
    checks = {id(check.stated): check for check in known.checks} if isinstance(known.checks, tuple) else {}
    evaluations = []
    for each in report.evaluations:
        check = checks.get(id(each))
        third = asdict(check.third) if check and check.third else None
        evaluations.append({**asdict(each), "third_party": third, "difference": check.difference if check else None})
    children = found.children
    own = {
        "repo_id": card.repo_id,
        "revision": card.revision,
        "relation": None,
        "license": stated.id,
        "license_class": stated.license_class,
        "depth": 0,
        "problem": lineage if isinstance(lineage, str) else None,
    }
    return {
        "repo_id": card.repo_id,
        "revision": card.revision,
        "metadata": card.metadata,
        "card_html": card_html,
        "sections": [
            {"id": each.id, "title": each.title, "state": each.state, "words": each.words} for each in report.sections
        ],
        "findings": [asdict(finding) for finding in report.findings],
        "verdict": {
            "answer": report.verdict.answer,
            "sentence": report.verdict.sentence,
            "reasons": list(report.verdict.reasons),
        },
        "lineage": [own, *above],
        "children": {
            "counts": dict(children.counts),
            "complete": children.complete,
            "top": [asdict(c) for c in children.top],
        }
        if isinstance(children, Children)
        else {"problem": children},
        "evaluations": evaluations,
        "facts": [asdict(fact) for fact in facts_of(card)],
        "snippets": [asdict(snippet) for snippet in snippets_of(card)],
        "files": [{"file": entry.path, "size": entry.size} for entry in card.files],
        "refs": [{"name": name, "commit": commit} for name, commit in card.record.refs or ()],
        "new_version": successor_of(card.metadata),
        "gated": card.gated,
        "gated_link": card.gated_link,
        "main_moved": card.main_moved,
        "notices": list(card.notices),
        "papers": list(card.papers) if card.papers is not None else None,
        "datasets": _texts(card.metadata.get("datasets")),
        "spaces": list(card.record.spaces) if card.record.spaces is not None else None,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _evaluations(card: ModelCard) -> tuple[Any, ...]:
    return evaluations_of(card.metadata, card.record.results, card.markdown, card.repo_id.rpartition("/")[2])


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and item.strip()]
