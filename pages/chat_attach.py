"""Chat tab: pictures for the next message, offered only where the pinned model reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from components.attach_tray import tray
from components.errors import shown_to_user
from core.attached import MOST_IN_MESSAGE, Attached
from core.errors import UserInputError
from core.refs import ModelRef
from core.text_safety import NOTHING_CHECKS
from pages.chat_stream import Answers
from pages.shared import Shared

SCRIPT = Path(__file__).parents[1] / "components" / "attach.js"
UNCHECKED = "What checks texts here does not look at pictures."
# As many as MOST_IN_MESSAGE, for the sentence that says which one was left out.
ORDINALS = ("first", "second", "third", "fourth")
NOT_AN_UPLOAD = "That picture did not arrive. Attach it again."


@dataclass(frozen=True)
class AttachView:
    """The tray above the message box, and the pictures in it."""

    shown: gr.HTML
    attached: gr.State


class AttachPage:
    """The tray."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.pictures = answers.pictures

    def build(self) -> AttachView:
        """Layout only."""
        shown = gr.HTML(
            tray((), self.pictures.small),
            visible=False,
            elem_id="chat-attach",
            js_on_load=SCRIPT.read_text(encoding="utf-8"),
        )
        return AttachView(shown, gr.State(()))

    def wire(self, view: AttachView, conversation: gr.State, shared: Shared) -> None:
        """Events only. What a host's model can do is known after its first answer, which changes `conversation`."""
        quick = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 16}
        tray = [view.attached, view.shown]
        view.shown.select(self.change, [view.attached, shared.pinned], tray, **quick)
        gr.on(
            [shared.pinned.change, conversation.change, view.attached.change],
            self.shown,
            [view.attached, shared.pinned],
            view.shown,
            **quick,
        )

    def change(
        self, event: gr.EventData, attached: tuple[Attached, ...], pinned: ModelRef | None
    ) -> tuple[tuple[Attached, ...], str]:
        """Put pictures that were uploaded with the next message, or take one off."""
        with shown_to_user():
            said = event._data
            if not isinstance(said, Mapping):
                raise UserInputError(NOT_AN_UPLOAD)
            if said.get("act") == "remove":
                at = said.get("at")
                left = tuple(one for number, one in enumerate(attached, 1) if number != at)
                return left, tray(left, self.pictures.small)
            can = self.answers.abilities(pinned)
            if can is None or not can.images:
                raise UserInputError("The pinned model reads text only. Choose one that reads pictures first.")
            more, told = self._taken(said.get("paths"), MOST_IN_MESSAGE - len(attached))
            both = (*attached, *more)
            # Beside the tray, which is drawn anew as soon as what is in it changes.
            if told:
                gr.Warning(told, title="Not attached")
            if more and self.answers.router.text_checks() != NOTHING_CHECKS:
                gr.Info(UNCHECKED, title="Pictures")
            return both, tray(both, self.pictures.small, told)

    def shown(self, attached: tuple[Attached, ...], pinned: ModelRef | None) -> Any:
        """The tray as it stands; gone where the model reads text alone, unless something is still in it."""
        with shown_to_user():
            can = self.answers.abilities(pinned)
            offered = can is not None and can.images
            return gr.HTML(value=tray(attached, self.pictures.small), visible=bool(offered or attached))

    def _taken(self, paths: object, room: int) -> tuple[tuple[Attached, ...], str]:
        """(the pictures of uploads, what was wrong with others). The uploads themselves go: they may tell place and camera."""
        files = [upload_at(path) for path in paths] if isinstance(paths, list) else []
        if not files:
            raise UserInputError(NOT_AN_UPLOAD)
        taken: list[Attached] = []
        told = (
            f"A message takes at most {MOST_IN_MESSAGE} pictures; the others were left out."
            if len(files) > room
            else ""
        )
        try:
            for number, file in enumerate(files[: max(0, room)], 1):
                try:
                    taken.append(self.pictures.take(file.read_bytes(), f"{ORDINALS[number - 1]} picture"))
                except UserInputError as error:
                    told = str(error)
        finally:
            for file in files:
                file.unlink(missing_ok=True)
        return tuple(taken), told


def upload_at(path: object) -> Path:
    """The file of an upload. A browser says where it is, and can say anything: only uploads are read."""
    folder = Path(get_upload_folder()).resolve()
    try:
        file = Path(str(path)).resolve(strict=True)
    except (OSError, ValueError) as error:
        raise UserInputError(NOT_AN_UPLOAD) from error
    if not isinstance(path, str) or not file.is_relative_to(folder) or not file.is_file():
        raise UserInputError(NOT_AN_UPLOAD)
    return file
