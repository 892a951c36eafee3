"""Implements `RepoDetails`: cards of datasets and Spaces, features and splits, first rows, and papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import replace
from time import monotonic
from typing import Any, TypeVar

from backends.hub.cards import repo_card
from backends.hub.circuit import Circuit
from backends.hub.dataset_rows import first_rows, folder_rows, parquet_facts
from backends.hub.dataset_viewer import parts_of_info, viewer_of, viewer_parts, viewer_rows
from backends.hub.papers import paper
from backends.hub.remembered import Remembered
from backends.hub.remote import HubModels
from backends.hub.rows import mapping_of, text_of
from backends.hub.session import HubSession
from core.data_files import DEFAULT, PICTURES, SOUNDS, Files, files_by_split, is_script_only
from core.errors import HubError, ModelGated, UserInputError
from core.refs import ModelRef, shown
from core.repo_cards import Column, DatasetParts, Paper, Preview, RepoCard, RepoKind, Split, check_repo_kind

SECONDS = 8.0
MOST_FOOTERS = 6
_PAPER = re.compile(r"[0-9]{4}\.[0-9]{4,5}(v[0-9]+)?|[a-z-]+(\.[A-Z]{2})?/[0-9]{7}")
SCRIPT_ONLY = (
    "This dataset is a Python script: its rows exist only where somebody runs it, which is not done here. Look for a version as "
    "parquet files."
)
T = TypeVar("T")


class RepoCards:
    """What is not a model. Nothing is downloaded whole; an error is never remembered."""

    def __init__(
        self,
        hub: HubModels,
        *,
        viewer: str | None = None,
        seconds: float = SECONDS,
        circuit: Circuit | None = None,
        token: str | bool | None = None,
    ) -> None:
        """`viewer` is the address of the dataset viewer, "" for none; None: the one that goes with the Hub."""
        self._hub, self._seconds, self._token = hub, seconds, token
        self._address = viewer_of(hub.endpoint) if viewer is None else viewer
        self._viewer = HubSession(self._address, token) if self._address else None
        self._circuit = circuit or Circuit()
        self._remembered = Remembered()

    def for_token(self, token: str) -> RepoCards:
        """The same repositories as the owner of `token` sees them; nothing read with it is kept here."""
        hub = self._hub.for_token(token)
        return RepoCards(hub, viewer=self._address, seconds=self._seconds, circuit=self._circuit, token=token)

    def open(self, kind: str, repo_id: str, revision: str = "") -> RepoCard:
        """The card at the commit that `revision` means; "" is the default branch."""
        named = check_repo_kind(kind)
        commit = self._once(
            ("ref", named, repo_id, revision),
            lambda: self._hub.commit(repo_id, revision, monotonic() + self._seconds, named),
        )
        ref = ModelRef(repo_id, commit)
        return self._once(("card", named, ref), lambda: self._card(named, ref))

    def parts(self, found: RepoCard) -> DatasetParts:
        """Features and splits, from who knows them: the viewer, the card's metadata, the files."""
        key = ("parts", found.card.repo_id, found.card.revision)
        parts = self._remembered.once(key, lambda: self._parts(found))
        if parts.problem:
            self._remembered.forget(key)
        return parts

    def rows(self, found: RepoCard, config: str, split: str) -> Preview:
        """The first rows of a split; a sentence where they cannot be shown."""
        for text in (config, split):
            if not text or len(text) > 200 or not text.isprintable():
                raise UserInputError(f"“{shown(text)}” is not a split of this dataset. Choose one of the list.")
        key = ("rows", found.card.repo_id, found.card.revision, config, split)
        preview = self._remembered.once(key, lambda: self._rows(found, config, split))
        if preview.problem:
            self._remembered.forget(key)
        return preview

    def paper(self, number: str) -> Paper:
        """The paper with this arXiv number."""
        if not _PAPER.fullmatch(number):
            raise UserInputError(f"“{shown(number)}” is not an arXiv number such as 2302.13971.")
        return self._once(("paper", number), lambda: paper(self._hub.session, number, self._seconds))

    def _card(self, kind: RepoKind, ref: ModelRef) -> RepoCard:
        return repo_card(kind, ref, self._hub.parts(ref, monotonic() + self._seconds, kind), self._hub.endpoint)

    def _parts(self, found: RepoCard) -> DatasetParts:
        card = found.card
        sized = _sized(card.metadata.get("dataset_info"))
        if self._viewer and self._is_newest(found):
            try:
                return viewer_parts(self._viewer, card.repo_id, monotonic() + self._seconds)
            except HubError:
                # The viewer knows many datasets, not every one: the card and the files may tell instead.
                pass
        if sized.splits:
            return sized
        if is_script_only(card.files):
            return DatasetParts(sized.columns, (), problem=SCRIPT_ONLY)
        named = files_by_split(card.files, card.metadata)
        if not named:
            return DatasetParts(sized.columns, (), problem=_no_rows(found))
        return self._counted(found, named, sized)

    def _counted(self, found: RepoCard, named: Files, sized: DatasetParts) -> DatasetParts:
        """Splits by the names of the files; columns and rows from parquet footers where those are few."""
        ref, until = ModelRef(found.card.repo_id, found.card.revision), monotonic() + self._seconds
        columns: dict[str, tuple[Column, ...]] = dict(sized.columns)
        splits, asked, problem = [], 0, None
        for (config, split), files in named.items():
            rows: int | None = 0
            for file in files:
                if not file.path.endswith(".parquet") or asked >= MOST_FOOTERS or problem:
                    rows = None
                    break
                asked += 1
                try:
                    kinds, count = parquet_facts(self._hub.session, ref, file, until)
                except HubError as error:
                    rows, problem = None, str(error)
                    break
                columns.setdefault(config, kinds)
                rows = (rows or 0) + count
            sizes = [each.size for each in files if each.size is not None]
            total = sum(sizes) if len(sizes) == len(files) else None
            splits.append(Split(config, split, rows, total))
        return DatasetParts(columns, tuple(splits), "the repository's own files; bytes are those of the files", problem)

    def _rows(self, found: RepoCard, config: str, split: str) -> Preview:
        card = found.card
        refused: HubError | None = None
        if self._viewer and self._is_newest(found):
            try:
                return viewer_rows(self._viewer, card.repo_id, config, split, monotonic() + self._seconds)
            except HubError as error:
                refused = error
        if is_script_only(card.files):
            return Preview(config, split, problem=SCRIPT_ONLY)
        named = files_by_split(card.files, card.metadata)
        files = named.get((config, split)) or named.get((DEFAULT, split)) or []
        if not files:
            why = (
                f"The rows of this split cannot be read in pieces. {refused or ''}".strip()
                if named
                else _no_rows(found)
            )
            return Preview(config, split, problem=why)
        ref, until = ModelRef(card.repo_id, card.revision), monotonic() + self._seconds
        if files[0].path.lower().endswith((*PICTURES, *SOUNDS)):
            if card.gated:
                return Preview(
                    config, split, problem="Its files are shown to those who were let in, on the Hub itself."
                )
            return folder_rows(self._hub.endpoint, ref, files, config, split)
        try:
            return first_rows(self._hub.session, ref, files[0], config, split, until)
        except ModelGated as error:
            return Preview(config, split, problem=str(error))
        except HubError as error:
            return Preview(config, split, problem=f"The first rows of {files[0].path} could not be read. {error}")

    def _is_newest(self, found: RepoCard) -> bool:
        """Whether the card is at main, which is all that the viewer knows."""
        return found.card.main_moved is None

    def _once(self, key: Hashable, ask: Callable[[], T]) -> T:
        return self._remembered.once(key, lambda: self._circuit.asked(ask))


def _sized(info: object) -> DatasetParts:
    """What the card's own metadata says: `dataset_info`, one mapping or a list of them."""
    rows: list[Any] = info if isinstance(info, list) else [info]
    configs = {}
    for raw in rows:
        row = mapping_of(raw)
        if row:
            configs[text_of(row.get("config_name")) or DEFAULT] = row
    return replace(parts_of_info(configs, "the card's metadata, as its author wrote it"), problem=None)


def _no_rows(found: RepoCard) -> str:
    if found.card.gated and not found.card.files:
        return "The owner asks for access before the files are listed."
    return (
        "No file of this repository is in a format whose first rows can be read in pieces: parquet, JSON, CSV or text."
    )
