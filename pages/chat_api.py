"""The chat endpoint for programs and agents: the same engines, no screen."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from components.api import expose
from components.errors import shown_to_user
from components.pace import paced
from core.arguments import check_types
from core.attached import MOST_IN_MESSAGE, NONE_HERE, Attached, Take
from core.chat import GenerationSettings, Message, Reply, check_messages, check_settings, messages_from
from core.chat_protocols import ChatRouter
from core.errors import UserInputError
from core.refs import ModelRef


class ChatApi:
    """`/chat`: streams text; each yield is the whole text so far."""

    def __init__(self, router: ChatRouter, take: Take = NONE_HERE.take) -> None:
        self.router, self.take = router, take

    def wire(self) -> None:
        """Register the endpoint; called inside the Blocks."""
        expose(self.chat, concurrency_limit=None)

    def chat(
        self,
        message: str,
        history: list[dict[str, str]] = [],  # noqa: B006  (never written to; gradio shows the default to callers)
        model: str = "",
        system: str = "",
        max_new_tokens: int = 512,
        temperature: float = -1,
        top_p: float = -1,
        seed: int = -1,
        adapter: str = "",
        top_k: int = -1,
        repetition_penalty: float = -1,
        stop: list[str] = [],  # noqa: B006
        details: bool = False,
        template_kwargs: dict[str, Any] = {},  # noqa: B006
        images: list[str] = [],  # noqa: B006
    ) -> Iterator[str | dict[str, Any]]:
        """Ask a model. Streams the answer; each update is the whole text so far.

        Args:
            message: The new message.
            history: Earlier turns, a list of {role, content}.
            model: repo_id or repo_id@revision on this machine, or remote:name on the operator's remote engine; empty is
                the model pinned at start. repo_id@revision#int8 holds its weights in 8 bits.
            system: System prompt.
            max_new_tokens: Most tokens to write.
            temperature: 0 is greedy; -1 is the model's own default.
            top_p: -1 is the model's own default.
            seed: -1 is random.
            adapter: A LoRA on top of the model: repo_id or repo_id@revision on this machine, made for it; empty is none.
            top_k: -1 is the model's own default.
            repetition_penalty: -1 is the model's own default.
            stop: Strings that end the answer; they are not part of it.
            details: True makes each update a record with the text so far. The last one also says what made it: finish,
                how (batched, plain, zerogpu or remote) and why it was not batched, model, revision, adapter, settings as
                applied, backend, dtype, and usage in tokens and seconds.
            template_kwargs: What the model's chat template reads besides the messages, for example
                {"enable_thinking": false}. A name it does not read is refused.
            images: Pictures that go with the message, for a model that reads them: PNG, JPEG, WebP, GIF or BMP files in
                base64, or as data: URLs. They are not kept. Earlier turns in history are text.
        """
        with shown_to_user():
            check_types(
                text={"message": message, "model": model, "system": system, "adapter": adapter},
                whole={"max_new_tokens": max_new_tokens, "seed": seed, "top_k": top_k},
                number={"temperature": temperature, "top_p": top_p, "repetition_penalty": repetition_penalty},
                texts={"stop": stop, "images": images},
                yes_or_no={"details": details},
            )
            settings = check_settings(
                GenerationSettings(
                    max_new_tokens=max_new_tokens,
                    temperature=own(temperature),
                    top_p=own(top_p),
                    top_k=None if top_k == -1 else top_k,
                    repetition_penalty=own(repetition_penalty),
                    seed=None if seed == -1 else seed,
                    stop=tuple(stop),
                    template_kwargs=tuple(sorted(_record(template_kwargs).items())),
                )
            )
            earlier = messages_from(history)
            if system:
                if earlier and earlier[0].role == "system":
                    raise UserInputError(
                        "The history begins with a system message already. Leave system empty, or that out."
                    )
                earlier = (Message("system", system), *earlier)
            if message.strip() or not images:
                check_messages((*earlier, Message("user", message)))
            ref = self.router.pin(model)
            if adapter:
                ref = self.router.find_adapter(ref, adapter)
            messages = check_messages((*earlier, Message("user", message, self._pictures(images, ref))))
            if not self.router.plan(ref).ready:
                raise UserInputError(
                    f"{ref.asked} is not on this machine. Choose it in Chat or on its card, which fetch it, then call again."
                )
            answer = self.router.start(ref, messages, settings)
            text = ""
            try:
                for delta in paced(answer.listen()):
                    # A place in the queue is no text yet.
                    if delta.waiting is None:
                        text += delta.text
                        if not details:
                            yield text
                        elif delta.finish is None:
                            yield {"text": text}
                        else:
                            yield told(answer.reply())
            finally:
                # A caller that disconnects cancels at once; after the end this changes nothing.
                answer.cancel()

    def _pictures(self, images: Sequence[str], ref: ModelRef) -> tuple[Attached, ...]:
        """The pictures of a call, read like any stranger's, for a model that reads them."""
        if len(images) > MOST_IN_MESSAGE:
            raise UserInputError(
                f"A message takes at most {MOST_IN_MESSAGE} pictures. Send the others in the next one."
            )
        if images and ref.host:
            # Only now it is asked what its model can do; nothing is fetched for it.
            for _ in self.router.prepare(ref):
                pass
        if images and not self.router.capabilities(ref).images:
            raise UserInputError(f"{ref.asked} reads text only. Leave images out, or name a model that reads pictures.")
        return tuple(self.take(decoded(image, n), f"picture {n}") for n, image in enumerate(images, 1))


def decoded(image: str, number: int) -> bytes:
    """The file of a picture that a program sent as text."""
    data = image.partition(",")[2] if image.startswith("data:") else image
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except ValueError as error:
        raise UserInputError(f"images, entry {number}: expected a picture in base64, or a data: URL.") from error


def told(reply: Reply) -> dict[str, Any]:
    """A finished answer as the API tells it; what is not known is null. No key is `path`: clients take that for a file."""
    usage, adapter = reply.usage, reply.ref.adapter
    return {
        "text": reply.content,
        "finish": reply.finish,
        "how": reply.path,
        "why": reply.why or None,
        "model": reply.ref.repo_id,
        "revision": reply.ref.revision or None,
        "adapter": str(adapter) if adapter else None,
        "settings": {**asdict(reply.settings), "template_kwargs": dict(reply.settings.template_kwargs)},
        "backend": reply.backend,
        "dtype": reply.dtype or None,
        "usage": {**asdict(usage), "tokens_per_second": usage.tokens_per_second} if usage else None,
    }


def own(value: float) -> float | None:
    """-1 in the API means the model's own default."""
    return None if value == -1 else value


def _record(value: object) -> dict[str, Any]:
    """`template_kwargs` as a program sent them; the values are checked with the other settings."""
    if not isinstance(value, dict):
        raise UserInputError("template_kwargs has to be a record of names and values.")
    return value
