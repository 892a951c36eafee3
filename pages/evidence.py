"""Feedback tab, what the votes say: the leaderboard and agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from components.api import expose
from components.background import Done, bar, watched
from components.boards import agreement_html, downloads_html, leaderboard_html
from components.errors import shown_to_user
from core.arguments import check_types
from core.errors import UserInputError
from core.evidence import KINDS, Choices, Evidence, Kind, Merge, VoteFilter, day_of
from core.topics import NAMES as TOPIC_NAMES
from core.topics import TOPICS, Topic

MERGES = ("revisions", "adapters", "settings")
KIND_CHOICES = [("Answers", "chat"), ("Pictures", "image")]
ANY = ""
# On a phone the filters stand above what they filter, and would fill the screen were they open.
FOLD = """() => {
  const first = !window.provingBoardSeen;
  window.provingBoardSeen = true;
  return {__type__: "update", ...(first && matchMedia("(max-width: 640px)").matches ? {open: false} : {})};
}"""
WAITING = '<div class="pg-skeleton"><div></div><div></div><div></div></div>'


@dataclass(frozen=True)
class EvidenceView:
    """The two panels' components."""

    board_tab: gr.Tab
    which: gr.Accordion
    kind: gr.Radio
    models: gr.Dropdown
    topic: gr.Dropdown
    prompt: gr.Textbox
    rater: gr.Dropdown
    campaign: gr.Dropdown
    since: gr.Textbox
    until: gr.Textbox
    counted: gr.CheckboxGroup
    merge: gr.CheckboxGroup
    style: gr.Checkbox
    clear: gr.Button
    status: gr.HTML
    board: gr.HTML
    agreement_tab: gr.Tab
    agreement_kind: gr.Radio
    agreement_status: gr.HTML
    agreement: gr.HTML


