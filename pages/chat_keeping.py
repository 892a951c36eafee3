"""Keeping conversations: with the app for who is signed in, in the browser for everybody else, nowhere when incognito."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import gradio as gr

from components.access import OF_ACCOUNT
from core.attached import NONE_HERE, Attached, AttachedPictures
from core.chat import images_of
from core.conversation import Conversation
from core.conversations import ConversationStore
from core.errors import ConversationError
from core.identity import owner_of
from core.transcripts import change_of

MOST_TOLD = 2_000


class Keeper:
    """Says what became of a conversation to where it is kept. `store` None: only browsers keep any."""

    def __init__(self, store: ConversationStore | None, secret: str, pictures: AttachedPictures = NONE_HERE) -> None:
        self.store, self.secret, self.pictures = store, secret, pictures
        self._told: OrderedDict[tuple[str, str], Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def owner(self, visitor: str) -> str:
        """Whose conversations these are with the app; "" for who has not signed in."""
        if self.store is None or not visitor.startswith(OF_ACCOUNT):
            return ""
        return owner_of(self.secret, visitor)

    def change(
        self,
        conversation: Conversation,
        visitor: str,
        *,
        incognito: bool = False,
        running: str | None = None,
        page: Conversation | None = None,
    ) -> Any:
        """What the browser is told; everything is kept that it, or the store, was not told before.

        Several pages may follow one answer, and one that is gone may be the first to hear of its end: what `page`, the
        conversation as the page had it, does not have is told to it whoever was told before.
        """
        if incognito or not conversation.id:
            return gr.skip()
        owner = self.owner(visitor) or visitor
        key = (owner, conversation.id)
        with self._lock:
            before = self._told.get(key, Conversation())
            self._told[key] = conversation
            self._told.move_to_end(key)
            while len(self._told) > MOST_TOLD:
                self._told.popitem(last=False)
        told_of = {turn.id for turn in before.turns}
        if page is not None and not self.owner(visitor):
            has = {turn.id for turn in page.turns}
            before = replace(before, turns=tuple(turn for turn in before.turns if turn.id in has))
        change = change_of(conversation, before, self.secret, running)
        try:
            new = images_of(turn.message for turn in conversation.turns if turn.id not in told_of)
            self.pictures.keep(self._holder(visitor), new)
        except ConversationError as error:
            self.forget(visitor, conversation.id)
            gr.Warning(str(error), title="Not kept")
            return gr.skip()
        if not self.owner(visitor) or self.store is None:
            return told(op="keep", id=change.id, head=change.head, turns=change.turns, count=len(conversation.turns))
        try:
            self.store.keep(owner, change)
        except ConversationError as error:
            # The answer is on the screen all the same; what was not kept is told again with the next one.
            self.forget(visitor, conversation.id)
            gr.Warning(str(error), title="Not kept")
            return gr.skip()
        return gr.skip() if running else self.listed(visitor, current=conversation.id)

    def listed(self, visitor: str, words: str = "", current: str | None = None) -> Any:
        """The list of a signed-in visitor's conversations, for the browser."""
        owner = self.owner(visitor)
        if not owner or self.store is None:
            return told(op="mine", current=current)
        heads = [head.as_record() for head in self.store.list(owner, words)]
        return told(op="list", entries=heads, words=words, current=current)

    def deleted(self, pictures: Iterable[Attached], visitor: str) -> None:
        """A conversation is gone from where it was kept: its pictures go too, but those that are in another one there.

        A browser sends only those that none of its other conversations has.
        """
        owner, store = self.owner(visitor), self.store
        gone = [one for one in pictures if not (owner and store is not None and store.mentions(owner, one.sha256))]
        if gone and visitor:
            self.pictures.drop(self._holder(visitor), gone)

    def _holder(self, visitor: str) -> str:
        """Who keeps pictures, on disk: neither the visitor's id nor the name that stands in rows."""
        named = f"attached\0{visitor}".encode()
        return hmac.new(self.secret.encode(), named, hashlib.sha256).hexdigest()

    def forget(self, visitor: str, conversation_id: str) -> None:
        """Nothing was told of this one."""
        with self._lock:
            self._told.pop((self.owner(visitor) or visitor, conversation_id), None)

    def knows(self, conversation: Conversation, visitor: str) -> None:
        """This one came from where it is kept."""
        with self._lock:
            self._told[(self.owner(visitor) or visitor, conversation.id)] = conversation


def told(**message: Any) -> str:
    """A message for components/kept.js. No two are equal, so that each arrives."""
    return json.dumps({**message, "n": uuid4().hex[:8]}, ensure_ascii=False)
