"""How much memory running a model takes: its weights, the cache of a context, and an overhead; as a sum one can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BYTES_OF = {"float32": 4, "bfloat16": 2, "float16": 2}
CONTEXT = 4096
"""Tokens of context that the cache is counted for, unless asked otherwise or the model allows fewer."""
OVERHEAD = 0.05
"""Activations, logits and what the allocator leaves between: a share of weights and cache."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they are for. `cache` is None while config.json is not known: then the sum is a lower bound.

    `context` is 0 where there is nothing to keep per token.
    """

    weights: int
    cache: int | None
    context: int
    dtype: str

    @property
    def overhead(self) -> int:
        """A share of the rest; see `OVERHEAD`."""
        return int((self.weights + (self.cache or 0)) * OVERHEAD)

    @property
    def total(self) -> int:
        """Everything together."""
        return self.weights + (self.cache or 0) + self.overhead

    def sentence(self) -> str:
        """The sum in words: "3.1 GB = weights 2.7 GB in bfloat16 + cache 0.2 GB for 4,096 tokens + 5 % overhead"."""
        parts = [f"weights {size(self.weights)} in {self.dtype}"]
        if self.cache is not None:
            parts.append(f"cache {size(self.cache)} for {self.context:,} tokens")
        parts.append(f"{OVERHEAD:.0%} overhead".replace("%", " %"))
        about = "" if self.cache is not None else "About "
        missing = "; the cache is counted once config.json is read" if self.cache is None and self.context else ""
        return f"{about}{size(self.total)} = {' + '.join(parts)}{missing}"


def estimate(
    params: int, dtype: str, config: Mapping[str, object] | None = None, context: int = CONTEXT
) -> MemoryEstimate:
    """The estimate for a language model of `params` parameters held in `dtype`; `config` is its config.json."""
    weights = params * BYTES_OF[dtype]
    if config is None:
        return MemoryEstimate(weights, None, context, dtype)
    most = _whole(config, "max_position_embeddings", "n_positions", "seq_length")
    tokens = min(context, most) if most else context
    return MemoryEstimate(weights, cache_bytes(config, tokens, BYTES_OF[dtype]), tokens, dtype)


def image_estimate(params: int, dtype: str) -> MemoryEstimate:
    """The estimate for a diffusion pipeline: `params` is the sum over its components; it has no cache."""
    return MemoryEstimate(params * BYTES_OF[dtype], None, 0, dtype)


def cache_bytes(config: Mapping[str, object], tokens: int, width: int) -> int | None:
    """Bytes of the key and value cache for `tokens` tokens of one conversation, `width` bytes a number.

    None where the config does not say enough. Layers with a sliding window keep only the window; layers without
    attention keep nothing per token.
    """
    layers = _whole(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = _whole(config, "num_attention_heads", "n_head", "num_heads", "n_heads")
    hidden = _whole(config, "hidden_size", "n_embd", "d_model")
    if not layers or not heads:
        return None
    keys = _whole(config, "head_dim") or (hidden // heads if hidden else None)
    values = _whole(config, "v_head_dim") or keys
    shared = _whole(config, "num_key_value_heads", "n_head_kv", "num_kv_heads") or heads
    if rope := _whole(config, "qk_rope_head_dim"):
        keys, shared = rope + (_whole(config, "qk_nope_head_dim") or 0), heads
    if _part(config).get("multi_query") is True:
        shared = 1
    if not keys or not values:
        return None
    each = shared * (keys + values) * width
    window = _whole(config, "sliding_window")
    kinds = _part(config).get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != layers:
        kept = min(tokens, window) if window and _part(config).get("use_sliding_window", True) is not False else tokens
        return layers * kept * each
    total = 0
    for kind in kinds:
        if kind == "full_attention":
            total += tokens * each
        elif kind == "sliding_attention":
            total += min(tokens, window or tokens) * each
    return total


def size(value: int) -> str:
    """Bytes as the Hub writes them: 271_000_000 as "271 MB"."""
    for step, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= step:
            scaled = value / step
            return (f"{scaled:.1f}".removesuffix(".0") if scaled < 10 else f"{scaled:.0f}") + f" {unit}"
    return f"{value} B"


def _part(config: Mapping[str, object]) -> Mapping[str, object]:
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def _whole(config: Mapping[str, object], *names: str) -> int | None:
    part = _part(config)
    for name in names:
        value = part.get(name, config.get(name))
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**40:
            return value
    return None