class EvidencePage:
    """Asks what the votes say and shows it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def build(self) -> EvidenceView:
        """Layout only, two tabs inside the tabs of Feedback."""
        with gr.Tab("Leaderboard", id="board") as board_tab, gr.Row(elem_classes="pg-work"):
            with gr.Column(scale=7, min_width=320):
                status = gr.HTML("", elem_id="board-status")
                board = gr.HTML(WAITING, elem_id="board")
            with (
                gr.Column(scale=3, min_width=280, elem_classes="pg-first-on-phone"),
                gr.Accordion("Which votes count", open=True, elem_id="board-filters") as which,
            ):
                kind = gr.Radio(KIND_CHOICES, value="chat", label="Votes on", elem_id="board-kind")
                models = gr.Dropdown([], value=[], multiselect=True, label="Models (several: only between them)")
                topic = gr.Dropdown(
                    [("Any", ANY), *((name, topic) for topic, name in TOPIC_NAMES.items())], value=ANY,
                    label="Topic of the prompt", info="By the words in it.", elem_id="board-topic",
                )  # fmt: skip
                prompt = gr.Textbox(label="Prompt contains", max_lines=1, elem_id="board-prompt")
                rater = gr.Dropdown([("Anybody", ANY)], value=ANY, label="Reviewer")
                campaign = gr.Dropdown([("Any", ANY)], value=ANY, label="Campaign")
                with gr.Row():
                    since = gr.Textbox(label="From day", placeholder="2026-11-01", max_lines=1, min_width=110)
                    until = gr.Textbox(label="To day", placeholder="2026-11-30", max_lines=1, min_width=110)
                counted = gr.CheckboxGroup(
                    [("Blind votes only", "blind"), ("Also where a name leaked", "leaked")], value=[], label="Votes"
                )
                merge = gr.CheckboxGroup(
                    [("Commits", "revisions"), ("Adapters", "adapters"), ("Settings", "settings")],
                    value=[],
                    label="Merge into one row",
                    elem_id="board-merge",
                )
                style = gr.Checkbox(
                    False, label="Hold style and length constant", info="Looks at every vote; takes longer.",
                    elem_id="board-style",
                )  # fmt: skip
                clear = gr.Button("Clear filters", size="sm")
        with gr.Tab("Agreement", id="agreement") as agreement_tab:
            agreement_kind = gr.Radio(KIND_CHOICES, value="chat", label="Votes on", elem_id="agreement-kind")
            agreement_status = gr.HTML("", elem_id="agreement-status")
            agreement = gr.HTML(WAITING, elem_id="agreement")
        return EvidenceView(
            board_tab, which, kind, models, topic, prompt, rater, campaign, since, until, counted, merge, style, clear, status, board,
            agreement_tab, agreement_kind, agreement_status, agreement,
        )  # fmt: skip

    def wire(self, view: EvidenceView) -> None:
        """Events only."""
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 4}
        filters = [
            view.kind, view.models, view.topic, view.prompt, view.rater, view.campaign, view.since, view.until,
            view.counted, view.merge, view.style,
        ]  # fmt: skip
        shown = [view.status, view.board]
        choices = [view.models, view.rater, view.campaign]
        view.board_tab.select(None, None, view.which, js=FOLD, api_visibility="private")
        view.board_tab.select(self.choices, [view.kind, view.models, view.rater, view.campaign], choices, **quiet)
        view.board_tab.select(self.rank, filters, shown, **quiet)
        view.kind.input(self.cleared_choices, view.kind, choices, **quiet).then(self.rank, filters, shown, **quiet)
        gr.on(
            [
                view.models.input, view.topic.input, view.rater.input, view.campaign.input, view.counted.input, view.merge.input,
                view.style.input, view.prompt.submit, view.prompt.blur, view.since.submit, view.since.blur,
                view.until.submit, view.until.blur,
            ],
            self.rank,
            filters,
            shown,
            trigger_mode="always_last",
            **quiet,
        )  # fmt: skip
        view.clear.click(self.clear, None, filters[1:], **quiet).then(self.rank, filters, shown, **quiet)
        gr.on(
            [view.agreement_tab.select, view.agreement_kind.input],
            self.agree,
            view.agreement_kind,
            [view.agreement_status, view.agreement],
            trigger_mode="always_last",
            **quiet,
        )
        expose(self.leaderboard, concurrency_limit=4)

    def rank(
        self,
        kind: str,
        models: Sequence[str],
        topic: str | None,
        prompt: str,
        rater: str | None,
        campaign: str | None,
        since: str,
        until: str,
        counted: Sequence[str],
        merge: Sequence[str],
        style: bool,
    ) -> Iterator[tuple[Any, Any]]:
        """The leaderboard of the votes the filters leave, with a bar while it takes long."""
        with shown_to_user():
            wanted = VoteFilter(
                _kind(kind), campaign or "", tuple(models or ()), prompt, rater or "", day_of(since, "From day"),
                day_of(until, "To day"), "blind" in counted, "leaked" in counted, _topic(topic or ""),
            )  # fmt: skip
            work = partial(self._board, wanted, _merge(merge), style)
            try:
                for step in watched(work):
                    if isinstance(step, Done):
                        yield "", leaderboard_html(step.value) + downloads_html(self.evidence.tables(step.value))
                    elif step[1]:
                        yield bar(f"Resampling votes: {step[0]} of {step[1]} rounds", *step), gr.skip()
                    else:
                        yield bar("Counting votes"), gr.skip()
            except Exception:
                yield "", gr.skip()
                raise

    def agree(self, kind: str) -> Iterator[tuple[Any, Any]]:
        """Agreement and habits of reviewers."""
        with shown_to_user():
            wanted = VoteFilter(_kind(kind))
            try:
                for step in watched(lambda progress: self.evidence.agreement(wanted)):
                    if isinstance(step, Done):
                        yield "", agreement_html(step.value) + downloads_html(self.evidence.tables(step.value))
                    else:
                        yield bar("Reading every vote"), gr.skip()
            except Exception:
                yield "", gr.skip()
                raise

    def choices(self, kind: str, models: Sequence[str], rater: str, campaign: str) -> tuple[Any, Any, Any]:
        """The filters offer what occurs; what is chosen stays."""
        with shown_to_user():
            found = self.evidence.choices(_kind(kind))
            return _dropdowns(found, list(models or ()), rater, campaign)

    def cleared_choices(self, kind: str) -> tuple[Any, Any, Any]:
        """The other kind of votes has other models and reviewers."""
        with shown_to_user():
            return _dropdowns(self.evidence.choices(_kind(kind)), [], ANY, ANY)

    def clear(self) -> tuple[Any, ...]:
        """Every filter but the kind as it was at the start."""
        return [], ANY, "", ANY, ANY, "", "", [], [], False

    def leaderboard(
        self,
        kind: str = "chat",
        campaign: str = "",
        models: list[str] = [],  # noqa: B006  (never written to; gradio shows the default to callers)
        prompt: str = "",
        rater: str = "",
        since: str = "",
        until: str = "",
        blind_only: bool = False,
        leaked: bool = False,
        merge: list[str] = [],  # noqa: B006
        style: bool = False,
        topic: str = "",
    ) -> list[dict[str, Any]]:
        """Who is ahead by the votes. A list of records, best first; rank null means that the votes cannot tell.

        Args:
            kind: chat or image.
            campaign: Only votes of this campaign.
            models: Repo ids; one: comparisons it took part in, several: those between them.
            prompt: Only prompts that contain this.
            rater: Only votes of this reviewer.
            since: First day (UTC), YYYY-MM-DD.
            until: Last day (UTC), YYYY-MM-DD.
            blind_only: Leave out votes that were not blind.
            leaked: Count comparisons in which a name leaked before the vote.
            merge: What to ignore so that contenders become one: revisions, adapters, settings.
            style: Hold style and length constant.
            topic: Only prompts about code, maths, writing, summary or translation, by their words; or long ones: long.
        """
        with shown_to_user():
            check_types(
                text={"kind": kind, "campaign": campaign, "prompt": prompt, "rater": rater, "since": since, "until": until,
                      "topic": topic},
                texts={"models": models, "merge": merge},
            )  # fmt: skip
            for name, value in (("blind_only", blind_only), ("leaked", leaked), ("style", style)):
                if not isinstance(value, bool):
                    raise UserInputError(f"{name} has to be true or false.")
            wanted = VoteFilter(
                _kind(kind), campaign, tuple(models), prompt, rater, day_of(since, "since"), day_of(until, "until"),
                blind_only, leaked, _topic(topic),
            )  # fmt: skip
            board = self.evidence.leaderboard(wanted, _merge(merge), style=style)
            return [row.record() for row in board.standings]

    def _board(self, wanted: VoteFilter, merge: Merge, style: bool, progress: Any) -> Any:
        return self.evidence.leaderboard(wanted, merge, style=style, progress=progress)


def _kind(kind: str) -> Kind:
    found = next((name for name in KINDS if name == kind), None)
    if found is None:
        raise UserInputError(f"kind has to be chat or image; it is “{kind}”.")
    return found


def _topic(topic: str) -> Topic | None:
    found = next((name for name in TOPICS if name == topic), None)
    if topic and found is None:
        raise UserInputError(f"topic has to be {', '.join(TOPICS)} or empty; it is “{topic}”.")
    return found


def _merge(names: Sequence[str]) -> Merge:
    unknown = sorted(set(names) - set(MERGES))
    if unknown:
        raise UserInputError(f"merge: {', '.join(MERGES)} can be merged, not {', '.join(unknown)}.")
    return Merge(*(name in names for name in MERGES))


def _dropdowns(found: Choices, models: list[str], rater: str, campaign: str) -> tuple[Any, Any, Any]:
    kept = [model for model in models if model in found.models]
    return (
        gr.Dropdown(choices=list(found.models), value=kept),
        gr.Dropdown(choices=[("Anybody", ANY), *found.raters], value=rater if rater in found.raters else ANY),
        gr.Dropdown(choices=[("Any", ANY), *found.campaigns], value=campaign if campaign in found.campaigns else ANY),
    )
