"""The engine on another machine: any OpenAI-compatible server the operator named, or a provider; one thread per answer."""

from __future__ import annotations

import base64
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from backends.chat.answers import BufferedAnswer
from backends.chat.work import check_request, run
from backends.remote.call import Call
from backends.remote.engine import RemoteEngine
from backends.remote.models import ServedModels
from backends.remote.target import Target
from core.attached import NONE_HERE, Attached
from core.chat import Capabilities, Finish, GenerationSettings, LoadPlan, Message, Progress, goes_on, refuse_images
from core.errors import NoBackend, QuotaExceeded, UserInputError
from core.refs import ModelRef

if TYPE_CHECKING:
    from backends.remote.connection import Connection
    from backends.remote.probe import Found, Served

log = logging.getLogger(__name__)

SILENCE_SECONDS = 120.0
# Waits before another try, in seconds; only while nothing of the answer has arrived.
PATIENCE = (0.5, 2.0)
MOST_WAIT = 10.0
_LAST_CHUNK_SECONDS = 5.0
# Every server takes a seed of 31 bits, not every one a longer one.
_SEEDS = 2**31
_MOST_STOPS_SENT = 4
_CHARACTERS_PER_TOKEN = 200
# Settings outside OpenAI's API, where the server is known to have them, and its name for them.
_OWN = {
    "vllm": {"top_k": "top_k", "repetition_penalty": "repetition_penalty"},
    "sglang": {"top_k": "top_k", "repetition_penalty": "repetition_penalty"},
    "llamacpp": {"top_k": "top_k", "repetition_penalty": "repeat_penalty"},
}
# What makes a server go on with the answer that stands last, where it is known to; elsewhere it would begin a new one.
_GO_ON: dict[str, dict[str, Any]] = {
    "vllm": {"continue_final_message": True, "add_generation_prompt": False},
    "sglang": {"continue_final_message": True},
    "llamacpp": {},
}


