"""The shortlist under the search: add, decide, remove, export as JSON and as a lock file, import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from components.gallery_sheet import download_path
from components.shortlist_panel import ON_LOAD, panel, title
from core.address import Address
from core.catalog import ModelSummary
from core.errors import UserInputError
from core.hub_protocols import HubCatalog
from core.identity import now
from core.refs import split_model
from core.shortlist import LockedFile, added, decided, entry_of, from_json, kept, read_kept, removed, to_json, to_lock
from pages.search import SearchView
from pages.shared import Shared, show_card

_CLICK = "() => setTimeout(() => document.querySelector('#{0}, #{0} button, #{0} a').click(), 150)"


@dataclass(frozen=True)
class ShortlistView:
    """The panel's components. `json` and `lock` are downloads that open by themselves once they are made."""

    group: gr.Accordion
    panel: gr.HTML
    who: gr.Textbox
    export: gr.Button
    lock: gr.Button
    json_file: gr.DownloadButton
    lock_file: gr.DownloadButton
    read: gr.UploadButton


class ShortlistPage:
    """The models worth a closer look, kept in the visitor's browser."""

    def __init__(self, catalog: HubCatalog) -> None:
        self.catalog = catalog

    def build(self) -> ShortlistView:
        """Layout only."""
        with gr.Accordion(title(()), open=True, elem_id="shortlist") as group:
            shown = gr.HTML(panel(()), elem_id="shortlist-panel", js_on_load=ON_LOAD)
            with gr.Row(elem_classes="pg-wraps pg-short-bar"):
                who = gr.Textbox(
                    label="Who decides",
                    show_label=False,
                    container=False,
                    placeholder="Your name, for decisions",
                    max_lines=1,
                    min_width=180,
                    scale=1,
                )
                export = gr.Button("Export JSON", size="sm", elem_id="shortlist-export")
                lock = gr.Button("Export lock file", size="sm", elem_id="shortlist-lock")
                read = gr.UploadButton("Import", size="sm", file_types=[".json"], elem_id="shortlist-import")
                json_file = gr.DownloadButton("Download", elem_classes="pg-unseen", elem_id="shortlist-json")
                lock_file = gr.DownloadButton("Download", elem_classes="pg-unseen", elem_id="shortlist-lock-file")
        return ShortlistView(group, shown, who, export, lock, json_file, lock_file, read)

    def wire(self, view: ShortlistView, search: SearchView, shared: Shared, demo: gr.Blocks) -> None:
        """Events only."""
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [shared.shortlist, view.panel, view.group]
        demo.load(self.show, shared.shortlist, outputs[1:], **quiet)
        search.found.like(self.pin, [shared.shortlist, search.rows], outputs, **quiet)
        view.panel.input(self.decide, [shared.shortlist, view.who], outputs, **quiet)
        view.panel.select(self.open, None, [shared.tabs, shared.opened, shared.address], **quiet)
        view.read.upload(self.take_in, view.read, outputs, **quiet)
        for button, make, file, elem_id in (
            (view.export, self.export, view.json_file, "shortlist-json"),
            (view.lock, self.lock, view.lock_file, "shortlist-lock-file"),
        ):
            button.click(make, shared.shortlist, file, show_progress="minimal", api_visibility="private").success(
                None, None, None, js=_CLICK.format(elem_id), api_visibility="private"
            )

    def show(self, stored: Any) -> tuple[str, gr.Accordion]:
        """What this browser keeps."""
        with shown_to_user():
            entries = read_kept(stored)
            return panel(entries), gr.Accordion(label=title(entries))

    def pin(self, event: gr.EventData, stored: Any, rows: Sequence[ModelSummary]) -> tuple[Any, str, gr.Accordion]:
        """Put a row into the list, or take it out."""
        with shown_to_user():
            entries = read_kept(stored)
            wanted = (str(event.repo_id), str(event.revision))
            if not event.pinned:
                entries = removed(entries, "@".join(wanted))
            else:
                row = next((each for each in rows if (each.repo_id, each.revision or "") == wanted), None)
                if row is None:
                    raise UserInputError(f"{wanted[0]} is not among the rows any more. Search again.")
                entries = added(entries, entry_of(row, now()))
            return kept(entries), *self.show(kept(entries))

    def decide(self, event: gr.EventData, stored: Any, who: str) -> tuple[Any, Any, gr.Accordion]:
        """A status or a reason was changed, or a model removed."""
        with shown_to_user():
            entries, key = read_kept(stored), str(event.key)
            if event.do == "remove":
                entries = removed(entries, key)
            elif event.do == "status":
                entries = decided(entries, key, status=str(event.value), who=who or "", when=now())
            elif event.do == "reason":
                entries = decided(entries, key, reason=str(event.value), who=who or "", when=now())
            return kept(entries), *self.show(kept(entries))

    def open(self, event: gr.EventData) -> tuple[gr.Tabs, Address, str]:
        """Show a model's card at the commit in the list."""
        with shown_to_user():
            return show_card(*split_model(str(event.key)))

    def export(self, stored: Any) -> str:
        """The list as JSON."""
        with shown_to_user():
            return _written("shortlist.json", to_json(_some(stored)))

    def lock(self, stored: Any) -> str:
        """A lock file: commits, files, hashes and licences. What was rejected is not in it."""
        with shown_to_user():
            entries = [entry for entry in _some(stored) if entry.status != "rejected"]
            files: dict[str, Sequence[LockedFile]] = {entry.key: self.catalog.files(entry.ref) for entry in entries}
            return _written("models.lock.json", to_lock(entries, files))

    def take_in(self, file: str) -> tuple[Any, str, gr.Accordion]:
        """Replace the list by one from a file."""
        with shown_to_user():
            try:
                text = Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserInputError("The file cannot be read as text. Choose the JSON that was exported.") from error
            entries = from_json(text)
            return kept(entries), *self.show(kept(entries))


def _some(stored: Any) -> tuple[Any, ...]:
    entries = read_kept(stored)
    if not entries:
        raise UserInputError("The shortlist is empty. Press the star of a row first.")
    return entries


def _written(name: str, text: str) -> str:
    target = download_path(name)
    target.write_text(text, encoding="utf-8")
    return str(target)
