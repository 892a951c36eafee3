"""Thumbs by answer: a conversation that was being continued while somebody rated learns of it here."""

from __future__ import annotations

import threading
from collections import OrderedDict

from core.conversation import Conversation

MOST_RATINGS = 10_000


class Ratings:
    """The newest thumb of each answer, bounded, safe for many visitors at once. The rows themselves are in the store."""

    def __init__(self, most: int = MOST_RATINGS) -> None:
        self._most = most
        self._labels: OrderedDict[str, tuple[str | None, bool | None]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, turn_id: str, rating_id: str | None, label: bool | None) -> None:
        """What was said last of an answer; None when it was taken back."""
        with self._lock:
            self._labels[turn_id] = (rating_id, label)
            self._labels.move_to_end(turn_id)
            while len(self._labels) > self._most:
                self._labels.popitem(last=False)

    def applied(self, conversation: Conversation) -> Conversation:
        """The conversation with every thumb as it stands now."""
        with self._lock:
            known = {turn.id: self._labels[turn.id] for turn in conversation.turns if turn.id in self._labels}
        for turn_id, (rating_id, label) in known.items():
            conversation = conversation.rated(turn_id, rating_id, label)
        return conversation
