"""The one place that touches transformers' continuous batching: requests in, one token each per step, slots out.

Its manager's own thread and its samplers are left out. One error there would end the thread for every visitor, its
random generator is shared by all, and it has no stop strings; here `backends/chat/batched.py` takes the steps and each
request brings the processors that `generate` would use for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from backends.chat.decoding import config_of
from backends.chat.loaded import LoadedModel
from backends.chat.paged_attention import install
from backends.chat.sampling import sampler
from core.chat import GenerationSettings

if TYPE_CHECKING:
    import torch

# Tokens whose keys and values share a block. Smaller blocks share longer beginnings and waste less at the end.
PAGE = 32
Choose = Callable[["torch.Tensor"], int]


@dataclass(frozen=True)
class Shape:
    """How large a batch is: tokens kept in all, tokens computed in one step, requests in one step."""

    tokens: int
    step_tokens: int
    requests: int


def bytes_per_token(model: Any) -> int:
    """What one token of a conversation takes while its keys and values are kept."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(config.num_hidden_layers * 2 * heads * size * model.dtype.itemsize)


def chooser(loaded: LoadedModel, prompt: Sequence[int], settings: GenerationSettings) -> Choose:
    """Chooses one request's next token from its scores, a row of one: what `generate` would choose, and its own seed."""
    import torch

    model, config = loaded.model, config_of(loaded, settings)
    room = len(prompt) + settings.max_new_tokens
    ids = torch.empty((1, room), dtype=torch.long, device=loaded.device)
    ids[0, : len(prompt)] = torch.tensor(list(prompt))
    model._prepare_special_tokens(config, True, device=loaded.device)
    processors = model._get_logits_processor(
        generation_config=config,
        input_ids_seq_length=len(prompt),
        encoder_input_ids=ids[:, : len(prompt)],
        logits_processor=sampler(settings, model.generation_config, loaded.device),
        device=loaded.device,
        model_kwargs={},
    )
    written = len(prompt)

    def choose(scores: torch.Tensor) -> int:
        nonlocal written
        token = int(processors(ids[:, :written], scores).argmax())
        if written < room:
            ids[0, written] = token
            written += 1
        return token

    return choose


