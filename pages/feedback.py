"""Feedback tab: where every row is, the rows as cards with filters, my votes to change or take back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from components.errors import shown_to_user
from components.rows import EMPTY, NONE_OF_MINE, NOT_FOUND, ON_LOAD, PREFERENCES, outbox_panel, row_cards
from core.caller import curates, note
from core.dataset import COLUMNS
from core.errors import UserInputError
from core.feedback import FeedbackStatus, RowQuery, StoredRow
from core.feedback_protocols import FeedbackStore
from core.identity import MOST_NAME, code_of, pseudonym
from core.revision import changed, choices
from pages.shared import Shared, waiting_badge

SHOWN_ROWS = 20
MOST_SHOWN = 200
MOST_SEARCH = 200
KINDS = [
    ("All", ""),
    ("Preferences", "preferences"),
    ("Pictures", "image_preferences"),
    ("Ratings", "ratings"),
    ("Preferences on pictures", "vision_preferences"),
    ("Ratings on pictures", "vision_ratings"),
    ("Comparisons", "comparisons"),
]
SURE = "Take all of them back"
HERE = "tab=feedback"  # the part of the address that says that this tab is open
# Seconds between two looks at what has moved: for whoever reads the rows, and for the badge of everybody else.
OPEN, ELSEWHERE = 3, 30
# By the page itself: asking the server on which tab it is would be one question more.
PACE = f"""(query) => ({{
  __type__: "update", value: new URLSearchParams(query).get("tab") === "feedback" ? {OPEN} : {ELSEWHERE}
}})"""


@dataclass(frozen=True)
class FeedbackView:
    """The tab's components. `aside` is the column beside the rows."""

    health: gr.HTML
    upload: gr.Button
    upload_said: gr.HTML
    publishing: gr.Column
    leaving: gr.HTML
    publish: gr.Button
    whose: gr.Radio
    config: gr.Dropdown
    search: gr.Textbox
    newest: gr.HTML
    row_said: gr.HTML
    more: gr.Button
    limit: gr.State
    me: gr.HTML
    name: gr.Textbox
    rename: gr.Button
    withdraw: gr.Button
    sure: gr.Column
    surely: gr.Button
    keep: gr.Button
    aside: gr.Column
    seen: gr.State


