"""What every engine does with a request: check it, make the prompt, fill in the settings, and run it to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from backends.chat.answers import BufferedAnswer
from backends.chat.loaded import LoadedModel
from core.attached import NONE_HERE, Attached
from core.chat import Finish, GenerationSettings, Message, Path, check_messages, check_settings
from core.errors import AppError, GenerationFailed, NoBackend
from core.refs import ModelRef

log = logging.getLogger(__name__)
FAILED = "The engine failed while it was answering. Try again."


def check_request(messages: tuple[Message, ...], settings: GenerationSettings) -> None:
    """Refuse what no engine here can do, before a model is loaded for it."""
    check_messages(messages)
    check_settings(settings)


def refuse_adapter(ref: ModelRef, where: str) -> None:
    """For engines that load models as they are published only."""
    if ref.adapter is not None:
        raise NoBackend(f"Adapters are not loaded {where} in this version. Choose the model without the adapter.")
    if ref.weights:
        raise NoBackend(f"Weights are not held in fewer bits {where} in this version. Choose them as published.")


def request(
    loaded: LoadedModel,
    messages: Sequence[Message],
    settings: GenerationSettings,
    *,
    backend: str,
    path: Path,
    orphan_seconds: float,
    started: float,
) -> tuple[list[int], BufferedAnswer]:
    """The prompt's tokens, and an answer that knows its settings and waits to be filled.

    Raises `UserInputError` when the prompt is longer than the model reads.
    """
    prompt, _, settings = read(loaded, messages, settings)
    answer = BufferedAnswer(
        loaded.ref,
        settings,
        backend=backend,
        dtype=loaded.dtype,
        path=path,
        prompt_tokens=len(prompt),
        orphan_seconds=orphan_seconds,
        started=started,
    )
    answer.goes_on_from = going_on(loaded, messages)
    return prompt, answer


def read(
    loaded: LoadedModel,
    messages: Sequence[Message],
    settings: GenerationSettings,
    png: Callable[[Attached], bytes] = NONE_HERE.png,
) -> tuple[list[int], dict[str, Any], GenerationSettings]:
    """The prompt's tokens, what else the model takes where there are pictures, and the settings with every value filled in.

    `png` gives the file of a picture. Raises `UserInputError` when the prompt is longer than the model reads, or has a
    picture and the model has no eyes.
    """
    from backends.chat import prompt, vision
    from backends.chat.sampling import applied

    vision.refuse_blind(loaded, messages)
    pixels: dict[str, Any] = {}
    with loaded.lock:
        if loaded.processor is None:
            tokens = prompt.encode(loaded.tokenizer, messages, settings.thinking, settings.template_kwargs)
        else:
            tokens, pixels = vision.encode(loaded, messages, settings, png)
    return tokens, pixels, applied(settings, loaded.model.generation_config, len(tokens), loaded.max_context)


def going_on(loaded: LoadedModel, messages: Sequence[Message]) -> tuple[int, ...]:
    """The tokens of the beginning of an answer that was given: the next one's text depends on them."""
    from backends.chat.prompt import own_tokens

    if messages[-1].role != "assistant":
        return ()
    with loaded.lock:
        return tuple(own_tokens(loaded.tokenizer, messages) or ())


def run(answer: BufferedAnswer, engine: Callable[[], Finish]) -> None:
    """Run `engine` to its end and close the answer with how it ended, an error included."""
    try:
        answer.end(engine())
    except AppError as error:
        log.warning("an answer failed: %s", error, exc_info=error.__cause__)
        answer.fail(plainly(error))
    except BaseException as error:
        log.exception("an answer failed")
        answer.fail(GenerationFailed(FAILED))
        if not isinstance(error, Exception):
            raise


def plainly(error: AppError) -> AppError:
    """The error without its history: the frames it came through would keep the model's tensors in memory."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
