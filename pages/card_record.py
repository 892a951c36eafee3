"""Everything a card page shows as one typed record, gathered at the same time: for programs, and for the fact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard, TypeVar

from core.card_parts import Changed, Children, Lineage, Sized, Template
from core.catalog import ModelCard
from core.errors import AppError
from core.evaluations import checks_of, evaluations_of, is_known
from core.hub_protocols import CardDetails
from core.licenses import license_of
from core.lineage import parents_of
from core.model_facts import facts_of
from core.origin_checks import FEW_DOWNLOADS, successor_of
from core.refs import ModelRef
from core.report import Known, Report, report_of
from core.snippets import snippets_of

T = TypeVar("T")
MOST_REQUESTS = 10
"""The most requests one page makes by itself."""
OPEN_LLM_REQUESTS = 4
CARD_REQUESTS = 5
"""Those for the card alone: the commit, the record, README.md, config.json and the refs."""


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


class Further(NamedTuple):
    """A part that only some pages need: how many requests it costs at most, and the call."""

    name: str
    cost: int
    ask: Callable[[], Any]


def or_sentence(ask: Callable[[], T]) -> T | str:
    """What `ask` returns, or the sentence of its error."""
    try:
        return ask()
    except AppError as error:
        return str(error)


def parts_of(card: ModelCard, details: CardDetails) -> dict[str, Callable[[], Any]]:
    """What every page asks for beside the card, by name, each a call that may wait for the Hub."""
    asked: dict[str, Callable[[], Any]] = {"children": lambda: details.children(card)}
    if parents_of(card.metadata, card.record.tags).parents:
        asked["lineage"] = lambda: details.lineage(card)
    return asked


def further_of(card: ModelCard, details: CardDetails) -> list[Further]:
    """What changes a finding for some models only, the most telling first.

    Publisher and discussions are asked only of derivatives that hardly anybody uses: for others they change no finding.
    """
    found: list[Further] = []
    evaluations = _evaluations(card)
    datasets = tuple(dict.fromkeys(each.dataset for each in evaluations if each.dataset and "/" in each.dataset))
    if datasets and card.source == "hub":
        found.append(
            Further("checks", len(datasets), lambda: checks_of(evaluations, details.boards(card.repo_id, datasets)))
        )
    names = {entry.path for entry in card.files}
    unread = [
        name
        for name, known in (
            ("generation_config.json", card.record.generation),
            ("tokenizer_config.json", card.record.tokenizer),
        )
        if known is None and name in names
    ]
    if unread and card.source == "hub":
        found.append(Further("configs", len(unread), lambda: details.complete(card)))
    ref = ModelRef(card.repo_id, card.revision)
    if successor_of(card.metadata):
        found.append(Further("successors", 2, lambda: details.successors(card)))
    if card.source == "hub" and "README.md" in names:
        found.append(Further("changed", 1, lambda: details.changed(ref)))
    downloads, likes = card.summary.downloads, card.summary.likes
    derived = bool(parents_of(card.metadata, card.record.tags).parents)
    if derived and downloads is not None and downloads < FEW_DOWNLOADS and likes == 0:
        found.append(Further("discussions", 1, lambda: details.discussions(card.repo_id)))
        found.append(Further("publisher", 2, lambda: details.publisher(card.repo_id)))
    if card.source == "hub" and any(is_known(each.benchmark) for each in evaluations):
        # Last: four requests, and what they bring replaces what the leaderboards alone told.
        found.append(
            Further(
                "open_llm",
                OPEN_LLM_REQUESTS,
                lambda: checks_of(
                    evaluations, (*details.boards(card.repo_id, datasets), *details.open_llm(card.repo_id))
                ),
            )
        )
    return found


def room_for(card: ModelCard, done: dict[str, Any]) -> int:
    """How many more requests a page may make by itself after the card, its tree and its children."""
    if card.source == "local":
        return MOST_REQUESTS
    lineage = done.get("lineage")
    return MOST_REQUESTS - CARD_REQUESTS - 1 - (len(lineage.ancestors) if isinstance(lineage, Lineage) else 0)


def affordable(further: list[Further], left: int) -> list[Further]:
    """Those of `further` that fit into `left` requests; the rest waits for a click."""
    chosen = []
    for part in further:
        if part.cost <= left:
            chosen.append(part)
            left -= part.cost
    return chosen


def has_quantised(children: object) -> TypeGuard[Children]:
    """Whether there is a quantised child to suggest where the model itself does not run."""
    return isinstance(children, Children) and any(each.relation == "quantized" for each in children.top)


def known_of(card: ModelCard, done: dict[str, Any]) -> Known:
    """What the finished parts tell; a model that names no parent has an empty tree."""
    empty = None if parents_of(card.metadata, card.record.tags).parents else Lineage()
    others = {name: done.get(name) for name in ("publisher", "discussions", "changed", "successors")}
    return Known(done.get("lineage", empty), checks=third_parties(done), **others)


def third_parties(done: dict[str, Any]) -> Any:
    """The numbers beside third parties': with the Open LLM Leaderboard's where those were read."""
    wider = done.get("open_llm")
    return wider if isinstance(wider, tuple) else done.get("checks", wider)


def scans_of(changed: object) -> Mapping[str, str]:
    """What the Hub's scan says by file, as far as the list of files was read."""
    return changed.scans if isinstance(changed, Changed) else {}


