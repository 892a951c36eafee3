"""Whether a model's answers can be made in a batch here, and how large the batch is: from its config, free memory, and a trial."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backends.chat.batched import BatchedEngine
from backends.chat.loaded import LoadedModel
from backends.chat.paged import PAGE, PagedBatch, Shape, bytes_per_token
from backends.chat.steps import StepThread
from backends.loading_lock import load_alone
from backends.registry import ModelRegistry

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
# On a processor, thirty-two visitors with half a thousand tokens each, and prompts in pieces short enough that the
# answers beside them go on within half a second.
_CPU = Shape(tokens=16_384, step_tokens=256, requests=32)
_GPU = Shape(tokens=131_072, step_tokens=2048, requests=128)
_CPU_SHARE, _GPU_SHARE = 0.125, 0.5
_LEAST_TOKENS = 1024
# Adapters on one model, in memory at the same time. Those that are in use stay whatever this says.
MOST_ADAPTERS = 3
ADAPTER_SHARE = 4
_NO_MEMORY = "the memory that is free is too small for a batch"
# Two prompts of different lengths, so that a batch that mixes them up is noticed.
_TRIALS = ((11, 7, 23, 5, 19), (3, 29, 13))
# Of the spread of a row of scores. Rounding in half precision stays far below, a wrong mask or position far above.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Resident:
    """A model in memory with the batch it answers in; without one, `why` says why not.

    `adapters` are those that are in memory on top of it, each with a batch of its own: what is kept of a conversation was
    computed with one adapter and must not be read with another.
    """

    loaded: LoadedModel
    engine: BatchedEngine | None
    why: str = ""
    adapters: ModelRegistry[Resident] = field(
        default_factory=lambda: ModelRegistry(MOST_ADAPTERS), compare=False, repr=False
    )


def resident(
    loaded: LoadedModel,
    steps: StepThread,
    free_bytes: Callable[[], int | None],
    *,
    share: int = 1,
    alone: Callable[[Callable[[], PagedBatch]], PagedBatch] = load_alone,
) -> Resident:
    """Give a model its batch, if it can have one. Never raises: answering one at a time always remains.

    An adapter's batch has one `share`th of the tokens that a model's has. `alone` runs the trial; not `load_alone` when
    that is running this already.
    """
    why = unfit(loaded.model)
    if why:
        return Resident(loaded, None, why)
    shape = shape_for(loaded, free_bytes(), share=share)
    if shape is None:
        return Resident(loaded, None, _NO_MEMORY)
    try:
        batch = alone(lambda: _tried(loaded, shape))
    except MemoryError as error:
        log.warning("%s is not batched: %s", loaded.ref, error)
        return Resident(loaded, None, _NO_MEMORY)
    except Exception as error:  # noqa: BLE001  (whatever a strange architecture raises, it answers one at a time)
        log.warning("%s is not batched: %s: %s", loaded.ref, type(error).__name__, error)
        return Resident(loaded, None, "this architecture cannot be batched")
    log.info("%s is batched: %d tokens, %d requests", loaded.ref, shape.tokens, shape.requests)
    return Resident(loaded, BatchedEngine(loaded, shape, steps, batch))


def unfit(model: Any) -> str:
    """Why a model cannot be batched, as its config tells; "" when nothing speaks against it."""
    config = model.config
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    if config.is_encoder_decoder or text is not config or not getattr(model, "_supports_attention_backend", False):
        return "this architecture cannot be batched"
    if kinds - {"full_attention"} or (not kinds and getattr(text, "sliding_window", None)):
        return "a model with a sliding window is not batched"
    if config._attn_implementation != "sdpa":
        return "this architecture cannot be batched"
    return ""


def shape_for(loaded: LoadedModel, free: int | None, *, share: int = 1) -> Shape | None:
    """The batch for so much free memory; None when it would be too small to be of use."""
    largest, of_free = (_CPU, _CPU_SHARE) if loaded.device == "cpu" else (_GPU, _GPU_SHARE)
    tokens = largest.tokens // share
    if free is not None:
        tokens = min(tokens, int(free * of_free) // share // bytes_per_token(loaded.model))
    if tokens < _LEAST_TOKENS:
        return None
    return Shape(tokens // PAGE * PAGE, largest.step_tokens, largest.requests)


def _tried(loaded: LoadedModel, shape: Shape) -> PagedBatch:
    """The batch, after it has given the scores that the model gives alone: first tokens, and one after them."""
    import torch

    batch = PagedBatch(loaded, shape)
    size = loaded.model.config.get_text_config().vocab_size
    prompts = [[token % size for token in prompt] for prompt in _TRIALS]
    rows: dict[int, list[torch.Tensor]] = {number: [] for number in range(len(prompts))}

    def keeping(number: int) -> Callable[[torch.Tensor], int]:
        def choose(scores: torch.Tensor) -> int:
            rows[number].append(scores[0].clone())
            return int(prompts[number][0])

        return choose

    for number, prompt in enumerate(prompts):
        batch.add(str(number), prompt, len(prompt) + 2, keeping(number))
    for _ in range(2):
        for chosen in batch.step().values():
            if isinstance(chosen, Exception):
                raise chosen
    with torch.no_grad():
        for number, prompt in enumerate(prompts):
            ids = torch.tensor([[*prompt, prompt[0]]], device=loaded.device)
            alone = loaded.model(input_ids=ids, use_cache=False).logits[0, -2:].float()
            for expected, given in zip(alone, rows[number], strict=True):
                if float((expected - given).norm()) > _TOLERANCE * float((expected - expected.mean()).norm()):
                    raise ValueError("the batch gives other scores than the model alone")
            batch.remove(str(number), keep=False)
    return batch
