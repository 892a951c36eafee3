"""A small Hub to look at the app by hand: a few models, one of them gated, and a dataset."""

from __future__ import annotations

import json

from tests.hub_server.server import HubServer

_CARD = """---
license: {license}
language: [en]
library_name: transformers
pipeline_tag: {task}
tags: [demo]
base_model: {base}
---
# {title}

A model of the test Hub. Its weights are not real.

| setting | value |
| --- | --- |
| layers | 2 |
"""


def safetensors(shapes: dict[str, list[int]], dtype: str = "F32") -> bytes:
    """Return a well-formed safetensors file of zeros."""
    width = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}[dtype]
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        size = width
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def model_files(title: str, license: str = "apache-2.0", task: str = "text-generation", base: str = "[]") -> dict:
    """Return the files of a tiny model repository with a card."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    return {
        "README.md": _CARD.format(license=license, task=task, base=base, title=title).encode(),
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors({"embed": [16, 8], "head": [8, 16]}),
    }


def seed(hub: HubServer) -> None:
    """Fill a Hub with the demonstration repositories and the users `alice` and `bob`."""
    hub.add_user("alice", "hf_alice", orgs=["team"])
    hub.add_user("bob", "hf_bob", role="read")
    hub.add_model("team/tiny-chat", model_files("Tiny Chat"), downloads=1200, likes=7, trending_score=5)
    tuned = model_files("Tiny Chat Tuned", base="team/tiny-chat")
    hub.add_model("alice/tiny-chat-tuned", tuned, downloads=80, likes=3, trending_score=9)
    gated = model_files("Guarded", license="other")
    hub.add_model("team/guarded-chat", gated, gated="manual", downloads=500, likes=20)
    image = model_files("Tiny Image", task="text-to-image")
    hub.add_model("team/tiny-image", image, downloads=300, likes=12, security={"model.safetensors": "unsafe"})
    hub.add_model("alice/secret", model_files("Secret"), private=True)
    rows = '{"prompt": "Hi", "chosen": "Hello!", "rejected": "No."}\n' * 3
    card = b"---\nlicense: cc0-1.0\nlanguage: [en]\n---\n# Votes\n"
    hub.add_dataset("alice/votes", {"README.md": card, "data/train.jsonl": rows.encode()}, likes=1)
