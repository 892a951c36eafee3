"""The catalogue: one search and one card over the Hub and this machine, with or without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import TypeVar

from backends.hub.cards import hub_card, local_card
from backends.hub.circuit import Circuit
from backends.hub.deadline import start, within
from backends.hub.disk_cache import DiskCache
from backends.hub.file_hashes import local_files
from backends.hub.kept_cards import KeptCards, ago
from backends.hub.lists import never
from backends.hub.local import LocalModel, LocalModels
from backends.hub.measuring import measured
from backends.hub.remote import HubModels
from backends.hub.searching import Places, search
from backends.machine import ThisMachine
from core.catalog import ModelCard, ModelSummary, SearchPage, SearchQuery
from core.errors import HubError, HubUnreachable, ModelGated, ModelNotFound, RateLimited
from core.machine import Machine, assessed
from core.refs import COMMIT, ModelRef, check_repo_id, check_revision
from core.search_check import check_query
from core.shortlist import LockedFile

SEARCH_SECONDS = 4.0
CARD_SECONDS = 8.0
T = TypeVar("T")


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
        machine: Callable[[], Machine] | None = None,
        kept: DiskCache | None = None,
        strangers: bool = False,
    ) -> None:
        """`strangers`: people who are not the machine's owner come by. What the Hub does not let them see is then not
        shown from the copy of somebody who may.
        """
        self._hub = hub
        self._local = local
        self._search_seconds = search_seconds
        self._card_seconds = card_seconds
        self._circuit = circuit or Circuit()
        self._machine = machine or ThisMachine()
        self._strangers = strangers
        self._kept = KeptCards(kept)
        self._places = Places(hub, local, self._circuit, self._machine, kept, search_seconds)

    def for_token(self, token: str) -> Catalog:
        """The same catalogue as the owner of `token` sees it; nothing that is read with it is kept here or on disk."""
        return Catalog(
            self._hub.for_token(token),
            self._local,
            search_seconds=self._search_seconds,
            card_seconds=self._card_seconds,
            circuit=self._circuit,
            machine=self._machine,
            strangers=self._strangers,
        )

    def machine(self) -> Machine:
        """What models run on here."""
        return self._machine()

    def search(self, query: SearchQuery) -> SearchPage:
        """Rows within the deadline; with `source` auto an unreachable Hub is a notice, not an error."""
        last = None
        for page in self.pages(query):
            last = page
        assert last is not None  # A search that is not cancelled has a last page.
        return last

    def pages(self, query: SearchQuery, cancelled: Callable[[], bool] = never) -> Iterator[SearchPage]:
        """As `search`, each page of the Hub's answer as it arrives; ends early when `cancelled` says so."""
        check_query(query)
        yield from search(self._places, query, cancelled)

    def measure(self, rows: Sequence[ModelSummary], cancelled: Callable[[], bool] = never) -> Iterator[ModelSummary]:
        """Those of `rows` whose memory was an estimate from list data, with the cache of config.json, one by one."""
        yield from measured(self._places, rows, cancelled)

    def files(self, ref: ModelRef) -> tuple[LockedFile, ...]:
        """Every file of a commit with its hash: of the Hub, else of the copy on this machine."""
        here = self._local.get(ref)
        if here is None or not here.registered:
            try:
                until = monotonic() + self._card_seconds
                return self._timed(lambda: start(lambda: self._hub.files(ref, until), until).result(until))
            except (HubUnreachable, RateLimited):
                if here is None:
                    raise
        found = local_files(self._local, ref)
        if not found:
            raise HubError(f"{ref.repo_id} is not prepared on this machine yet. Use it once, then export again.")
        return found

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
            if here is not None:
                return here.ref
            if (known := self._kept.commit(repo_id, revision)) is None:
                raise
            return ModelRef(repo_id, known)
        self._kept.named(repo_id, revision, commit)
        return ModelRef(repo_id, commit)

    def card(self, ref: ModelRef) -> ModelCard:
        """The card, files and findings at exactly that commit: from the Hub, else from the copy on this machine."""
        card = self._card(ref)
        return replace(card, summary=assessed(card.summary, self._places.machine(), card.record.config))

    def _card(self, ref: ModelRef) -> ModelCard:
        here = self._local.get(ref)
        if here and here.registered:
            return local_card(here, self._local.folder(here))
        if reason := self._circuit.reason:
            if here:
                return self._copy(here, str(reason))
            if card := self._as_read(ref, reason):
                return card
        try:
            parts = self._timed(lambda: self._hub.parts(ref, monotonic() + self._card_seconds))
        except (ModelGated, ModelNotFound) as error:
            if here is None or (self._strangers and not here.registered):
                raise
            return self._copy(here, str(error))
        except HubError as error:
            card = self._copy(here, str(error)) if here else self._as_read(ref, error)
            if card is None:
                raise
            return card
        self._kept.keep(ref, parts)
        card = hub_card(ref, parts, self._hub.endpoint)
        return replace(card, summary=replace(card.summary, source="local")) if here else card

    def _as_read(self, ref: ModelRef, error: HubError) -> ModelCard | None:
        """The card as it was read the last time, with its age, while the Hub does not answer."""
        known = self._kept.parts(ref) if isinstance(error, HubUnreachable | RateLimited) else None
        if known is None:
            return None
        card = hub_card(ref, known[0], self._hub.endpoint)
        return replace(card, notices=(f"{error} This is the card as it was read {ago(known[1])}.", *card.notices))

    def _copy(self, here: LocalModel, why: str) -> ModelCard:
        return local_card(here, self._local.folder(here), (f"{why} This is the copy on this machine.",))

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