class FeedbackPage:
    """Shows where every row is, and lets a reviewer change or take back their own."""

    def __init__(self, store: FeedbackStore, secret: str) -> None:
        self.store, self.secret = store, secret

    def build(self) -> FeedbackView:
        """Layout only."""
        with gr.Row(equal_height=True, elem_classes="pg-toolbar"):
            health = gr.HTML("", elem_id="outbox-health")
            upload = gr.Button("Upload now", scale=0, min_width=130, elem_id="upload-now")
        upload_said = gr.HTML("", elem_id="upload-said")
        with gr.Column(visible=False, elem_id="publishing", elem_classes="pg-consent") as publishing:
            leaving = gr.HTML("", elem_id="leaving")
            publish = gr.Button("Publish these rows", variant="primary", scale=0, min_width=180, elem_id="publish")
        with gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=6, min_width=320):
                with gr.Row(elem_classes="pg-filters"):
                    whose = gr.Radio(
                        [("Everybody's", "all"), ("Mine", "mine")],
                        value="all",
                        show_label=False,
                        label="Whose rows",
                        scale=0,
                        min_width=200,
                        elem_id="rows-whose",
                    )
                    config = gr.Dropdown(
                        KINDS, value="", show_label=False, label="Kind of row", min_width=210, elem_id="rows-config"
                    )
                    search = gr.Textbox(
                        show_label=False,
                        label="Search rows",
                        placeholder="Search rows",
                        max_length=MOST_SEARCH,
                        min_width=140,
                        scale=2,
                        elem_id="rows-search",
                    )
                row_said = gr.HTML("", elem_id="row-said")
                newest = gr.HTML("", elem_id="rows", js_on_load=ON_LOAD)
                more = gr.Button("Show more", visible=False, elem_id="rows-more")
            with (
                gr.Column(scale=4, min_width=320) as aside,
                gr.Accordion("My votes", open=False, elem_id="my-votes"),
            ):
                me = gr.HTML("", elem_id="me")
                with gr.Row(equal_height=True, elem_classes="pg-name-row"):
                    name = gr.Textbox(
                        label="Name on my rows (optional)",
                        placeholder="none: the pseudonym alone",
                        max_lines=1,
                        max_length=MOST_NAME,
                        min_width=160,
                        elem_id="my-name",
                    )
                    rename = gr.Button("Use name", scale=0, min_width=110, elem_id="use-name")
                withdraw = gr.Button("Withdraw all my rows", variant="stop", elem_id="withdraw-all")
                with gr.Column(visible=False, elem_classes="pg-plain") as sure:
                    gr.HTML(
                        '<p class="pg-notice">Every vote, thumb and capture of yours leaves this page now and the '
                        "dataset with its next commit. This cannot be undone.</p>"
                    )
                    with gr.Row():
                        surely = gr.Button(SURE, variant="stop", min_width=120, elem_id="withdraw-surely")
                        keep = gr.Button("Keep them", min_width=120, elem_id="withdraw-keep")
        return FeedbackView(
            health, upload, upload_said, publishing, leaving, publish, whose, config, search, newest, row_said, more,
            gr.State(SHOWN_ROWS), me, name, rename, withdraw, sure, surely, keep, aside, gr.State(None),
        )  # fmt: skip

    def wire(self, view: FeedbackView, shared: Shared, tab: gr.Tab) -> None:
        """Events only."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        asked = [view.whose, view.config, view.search, shared.visitor, view.limit]
        listing = [view.newest, view.more]
        tops = [view.health, view.publishing, view.leaving, shared.outbox]
        # A link that names the tab selects it too: nothing is asked for whoever does not look.
        tab.select(self.top, None, tops, **quick)
        # always_last: a call for a visitor who has no name yet must not swallow the one that has it.
        last = {**quick, "trigger_mode": "always_last"}
        gr.on([tab.select, shared.visitor.change], self.rows, asked, listing, **last)
        gr.on([tab.select, shared.visitor.change], self.about_me, shared.visitor, view.me, **last)
        gr.on([tab.select, shared.visitor.change], self.my_name, shared.visitor, view.name, **last)
        gr.on(
            [view.rename.click, view.name.submit],
            self.rename,
            [view.name, shared.visitor],
            [view.me, view.name],
            **quick,
        )
        timer = gr.Timer(ELSEWHERE)
        shared.address.change(None, shared.address, timer, js=PACE, api_visibility="private")
        timer.tick(
            self.keep_current,
            [*asked, view.seen, shared.address],
            [*tops, *listing, view.seen],
            trigger_mode="once",
            **quick,
        )
        gr.on(
            [view.whose.input, view.config.input, view.search.change],
            self.filter,
            asked[:4],
            [*listing, view.limit, view.row_said],
            trigger_mode="always_last",
            **quick,
        )
        view.more.click(self.show_more, asked, [*listing, view.limit], **quick)
        view.newest.select(self.act, asked, [view.row_said, *listing, view.me, *tops], **quick)
        for button, handler in ((view.upload, self.upload), (view.publish, self.publish)):
            button.click(
                handler,
                None,
                [view.upload_said, *tops],
                api_visibility="private",
                show_progress="hidden",
                concurrency_limit=4,
            )
        view.withdraw.click(lambda: gr.Column(visible=True), None, view.sure, **quick)
        view.keep.click(lambda: gr.Column(visible=False), None, view.sure, **quick)
        view.surely.click(self.withdraw_all, asked, [view.me, view.sure, *listing, *tops, view.row_said], **quick)

    def top(self) -> tuple[Any, ...]:
        """The health line, what waits for a look before it is published, and the badge."""
        with shown_to_user():
            status = self.store.status()
            if not status.needs_approval:
                return outbox_panel(status), gr.Column(visible=False), "", waiting_badge(status.waiting)
            rows = self.store.leaving(SHOWN_ROWS)
            told = (
                f"<h3>Before the first rows leave</h3><p>{escape(status.dataset)} is a <b>public</b> dataset: everybody will "
                f"be able to read these {status.waiting} rows, and all later ones without being asked again. The first "
                f"{len(rows)}:</p>"
            )
            leaving = told + row_cards(rows)
            return outbox_panel(status), gr.Column(visible=True), leaving, waiting_badge(status.waiting)

    def rows(self, whose: str, config: str, search: str, visitor: str, limit: int = SHOWN_ROWS) -> tuple[str, Any]:
        """The newest rows that fit, as cards, and whether there are more."""
        with shown_to_user():
            me = pseudonym(self.secret, visitor)
            mine = whose == "mine"
            query = RowQuery(
                config=next((name for name in COLUMNS if name == config), None),
                # A rater nobody has: who is not known here has said nothing here.
                rater=(me or "nobody") if mine else None,
                text=(search or "")[:MOST_SEARCH],
            )
            limit = min(max(int(limit), 1), MOST_SHOWN)
            found = self.store.find(query, limit)
            filtered = bool(query.config or query.text.strip())
            empty = NOT_FOUND if filtered else NONE_OF_MINE if mine else EMPTY
            more = gr.Button(visible=found.more and limit < MOST_SHOWN)
            return row_cards(found, mine=me, empty=empty, curates=curates()), more

    def filter(self, whose: str, config: str, search: str, visitor: str) -> tuple[Any, ...]:
        """Another filter starts at the newest rows again."""
        return (*self.rows(whose, config, search, visitor), SHOWN_ROWS, "")

    def show_more(self, whose: str, config: str, search: str, visitor: str, limit: int) -> tuple[Any, ...]:
        """Twice as many rows."""
        limit = min(2 * max(int(limit), 1), MOST_SHOWN)
        return (*self.rows(whose, config, search, visitor, limit), limit)

    def keep_current(
        self,
        whose: str,
        config: str,
        search: str,
        visitor: str,
        limit: int,
        seen: tuple[object, ...] | None,
        address: str = HERE,
    ) -> tuple[Any, ...]:
        """The health line and the rows, sent again only when something has moved; on another tab, the badge alone."""
        with shown_to_user():
            status = self.store.status()
            if HERE not in (address or "").split("&"):
                # Choosing this tab reads all of it; until then nobody sees it, and rows are dear to draw.
                elsewhere = ("elsewhere", status.waiting)
                badge = gr.skip() if seen == elsewhere else waiting_badge(status.waiting)
                return (*[gr.skip()] * 3, badge, *[gr.skip()] * 2, elsewhere)
            now = (
                *(status.saved, status.waiting, status.pushed, status.refused),
                *(status.last_error, status.last_commit, status.needs_approval),
            )
            if now == seen:
                skipped = [gr.skip()] * 6
                return outbox_panel(status) if status.waiting else gr.skip(), *skipped
            return (*self.top(), *self.rows(whose, config, search, visitor, limit), now)

    def about_me(self, visitor: str) -> str:
        """Who I am to others, and what can be done about my rows."""
        with shown_to_user():
            me = pseudonym(self.secret, visitor)
            if me is None:
                return '<p class="pg-meta">This page does not know you yet. Reload it.</p>'
            return (
                f'<p>Your rows carry the pseudonym <code class="pg-whole">{me}</code>, which this browser keeps. Choose “Mine” to see them, '
                "change a vote, or take one back.</p>"
                + (
                    f"<p>From now on they also carry the name <b>{escape(name)}</b>, for everybody who reads the page or the "
                    "dataset. Rows from before keep what they had.</p>"
                    if (name := self.store.name_of(me))
                    else ""
                )
            )

    def my_name(self, visitor: str) -> str:
        """The name I chose, to change it."""
        with shown_to_user():
            me = pseudonym(self.secret, visitor)
            return self.store.name_of(me) if me else ""

    def rename(self, name: str, visitor: str) -> tuple[str, str]:
        """Put a name on my rows from now on, or none."""
        with shown_to_user():
            me = pseudonym(self.secret, visitor)
            if me is None:
                raise UserInputError("This page does not know you yet. Reload it, then choose a name.")
            chosen = self.store.rename(me, name)
            return self.about_me(visitor), chosen

    def act(
        self, whose: str, config: str, search: str, visitor: str, limit: int, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Change or take back one of my votes, by the button on its card."""
        with shown_to_user():
            said = self.revise(str(event.row), str(event.to), visitor)
            told = f'<p class="pg-meta" role="status">{said}</p>'
            listing = self.rows(whose, config, search, visitor, limit)
            return (told, *listing, self.about_me(visitor), *self.top())

    def revise(self, row_id: str, to: str, visitor: str) -> str:
        """Change the vote to `to` ("" takes it back); only its own rater may. Returns what the screen says."""
        me = pseudonym(self.secret, visitor)
        row = self.store.row(row_id)
        if row is None:
            raise UserInputError("This row was changed or taken back already. The list shows what stands.")
        by = str(row.columns.get("rater") or "")
        if me is None or code_of(by) != me:
            if to or not curates():
                raise UserInputError("Only whoever gave this vote can change it or take it back.")
            for one in self._related(row, code_of(by)):
                self.store.withdraw(one.id)
            note("withdrew a row of somebody else", f"{row.id} of {code_of(by) or 'nobody named'}")
            return "Withdrawn for its reviewer, and written down. It leaves the dataset with the next upload."
        related = self._related(row, me)
        if not to:
            for one in related:
                self.store.withdraw(one.id)
            return "Taken back. It leaves the dataset with the next upload."
        stands = next((one for one in related if one.config == "comparisons"), row)
        if stands is not row and to == "swap":
            to = "right" if stands.columns["outcome"] == "left" else "left"
        label = dict(choices(stands)).get(to, to)
        change = changed(stands, to, related)
        self.store.save(change.rows, change.taking_back)
        return f"Changed to “{escape(label)}”. The dataset follows with the next upload."

    def _related(self, row: StoredRow, me: str) -> tuple[StoredRow, ...]:
        """The rows of the same vote: a battle with a winner is two."""
        comparison = row.columns.get("comparison_id")
        if not comparison:
            return (row,)
        found = self.store.find(RowQuery(rater=me, comparison_id=str(comparison)), MOST_SHOWN).rows
        return tuple(one for one in found if _answers(one) == _answers(row)) or (row,)

    def withdraw_all(self, whose: str, config: str, search: str, visitor: str, limit: int) -> tuple[Any, ...]:
        """Take back everything this reviewer ever said here, and say what remains where."""
        with shown_to_user():
            me = pseudonym(self.secret, visitor)
            if me is None:
                raise UserInputError("This page does not know you yet. Reload it, then try again.")
            gone = self.store.withdraw_all(me)
            status = self.store.status()
            taken = f"<b>{_count(gone)} taken back.</b> What was said is gone from this page. {what_remains(status.dataset)}"
            said = f'<p role="status">{taken if gone else "There was nothing of yours to take back."}</p>'
            listing = self.rows(whose, config, search, visitor, limit)
            # What was said of one of them before is about a row that is gone.
            return (said, gr.Column(visible=False), *listing, *self.top(), "")

    def upload(self) -> Iterator[tuple[Any, ...]]:
        """Send what waits, now, and say how it went."""
        with shown_to_user():
            yield ('<p class="pg-meta" role="status">Sending what waits</p>', *[gr.skip()] * 4)
            before = self.store.status()
            self.store.upload_now()
            yield self._sent(before)

    def publish(self) -> Iterator[tuple[Any, ...]]:
        """Agree that what waits, and what follows, goes to the public dataset."""
        with shown_to_user():
            yield ('<p class="pg-meta" role="status">Publishing</p>', *[gr.skip()] * 4)
            before = self.store.status()
            self.store.approve()
            yield self._sent(before)

    def _sent(self, before: FeedbackStatus) -> tuple[Any, ...]:
        """How it went, in words that stay true: what waits now and why stands in the line above, which is kept current."""
        status = self.store.status()
        sent = max(before.waiting - status.waiting, 0)
        if status.waiting and status.last_error:
            told = (
                "Not uploaded, for the reason above. The rows are safe on this machine and are sent again on their own."
            )
        elif status.waiting:
            told = "On the way: the line above says how many still wait."
        else:
            told = f"Uploaded {_count(sent)}." if sent else "Nothing was waiting."
        return (f'<p class="pg-meta" role="status">{told}</p>', *self.top())


def what_remains(dataset: str) -> str:
    """What still holds rows after they were taken back, and how the owner removes it there too."""
    if dataset.startswith("folder "):
        return (
            "It leaves the dataset folder and the feedback database within seconds; ids and times stay, nothing that was "
            "said. Copies and exports made before stay as they are."
        )
    return (
        f"It leaves {escape(dataset)} with the next upload. Its git history still holds it until its owner squashes that: "
        f'<code>HfApi().super_squash_history("{escape(dataset)}", repo_type="dataset")</code>. It leaves the feedback database on '
        "this machine within seconds; ids and times stay, nothing that was said. Copies and tagged exports made before stay as "
        "they are."
    )


def _count(rows: int) -> str:
    return f"{rows} {'row' if rows == 1 else 'rows'}"


def _answers(row: StoredRow) -> frozenset[str]:
    """The two things a row compares, whichever way round."""
    columns = row.columns
    names = ("chosen", "rejected") if row.config in PREFERENCES else ("left", "right")
    if columns.get("kind") == "image":
        names = ("left_image", "right_image")
    return frozenset(repr(columns.get(name)) for name in names)