class PagedBatch:
    """A batch of one model on transformers' paged cache. Not thread-safe: one thread builds it and takes all steps."""

    def __init__(self, loaded: LoadedModel, shape: Shape) -> None:
        """Takes the memory of the whole cache at once, so that it is known from here on."""
        import torch
        from transformers import ContinuousBatchingConfig, GenerationConfig

        self._loaded = loaded
        self._model = loaded.model
        self._torch = torch
        self._rows = _rows_class()()
        install()
        manager = self._model.init_continuous_batching(
            GenerationConfig(do_sample=False, eos_token_id=-1),
            ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=max(1, shape.tokens // PAGE),
                max_batch_tokens=shape.step_tokens,
                max_requests_per_batch=shape.requests,
                max_memory_percent=0.95,
                # `add` keeps what is handed out within what is there; nothing has to be held back.
                safety_margin=0.0,
                use_async_batching=False,
                use_cuda_graph=False,
                # It would look for kernels on the Hub.
                auto_switch_to_flash=False,
            ),
        )
        ours = manager.logit_processor
        ours.logits_processor.append(self._rows)
        ours.tensors_required, ours.do_processing = 1, True
        with torch.no_grad():
            self._processor = manager._create_batch_processor()
            self._processor.__class__ = _quiet_class()
            # Zeros that nobody has written take no memory yet: it would grow with every conversation.
            self._processor.cache.cache_tensor.fill_(0)
        self._manager = manager
        self._reserved: dict[str, int] = {}

    @property
    def blocks(self) -> int:
        """How many blocks of `PAGE` tokens there are."""
        return int(self._processor.cache.num_blocks)

    @property
    def reserved(self) -> int:
        """How many of them running requests may come to need."""
        return sum(self._reserved.values())

    @property
    def kept(self) -> int:
        """How many hold the beginnings of conversations that no running request uses."""
        return sum(len(each.ledger.cached_blocks) for each in self._allocators())

    def fits(self, tokens: int) -> bool:
        """Whether a request of so many tokens, its answer included, may begin now."""
        return self.reserved + blocks_of(tokens) <= self.blocks

    def add(self, name: str, prompt: Sequence[int], tokens: int, choose: Choose) -> None:
        """Let a request take part from the next step on; `tokens` is the most it may come to, its prompt included."""
        self._reserved[name] = blocks_of(tokens)
        self._make_room(self.blocks - self.reserved)
        self._rows.choosers[name] = choose
        # The end is for whoever reads the tokens to say.
        self._manager.add_request(list(prompt), request_id=name, max_new_tokens=2**31 - 1, eos_token_id=-1)

    def step(self) -> Mapping[str, int | Exception]:
        """One forward pass: the token each request got, or why it got none. A long prompt takes several steps.

        Raises what the model raises; then nothing in this batch can be used any more.
        """
        rows = self._rows
        rows.chosen = {}
        self._loaded.ready()
        with self._torch.no_grad():
            if self._processor.prepare_next_batch():
                self._processor._generation_step(self._model)
                self._processor.update_batch()
        return dict(rows.chosen)

    def remove(self, name: str, *, keep: bool = True) -> None:
        """Free a request's slot at once. With `keep`, whole blocks stay for whoever begins with the same tokens."""
        self._reserved.pop(name, None)
        self._rows.choosers.pop(name, None)
        queue, scheduler = self._manager.input_queue.queue, self._processor.scheduler
        for state in [state for state in queue if state.request_id == name]:
            queue.remove(state)
        if scheduler.waiting_requests.pop(name, None) is not None:
            scheduler.waiting_requests_order.remove(name)
        if not keep:
            self._processor.cache.free_blocks(name, no_cache=True)
        scheduler.finish_request(name)

    def forget(self) -> None:
        """Drop every kept beginning."""
        self._make_room(0)

    def _allocators(self) -> list[Any]:
        return list(self._processor.cache.cache_allocators.values())

    def _make_room(self, most_kept: int) -> None:
        # The library drops all kept blocks at once, and only when little is free. These go one by one, oldest first.
        for allocator in self._allocators():
            ledger = allocator.ledger
            for block in list(ledger.cached_blocks)[: max(0, len(ledger.cached_blocks) - most_kept)]:
                del ledger.cached_blocks[block]
                ledger.hash_to_block.pop(ledger.block_to_hash.pop(block))
                allocator.pool.free_blocks(allocator.index, [block])
        self._processor.cache.pool.try_to_free_sectors()


def blocks_of(tokens: int) -> int:
    """How many blocks hold so many tokens."""
    return -(-tokens // PAGE)


@cache
def _quiet_class() -> Any:
    from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

    class Quiet(ContinuousBatchProcessor):  # type: ignore[misc]
        """Without the library's clean-up of CUDA graphs, of which there are none: it fails when the process ends."""

        def __del__(self) -> None:
            pass

    return Quiet


@cache
def _rows_class() -> Any:
    import torch
    from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

    class Rows(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]
        """Lets each request choose from its own row of scores; what one raises is its own."""

        supported_kwargs: dict[str, type] = {}  # noqa: RUF012  (the library's name and type)
        ignored_kwargs: tuple[str, ...] = ()

        def __init__(self) -> None:
            self.choosers: dict[str, Choose] = {}
            self.chosen: dict[str, int | Exception] = {}
            self._names: list[str] = []

        def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
            int32_tensor.zero_()

        def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
            self._names = [request.state.request_id for request in requests_with_new_token]
            return torch.zeros(len(self._names), dtype=torch.int32)

        def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
            for row, name in enumerate(self._names):
                try:
                    token = self.choosers[name](scores[row : row + 1])
                except Exception as error:  # noqa: BLE001  (handed to the request, which fails alone)
                    self.chosen[name] = error
                    token = 0
                else:
                    self.chosen[name] = token
                # The library takes the best of each row.
                scores[row].fill_(0.0)
                scores[row, token] = 1.0
            return scores

    return Rows
