"""Gallery of the Images tab: a visitor's own pictures, found by words, starred, compared, deleted, and taken along as a zip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from components.errors import shown_to_user
from components.gallery_sheet import ON_LOAD, TEMPLATE, beside, download_path, large, sheet, summary
from components.pictures import recipe_table
from core.errors import AppError, UserInputError
from core.gallery import GalleryQuery, KeptPicture
from core.identity import owner_of
from core.image_protocols import PictureStore
from core.images import Picture
from pages.images import ImagesView
from pages.shared import Shared

MODE = "gallery"
MOST_MARKED = 5_000
# How often a zip in the making says how far it is, as a share of all.
TOLD = 20


@dataclass(frozen=True)
class GalleryView:
    """The components of the gallery, inside the Images tab. `marked` are the ids selected, `opened` the one shown large."""

    group: gr.Column
    text: gr.Textbox
    starred: gr.Checkbox
    detail: gr.Column
    picture: gr.HTML
    send: gr.Button
    star: gr.Button
    remove: gr.Button
    close: gr.Button
    confirm: gr.Column
    question: gr.HTML
    sure: gr.Button
    spare: gr.Button
    line: gr.HTML
    all: gr.Button
    none: gr.Button
    compare: gr.Button
    delete: gr.Button
    download: gr.Button
    packing: gr.HTML
    sheet: gr.HTML
    newer: gr.Button
    older: gr.Button
    zip: gr.DownloadButton
    page: gr.State
    marked: gr.State
    opened: gr.State
    doomed: gr.State


class Listing(NamedTuple):
    """What a change of the listing puts on the screen, in the order of `GalleryPage.listing`."""

    sheet: Any
    line: Any
    newer: Any
    older: Any
    page: Any
    marked: Any
    all: Any
    none: Any
    compare: Any
    delete: Any
    download: Any


class Detail(NamedTuple):
    """What opening a picture puts on the screen."""

    detail: Any
    picture: Any
    send: Any
    star: Any
    remove: Any
    opened: Any
    recipe: Any
    chosen: Any
    picked: Any


class GalleryPage:
    """Shows one visitor's pictures. Whose they are follows from the secret id in the browser's own storage.

    The id is random and kept by the browser (`gr.BrowserState`), not a cookie: inside the frame of a Space a cookie would
    be a third party's and blocked. The server keeps only a keyed hash of it, so reading the disk opens nobody's gallery.
    """

    def __init__(self, pictures: PictureStore, secret: str) -> None:
        self.pictures = pictures
        self.secret = secret

    def build(self) -> GalleryView:
        """Layout only."""
        with gr.Column(visible=False, elem_id="gallery") as group:
            with gr.Row(elem_classes="pg-toolbar pg-find"):
                text = gr.Textbox(
                    label="Search", placeholder='Words of the prompt, a model, steps:20, seed:7, size:64x64, "a phrase"',
                    max_lines=1, elem_id="gallery-text", scale=6,
                )  # fmt: skip
                starred = gr.Checkbox(
                    label="Starred only", elem_id="gallery-starred", container=False, scale=0, min_width=150
                )
            with gr.Column(visible=False, elem_id="gallery-detail") as detail:
                picture = gr.HTML("", elem_id="gallery-picture")
                with gr.Row(elem_classes="pg-actions pg-wraps"):
                    send = gr.Button("Send to Draw", variant="primary", size="sm", scale=0, elem_id="gallery-send")
                    star = gr.Button("Star", size="sm", scale=0, elem_id="gallery-star")
                    remove = gr.Button("Delete", size="sm", scale=0, elem_id="gallery-remove")
                    close = gr.Button("Close", size="sm", scale=0, elem_id="gallery-close")
            with gr.Column(visible=False, elem_id="gallery-confirm") as confirm:
                question = gr.HTML("")
                with gr.Row(elem_classes="pg-actions"):
                    sure = gr.Button("Delete", variant="stop", size="sm", scale=0, elem_id="gallery-sure")
                    spare = gr.Button("Keep them", size="sm", scale=0, elem_id="gallery-spare")
            with gr.Row(elem_classes="pg-actions pg-wraps"):
                every = gr.Button("Select all", size="sm", scale=0, elem_id="gallery-all", visible=False)
                none = gr.Button("Clear selection", size="sm", scale=0, elem_id="gallery-none", visible=False)
                compare = gr.Button("Compare these two", size="sm", scale=0, elem_id="gallery-compare", visible=False)
                delete = gr.Button("Delete", size="sm", scale=0, elem_id="gallery-delete", visible=False)
                download = gr.Button("Download", size="sm", scale=0, elem_id="gallery-download", visible=False)
                packing = gr.HTML("", elem_id="gallery-packing")
            line = gr.HTML("", elem_id="gallery-line")
            tiles = gr.HTML([], html_template=TEMPLATE, elem_id="gallery-sheet", js_on_load=ON_LOAD)
            with gr.Row(elem_classes="pg-actions"):
                newer = gr.Button("Newer", size="sm", scale=0, visible=False, elem_id="gallery-newer")
                older = gr.Button("Older", size="sm", scale=0, visible=False, elem_id="gallery-older")
            packed = gr.DownloadButton("Download the zip", elem_classes="pg-unseen", elem_id="gallery-zip")
        return GalleryView(
            group, text, starred, detail, picture, send, star, remove, close, confirm, question, sure, spare, line,
            every, none, compare, delete, download, packing, tiles, newer, older, packed,
            gr.State(0), gr.State(()), gr.State(None), gr.State(()),
        )  # fmt: skip

    def wire(self, view: GalleryView, images: ImagesView, shared: Shared) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        # Every click in its order. "always_last" would run the last one again without what was clicked.
        ordered = {**quick, "trigger_mode": "multiple", "concurrency_limit": 1}
        listing = [
            view.sheet, view.line, view.newer, view.older, view.page, view.marked, view.all, view.none, view.compare,
            view.delete, view.download,
        ]  # fmt: skip
        detail = [
            view.detail, view.picture, view.send, view.star, view.remove, view.opened, *images.recipe.choice(),
        ]  # fmt: skip
        # What was opened may be far above the tile that was clicked.
        show = (
            "() => setTimeout(() => document.getElementById('gallery-detail')?.scrollIntoView({block: 'nearest'}), 60)"
        )
        seen = {"fn": None, "js": show, "api_visibility": "private"}
        looked = [view.text, view.starred, shared.visitor]
        asked = [*looked, view.page, view.marked]
        images.mode.change(
            None, images.mode, None, api_visibility="private",
            js="(mode) => { document.documentElement.dataset.imagesMode = mode; }",
        )  # fmt: skip
        images.mode.change(self.enter, [images.mode, *looked], [view.group, *listing], **quick)
        # "input" would be told before the field's new value is.
        gr.on([view.text.change, view.starred.change], self.find, looked, listing, trigger_mode="always_last", **quick)
        view.newer.click(self.newer, asked, listing, **quick)
        view.older.click(self.older, asked, listing, **quick)
        view.sheet.input(self.mark, asked, listing[1:], **ordered)
        view.all.click(self.mark_all, asked, listing, **quick)
        view.none.click(self.mark_none, asked, listing, **quick)
        view.sheet.like(self.star, asked, [view.line, view.download], **ordered)
        view.sheet.select(self.open, shared.visitor, detail, **ordered).success(**seen)
        view.star.click(self.star_opened, [view.opened, shared.visitor], detail, **quick).success(
            self.again, asked, listing, **quick
        )
        view.close.click(self.close, None, detail, **quick)
        view.compare.click(self.compare, [view.marked, shared.visitor], detail, **quick).success(**seen)
        # The recipe goes through the panel's own button, so that it is applied in one way only.
        view.send.click(
            self.send,
            [view.opened, shared.visitor],
            [images.mode, *images.recipe.choice()],
            **quick,
        ).success(
            None, None, None, js="() => { document.getElementById('use-all').click(); }", api_visibility="private"
        )
        doomed = [view.confirm, view.question, view.sure, view.doomed]
        view.delete.click(self.ask, [view.marked, shared.visitor], doomed, **quick)
        view.remove.click(self.ask_one, [view.opened, shared.visitor], doomed, **quick)
        view.spare.click(self.spare, None, doomed, **quick)
        view.sure.click(self.delete, [view.doomed, view.opened, *asked], [*doomed, *detail, *listing], **quick)
        view.download.click(
            self.pack, asked, [view.zip, view.packing, view.download],
            api_visibility="private", show_progress="hidden", concurrency_limit=4,
        ).success(
            None, None, None, js="() => setTimeout(() => document.querySelector('#gallery-zip, #gallery-zip button, #gallery-zip a').click(), 150)",
            api_visibility="private",
        )  # fmt: skip

    def keep(self, visitor: str, pictures: Sequence[Picture]) -> str:
        """Keep finished pictures; returns what the visitor has to know of it, "" when there is nothing."""
        if not pictures or not self.pictures.limit or not visitor:
            return ""
        try:
            return self.pictures.keep(owner_of(self.secret, visitor), pictures).sentence(self.pictures.limit)
        except AppError as error:
            # The picture is on the screen all the same; what went wrong is said beside it.
            return str(error)

    def lookup(self, visitor: str, sha256: str) -> bytes | None:
        """The file with that hash among the visitor's pictures; None when it is not there, or cannot be looked up."""
        try:
            return self.pictures.with_file(owner_of(self.secret, visitor), sha256) if visitor else None
        except AppError:
            # The page asks for the file then, as it does for one that was never here.
            return None

    def enter(self, mode: str, text: str, starred: bool, visitor: str) -> tuple[Any, ...]:
        """Show the newest pictures when the gallery is chosen, and nothing of it otherwise."""
        with shown_to_user():
            if mode != MODE:
                return gr.Column(visible=False), *[gr.skip()] * len(Listing._fields)
            return gr.Column(visible=True), *self._listing(GalleryQuery(text or "", bool(starred)), visitor, ())

    def find(self, text: str, starred: bool, visitor: str) -> Listing:
        """The newest pictures that match; what was selected is let go."""
        with shown_to_user():
            return self._listing(GalleryQuery(text or "", bool(starred)), visitor, ())

    def newer(self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]) -> Listing:
        """One page towards the newest."""
        with shown_to_user():
            return self._listing(GalleryQuery(text or "", bool(starred), max(0, page - 1)), visitor, marked)

    def older(self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]) -> Listing:
        """One page towards the oldest."""
        with shown_to_user():
            return self._listing(GalleryQuery(text or "", bool(starred), page + 1), visitor, marked)

    def again(self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]) -> Listing:
        """The same page, as it is now."""
        with shown_to_user():
            return self._listing(GalleryQuery(text or "", bool(starred), page), visitor, marked)

    def mark(
        self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...], event: gr.EventData
    ) -> tuple[Any, ...]:
        """Follow the boxes of this page; what is selected on other pages stays so."""
        with shown_to_user():
            shown, chosen = _ids(event.shown), _ids(event.marked)
            kept = tuple(dict.fromkeys([*(one for one in marked if one not in shown), *chosen]))[:MOST_MARKED]
            return self._listing(GalleryQuery(text or "", bool(starred), page), visitor, kept)[1:]

    def mark_all(self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]) -> Listing:
        """Select every picture that matches, on all pages."""
        with shown_to_user():
            query = GalleryQuery(text or "", bool(starred), page)
            return self._listing(query, visitor, self.pictures.ids(self._owner(visitor), query)[:MOST_MARKED])

    def mark_none(self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]) -> Listing:
        """Select nothing."""
        return self.again(text, starred, visitor, page, ())

    def star(
        self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...], event: gr.EventData
    ) -> tuple[Any, Any]:
        """Star or unstar the tile whose corner was clicked; the tile stays where it is."""
        with shown_to_user():
            if not self.pictures.star(self._owner(visitor), str(event.id), event.starred is True):
                raise UserInputError("That picture is no longer in the gallery. Search again to see what is there.")
            now = self._listing(GalleryQuery(text or "", bool(starred), page), visitor, marked)
            return now.line, now.download

    def open(self, visitor: str, event: gr.EventData) -> Detail:
        """Show a picture large, and its recipe in the panel."""
        with shown_to_user():
            return self._detail(visitor, str(event.id))

    def star_opened(self, opened: str | None, visitor: str) -> Detail:
        """Star or unstar the picture that is shown large."""
        with shown_to_user():
            kept = self._kept(visitor, opened)
            self.pictures.star(self._owner(visitor), kept.id, not kept.starred)
            return self._detail(visitor, kept.id)

    def close(self) -> Detail:
        """Show no picture large."""
        skip = gr.skip()
        return Detail(gr.Column(visible=False), "", skip, skip, skip, None, skip, skip, skip)

    def compare(self, marked: tuple[str, ...], visitor: str) -> Detail:
        """Two selected pictures beside each other, with what differs."""
        with shown_to_user():
            owner = self._owner(visitor)
            pair = self.pictures.get(owner, marked)
            if len(pair) != 2:
                raise UserInputError("Select exactly two pictures, then compare them.")
            both = beside([(kept, self.pictures.png(owner, kept.id)) for kept in pair])
            skip = gr.skip()
            hidden = gr.Button(visible=False)
            return Detail(gr.Column(visible=True), both, hidden, hidden, hidden, None, skip, skip, skip)

    def send(self, opened: str | None, visitor: str) -> tuple[Any, ...]:
        """Go to Draw with this picture's recipe in the panel; the panel's Use all applies it."""
        with shown_to_user():
            kept = self._kept(visitor, opened)
            return "draw", recipe_table(kept.recipe), kept.recipe, None

    def ask(self, marked: tuple[str, ...], visitor: str) -> tuple[Any, ...]:
        """Say what would be deleted, once."""
        with shown_to_user():
            doomed = self.pictures.get(self._owner(visitor), marked)
            if not doomed:
                raise UserInputError("Select the pictures to delete first.")
            stars = sum(kept.starred for kept in doomed)
            some = f", {stars} of them starred" if stars else ""
            one = len(doomed) == 1
            said = f"Delete {len(doomed):,} picture{'' if one else 's'}{some}? The files go from this disk and cannot be brought back."
            label = "Delete it" if one else f"Delete {len(doomed):,} pictures"
            return (
                gr.Column(visible=True),
                f'<p class="pg-notice" role="alert">{said}</p>',
                gr.Button(label),
                tuple(kept.id for kept in doomed),
            )

    def ask_one(self, opened: str | None, visitor: str) -> tuple[Any, ...]:
        """As `ask`, for the picture that is shown large."""
        with shown_to_user():
            return self.ask((self._kept(visitor, opened).id,), visitor)

    def spare(self) -> tuple[Any, ...]:
        """Delete nothing."""
        return gr.Column(visible=False), "", gr.skip(), ()

    def delete(
        self,
        doomed: tuple[str, ...],
        opened: str | None,
        text: str,
        starred: bool,
        visitor: str,
        page: int,
        marked: tuple[str, ...],
    ) -> tuple[Any, ...]:
        """Delete what was confirmed."""
        with shown_to_user():
            self.pictures.delete(self._owner(visitor), doomed)
            left = tuple(one for one in marked if one not in doomed)
            open_still = opened is not None and opened not in doomed
            detail: Sequence[Any] = (gr.skip(),) * len(Detail._fields) if open_still else self.close()
            return *self.spare(), *detail, *self._listing(GalleryQuery(text or "", bool(starred), page), visitor, left)

    def pack(
        self, text: str, starred: bool, visitor: str, page: int, marked: tuple[str, ...]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Make a zip of what is selected, else of all that matches, saying how far it is."""
        with shown_to_user():
            owner = self._owner(visitor)
            ids = marked or self.pictures.ids(owner, GalleryQuery(text or "", bool(starred)))
            if not ids:
                raise UserInputError("There is no picture to download yet. Draw one first.")
            target = download_path("pictures.zip")
            done, whole = 0, False
            try:
                for done in self.pictures.pack(owner, ids, target):
                    if done % max(1, len(ids) // TOLD) == 0:
                        yield gr.skip(), _packing(done, len(ids)), gr.Button(interactive=False)
                whole = done > 0
            except AppError:
                yield gr.skip(), "", gr.Button(interactive=True)
                raise
            finally:
                # Also when the page is gone half-way: nobody will fetch what there is.
                if not whole:
                    target.unlink(missing_ok=True)
            if not whole:
                raise UserInputError("These pictures are no longer in the gallery. Search again to see what is there.")
            yield str(target), "", gr.Button(interactive=True)

    def _owner(self, visitor: str) -> str:
        return owner_of(self.secret, visitor or "")

    def _kept(self, visitor: str, picture_id: str | None) -> KeptPicture:
        found = self.pictures.get(self._owner(visitor), (picture_id or "",))
        if not found:
            raise UserInputError("That picture is no longer in the gallery. Choose another one.")
        return found[0]

    def _detail(self, visitor: str, picture_id: str) -> Detail:
        kept = self._kept(visitor, picture_id)
        png = self.pictures.png(self._owner(visitor), kept.id)
        return Detail(
            gr.Column(visible=True),
            large(kept, png),
            gr.Button(visible=True),
            gr.Button("Unstar" if kept.starred else "Star", visible=True),
            gr.Button(visible=True),
            kept.id,
            recipe_table(kept.recipe),
            kept.recipe,
            None,
        )

    def _listing(self, query: GalleryQuery, visitor: str, marked: tuple[str, ...]) -> Listing:
        found = self.pictures.find(self._owner(visitor), query)
        count = len(marked)
        if marked:
            label = f"Download {count:,} selected"
        elif query.starred:
            label = f"Download {found.found:,} starred"
        else:
            label = f"Download all {found.found:,}" if found.found == found.kept else f"Download {found.found:,} found"
        return Listing(
            sheet(found, query, marked),
            summary(found, count),
            gr.Button(visible=found.page > 0),
            gr.Button(visible=found.page + 1 < found.pages),
            found.page,
            marked,
            gr.Button(f"Select all {found.found:,}", visible=0 < found.found != count),
            gr.Button(visible=count > 0),
            gr.Button(visible=count == 2),
            gr.Button(f"Delete {count:,}", visible=count > 0),
            gr.Button(label, visible=bool(marked or found.found)),
        )


def _ids(value: object) -> tuple[str, ...]:
    """Ids as the browser sent them; anything else is dropped."""
    return tuple(one for one in value[:MOST_MARKED] if isinstance(one, str)) if isinstance(value, list) else ()


def _packing(done: int, total: int) -> str:
    share = f"{100 * done / total:.0f}%"
    return (
        f'<div class="pg-progress" role="status">Packing {done:,} of {total:,} pictures'
        f'<div class="pg-bar"><i style="width:{share}"></i></div></div>'
    )
