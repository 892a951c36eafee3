"""Text out of the chunks of an OpenAI-compatible stream: content, reasoning in its tags, why it ended, what it cost."""

from __future__ import annotations

from typing import Any

from backends.chat.detokenise import StopStrings
from core.chat import Finish
from core.errors import GenerationFailed

# The API says that text is reasoning, not which tags the model wrote; these are the ones most models use.
OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
_FINISHES: dict[str, Finish] = {"length": "length", "max_tokens": "length"}
_FAILED = {
    "content_filter": "The host's content filter ended the answer; what had arrived is kept. Ask in other words.",
    "error": "The host failed while it was answering; what had arrived is kept. Try again.",
    "abort": "The host ended the answer early; what had arrived is kept. Try again.",
}


class Reading:
    """Takes chunks, gives the text to show. What a server leaves out stays None."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = StopStrings(stops)
        self._thinking = False
        self.began = False
        self.characters = 0
        self.finish: Finish | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: what follows is not wanted."""
        return self._stops.found

    @property
    def counted(self) -> bool:
        """Whether the server said how many tokens it read and wrote."""
        return self.prompt_tokens is not None and self.completion_tokens is not None

    def take(self, chunk: dict[str, Any]) -> str:
        """The text that a chunk adds. Raises `GenerationFailed` when the server says that it gave up."""
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens"), self.prompt_tokens)
            self.completion_tokens = _count(usage.get("completion_tokens"), self.completion_tokens)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        # A server that does not stream sends one message instead of deltas.
        said = choice.get("delta") or choice.get("message") or {}
        text = self._reasoned(said) + self._plain(said) if isinstance(said, dict) else ""
        self.characters += len(text)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            if reason in _FAILED:
                raise GenerationFailed(_FAILED[reason])
            self.finish = _FINISHES.get(reason, "stop")
        return text

    def rest(self) -> str:
        """What was held back for a stop string that never came, and the tag of reasoning that was cut."""
        if self._thinking:
            self._thinking = False
            return CLOSE.rstrip("\n")
        return self._stops.rest()

    def _reasoned(self, said: dict[str, Any]) -> str:
        thought = said.get("reasoning_content") or said.get("reasoning")
        if not isinstance(thought, str) or not thought:
            return ""
        self.began = True
        opened, self._thinking = "" if self._thinking else OPEN, True
        return opened + thought

    def _plain(self, said: dict[str, Any]) -> str:
        content = said.get("content")
        if not isinstance(content, str) or not content:
            return ""
        self.began = True
        closed, self._thinking = CLOSE if self._thinking else "", False
        return closed + self._stops.add(content)


def _count(value: object, known: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else known
