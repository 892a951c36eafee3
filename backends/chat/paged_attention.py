"""Attention over the paged cache on a processor: each request reads its own keys and values, not everybody's.

The library's `sdpa` computes the scores of every token in the step with every token of every conversation and masks
almost all of them: with thirty-two visitors a third of a step. Its kernels that do better need a GPU.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_SDPA = "sdpa"


@cache
def install() -> None:
    """Put it in the place of the library's `sdpa`, once in a process; without a paged cache or on a GPU nothing changes.

    The function is looked up by name in every layer. A name of our own would be refused by the library's batch, which
    knows three.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS[_SDPA] = _attention(ALL_ATTENTION_FUNCTIONS[_SDPA])


def _attention(library: Any) -> Any:
    import torch
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.generation.continuous_batching.cache import PagedAttentionCache

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        scaling: float | None = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """`query` (1, heads, tokens of all requests, size), `key` and `value` (1, shared heads, the same tokens, size)."""
        ours = isinstance(cache, PagedAttentionCache) and query.device.type == "cpu"
        if not ours or kwargs.get("position_bias") is not None or kwargs.get("softcap") is not None:
            result: tuple[torch.Tensor, None] = library(
                module, query, key, value, attention_mask, scaling=scaling, cache=cache, **kwargs
            )
            return result
        # Writes the new ones, and gives those of each request from its first token on, one request after the other.
        key, value = cache.update(key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=kwargs)
        asked, read = kwargs["cu_seq_lens_q"].tolist(), kwargs["cu_seq_lens_k"].tolist()
        _, heads, tokens, size = query.shape
        shared = key.shape[1]
        out = query.new_empty((1, tokens, heads, value.shape[-1]))
        for first, last, begin, end in zip(asked, asked[1:], read, read[1:], strict=False):
            keys, values, new = key[:, :, begin:end], value[:, :, begin:end], last - first
            if new == 1:
                # The heads that share keys stand where the tokens would: nothing is repeated, nothing masked.
                one = query[:, :, first].reshape(1, shared, heads // shared, size)
                out[0, first] = scaled_dot_product_attention(one, keys, values, scale=scaling).reshape(heads, -1)
                continue
            before = end - begin - new
            mask = None if before == 0 else torch.ones(new, end - begin, dtype=torch.bool).tril(before)
            seen = scaled_dot_product_attention(
                query[:, :, first:last],
                keys,
                values,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=True,
            )
            out[0, first:last] = seen[0].transpose(0, 1)
        return out, None

    return attention
