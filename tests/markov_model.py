"""A Llama that says one given text, token after token, whatever it is asked: an engine's output decided by a test."""

from __future__ import annotations

from pathlib import Path

from tests.tiny_models import make_tiny_tokenizer


def make_markov_model(folder: Path, text: str, *, loop: bool = False, context: int = 2048) -> Path:
    """Write a model to `folder` that answers with `text` and ends, or begins again with `loop`.

    Each token of `text` may occur once: the next token follows from the last alone. Attention and MLP add nothing, the
    head maps each token to its successor.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tiny_tokenizer()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    start = tokenizer.encode("assistant\n", add_special_tokens=False)[-1]
    assert len(set(tokens)) == len(tokens) and start not in tokens, tokenizer.convert_ids_to_tokens(tokens)
    size = (len(tokenizer) + 7) // 8 * 8
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    ends = tokens[0] if loop else tokenizer.eos_token_id
    follows = dict(zip([start, *tokens], [*tokens, ends], strict=True))
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        for token in range(size):
            model.lm_head.weight[follows.get(token, tokenizer.eos_token_id), token] = 1.0
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
