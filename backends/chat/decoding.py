"""One answer, token by token, through transformers' own `generate`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from backends.chat.detokenise import Detokeniser, StopStrings
from backends.chat.loaded import LoadedModel
from backends.chat.sampling import sampler
from backends.chat.turns import Turns
from core.chat import Finish, GenerationSettings
from core.errors import AppError, GenerationFailed, OutOfMemory

if TYPE_CHECKING:
    import torch


class Sink(Protocol):
    """Where text goes, and who says that enough is enough."""

    @property
    def cancelled(self) -> bool:
        """Asked after every token."""
        ...

    @property
    def goes_on_from(self) -> Sequence[int]:
        """The tokens of the beginning of the answer, where one was given; its text is not put."""
        ...

    def step(self) -> None:
        """One token was made."""
        ...

    def put(self, text: str) -> None:
        """Text to show."""
        ...


def decode(
    loaded: LoadedModel,
    prompt: Sequence[int],
    settings: GenerationSettings,
    sink: Sink,
    turns: Turns,
    pixels: Mapping[str, Any] | None = None,
) -> Finish:
    """Answer `prompt` with `settings` (every value filled in), into `sink`; returns how it ended.

    `pixels` is what the model takes beside the tokens, as `vision.encode` gives it.

    Raises `BackendError`; the model stays usable. `generate` keeps everything that is particular to an architecture
    (caches, positions, windows); what is ours sits in its two hooks, a logits processor and a stopping criterion.
    """
    with turns.held():
        if sink.cancelled:
            return "cancelled"
        try:
            loaded.ready()
            watcher = Watcher(loaded, settings, sink)
            _generate(loaded, prompt, settings, watcher, turns, pixels or {})
        except AppError:
            raise
        except Exception as error:
            raise translated(error, loaded) from error
    return watcher.end()


class Watcher:
    """Runs after every token of an answer, whichever way it is made: text out, stop or go on."""

    def __init__(self, loaded: LoadedModel, settings: GenerationSettings, sink: Sink) -> None:
        self.stop_tokens = loaded.stop_tokens
        skip = self.stop_tokens | frozenset(loaded.tokenizer.all_special_ids)
        self._text = Detokeniser(loaded.decode, skip, sink.goes_on_from)
        self._stops = StopStrings(settings.stop)
        self._sink = sink
        self._finish: Finish = "length"

    def after(self, token: int) -> bool:
        """Whether `token` is the last one."""
        self._sink.step()
        if token in self.stop_tokens:
            self._finish = "stop"
            return True
        self._sink.put(self._stops.add(self._text.add(token)))
        if self._stops.found:
            self._finish = "stop"
            return True
        return self.left()

    def left(self) -> bool:
        """Whether nobody wants the answer any more."""
        if self._sink.cancelled:
            self._finish = "cancelled"
        return self._finish == "cancelled"

    def end(self) -> Finish:
        """Show what was held back; returns how the answer ended."""
        self._sink.put(self._stops.add(self._text.rest()))
        if self._stops.found:
            self._finish = "stop"
        self._sink.put(self._stops.rest())
        return self._finish


def _generate(
    loaded: LoadedModel,
    prompt: Sequence[int],
    settings: GenerationSettings,
    watcher: Watcher,
    turns: Turns,
    pixels: Mapping[str, Any],
) -> None:
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class AfterEachToken(StoppingCriteria):  # type: ignore[misc]
        """Hands the newest token to the watcher."""

        def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
            ended = watcher.after(int(input_ids[0, -1]))
            if not ended:
                turns.pass_on()
                loaded.ready()
                ended = watcher.left()
            return torch.full((1,), ended, dtype=torch.bool, device=input_ids.device)

    ids = torch.tensor([list(prompt)], device=loaded.device)
    loaded.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_config=config_of(loaded, settings),
        logits_processor=sampler(settings, loaded.model.generation_config, loaded.device),
        stopping_criteria=StoppingCriteriaList([AfterEachToken()]),
        tokenizer=loaded.tokenizer,
        **{name: _placed(value, loaded) for name, value in pixels.items()},
    )


def _placed(value: Any, loaded: LoadedModel) -> Any:
    """An input where the model is; numbers in its dtype."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    return value.to(loaded.device, dtype=loaded.model.dtype if value.is_floating_point() else None)


def config_of(loaded: LoadedModel, settings: GenerationSettings) -> Any:
    """The model's own generation config with `settings` in it, for a sampler that chooses by itself."""
    config = copy.deepcopy(loaded.model.generation_config)
    # The sampler has chosen already: `generate` takes the best of what is left, which is one token. The sampling values
    # are the library's own defaults, since it would fill in the model's for None and warn that they have no effect.
    config.update(do_sample=False, temperature=1.0, top_p=1.0, top_k=50, min_p=None, typical_p=1.0)
    config.update(num_beams=1, num_return_sequences=1, return_dict_in_generate=False, use_cache=True)
    config.update(
        max_new_tokens=settings.max_new_tokens, max_length=None, repetition_penalty=settings.repetition_penalty
    )
    stop_tokens = sorted(loaded.stop_tokens)
    if config.eos_token_id is None and stop_tokens:
        config.eos_token_id = stop_tokens
    if config.pad_token_id is None:
        config.pad_token_id = stop_tokens[0] if stop_tokens else 0
    return config


def translated(error: BaseException, loaded: LoadedModel) -> AppError:
    """What an engine raised while it was answering, as a sentence."""
    if out_of_memory(error):
        if loaded.device != "cpu":
            import torch

            torch.cuda.empty_cache()
        return OutOfMemory(
            "There is not enough memory for this answer. Ask for fewer new tokens, shorten the conversation, or wait "
            "until other answers have ended."
        )
    return GenerationFailed(
        "The model stopped with an error while it was answering. Try again; if it happens again, choose another model."
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the processor or on the GPU."""
    import torch

    text = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in text or "not enough memory" in text)
    )