def with_configs(card: ModelCard, done: dict[str, Any]) -> ModelCard:
    """The card with the configs that were read after it."""
    read = done.get("configs")
    return read if isinstance(read, ModelCard) else card


def gathered(card: ModelCard, details: CardDetails | None) -> Gathered:
    """The card with every part, asked at the same time."""
    if details is None:
        return Gathered(card, known_of(card, {}), None)
    asked = parts_of(card, details) | {part.name: part.ask for part in further_of(card, details)}
    done = asked_together(asked)
    return Gathered(with_configs(card, done), known_of(card, done), done.get("children"))


def beside(card: ModelCard, details: CardDetails | None) -> dict[str, Any]:
    """What the page reads when a fold is opened: commits, template, publisher, discussions; `problem` where one failed."""
    if details is None:
        return {"commits": None, "chat_template": None, "publisher": None, "discussions": None}
    ref = ModelRef(card.repo_id, card.revision)
    asked: dict[str, Callable[[], Any]] = {
        "commits": lambda: [asdict(each) for each in details.history(ref).commits],
        "chat_template": lambda: _dict(details.template(card)),
    }
    if not card.summary.bundled:
        asked["publisher"] = lambda: asdict(details.publisher(card.repo_id))
        asked["discussions"] = lambda: [asdict(each) for each in details.discussions(card.repo_id)]
    done = asked_together(asked)
    empty: dict[str, Any] = {"publisher": None, "discussions": []}
    return {**empty, **{name: {"problem": value} if isinstance(value, str) else value for name, value in done.items()}}


def asked_together(asked: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Every answer by name; the sentence of its error where one failed."""
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked), thread_name_prefix="card-part") as pool:
        running: dict[str, Future[Any]] = {
            name: pool.submit(copy_context().run, or_sentence, ask) for name, ask in asked.items()
        }
        return {name: future.result() for name, future in running.items()}


def record_of(found: Gathered, card_html: str) -> dict[str, Any]:
    """The record of `model_card`. No key is named `path`: gradio_client would take the record for a file."""
    card, report, known = found.card, found.report, found.known
    stated = license_of(card.metadata, card.record.tags)
    lineage = known.lineage
    above = [asdict(each) for each in lineage.ancestors] if isinstance(lineage, Lineage) else []
    checks = {check.stated: check for check in known.checks} if isinstance(known.checks, tuple) else {}
    evaluations = []
    for each in report.evaluations:
        check = checks.get(each)
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
        "files": [
            {"file": entry.path, "size": entry.size, "scan": scans_of(known.changed).get(entry.path)}
            for entry in card.files
        ],
        "refs": [{"name": name, "commit": commit} for name, commit in card.record.refs or ()],
        "new_version": successor_of(card.metadata),
        "successors": list(known.successors) if isinstance(known.successors, tuple) else [],
        "gated": card.gated,
        "gated_link": card.gated_link,
        "main_moved": card.main_moved,
        "notices": list(card.notices),
        "papers": list(card.papers) if card.papers is not None else None,
        "datasets": _texts(card.metadata.get("datasets")),
        "spaces": list(card.record.spaces) if card.record.spaces is not None else None,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _dict(template: Template | None) -> dict[str, Any] | None:
    return None if template is None else asdict(template)


def _evaluations(card: ModelCard) -> tuple[Any, ...]:
    return evaluations_of(card.metadata, card.record.results, card.markdown, card.repo_id.rpartition("/")[2])


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and item.strip()]
