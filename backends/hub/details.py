"""Implements `CardDetails`: what fills in beside a card, from the Hub or this machine, each part with its own deadline."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, TypeVar

from backends.hub import headers, history, people, tree
from backends.hub.catalog import Catalog
from backends.hub.chat_template import rendered, special_tokens, template_of
from backends.hub.circuit import Circuit
from backends.hub.errors import About
from backends.hub.front_matter import decoded
from backends.hub.local import LocalModel, LocalModels
from backends.hub.open_llm import open_llm_entries
from backends.hub.remembered import Remembered
from backends.hub.remote import HubModels
from backends.hub.rows import files_of, mapping_of
from core.card_parts import (
    BoardEntry,
    Changed,
    Child,
    Children,
    Difference,
    Discussion,
    Header,
    History,
    Lineage,
    Publisher,
    Sized,
    Template,
)
from core.catalog import ModelCard
from core.errors import HubError
from core.lineage import parents_of
from core.origin_checks import successor_of
from core.refs import ModelRef, check_revision
from core.weights import file_format

SECONDS = 8.0
MOST_TEXT = 2_000_000
MOST_PICTURE = 1_000_000
# Beside its weights a model takes a cache of its context and what the runtime needs.
OVERHEAD = 1.25
T = TypeVar("T")


class Details:
    """The parts of a card page beside the card. Errors are never remembered: asking again asks the Hub again."""

    def __init__(
        self,
        catalog: Catalog,
        hub: HubModels,
        local: LocalModels,
        *,
        seconds: float = SECONDS,
        clock: Callable[[], float] = monotonic,
        circuit: Circuit | None = None,
    ) -> None:
        self._catalog, self._hub, self._local = catalog, hub, local
        self._seconds = seconds
        self._circuit = circuit or Circuit()
        self._remembered = Remembered(clock=clock)

    def for_token(self, token: str) -> Details:
        """The same as the owner of `token` sees it; nothing that is read with it is kept here."""
        catalog = self._catalog.for_token(token)
        return Details(catalog, self._hub.for_token(token), self._local, seconds=self._seconds, circuit=self._circuit)

    def open(self, repo_id: str, revision: str = "") -> ModelCard:
        """The card at the commit `revision` means."""
        ref: ModelRef = self._once(("ref", repo_id, revision), lambda: self._catalog.resolve(repo_id, revision))
        key = ("card", ref.repo_id, ref.revision)
        card: ModelCard = self._once(key, lambda: self._catalog.card(ref))
        if (card.source == "local" and not self._registered(ref)) or any(
            "could not be read" in n or "as it was read" in n for n in card.notices
        ):
            # A copy shown because the Hub was away, or a text that failed: the next look may be luckier.
            self._remembered.forget(key)
        return card

    def lineage(self, card: ModelCard) -> Lineage:
        """Every model above this one, up to the root."""
        named = parents_of(card.metadata, card.record.tags)
        if not named.parents:
            return Lineage()
        key = ("lineage", card.repo_id, card.revision)
        return self._once(key, lambda: self._answered(lambda: self._lineage(card)))

    def children(self, card: ModelCard) -> Children:
        """The models made from this one. One that came with the app is known to nobody else."""
        if self._registered(ModelRef(card.repo_id, card.revision)):
            return Children()
        key = ("children", card.repo_id)
        return self._once(
            key, lambda: self._answered(lambda: tree.children(self._session, card.repo_id, self._seconds))
        )

    def history(self, ref: ModelRef, branch: str = "main") -> History:
        """The newest commits of a branch, of which `ref` is one."""
        if self._registered(ref):
            return History(())
        check_revision(branch)
        return self._once(
            ("history", ref.repo_id, branch),
            lambda: self._answered(lambda: history.history(self._session, ref.repo_id, branch, self._seconds)),
        )

    def difference(self, repo_id: str, before: str, after: str) -> Difference:
        """What changed from one commit to another."""
        for name in (before, after):
            ModelRef(repo_id, name)
        return self._once(
            ("diff", repo_id, before, after),
            lambda: self._answered(
                lambda: history.difference(self._session, repo_id, before, after, 2 * self._seconds)
            ),
        )

    def changed(self, ref: ModelRef) -> Changed | None:
        """When the card and the weights were last changed."""
        if self._registered(ref):
            return None
        return self._once(
            ("changed", ref),
            lambda: self._answered(lambda: history.changed(self._session, ref.repo_id, ref.revision, self._seconds)),
        )

    def successors(self, card: ModelCard) -> tuple[str, ...]:
        """The versions named by `new_version`, followed from card to card; a name met twice ends the way."""
        first = successor_of(card.metadata)
        if first is None:
            return ()
        return self._once(
            ("successors", card.repo_id, card.revision),
            lambda: self._answered(lambda: tree.successors(self._session, card.repo_id, first, self._seconds)),
        )

    def header(self, ref: ModelRef, path: str) -> Header:
        """A weights file's header: by Range from the Hub, or from the folder here. Never the file."""
        here = self._local.get(ref)
        if here and (here.path / path).is_file():
            return headers.local_header(here.path, path)
        return self._once(
            ("header", ref, path),
            lambda: self._answered(lambda: headers.remote_header(self._session, ref, path, 2 * self._seconds)),
        )

    def template(self, card: ModelCard) -> Template | None:
        """The chat template and what it makes of an example; None when the model has none."""
        return self._once(("template", card.repo_id, card.revision), lambda: self._template(card))

    def picture(self, card: ModelCard, file: str) -> bytes | None:
        """A picture from the folder of a model that is here whole: the Hub does not have it at this commit."""
        here = self._local.get(ModelRef(card.repo_id, card.revision))
        if here is None or not any(entry.path == file for entry in card.files):
            return None
        path = here.path / file
        try:
            return path.read_bytes() if path.stat().st_size <= MOST_PICTURE else None
        except OSError:
            return None

    def complete(self, card: ModelCard) -> ModelCard:
        """The card with tokenizer_config.json and generation_config.json in its record, where the commit has them."""
        return self._once(("complete", card.repo_id, card.revision), lambda: self._complete(card))

    def discussions(self, repo_id: str) -> tuple[Discussion, ...]:
        """The latest open discussions."""
        return self._once(
            ("discussions", repo_id),
            lambda: self._answered(lambda: people.discussions(self._session, repo_id, self._seconds)),
        )

    def publisher(self, repo_id: str) -> Publisher:
        """Who published the model."""
        return self._once(
            ("publisher", repo_id.rpartition("/")[0]),
            lambda: self._answered(lambda: people.publisher(self._session, repo_id, self._seconds)),
        )

    def boards(self, repo_id: str, datasets: Sequence[str]) -> tuple[BoardEntry, ...]:
        """This model's results on the Hub's benchmark leaderboards."""
        return self._once(
            ("boards", repo_id, tuple(datasets)),
            lambda: self._answered(lambda: people.board_entries(self._session, repo_id, datasets, self._seconds)),
        )

    def open_llm(self, repo_id: str) -> tuple[BoardEntry, ...]:
        """This model's results that the Open LLM Leaderboard published, with their date."""
        return self._once(
            ("open_llm", repo_id),
            lambda: self._answered(lambda: open_llm_entries(self._session, repo_id, self._seconds)),
        )

    def quantised(self, children: Children) -> Sized | None:
        """The most downloaded quantised child and the size of its smallest whole file of weights; None when there is none."""
        child = next((each for each in children.top if each.relation == "quantized"), None)
        if child is None:
            return None
        return self._once(("quantised", child.repo_id), lambda: self._answered(lambda: self._sized(child)))

    @property
    def _session(self) -> Any:
        return self._hub.session

    def _sized(self, child: Child) -> Sized:
        until = monotonic() + self._seconds
        about = About(self._hub.endpoint, child.repo_id)
        data = self._session.get_json(
            f"/api/models/{child.repo_id}", [("blobs", "true")], about=about, until=until
        ).data
        files = [
            (entry.size, file_format(entry.path) or "")
            for entry in files_of(mapping_of(data) or {}) or ()
            if entry.size and file_format(entry.path) in ("gguf", "safetensors") and "mmproj" not in entry.path
        ]
        size, kind = min(files, default=(None, ""))
        memory = self._catalog.machine().memory
        fits = None if size is None or memory is None else size * OVERHEAD <= memory
        return Sized(child, size, kind, fits)

    def _lineage(self, card: ModelCard) -> Lineage:
        found = tree.lineage(self._session, card.repo_id, parents_of(card.metadata, card.record.tags), self._seconds)
        if found.ancestors and all(a.problem and a.problem.startswith("It could not be read") for a in found.ancestors):
            # Nothing at all was learnt: an error that is told, and not remembered.
            raise HubError(
                f"The model above ({found.ancestors[0].repo_id}) could not be read, so its licence is not known. "
                f"{(found.ancestors[0].problem or '').removeprefix('It could not be read. ')}"
            )
        return found

    def _template(self, card: ModelCard) -> Template | None:
        ref = ModelRef(card.repo_id, card.revision)
        names = {entry.path for entry in card.files}
        special = special_tokens(card.record.tokenizer)
        here = self._local.get(ref)
        if here is None and "chat_template.jinja" in names:
            text = self._text(ref, "chat_template.jinja")
            return rendered(text, "chat_template.jinja", special) if text else None
        found = template_of(card.record.tokenizer)
        if found:
            jinja = "chat_template.jinja"
            return rendered(found, jinja if jinja in names else "tokenizer_config.json", special)
        if here is None and "tokenizer_config.json" in names and card.record.tokenizer is None:
            try:
                read = mapping_of(json.loads(self._text(ref, "tokenizer_config.json") or "{}"))
            except (ValueError, RecursionError):
                raise HubError("tokenizer_config.json is not JSON: the chat template cannot be read.") from None
            found = template_of(read)
            return rendered(found, "tokenizer_config.json", special_tokens(read)) if found else None
        told = (card.record.gguf or {}).get("chat_template")
        if isinstance(told, str) and told:
            return rendered(told, "the GGUF file, as the Hub read it", special)
        file = next((entry.path for entry in card.files if file_format(entry.path) == "gguf"), None)
        inside = self.header(ref, file).metadata.get("tokenizer.chat_template") if file else None
        return rendered(inside, f"the header of {file}", special) if inside else None

    def _complete(self, card: ModelCard) -> ModelCard:
        ref = ModelRef(card.repo_id, card.revision)
        names = {entry.path for entry in card.files}

        def read(name: str) -> dict[str, object] | None:
            content = self._text(ref, name) if name in names else None
            try:
                return None if content is None else mapping_of(json.loads(content))
            except (ValueError, RecursionError):
                return None  # The findings say that it was not read.

        generation = card.record.generation or read("generation_config.json")
        tokenizer = card.record.tokenizer or read("tokenizer_config.json")
        return replace(card, record=replace(card.record, generation=generation, tokenizer=tokenizer))

    def _text(self, ref: ModelRef, path: str) -> str | None:
        about = About(self._hub.endpoint, ref.repo_id, ref.revision)
        until = monotonic() + self._seconds
        content = self._answered(
            lambda: self._session.get_file(ref.repo_id, ref.revision, path, about=about, until=until, most=MOST_TEXT)
        )
        return None if content is None else decoded(content)

    def _registered(self, ref: ModelRef) -> bool:
        here: LocalModel | None = self._local.get(ref)
        return here is not None and here.registered

    def _answered(self, ask: Callable[[], T]) -> T:
        """Ask the Hub unless it was found silent a moment ago: the page has several parts, and not each should wait."""
        return self._circuit.asked(ask)

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        return self._remembered.once(key, make)
