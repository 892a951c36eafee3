"""The facts panel: what a model is, from its config and the headers of its files, each fact with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.catalog import ModelCard
from core.memory import estimate
from core.weights import formats_of

# Safetensors' names of dtypes, as people and transformers write them.
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "U8": "uint8"}
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_sequence_length", "max_seq_len")
_SHOWN_LANGUAGES = 12


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: its name, its value as people read it, and the file or record it was read from."""

    name: str
    value: str
    source: str


def facts_of(card: ModelCard) -> tuple[Fact, ...]:
    """What is known, in the order people ask; what is not known is left out."""
    return tuple(_facts(card))


def _facts(card: ModelCard) -> Iterator[Fact]:
    config = card.record.config or {}
    part = config.get("text_config") if isinstance(config.get("text_config"), Mapping) else config
    assert isinstance(part, Mapping)
    gguf = card.record.gguf or {}
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        kind = config.get("model_type")
        yield Fact("Architecture", named[0] + (f" ({kind})" if isinstance(kind, str) else ""), "config.json")
    elif isinstance(gguf.get("architecture"), str):
        yield Fact("Architecture", str(gguf["architecture"]), "GGUF header")
    elif card.summary.library:
        yield Fact("Library", card.summary.library, "metadata")
    if card.summary.task:
        yield Fact("Task", card.summary.task, "metadata")
    params = sum(card.record.parameters.values()) if card.record.parameters else card.summary.params
    if params:
        yield Fact(
            "Parameters",
            f"{_short(params)} ({params:,})",
            "safetensors headers" if card.record.parameters else "the Hub",
        )
    if card.record.parameters:
        counts = sorted(card.record.parameters.items(), key=lambda item: -item[1])
        shares = [
            _DTYPES.get(dtype, dtype)
            + (f" {count / params:.0%}".replace("%", " %") if len(counts) > 1 and params else "")
            for dtype, count in counts[:4]
        ]
        yield Fact("Stored as", ", ".join(shares), "safetensors headers")
    context = next((value for name in _CONTEXT if (value := _whole(part.get(name)))), None) or _whole(
        gguf.get("context_length")
    )
    if context:
        yield Fact("Context", f"{context:,} tokens", "config.json" if config else "GGUF header")
    if vocabulary := _whole(part.get("vocab_size")):
        yield Fact("Vocabulary", f"{vocabulary:,} tokens", "config.json")
    layers, hidden = (
        _whole(part.get("num_hidden_layers") or part.get("n_layer")),
        _whole(part.get("hidden_size") or part.get("n_embd")),
    )
    if layers and hidden:
        yield Fact("Shape", f"{layers} layers of width {hidden:,}", "config.json")
    languages = _texts(card.metadata.get("language"))
    if languages:
        more = f" and {len(languages) - _SHOWN_LANGUAGES} more" if len(languages) > _SHOWN_LANGUAGES else ""
        yield Fact("Languages", ", ".join(languages[:_SHOWN_LANGUAGES]) + more, "metadata")
    formats = formats_of(entry.path for entry in card.files)
    if formats:
        yield Fact("Weights", ", ".join(formats), "list of files")
    if card.record.updated:
        yield Fact("Last changed", card.record.updated[:10], "the Hub")
    if card.record.created:
        yield Fact("Published", card.record.created[:10], "the Hub")
    if memory := memory_of(card):
        yield Fact("Memory here", memory, "computed")


def memory_of(card: ModelCard, dtype: str = "bfloat16") -> str | None:
    """What running the model takes, as a sum; None where parameters are not known or it is not a model that writes text."""
    params = sum(card.record.parameters.values()) if card.record.parameters else card.summary.params
    if not params or card.record.config is None:
        return None
    return estimate(params, dtype, card.record.config).sentence()


def _short(count: int) -> str:
    for step, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return str(count)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and item.strip()]
