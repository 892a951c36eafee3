"""What travels between a page and a chat engine: messages, settings, deltas and the finished reply."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from core.arguments import check_characters
from core.attached import MOST_IN_CONVERSATION, MOST_IN_MESSAGE, Attached
from core.errors import UserInputError
from core.refs import ModelRef
from core.template_kwargs import TemplateValue, check_template_kwargs

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "cancelled"]
Path = Literal["plain", "zerogpu", "remote", "batched"]

ROLES: tuple[Role, ...] = ("system", "user", "assistant")
MOST_CHARACTERS = 1_000_000
MOST_NEW_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class Message:
    """One turn as the model's chat template reads it. `content` is exact to the byte; `images` stand before it."""

    role: Role
    content: str
    images: tuple[Attached, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The message in the form transformers, TRL and the dataset share.

        With pictures the content is in parts, so that nothing that takes only text takes it as if there were none.
        """
        return {"role": self.role, "content": self.parts() if self.images else self.content}

    def parts(self) -> list[dict[str, Any]]:
        """The content as parts: a placeholder for each picture, then the text if there is any."""
        text = [{"type": "text", "text": self.content}] if self.content or not self.images else []
        return [*({"type": "image"} for _ in self.images), *text]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How to sample. `None` means the model's own default; a recorded reply has every value filled in.

    `temperature` 0 is greedy. `seed` None is random and is filled in by the engine. `thinking` is the switch of chat
    templates that have one; None leaves it as the template has it. `template_kwargs` are other values its chat template reads
    besides the messages, by name.
    """

    max_new_tokens: int = 512
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    thinking: bool | None = None
    template_kwargs: tuple[tuple[str, TemplateValue], ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Every value by its name, as JSON has it. A switch nobody touched is left out."""
        named = {**asdict(self), "stop": list(self.stop), "template_kwargs": dict(self.template_kwargs)}
        untouched = [name for name, value in (("thinking", None), ("template_kwargs", {})) if named[name] == value]
        return {name: value for name, value in named.items() if name not in untouched}

    def as_json(self) -> str:
        """`as_record` with its keys sorted, so that equal settings are equal strings."""
        return json.dumps(self.as_record(), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> GenerationSettings:
        """What `as_record` gave, also after a browser had it, which takes the .0 off a number."""
        kwargs = record.get("template_kwargs") or {}
        lists = {"stop": tuple(record.get("stop") or ()), "template_kwargs": tuple(sorted(kwargs.items()))}
        fractions = {
            name: float(record[name])
            for name in ("temperature", "top_p", "repetition_penalty")
            if record.get(name) is not None
        }
        return cls(**{**record, **lists, **fractions})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and seconds of one answer. `first_token_s` counts from the request, `seconds` to the last token."""

    prompt_tokens: int
    completion_tokens: int
    first_token_s: float
    seconds: float

    @property
    def tokens_per_second(self) -> float | None:
        """Decoding speed after the first token; None when there was no second one."""
        return _rate(self.completion_tokens, self.seconds - self.first_token_s)


@dataclass(frozen=True, slots=True)
class SoFar:
    """An answer that is being written, in figures. Seconds count from the request, `seconds` to the newest token.

    `prompt_tokens` None: the engine is not told before the end, and `tokens` are the pieces that have arrived.
    """

    tokens: int
    first_token_s: float
    seconds: float
    prompt_tokens: int | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """As `Usage.tokens_per_second`."""
        return _rate(self.tokens, self.seconds - self.first_token_s)


def _rate(tokens: int, span: float) -> float | None:
    return (tokens - 1) / span if tokens > 1 and span > 0 else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands in the queue, the first at 1, and how many seconds it waits at most, as far as known."""

    place: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. The last one has `finish` and `usage`; its text may be empty.

    One with `waiting` has no text: the answer has not begun. The others have `so_far` where the engine counts.
    """

    text: str
    finish: Finish | None = None
    usage: Usage | None = None
    waiting: Place | None = None
    so_far: SoFar | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole or cut, with everything needed to name what made it. `dtype` "" and `usage` None: not known.

    `why` says why it was not made in a batch with others, where an engine would have had the choice. `safety` is what the
    operator's text checks said of the prompt and of it, as JSON (core.text_safety); None: nothing checks.
    """

    id: str
    content: str
    ref: ModelRef
    settings: GenerationSettings
    backend: str
    dtype: str
    path: Path
    finish: Finish | None
    usage: Usage | None
    why: str = ""
    safety: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do with one model; the controls on the screen follow it.

    `adapters` are those that can be chosen. `why_not` says in one sentence for each feature that is off ("seed",
    "logprobs", "images") why, where there is more to say than that this engine does not have it. `continues`: an answer that
    was begun can be gone on with. `thinking`: the template has a switch for it, and `template_kwargs` are all the values it
    reads besides the messages. `sampling` is what the model's author
    recommends, as far as it is stated, and `sampling_from` where.
    """

    streaming: bool = True
    seed: bool = True
    max_context: int | None = None
    chat_template: bool = True
    notes: tuple[str, ...] = ()
    logprobs: bool = False
    images: bool = False
    reasoning: bool = False
    adapters: tuple[str, ...] = ()
    why_not: tuple[tuple[str, str], ...] = ()
    continues: bool = True
    thinking: bool = False
    sampling: GenerationSettings | None = None
    sampling_from: str = ""
    template_kwargs: tuple[str, ...] = ()

    def reason(self, feature: str) -> str:
        """Why `feature` is off, as a sentence."""
        return dict(self.why_not).get(feature, "This model cannot do that here.")


@dataclass(frozen=True, slots=True)
class WeightsOffer:
    """A way to hold a model's weights in fewer bits: `ModelRef.weights`, its name, or why it is not possible.

    `saves_bytes` is against 16 bits for each weight.
    """

    kind: str
    label: str
    saves_bytes: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What has to happen before a model can answer, said before it happens. Sizes in bytes."""

    ref: ModelRef
    ready: bool
    download_bytes: int = 0
    files: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of long work, in its own unit."""

    stage: Literal["prepare", "download", "load", "ready"]
    done: int = 0
    total: int | None = None
    unit: Literal["bytes", "tensors", ""] = ""


def check_settings(settings: GenerationSettings) -> GenerationSettings:
    """Return `settings` if an engine may be given them, else raise `UserInputError` naming the value and its range."""

    def within(name: str, value: float | None, low: float, high: float) -> None:
        # `not (low <= value)` also refuses NaN, which every comparison answers with False.
        if value is not None and not (low <= value <= high):
            raise UserInputError(f"{name} has to be between {low:g} and {high:g}; it is {value}.")

    within("Max new tokens", settings.max_new_tokens, 1, MOST_NEW_TOKENS)
    within("Temperature", settings.temperature, 0, 100)
    within("Top-p", settings.top_p, 0.001, 1)
    within("Top-k", settings.top_k, 0, 1_000_000)
    within("Repetition penalty", settings.repetition_penalty, 0.1, 10)
    within("Seed", settings.seed, 0, 2**63 - 1)
    if any(not s for s in settings.stop) or len(settings.stop) > 16:
        raise UserInputError("Stop strings: at most 16, none of them empty.")
    check_template_kwargs(settings.template_kwargs)
    return settings


def check_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return `messages` if a model may be asked them, else raise `UserInputError`.

    They end with the user's message, or with the beginning of the answer to it, which is then gone on with.
    """
    if goes_on(messages) and not messages[-1].content:
        raise UserInputError("There is nothing to go on from. Write how the answer begins.")
    asked = messages[:-1] if goes_on(messages) else messages
    if not asked or asked[-1].role != "user":
        raise UserInputError("There is nothing to answer yet. Write a message first.")
    if not asked[-1].content.strip() and not asked[-1].images:
        raise UserInputError("The message is empty. Write something for the model to answer.")
    size = sum(len(m.content) for m in messages)
    if size > MOST_CHARACTERS:
        raise UserInputError(
            f"The conversation has {size:,} characters; at most {MOST_CHARACTERS:,} can be sent. Shorten the message, "
            "or clear the conversation and send the part that matters."
        )
    if any(len(message.images) > MOST_IN_MESSAGE for message in messages):
        raise UserInputError(f"A message takes at most {MOST_IN_MESSAGE} pictures. Send the others in the next one.")
    if len(images_of(messages)) > MOST_IN_CONVERSATION:
        raise UserInputError(
            f"The conversation has more than {MOST_IN_CONVERSATION} pictures. Start a new one with those that matter."
        )
    for message in messages:
        check_characters(message.content, "The system prompt" if message.role == "system" else "The message")
    return messages


def goes_on(messages: tuple[Message, ...]) -> bool:
    """Whether the last message is the beginning of an answer that is wanted whole."""
    return bool(messages) and messages[-1].role == "assistant"


def images_of(messages: Iterable[Message]) -> tuple[Attached, ...]:
    """Every picture of the messages, in the order a model reads them."""
    return tuple(image for message in messages for image in message.images)


def refuse_images(messages: Iterable[Message], why: str) -> None:
    """For what takes text alone: raises `UserInputError` when a message has a picture."""
    if images_of(messages):
        raise UserInputError(
            f"There are pictures in this conversation. {why} Choose a model that reads pictures, or go on without them "
            "in a new conversation."
        )


def messages_from(value: object, *, name: str = "history") -> tuple[Message, ...]:
    """Read a list of {role, content} records from outside, or raise `UserInputError` saying which entry is wrong."""
    if not isinstance(value, list):
        raise UserInputError(f"{name} has to be a list of {{role, content}} records.")
    messages = []
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise UserInputError(f"{name}, entry {number}: expected {{role, content}} with text as content.")
        role = entry.get("role")
        if role not in ROLES:
            raise UserInputError(f"{name}, entry {number}: the role has to be system, user or assistant.")
        messages.append(Message(role, entry["content"]))
    return tuple(messages)


def with_seed(settings: GenerationSettings, seed: int) -> GenerationSettings:
    """`settings` with the seed that will really be used."""
    return replace(settings, seed=seed)
