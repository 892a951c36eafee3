"""Chat tab: the conversations that are kept: opened, found again after a reload, renamed, deleted, exported and imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import gradio as gr

from components.errors import shown_to_user
from core.attached import Take
from core.conversation import Conversation
from core.conversations import ConversationStore, title_of
from core.errors import UserInputError
from core.transcripts import (
    conversation_of,
    images_in,
    packed,
    pictures_of,
    read_file,
    to_json,
    to_markdown,
    to_preferences,
    to_rows,
)
from pages.chat_keeping import Keeper, told
from pages.chat_stream import Answers, Given, Update
from pages.chat_tree import only, values_of

SCRIPT = Path(__file__).parents[1] / "components" / "kept.js"
EXPORTS = {
    "markdown": ("Markdown", "md", "text/markdown", "This branch, to read"),
    "json": ("JSON", "json", "application/json", "Every branch; can be imported again"),
    "rows": ("TRL rows", "jsonl", "application/jsonl", "One line for each branch: messages"),
    "preferences": (
        "TRL pairs",
        "preferences.jsonl",
        "application/jsonl",
        "prompt, chosen, rejected of what you preferred",
    ),
}
LIST = (
    '<details class="pg-kept"><summary>Conversations</summary><input type="search" placeholder="Search conversations" aria-label="Search conversations">'
    '<ul class="pg-kept-list"></ul><p class="pg-meta pg-kept-none">Nothing is kept yet.</p>'
    '<p class="pg-meta pg-kept-where"></p><p class="pg-meta">Save the open conversation as a file, or open one:</p>'
    '<div class="pg-doing" role="group" aria-label="Export or import">'
    + "".join(
        f'<button type="button" class="pg-copy" data-export="{kind}" title="{what}">{label}</button>'
        for kind, (label, _, _, what) in EXPORTS.items()
    )
    + '<button type="button" class="pg-copy" data-import title="A file that was exported here, or a list of messages">'
    'Import</button></div><input type="file" accept=".json,application/json" hidden>'
    '<p class="pg-meta pg-kept-said" role="status"></p></details>'
)
NAMED = "Markdown names the pictures; JSON has them in it."
LEFT_OUT = (
    "Branches with pictures are left out: lines of text would teach as if there had been none. The dataset has what you "
    "rated or preferred with its pictures."
)
GONE = "The answer that was being written is gone. Regenerate asks again."


@dataclass(frozen=True)
class KeptView:
    """The list, the switch, and what the list's script is told."""

    shown: gr.HTML
    incognito: gr.Checkbox
    told: gr.Textbox


