"""The catalogue: one search and one card over the Hub and this machine, with or without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import TypeVar, get_args

from backends.hub.cards import hub_card, local_card
from backends.hub.circuit import Circuit
from backends.hub.deadline import within
from backends.hub.local import LocalModel, LocalModels
from backends.hub.remote import Found, HubModels
from backends.hub.rows import Row
from core.catalog import MOST_ROWS, SORTS, ModelCard, ModelSummary, SearchPage, SearchQuery, SearchSource
from core.errors import HubError, HubUnreachable, RateLimited, UserInputError
from core.refs import COMMIT, ModelRef, check_repo_id, check_revision, shown
from core.tasks import TASKS

MOST_TEXT = 500
SEARCH_SECONDS = 4.0
CARD_SECONDS = 8.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
T = TypeVar("T")
HERE = "Showing the models on this machine."


class Catalog:
    """Implements `HubCatalog`."""

    def __init__(
        self,
        hub: HubModels,
        local: LocalModels,
        *,
        search_seconds: float = SEARCH_SECONDS,
        card_seconds: float = CARD_SECONDS,
        circuit: Circuit | None = None,
    ) -> None:
        self._hub = hub
        self._local = local
        self._search_seconds = search_seconds
        self._card_seconds = card_seconds
        self._circuit = circuit or Circuit()

    def search(self, query: SearchQuery) -> SearchPage:
        """Rows within the deadline; with `source` auto an unreachable Hub is a notice, not an error."""
        check_query(query)
        if query.source == "local":
            rows = self._local.find(query)
            return SearchPage(_summaries(rows[: query.limit]), len(rows), len(rows) <= query.limit)
        if query.source == "hub":
            found = self._ask(query)
            return SearchPage(_summaries(found.rows), found.looked_at, found.complete, hub_reachable=True)
        error = self._circuit.reason
        if error is None:
            try:
                return merged(query, self._ask(query), self._local.find(query))
            except HubError as failure:
                error = failure
        return self._without_hub(query, error)

    def resolve(self, repo_id: str, revision: str = "") -> ModelRef:
        """The commit that a branch, tag or short commit means now; "" is the default branch."""
        check_repo_id(repo_id)
        if revision:
            check_revision(revision)
        here = self._local.named(repo_id, revision)
        if here and (COMMIT.fullmatch(revision) or (here.registered and not revision)):
            return here.ref
        if here and self._circuit.reason:
            return here.ref
        try:
            commit = self._timed(
                lambda: within(self._search_seconds, lambda until: self._hub.commit(repo_id, revision, until))
            )
        except (HubUnreachable, RateLimited):
            if here is None:
                raise
            return here.ref
        return ModelRef(repo_id, commit)

    def card(self, ref: ModelRef) -> ModelCard:
        """The card, files and findings at exactly that commit: from the Hub, else from the copy on this machine."""
        here = self._local.get(ref)
        if here and here.registered:
            return local_card(here, self._local.folder(here))
        if here and (error := self._circuit.reason):
            return self._copy(here, str(error))
        try:
            parts = self._timed(lambda: self._hub.parts(ref, monotonic() + self._card_seconds))
        except HubError as error:
            if here is None:
                raise
            return self._copy(here, str(error))
        card = hub_card(ref, parts, self._hub.endpoint)
        return replace(card, summary=replace(card.summary, source="local")) if here else card

    def asked(self, ask: Callable[[], T]) -> T:
        """What `ask` gets from the Hub; raises at once while the Hub is known not to answer."""
        if error := self._circuit.reason:
            raise error
        return self._timed(ask)

    def _copy(self, here: LocalModel, why: str) -> ModelCard:
        return local_card(here, self._local.folder(here), (f"{why} This is the copy on this machine.",))

    def _ask(self, query: SearchQuery) -> Found:
        return self._timed(lambda: within(self._search_seconds, lambda until: self._hub.find(query, until)))

    def _timed(self, ask: Callable[[], T]) -> T:
        """Ask the Hub, and remember whether it was there."""
        started = monotonic()
        try:
            value = ask()
        except (HubUnreachable, RateLimited) as error:
            self._circuit.failed(error, monotonic() - started)
            raise
        except HubError:
            self._circuit.answered()
            raise
        self._circuit.answered()
        return value

    def _without_hub(self, query: SearchQuery, error: HubError) -> SearchPage:
        rows = self._local.find(query)
        notice = f"The Hub cannot be reached. {HERE}" if isinstance(error, HubUnreachable) else f"{error} {HERE}"
        return SearchPage(
            _summaries(rows[: query.limit]),
            looked_at=len(rows),
            complete=False,
            hub_reachable=not isinstance(error, HubUnreachable),
            notice=notice,
        )


def check_query(query: SearchQuery) -> SearchQuery:
    """Return `query` if it can be asked, else raise `UserInputError` naming the vocabulary a value is outside of."""
    if query.sort not in SORTS:
        raise UserInputError(f"sort has to be one of {', '.join(SORTS)}; it is “{shown(str(query.sort))}”.")
    if query.source not in get_args(SearchSource):
        raise UserInputError(f"source has to be auto, hub or local; it is “{shown(str(query.source))}”.")
    if query.task and query.task not in TASKS:
        raise UserInputError(
            f"“{shown(query.task)}” is not a task of the Hub. Use a pipeline_tag such as text-generation, "
            "text-classification or text-to-image; the Task menu of the Search tab lists them all."
        )
    if not 1 <= query.limit <= MOST_ROWS:
        raise UserInputError(f"limit has to be between 1 and {MOST_ROWS}; it is {query.limit}.")
    if len(query.text) > MOST_TEXT:
        raise UserInputError(f"The search text is too long. Use a few words, {MOST_TEXT} characters at most.")
    for name, value in (("author", query.author), ("library", query.library)):
        if value and not _NAME.fullmatch(value):
            raise UserInputError(f"{name} has to be one name as the Hub writes it; “{shown(value)}” is not.")
    return query


def merged(query: SearchQuery, found: Found, local: Sequence[Row]) -> SearchPage:
    """Local rows first, then the Hub's, no commit twice.

    Local rows get half of the page, a quarter when nothing was typed: a full cache must not hide the Hub.
    """
    by_commit = {(row.summary.repo_id, row.summary.revision): row.summary for row in found.rows}
    room = max(1, query.limit // (2 if query.text else 4), query.limit - len(found.rows))
    first: list[ModelSummary] = []
    for row in local[:room]:
        key = (row.summary.repo_id, row.summary.revision)
        online = by_commit.pop(key, None)
        # The Hub knows downloads, likes and dates; the folder knows that the model is here.
        first.append(replace(online, source="local", bundled=row.summary.bundled) if online else row.summary)
    rest = list(by_commit.values())[: query.limit - len(first)]
    complete = found.complete and len(local) <= room and len(rest) == len(by_commit)
    return SearchPage((*first, *rest), found.looked_at, complete, hub_reachable=True)


def _summaries(rows: Sequence[Row]) -> tuple[ModelSummary, ...]:
    return tuple(row.summary for row in rows)
