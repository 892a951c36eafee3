"""Text out of tokens as they come: no character before it is whole, nothing past a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A character is four bytes at most, so a longer wait means that the model wrote bytes that are no text.
_LONGEST_WAIT = 64
# As many tokens before as may change the text of the next one.
_NEIGHBOURS = 8


class Detokeniser:
    """Feeds tokens in, gets the text they add. Each token costs the same, however long the text is.

    The text of a token depends on its neighbours, so a short window is decoded with and without the new ones.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], skip: frozenset[int] = frozenset(), before: Sequence[int] = ()
    ) -> None:
        """`skip` are the special tokens, which have no text. The text of `before` has been shown already."""
        self._decode = decode
        self._skip = skip
        self._window = list(before)[-_NEIGHBOURS:]
        self._shown = len(self._window)
        self._shown_text = decode(self._window) if self._window else ""

    def add(self, token: int) -> str:
        """The text that is certain now; "" while a character is incomplete."""
        if token in self._skip:
            return ""
        self._window.append(token)
        text = self._decode(self._window)
        if text.endswith(REPLACEMENT) and len(self._window) - self._shown < _LONGEST_WAIT:
            return ""
        new = text[len(self._shown_text) :]
        self._window = self._window[self._shown :]
        self._shown = len(self._window)
        self._shown_text = self._decode(self._window)
        return new

    def rest(self) -> str:
        """What is left at the end, without the beginning of a character that never came."""
        if len(self._window) == self._shown:
            return ""
        text = self._decode(self._window)[len(self._shown_text) :]
        return text.rstrip(REPLACEMENT)


class StopStrings:
    """Holds back what may be the beginning of a stop string and ends at the first whole one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def add(self, text: str) -> str:
        """The text that may be shown."""
        if not self._stops or self.found:
            return "" if self.found else text
        self._held += text
        places = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            shown, self._held = self._held[: min(places)], ""
            return shown
        keep = max(self._overlap(stop) for stop in self._stops)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def rest(self) -> str:
        """What was held back for a stop string that was never completed."""
        held, self._held = self._held, ""
        return "" if self.found else held

    def _overlap(self, stop: str) -> int:
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)
