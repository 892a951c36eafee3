"""Thumbs and preferences by answer: a conversation that was being continued while somebody judged learns of it here."""

from __future__ import annotations

import threading
from collections import OrderedDict

from core.conversation import Conversation, Preferred

MOST_RATINGS = 10_000


class Ratings:
    """The newest word on each answer and pair, bounded, safe for many visitors at once. The rows themselves are in the store."""

    def __init__(self, most: int = MOST_RATINGS) -> None:
        self._most = most
        self._labels: OrderedDict[str, tuple[str | None, bool | None]] = OrderedDict()
        self._pairs: OrderedDict[frozenset[str], Preferred | None] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, turn_id: str, rating_id: str | None, label: bool | None) -> None:
        """What was said last of an answer; None when it was taken back."""
        with self._lock:
            self._labels[turn_id] = (rating_id, label)
            self._labels.move_to_end(turn_id)
            while len(self._labels) > self._most:
                self._labels.popitem(last=False)

    def prefer(self, one: str, other: str, judged: Preferred | None) -> None:
        """What was said last of two answers; None when it was taken back."""
        pair = frozenset((one, other))
        with self._lock:
            self._pairs[pair] = judged
            self._pairs.move_to_end(pair)
            while len(self._pairs) > self._most:
                self._pairs.popitem(last=False)

    def applied(self, conversation: Conversation) -> Conversation:
        """The conversation with everything said of it as it stands now."""
        with self._lock:
            known = {turn.id: self._labels[turn.id] for turn in conversation.turns if turn.id in self._labels}
            ids = {turn.id for turn in conversation.turns} if self._pairs else set()
            pairs = [(pair, judged) for pair, judged in self._pairs.items() if pair <= ids]
        for turn_id, (rating_id, label) in known.items():
            turn = conversation.turn(turn_id)
            if (turn.rating_id, turn.label) != (rating_id, label):
                conversation = conversation.rated(turn_id, rating_id, label)
        for pair, judged in pairs:
            one, other = sorted(pair)
            if conversation.preference(one, other) != judged:
                conversation = conversation.preferring(one, other, judged)
        return conversation
