"""The decoding loop: one request, one cache, its own random generator, and a question before every step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from core.chat import GenerationSettings
from core.errors import GenerationFailed, OutOfMemory

PREFILL = 512  # tokens of a long prompt per step, so that stopping and other visitors do not wait for all of it

# Two decoding loops in two threads fight for the same cores; taking turns step by step costs neither of them much.
# Continuous batching replaces this lock when several visitors share one forward pass.
_turn = threading.Lock()


class Sampler:
    """Chooses the next token as transformers' own processors define the settings, with a generator of its own.

    With the same seed it draws what `model.generate(do_sample=True)` draws after `torch.manual_seed`.
    """

    def __init__(self, settings: GenerationSettings) -> None:
        import torch
        from transformers.generation.logits_process import (
            LogitsProcessorList,
            RepetitionPenaltyLogitsProcessor,
            TemperatureLogitsWarper,
            TopKLogitsWarper,
            TopPLogitsWarper,
        )

        self._greedy = settings.temperature == 0
        self._processors = LogitsProcessorList()
        if settings.repetition_penalty not in (None, 1.0):
            self._processors.append(RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty or 1)))
        if not self._greedy:
            if settings.temperature not in (None, 1.0):
                self._processors.append(TemperatureLogitsWarper(float(settings.temperature or 1)))
            if settings.top_k:
                self._processors.append(TopKLogitsWarper(int(settings.top_k)))
            if settings.top_p is not None and settings.top_p < 1:
                self._processors.append(TopPLogitsWarper(float(settings.top_p)))
        # On the CPU whatever the model runs on: the same seed then draws the same numbers everywhere.
        self._generator = torch.Generator("cpu").manual_seed(settings.seed or 0)

    def next(self, ids: Any, logits: Any) -> int:
        """The next token for `ids` (1, length) and `logits` (1, vocabulary); raises `GenerationFailed` on NaN."""
        import torch

        scores = self._processors(ids, logits.float())
        best = int(scores.argmax(-1))
        # argmax finds NaN first, as numpy does, and an infinite best cannot be normalised either.
        if not torch.isfinite(scores[0, best]):
            raise GenerationFailed(
                "The model produced numbers that are not valid (NaN or infinite). Lower the temperature or try another "
                "dtype; other conversations are not affected."
            )
        if self._greedy:
            return best
        return int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=self._generator))


def decode(
    model: Any,
    prompt: list[int],
    settings: GenerationSettings,
    ends: frozenset[int],
    cancelled: Callable[[], bool],
    *,
    on_step: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Yield new tokens until an end token (not yielded), `max_new_tokens`, or `cancelled()`, asked before each step.

    `on_step` is called for every forward pass. Raises `GenerationFailed` or `OutOfMemory`; the model stays usable.
    """
    import torch
    from transformers import DynamicCache

    device = model.device
    sampler = Sampler(settings)
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([prompt], device=device)
    step = ids
    made = 0
    try:
        while made < settings.max_new_tokens and not cancelled():
            with _turn, torch.inference_mode():
                *early, last = step.split(PREFILL, dim=1)
                for chunk in early:
                    if cancelled():
                        return
                    on_step()
                    model(input_ids=chunk, past_key_values=cache, use_cache=True, logits_to_keep=1)
                on_step()
                logits = model(input_ids=last, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
                token = sampler.next(ids, logits)
            if token in ends:
                return
            made += 1
            step = torch.tensor([[token]], device=device)
            ids = torch.cat([ids, step], dim=1)
            yield token
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(
            "There was not enough memory to go on with this answer. Shorten the conversation or lower max new tokens; "
            "the model is still loaded."
        ) from error
    finally:
        del cache
