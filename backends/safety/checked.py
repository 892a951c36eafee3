"""An answer that is looked at: with “flag” when it has ended, with “withhold” before anybody sees a word of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from core.chat import Delta, Message, Reply
from core.chat_protocols import Answer
from core.errors import PromptRefused, Withheld
from core.text_safety import TextCheck, TextVerdict, safety_column


def checked_prompt(check: TextCheck, messages: tuple[Message, ...]) -> TextVerdict:
    """The verdict on what is asked: the system prompt and the last message, with the beginning of an answer where there is one.

    Raises `PromptRefused` when it is withheld.
    """
    last = max((number for number, m in enumerate(messages) if m.role == "user"), default=0)
    asked = "\n".join(m.content for number, m in enumerate(messages) if m.role == "system" or number >= last)
    verdict = check.check(asked)
    if verdict.withheld:
        raise PromptRefused(
            f"{verdict.sentence('This prompt')} It was not sent to a model. Change it, then send it again."
        )
    return verdict


class CheckedAnswer:
    """Implements `core.chat_protocols.Answer` around another one."""

    def __init__(self, answer: Answer, check: TextCheck, prompt: TextVerdict) -> None:
        self._answer, self._check, self._prompt = answer, check, prompt
        self._lock = threading.Lock()
        self._verdict: TextVerdict | None = None

    @property
    def id(self) -> str:
        """The id of the answer itself."""
        return self._answer.id

    @property
    def done(self) -> bool:
        """Whether it has ended, as the desk asks that keeps it."""
        return bool(getattr(self._answer, "done", True))

    def listen(self) -> Iterator[Delta]:
        """As `Answer.listen`; where texts are withheld, in one piece after the check. Raises `Withheld`."""
        if self._check.action == "flag":
            for delta in self._answer.listen():
                if delta.finish is not None:
                    self._judged()
                yield delta
            return
        held = ""
        for delta in self._answer.listen():
            if delta.waiting is not None:
                yield delta
                continue
            held += delta.text
            if delta.finish is not None:
                verdict = self._judged()
                if verdict.withheld:
                    raise Withheld(f"{verdict.sentence('This answer')} It is withheld. Ask in another way.")
                yield replace(delta, text=held)

    def cancel(self) -> None:
        """As `Answer.cancel`."""
        self._answer.cancel()

    def reply(self) -> Reply:
        """As `Answer.reply`, with the verdicts; without a word of what may not be seen, or not yet."""
        reply = self._answer.reply()
        verdict = self._judged() if reply.finish is not None else None
        shown = self._check.action == "flag" or (verdict is not None and not verdict.withheld)
        return replace(
            reply, content=reply.content if shown else "", safety=safety_column(self._prompt, verdict)
        )  # fmt: skip

    def _judged(self) -> TextVerdict:
        """The verdict on the whole text, made once."""
        with self._lock:
            if self._verdict is None:
                self._verdict = self._check.check(self._answer.reply().content)
            return self._verdict
