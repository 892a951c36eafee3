"""Token ids to text as it streams: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from typing import Any

UNFINISHED = "\ufffd"


class Detokeniser:
    """Turns a growing list of ids into pieces of text that join to the same text as decoding it whole.

    Each step decodes a short window: the last piece that was given out, as context, and what came since. Text is held
    back while it ends in U+FFFD, which is how a decoder shows a character whose bytes are not all there yet.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context = 0
        self._given = 0

    def add(self, token: int) -> str:
        """The text that became certain with `token`; often one word, sometimes nothing."""
        self._ids.append(token)
        return self._take(final=False)

    def rest(self) -> str:
        """What was held back, at the end: bytes that never became a character are shown as U+FFFD."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        before = self._decode(self._ids[self._context : self._given])
        now = self._decode(self._ids[self._context :])
        if len(now) <= len(before) or (now.endswith(UNFINISHED) and not final):
            return ""
        self._context, self._given = self._given, len(self._ids)
        return now[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class StopStrings:
    """Cuts a stream at the first stop string, holding back text that may be the beginning of one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def add(self, text: str) -> str:
        """The part of the stream that is safe to show; after a stop string was found, nothing."""
        if self.found:
            return ""
        if not self._stops:
            return text
        self._held += text
        ends = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.found = True
            shown, self._held = self._held[: min(ends)], ""
            return shown
        keep = max(self._beginning_of(stop) for stop in self._stops)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def rest(self) -> str:
        """What was held back, when the stream ends without completing a stop string."""
        shown, self._held = self._held, ""
        return shown

    def _beginning_of(self, stop: str) -> int:
        """How many characters at the end of the held text could begin `stop`."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:size]):
                return size
        return 0
