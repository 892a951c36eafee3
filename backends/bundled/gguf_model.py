"""Reads a Llama-shaped GGUF file as what transformers calls config, tokenizer and tensors.

transformers can load GGUF itself, but keeps the weights packed, refuses to save them and cuts digits differently from the
tokenizer the model was trained with; and the numbers here have to be the same on every machine: float32 arithmetic in
numpy, one rounding to bfloat16.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TENSOR = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.weight")
_CONTROL = 3  # gguf.TokenType.CONTROL


class GgufModel:
    """One GGUF file with the `llama` architecture, a GPT-2 style tokenizer and tied embeddings."""

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader

        self._reader = GGUFReader(path)

    @property
    def tensor_count(self) -> int:
        """How many tensors there are."""
        return len(self._reader.tensors)

    def quantisation(self) -> dict[str, int]:
        """How many tensors are stored in which GGUF type, the most frequent first."""
        return dict(Counter(tensor.tensor_type.name for tensor in self._reader.tensors).most_common())

    def field(self, name: str) -> Any:
        """The value of one metadata field."""
        return self._reader.fields[name].contents()

    def config(self) -> dict[str, object]:
        """config.json as transformers' `LlamaConfig` reads it."""
        heads = int(self.field("llama.attention.head_count"))
        hidden = int(self.field("llama.embedding_length"))
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": int(self.field("tokenizer.ggml.bos_token_id")),
            "eos_token_id": int(self.field("tokenizer.ggml.eos_token_id")),
            "pad_token_id": int(self.field("tokenizer.ggml.padding_token_id")),
            "dtype": "bfloat16",
            "head_dim": hidden // heads,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": int(self.field("llama.feed_forward_length")),
            "max_position_embeddings": int(self.field("llama.context_length")),
            "mlp_bias": False,
            "num_attention_heads": heads,
            "num_hidden_layers": int(self.field("llama.block_count")),
            "num_key_value_heads": int(self.field("llama.attention.head_count_kv")),
            # The file keeps it as float32; the model's own config says 1e-05.
            "rms_norm_eps": float(f"{float(self.field('llama.attention.layer_norm_rms_epsilon')):.6g}"),
            "rope_parameters": {"rope_theta": float(self.field("llama.rope.freq_base")), "rope_type": "default"},
            "tie_word_embeddings": True,
            "use_cache": True,
            "vocab_size": int(self.field("llama.vocab_size")),
        }

    def save_tokenizer(self, folder: Path) -> None:
        """Write tokenizer.json, its config and the chat template, as `save_pretrained` of transformers names them."""
        import json

        from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
        from tokenizers.models import BPE

        tokens: list[str] = self.field("tokenizer.ggml.tokens")
        kinds: list[int] = self.field("tokenizer.ggml.token_type")
        merges = [tuple(merge.split(" ")) for merge in self.field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
        # What `tokenizer.ggml.pre` = smollm stands for: each digit alone, then GPT-2's pattern.
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
        tokenizer.save(str(folder / "tokenizer.json"))
        named = {name: tokens[int(self.field(f"tokenizer.ggml.{name}_token_id"))] for name in ("bos", "eos")}
        settings = {
            "add_prefix_space": False,
            "bos_token": named["bos"],
            "clean_up_tokenization_spaces": False,
            "eos_token": named["eos"],
            "model_max_length": int(self.field("llama.context_length")),
            "pad_token": tokens[int(self.field("tokenizer.ggml.padding_token_id"))],
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": tokens[int(self.field("tokenizer.ggml.unknown_token_id"))],
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        (folder / "chat_template.jinja").write_text(self.field("tokenizer.chat_template"), encoding="utf-8", newline="")

    def tensors(self) -> Iterator[tuple[str, NDArray[np.uint16]]]:
        """Every tensor under its transformers name, as bfloat16 bit patterns."""
        from gguf import dequantize

        heads = int(self.field("llama.attention.head_count"))
        kv_heads = int(self.field("llama.attention.head_count_kv"))
        for tensor in self._reader.tensors:
            match = _TENSOR.fullmatch(tensor.name)
            if match is None or match[2] not in _NAMES:
                raise ValueError(f"unknown tensor {tensor.name}")
            values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
            if match[2] in ("attn_q", "attn_k"):
                values = unpermuted(values, heads if match[2] == "attn_q" else kv_heads)
            layer = f"model.layers.{match[1]}." if match[1] is not None else ""
            yield f"{layer}{_NAMES[match[2]]}.weight", bfloat16_bits(values)


def unpermuted(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's interleaving of the rotary halves of a query or key projection."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even, as torch does. The values are finite."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded: NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded
