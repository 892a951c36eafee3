"""Repositories for looking at card pages: an adapter on a chain that ends in a gated model with terms of its own."""

from __future__ import annotations

import json
import struct

from tests.hub_server.seed import safetensors
from tests.hub_server.server import HubServer

ADAPTER = "alice/support-adapter"
MERGE = "alice/calm-merge"
TUNED = "team/open-tuned"
ROOT = "meta/guarded-base"
GGUF = "bob/support-gguf"
BENCHMARK = "bench/mmlu"

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 8192, "vocab_size": 49152,
    "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 2,
}  # fmt: skip
_FIRST_CARD = """---
license: apache-2.0
base_model: alice/calm-merge
library_name: peft
pipeline_tag: text-generation
language: [en, de]
---
# Support adapter

First version.
"""
ADAPTER_CARD = """---
license: apache-2.0
base_model: alice/calm-merge
base_model_relation: adapter
library_name: peft
pipeline_tag: text-generation
language: [en, de]
datasets: [alice/votes]
tags: [lora, chat, arxiv:2106.09685]
model-index:
- name: support-adapter
  results:
  - task: {type: text-generation}
    dataset: {type: bench/mmlu, name: MMLU (5-shot), config: all, split: test}
    metrics: [{type: acc, value: 0.634, name: accuracy}]
  - task: {type: text-generation}
    dataset: {type: gsm8k, name: GSM8K}
    metrics: [{type: acc, value: 41.2}]
---
# Support adapter

A LoRA that answers support tickets in the tone of a calm colleague. It was made for one help desk with
English and German tickets, and has seen nothing else.

## Model details

Rank 16 on the attention projections of the merge below it, two layers of width 64, made by alice in a week
for a demonstration of this page and for nothing more.

## How to use

```python
from transformers import AutoModelForVision2Seq, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("alice/calm-merge", use_auth_token=True)
```

## Limitations

The model may hallucinate. Answers may be inaccurate.

## Training data

Tickets of one help desk over two years, without names and addresses: 12,000 pairs of question and answer,
written by five people and read twice before they were used.

| setting | value | note | another | and one more | column |
| --- | --- | --- | --- | --- | --- |
| learning rate | 0.0002 | cosine | 3 epochs | 16 rank | 32 alpha |

See [the notes](notes.md).
"""
_CARD = """---
license: {license}
{extra}---
# {title}

{text}
"""


def gguf_file(metadata: dict[str, str | int], tensors: dict[str, tuple[int, ...]], padding: int = 64) -> bytes:
    """A small well-formed GGUF file, version 3, of F16 tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for name, value in metadata.items():
        kind = struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value)
        out += text(name) + kind
    for name, shape in tensors.items():
        out += (
            text(name)
            + struct.pack("<I", len(shape))
            + struct.pack(f"<{len(shape)}Q", *shape)
            + struct.pack("<IQ", 1, 0)
        )
    return out + bytes(padding)


def seed_cards(hub: HubServer) -> dict[str, str]:
    """Add the chain and what hangs on it; the commits by name: `old` and `new` of the adapter."""
    hub.add_organization("meta", verified=True)
    hub.add_organization("team")
    hub.add_user("alice", "hf_alice", orgs=["team"])
    tokenizer = json.dumps(
        {"chat_template": TEMPLATE, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    ).encode()
    whole = {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer_config.json": tokenizer,
        "model.safetensors": safetensors({"model.embed_tokens.weight": [64, 16], "lm_head.weight": [16, 64]}, "BF16"),
    }

    def card(title: str, license: str, extra: str = "", text: str = "A model of the test Hub.") -> bytes:
        return _CARD.format(title=title, license=license, extra=extra, text=text).encode()

    hub.add_model(
        ROOT, {**whole, "README.md": card("Guarded base", "llama3.1")}, gated="manual", downloads=90_000, likes=800
    )
    hub.add_model(
        TUNED, {**whole, "README.md": card("Open tuned", "llama3.1", f"base_model: {ROOT}\n")}, downloads=4000, likes=30
    )
    hub.add_model(
        MERGE, {**whole, "README.md": card("Calm merge", "apache-2.0", f"base_model: [{TUNED}]\n")}, downloads=60
    )
    adapter = safetensors({"base_model.model.layers.0.q_proj.lora_A.weight": [16, 64]}, "F16")
    files = {
        "README.md": _FIRST_CARD.encode(),
        "adapter_config.json": json.dumps({"base_model_name_or_path": MERGE, "r": 16}).encode(),
        "adapter_model.safetensors": adapter,
        "tokenizer_config.json": tokenizer,
        "old.txt": b"x",
    }
    old = hub.add_model(
        ADAPTER, files, downloads=12, likes=0,
        discussions=[{"title": "Which licence holds?", "author": "bob"}, {"title": "Closed one", "status": "closed"}],
    )  # fmt: skip
    hub.tag(ADAPTER, "v0.1")
    new = hub.commit(
        ADAPTER,
        files={
            "README.md": ADAPTER_CARD.encode(),
            "notes.md": b"# Notes\n",
            "generation_config.json": json.dumps({"do_sample": False, "temperature": 0.2, "eos_token_id": 2}).encode(),
        },
        deletes=["old.txt"],
        message="Say what it was trained on",
    )
    metadata: dict[str, str | int] = {
        "general.architecture": "llama",
        "llama.context_length": 8192,
        "tokenizer.chat_template": TEMPLATE,
    }
    hub.add_model(
        GGUF,
        {
            "README.md": card("Support GGUF", "apache-2.0", f"base_model: {ADAPTER}\nbase_model_relation: quantized\ntags: [gguf]\n"),
            "support-q4_k_m.gguf": gguf_file(metadata, {"token_embd.weight": (64, 16)}),
        },
        downloads=700, likes=5, tags=["gguf"],
    )  # fmt: skip
    hub.add_dataset(
        BENCHMARK, {"README.md": b"---\nlicense: mit\n---\n"},
        leaderboard=[{"rank": 7, "modelId": ADAPTER, "value": 55.1, "filename": "x", "verified": True, "source": {"name": "Open board"}}],
    )  # fmt: skip
    return {"old": old, "new": new}