class RemoteChat(RemoteEngine):
    """Implements `core.chat_protocols.ChatBackend` for refs with this engine's host, and no others."""

    def __init__(
        self,
        target: Target,
        *,
        endpoint: str,
        orphan_seconds: float,
        silence_seconds: float = SILENCE_SECONDS,
        patience: tuple[float, ...] = PATIENCE,
        png: Callable[[Attached], bytes] = NONE_HERE.png,
    ) -> None:
        """`endpoint` is the Hub, which is asked for a provider's models, `png` gives the file of a picture. Asks no network yet."""
        super().__init__(
            target, ServedModels(target, endpoint, "text-generation"), orphan_seconds, silence_seconds, patience
        )
        self._refuses_usage = False
        self._png = png

    def capabilities(self, ref: ModelRef) -> Capabilities:
        """What is known so far, without asking; `prepare` finds it out."""
        self._check(ref)
        served, found = self._models.known(ref)
        notes = []
        if served is None or found is None:
            notes.append(
                "Nothing is asked of a provider to find out what it can do: every request there costs."
                if self._target.provider
                else "What it can do is found out before the first answer."
            )
        return Capabilities(
            seed=found is None or found.can.get("seed", True),
            max_context=served.max_context if served else None,
            logprobs=found is not None and found.can.get("logprobs", False),
            images=found is not None and found.can.get("images", False),
            reasoning=found is not None and found.reasoning,
            adapters=self._models.adapters(ref),
            continues=served is not None and served.server in _GO_ON,
            thinking=found is not None and found.reasoning and served is not None and served.server in _OWN,
            why_not=(
                *((name, f"{self.host}: {why}.") for name, why in (found.why if found else {}).items() if why),
                ("adapters", f"{self.host} lists each adapter that it serves as a model of its own."),
            ),
            notes=(*notes, *(_said(served, found) if found else ())),
        )

    def plan(self, ref: ModelRef) -> LoadPlan:
        """Nothing has to be fetched: the model is on the host."""
        self._check(ref)
        return LoadPlan(ref, ready=True, source=self.host)

    def prepare(self, ref: ModelRef) -> Iterator[Progress]:
        """Find out what the server can do with the model, once; the last item has stage "ready"."""
        self._check(ref)
        self._models.current(ref)
        for done, total in self._models.probe(ref):
            yield Progress("prepare", done, total)
        yield Progress("ready")

    def start(self, ref: ModelRef, messages: tuple[Message, ...], settings: GenerationSettings) -> BufferedAnswer:
        """Begin an answer. Asks the server for its list first when that is older than a minute."""
        started = monotonic()
        self._check(ref)
        check_request(messages, settings)
        served = self._models.current(ref)
        settings = self._applied(settings, served, self._models.known(ref)[1])
        if goes_on(messages) and served.server not in _GO_ON:
            raise UserInputError(
                f"{self.host} does not say that it goes on with an answer that was begun. Ask again instead, with more new "
                "tokens."
            )
        found = self._models.known(ref)[1]
        if found is None or not found.can.get("images"):
            refuse_images(messages, f"{self.host} has not shown that {ref.repo_id} reads pictures.")
        asked = [_asked(message, self._png) for message in messages]
        answer = BufferedAnswer(
            ref,
            settings,
            backend=self.name,
            dtype="",
            path="remote",
            prompt_tokens=None,
            orphan_seconds=self._orphan_seconds,
            started=started,
        )
        call = Call()
        answer.when_over = call.end
        threading.Thread(
            target=run,
            args=(answer, lambda: self._answer(answer, call, served, asked)),
            name=f"remote-{answer.id[:8]}",
            daemon=True,
        ).start()
        return answer

    def _check(self, ref: ModelRef) -> None:
        if ref.host != self.host:
            raise NoBackend(f"{ref} is not a model of {self.host}. Choose it again where its engine is listed.")

    def _applied(self, settings: GenerationSettings, served: Served, found: Found | None) -> GenerationSettings:
        """The settings as they are sent. What is left to the server stays None: its defaults are not known here."""
        own = _OWN.get(served.server, {})
        for name, value in (("top_k", settings.top_k), ("repetition_penalty", settings.repetition_penalty)):
            if value is not None and name not in own:
                raise UserInputError(
                    f"{self.host} does not say that it takes {name.replace('_', ' ')}. Leave it at the model's default."
                )
        if (settings.thinking is not None or settings.template_kwargs) and served.server not in _OWN:
            raise UserInputError(
                f"{self.host} does not say that it takes options of the chat template. Leave them as the model has them."
            )
        if found is not None and not found.can.get("seed", True):
            if settings.seed is not None:
                raise UserInputError(f"{self.host} cannot keep to a seed: {found.why['seed']}. Leave the seed empty.")
            return settings
        return replace(settings, seed=secrets.randbelow(_SEEDS) if settings.seed is None else settings.seed)

    def _parameters(self, settings: GenerationSettings, served: Served, asked: list[dict[str, Any]]) -> dict[str, Any]:
        own = _OWN.get(served.server, {})
        found = self._models.found(served)
        # Stop strings are also looked for here, so a server that takes none, or only some, changes nothing.
        stops = list(settings.stop[:_MOST_STOPS_SENT]) if found is None or found.can.get("stop", True) else []
        parameters: dict[str, Any] = {
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop": stops or None,
            "stream_options": None if self._refuses_usage else {"include_usage": True},
        }
        if settings.top_k is not None:
            # 0 here, -1 there: no limit.
            parameters[own["top_k"]] = settings.top_k or -1
        if settings.repetition_penalty is not None:
            parameters[own["repetition_penalty"]] = settings.repetition_penalty
        if asked[-1]["role"] == "assistant":
            parameters |= _GO_ON.get(served.server, {})
        template = dict(settings.template_kwargs)
        if settings.thinking is not None:
            # Which of the two its template reads is not told; a template takes no notice of the other.
            template = {**dict.fromkeys(("enable_thinking", "thinking"), settings.thinking), **template}
        if template:
            parameters["chat_template_kwargs"] = template
        return {name: value for name, value in parameters.items() if value is not None}

    def _answer(self, answer: BufferedAnswer, call: Call, served: Served, asked: list[dict[str, Any]]) -> Finish:
        """Ask until something arrives, then read to the end. Runs in the answer's own thread."""
        from backends.remote.connection import Connection, Refused
        from backends.remote.errors import passing, sentence
        from backends.remote.reading import Reading

        reading = Reading(answer.settings.stop)
        waits = list(self._patience)
        while not answer.cancelled:
            with Connection(self._target, seconds=self._silence) as connection:
                call.use(connection)
                try:
                    return self._read(connection, reading, answer, served, asked)
                except Exception as error:
                    if answer.cancelled:
                        break
                    if reading.finish is not None:
                        # The answer is whole; only what the server would have said after it is missing.
                        return _ended(answer, reading)
                    if _about_usage(error) and not self._refuses_usage:
                        self._refuses_usage = True
                        continue
                    answer.put(reading.rest())
                    told = sentence(
                        error,
                        self._target,
                        served.name,
                        seconds=self._silence,
                        began=reading.began,
                        sent=connection.sent,
                    )
                    wait = waits.pop(0) if waits and not reading.began and passing(error) else None
                    asks_for = told.retry_after if isinstance(told, QuotaExceeded) else None
                    if wait is None or (asks_for or 0) > MOST_WAIT:
                        raise told from error
                    log.info("%s: trying again in %.1f s: %s", self.host, wait, type(error).__name__)
                    if isinstance(error, Refused):
                        wait = max(wait, asks_for or 0)
            call.over.wait(wait)
        return "cancelled"

    def _read(
        self,
        connection: Connection,
        reading: Any,
        answer: BufferedAnswer,
        served: Served,
        asked: list[dict[str, Any]],
    ) -> Finish:
        import httpx2

        settings = answer.settings
        most = settings.max_new_tokens * _CHARACTERS_PER_TOKEN + 10_000
        last = threading.Timer(_LAST_CHUNK_SECONDS, connection.hang_up)
        last.daemon = True
        try:
            for chunk in connection.stream_chat(served.name, asked, self._parameters(settings, served, asked)):
                text = reading.take(chunk)
                if text:
                    answer.step()
                    answer.put(text)
                if answer.cancelled:
                    return "cancelled"
                if reading.stopped:
                    return "stop"
                if reading.characters > most:
                    log.warning("%s goes on past the tokens it was asked for; the answer is cut", self.host)
                    return "length"
                if reading.finish is not None:
                    if reading.counted:
                        break
                    if not last.is_alive():
                        # Some servers count in a chunk of their own; one that never comes must not keep the answer.
                        last.start()
        finally:
            last.cancel()
        if reading.finish is None and not connection.done:
            raise httpx2.RemoteProtocolError("the stream ended before the answer did")
        return _ended(answer, reading)