class KeptPage:
    """The list beside the conversation."""

    def __init__(self, answers: Answers, keeper: Keeper, take: Take) -> None:
        self.answers, self.keeper, self.take = answers, keeper, take

    def build(self) -> KeptView:
        """Layout only."""
        # In no accordion: what is folded away there is not on the page, and a reload would find nothing.
        shown = gr.HTML(LIST, elem_id="chat-kept", js_on_load=SCRIPT.read_text(encoding="utf-8"))
        incognito = gr.Checkbox(
            False, label="Incognito: this conversation is not kept", container=False, elem_id="chat-incognito"
        )
        # Hidden, not invisible: its change is what the script hears.
        return KeptView(shown, incognito, gr.Textbox(visible="hidden", elem_id="chat-told", label="Kept"))

    def open(self, event: gr.EventData, *given: Any) -> Iterator[Update]:
        """Open a conversation that is kept or chosen as a file, and go on showing its answer if one is being written."""
        with shown_to_user():
            asked, said = Given(*given), values_of(event)
            what = str(said.get("act"))
            if what == "resume":
                yield from self._resumed(said, asked)
                return
            self.answers.refuse_while(asked.running)
            if what == "import":
                found = read_file(str(said.get("text") or ""), self.keeper.secret, self.take)
                # A conversation of its own: one with the same id may be here and have gone on.
                yield from self._shown(replace(found, id=str(uuid4())), None, asked)
            else:
                yield from self._shown(*self._kept(said, asked.visitor), asked)

    def manage(self, event: gr.EventData, *given: Any) -> Update:
        """Export, rename, delete or search."""
        with shown_to_user():
            asked, said = Given(*given), values_of(event)
            what, visitor = str(said.get("act")), asked.visitor
            owner = self.keeper.owner(visitor)
            if what == "export":
                return only(keep=self._exported(asked.conversation, str(said.get("kind"))))
            if what == "retell":
                self.keeper.forget(visitor, asked.conversation.id)
                told_all = self.keeper.change(asked.conversation, visitor, incognito=asked.incognito)
                return only(keep=told_all)
            words, which = str(said.get("words") or ""), str(said.get("id") or "")
            store = self.keeper.store if owner else None
            if what == "rename":
                return self._renamed(asked, which, str(said.get("title") or ""), words, store)
            if what == "delete":
                # Also of a record that this version could not open.
                gone = pictures_of(
                    store.turns_with(owner, which, '"images"') if store is not None else said.get("turns")
                )
                if store is not None:
                    store.delete(owner, which)
                self.keeper.deleted(gone, visitor)
                self.keeper.forget(visitor, which)
                told_ = self.keeper.listed(visitor, words)
                if which != asked.conversation.id:
                    return only(keep=told_)
                fresh = Conversation(asked.system)
                return self.answers.settled(asked, fresh, gr.skip(), "Deleted.")._replace(keep=told_)
            return only(keep=self.keeper.listed(visitor, words))

    def _renamed(self, asked: Given, which: str, title: str, words: str, store: ConversationStore | None) -> Update:
        if store is not None:
            store.rename(self.keeper.owner(asked.visitor), which, title)
        conversation: Any = gr.skip()
        if which == asked.conversation.id:
            conversation = replace(asked.conversation, title=" ".join(title.split())[:120])
        return only(conversation=conversation, keep=self.keeper.listed(asked.visitor, words) if store else gr.skip())

    def _resumed(self, said: Mapping[str, Any], asked: Given) -> Iterator[Update]:
        """What a page shows that was just opened: what it had before the reload, or an answer that is being written."""
        owner, store = self.keeper.owner(asked.visitor), self.keeper.store
        yield only(keep=self.keeper.listed(asked.visitor))
        if asked.conversation.turns or self.answers.runs.get(asked.running) is not None:
            return
        try:
            if owner and store is not None:
                which = said.get("id") or store.latest(owner)
                found = self._kept({"id": which}, asked.visitor) if which else None
            else:
                found = self._kept(said, asked.visitor) if said.get("record") else None
        except UserInputError:
            # What this browser kept was deleted, or is of another version: the page begins empty, and the list is there.
            return
        if found is None:
            return
        conversation, running = found
        run = self.answers.runs.late(running)
        on_its_way = run is not None and run.answer is not None and run.answer.reply().finish is None
        if said.get("reloaded") or on_its_way or (owner and running):
            yield from self._shown(conversation, running, asked)

    def _kept(self, said: Mapping[str, Any], visitor: str) -> tuple[Conversation, str | None]:
        """(conversation, the run under it) from the store, or from what the browser keeps."""
        owner = self.keeper.owner(visitor)
        if owner and self.keeper.store is not None:
            record: Any = self.keeper.store.read(owner, str(said.get("id")))
        else:
            text = str(said.get("record") or "")
            if len(text) > 4 * 10_000_000:
                raise UserInputError("This conversation is too large to be opened.")
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise UserInputError("This browser's copy of the conversation cannot be read. Delete it.") from error
        if not isinstance(record, Mapping):
            raise UserInputError("This browser's copy of the conversation cannot be read. Delete it.")
        running = record.get("running")
        conversation = conversation_of(record, self.keeper.secret)
        self.keeper.knows(conversation, visitor)
        return conversation, running if isinstance(running, str) else None

    def _shown(self, conversation: Conversation, running: str | None, asked: Given) -> Iterator[Update]:
        run = self.answers.runs.late(running)
        opened = asked._replace(conversation=conversation)
        if run is None or run.answer is None or run.asked.id != conversation.id:
            status = GONE if running else ""
            yield self.answers.settled(opened, conversation, gr.skip(), status)
            return
        # What was said in the meantime in another tab is in what was kept; the answer goes where it was asked for.
        run.asked = run.asked.having(conversation.turns)
        yield from self.answers.rejoin(opened, run)

    def _exported(self, conversation: Conversation, kind: str) -> str:
        if kind not in EXPORTS:
            raise UserInputError("There is no such export.")
        if not conversation.turns:
            raise UserInputError("There is nothing to export yet. Write a message first.")
        note = ""
        pictures: dict[str, str] = {}
        images = images_in(conversation)
        if kind == "json" and images:
            pictures = packed(conversation, self.keeper.secret, self.keeper.pictures.png)
            if len(pictures) < len(images):
                note = f"{len(images) - len(pictures)} of {len(images)} pictures are not in the file: no room, or gone."
        elif images:
            note = NAMED if kind == "markdown" else LEFT_OUT
        text = {
            "markdown": lambda: to_markdown(conversation),
            "json": lambda: to_json(conversation, self.keeper.secret, pictures),
            "rows": lambda: to_rows(conversation),
            "preferences": lambda: to_preferences(conversation),
        }[kind]()
        if not text:
            if images:
                raise UserInputError(f"There is nothing to export. {LEFT_OUT}")
            raise UserInputError(
                "No pair was preferred in this conversation yet. Choose Prefer this one under an answer first."
                if kind == "preferences"
                else "There is no answer in this conversation yet."
            )
        _, ending, media, _ = EXPORTS[kind]
        name = re.sub(r"[^\w-]+", "-", title_of(conversation).lower()).strip("-")[:50] or "conversation"
        return told(op="save", name=f"{name}.{ending}", type=media, text=text, note=note)
