"""The chat endpoint for programs and agents: the same engines, no screen."""

from __future__ import annotations

from collections.abc import Iterator

from components.api import expose
from components.errors import shown_to_user
from components.pace import paced
from core.arguments import check_types
from core.chat import GenerationSettings, Message, check_messages, check_settings, messages_from
from core.errors import UserInputError
from core.protocols import ChatRouter


class ChatApi:
    """`/chat`: streams text; each yield is the whole text so far."""

    def __init__(self, router: ChatRouter) -> None:
        self.router = router

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
    ) -> Iterator[str]:
        """Ask a model. Streams the answer; each update is the whole text so far.

        Args:
            message: The new message.
            history: Earlier turns, a list of {role, content}.
            model: repo_id or repo_id@revision on this machine, or remote:name on the operator's remote engine; empty is
                the model pinned at start.
            system: System prompt.
            max_new_tokens: Most tokens to write.
            temperature: 0 is greedy; -1 is the model's own default.
            top_p: -1 is the model's own default.
            seed: -1 is random.
            adapter: Not supported yet.
            top_k: -1 is the model's own default.
            repetition_penalty: -1 is the model's own default.
            stop: Strings that end the answer; they are not part of it.
        """
        with shown_to_user():
            check_types(
                text={"message": message, "model": model, "system": system, "adapter": adapter},
                whole={"max_new_tokens": max_new_tokens, "seed": seed, "top_k": top_k},
                number={"temperature": temperature, "top_p": top_p, "repetition_penalty": repetition_penalty},
                texts={"stop": stop},
            )
            if adapter:
                raise UserInputError("Adapters are not supported yet. Leave adapter out.")
            settings = check_settings(
                GenerationSettings(
                    max_new_tokens=max_new_tokens,
                    temperature=own(temperature),
                    top_p=own(top_p),
                    top_k=None if top_k == -1 else top_k,
                    repetition_penalty=own(repetition_penalty),
                    seed=None if seed == -1 else seed,
                    stop=tuple(stop),
                )
            )
            earlier = messages_from(history)
            if system:
                if earlier and earlier[0].role == "system":
                    raise UserInputError(
                        "The history begins with a system message already. Leave system empty, or that out."
                    )
                earlier = (Message("system", system), *earlier)
            messages = check_messages((*earlier, Message("user", message)))
            ref = self.router.pin(model)
            if not self.router.plan(ref).ready:
                raise UserInputError(
                    f"{ref} is not on this machine. Open its card and choose Download and use, then call again."
                )
            answer = self.router.start(ref, messages, settings)
            text = ""
            try:
                for delta in paced(answer.listen()):
                    # A place in the queue is no text yet.
                    if delta.waiting is None:
                        text += delta.text
                        yield text
            finally:
                # A caller that disconnects cancels at once; after the end this changes nothing.
                answer.cancel()


def own(value: float) -> float | None:
    """-1 in the API means the model's own default."""
    return None if value == -1 else value
