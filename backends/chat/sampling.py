"""How the next token is chosen: the settings with every value filled in, and a sampler of the request's own."""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.chat import GenerationSettings
from core.errors import GenerationFailed, UserInputError

if TYPE_CHECKING:
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

# Below this, dividing by the temperature overflows; the choice is the greedy one anyway.
LEAST_TEMPERATURE = 1e-4
# What transformers applies when neither the model nor the caller says anything.
_TOP_K = 50
_SEEDS = 2**32
# Sampling filters a model may ask for that are no setting of ours: applied, as the model's own.
_OWN_FILTERS = ("min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def applied(
    settings: GenerationSettings, defaults: Any, prompt_tokens: int, max_context: int | None
) -> GenerationSettings:
    """`settings` as they will really be applied; `defaults` is the model's generation config.

    Raises `UserInputError` when the prompt leaves no room for an answer.
    """
    asks_to_sample = bool(defaults.do_sample) or settings.top_p is not None or settings.top_k is not None
    temperature = settings.temperature
    if temperature is None:
        temperature = _first(defaults.temperature, 1.0) if asks_to_sample else 0.0
    penalty = float(_first(settings.repetition_penalty, defaults.repetition_penalty, 1.0))
    filled = replace(
        settings,
        max_new_tokens=_room(settings.max_new_tokens, prompt_tokens, max_context),
        repetition_penalty=penalty,
        seed=secrets.randbelow(_SEEDS) if settings.seed is None else settings.seed,
    )
    if temperature < LEAST_TEMPERATURE:
        return replace(filled, temperature=0.0, top_p=1.0, top_k=0)
    return replace(
        filled,
        temperature=float(temperature),
        top_p=float(_first(settings.top_p, defaults.top_p, 1.0)),
        top_k=int(_first(settings.top_k, defaults.top_k, _TOP_K)),
    )


def _room(wanted: int, prompt_tokens: int, max_context: int | None) -> int:
    if max_context is None:
        return wanted
    if prompt_tokens >= max_context:
        raise UserInputError(
            f"The conversation has {prompt_tokens:,} tokens; this model reads at most {max_context:,}, its answer "
            "included. Shorten the message, or clear the conversation and send the part that matters."
        )
    return min(wanted, max_context - prompt_tokens)


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def sampler(settings: GenerationSettings, defaults: Any, device: str) -> LogitsProcessorList:
    """The processor that chooses: put last, it leaves only the chosen token for `generate` to take.

    `generate` itself would draw from the process's one random generator, so that another visitor's answer would change
    this one's; here each request has a generator of its own, on its seed.
    """
    import torch
    from transformers import (
        EpsilonLogitsWarper,
        EtaLogitsWarper,
        LogitsProcessor,
        LogitsProcessorList,
        MinPLogitsWarper,
        TopPLogitsWarper,
        TypicalLogitsWarper,
    )

    generator = torch.Generator(device=device).manual_seed(int(settings.seed or 0))
    filters: list[LogitsProcessor] = []
    if settings.top_p is not None and settings.top_p < 1:
        filters.append(TopPLogitsWarper(settings.top_p))
    own = {name: getattr(defaults, name, None) for name in _OWN_FILTERS}
    if own["min_p"]:
        filters.append(MinPLogitsWarper(own["min_p"]))
    if own["typical_p"] and own["typical_p"] < 1:
        filters.append(TypicalLogitsWarper(own["typical_p"]))
    if own["epsilon_cutoff"]:
        filters.append(EpsilonLogitsWarper(own["epsilon_cutoff"], device=device))
    if own["eta_cutoff"]:
        filters.append(EtaLogitsWarper(own["eta_cutoff"], device=device))

    class Sampler(LogitsProcessor):  # type: ignore[misc]
        """Checks the scores; when sampling, draws one token and rules out all others."""

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            if not math.isfinite(float(scores.max())):
                raise GenerationFailed(
                    "The model produced numbers that are not finite, so there is no next word. Its weights may be "
                    "damaged or not fit this dtype. Try again, or choose another model."
                )
            if not settings.temperature:
                return scores
            chosen = draw(input_ids, scores / settings.temperature)
            return torch.full_like(scores, -math.inf).scatter_(1, chosen, 0.0)

    def draw(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """What `torch.multinomial` draws after the filters, with the few that top-k leaves sorted instead of all."""
        lots = torch.empty_like(scores).exponential_(generator=generator)
        places = None
        if settings.top_k:
            scores, places = torch.topk(scores, min(settings.top_k, scores.shape[-1]))
            lots = lots.gather(1, places)
        for each in filters:
            scores = each(input_ids, scores)
        best = (torch.softmax(scores, dim=-1) / lots).argmax(dim=-1, keepdim=True)
        return best if places is None else places.gather(1, best)

    return LogitsProcessorList([Sampler()])