def _asked(message: Message, png: Callable[[Attached], bytes]) -> dict[str, Any]:
    """A message in OpenAI's form; its pictures as data URLs, since nobody else's machine can ask this one for a file."""
    if not message.images:
        return message.as_dict()
    urls = (f"data:image/png;base64,{base64.b64encode(png(image)).decode()}" for image in message.images)
    text = [part for part in message.parts() if part["type"] == "text"]
    return {
        "role": message.role,
        "content": [*({"type": "image_url", "image_url": {"url": url}} for url in urls), *text],
    }


def _ended(answer: BufferedAnswer, reading: Any) -> Finish:
    answer.put(reading.rest())
    if reading.counted:
        answer.count(reading.prompt_tokens, reading.completion_tokens)
    finish: Finish = reading.finish or "stop"
    return finish


def _about_usage(error: Exception) -> bool:
    return getattr(error, "status", 0) in (400, 422) and "stream_options" in str(getattr(error, "message", ""))


def _said(served: Served | None, found: Found) -> tuple[str, ...]:
    names = {"seed": "keeps to a seed", "logprobs": "gives log-probabilities", "images": "reads pictures"}
    able = [text for name, text in names.items() if found.can.get(name)]  # type: ignore[call-overload]
    able += ["tells its reasoning"] if found.reasoning else []
    unable = [f"{name}: {why}" for name, why in found.why.items() if why]
    by = f" ({served.server})" if served and served.server in _OWN else ""
    return (
        *((f"The host{by} {', '.join(able)}.",) if able else ()),
        *((f"Not available: {'; '.join(unable)}.",) if unable else ()),
    )
