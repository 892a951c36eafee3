"""Datasets of every shape, a Space that uses a model, and the paper they name: for cards of other kinds."""

from __future__ import annotations

import io
import json
import struct
import zlib

from tests.hub_server.seed_cards import ADAPTER
from tests.hub_server.server import HubServer

TICKETS = "alice/tickets"
PARQUET = "alice/rated-answers"
PICTURES = "alice/product-pictures"
SCRIPTED = "bob/old-script"
GATED = "meta/guarded-tickets"
WIDE = "bob/sensor-log"
SOUNDS = "bob/voices"
SPACE = "alice/ticket-desk"
PAPER = "2106.09685"


def png(side: int = 32) -> bytes:
    """A small picture: diagonal stripes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(
        b"\0" + b"".join(b"\x2f\x6f\xdb" if (x + y) % 8 < 4 else b"\xf0\xc0\x40" for x in range(side))
        for y in range(side)
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


_CARD = """---
license: {license}
language: [en, de]
pretty_name: {title}
size_categories: [n<1K]
task_categories: [text-classification]
tags: [arxiv:2106.09685]
{extra}---
# {title}

{text}

## How it was made

Written by the two of us, read twice, names replaced.
"""
_VALUE = {"dtype": "string", "_type": "Value"}


def parquet(columns: dict[str, list], features: dict[str, dict] | None = None) -> bytes:
    """A parquet file as the datasets library writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=50)
    return out.getvalue()


def seed_kinds(hub: HubServer) -> dict[str, str]:
    """Add them all; their commits by name."""

    def card(
        title: str, license: str = "cc-by-4.0", extra: str = "", text: str = "Support tickets with their labels."
    ) -> bytes:
        return _CARD.format(title=title, license=license, extra=extra, text=text).encode()

    hub.add_paper(
        PAPER,
        "LoRA: Low-Rank Adaptation of Large Language Models",
        ["Edward J. Hu", "Yelong Shen", "Phillip Wallis"],
        "We propose Low-Rank Adaptation, or LoRA, which freezes the pretrained model weights and injects trainable "
        "rank decomposition matrices into each layer.",
    )
    commits = {}
    features = {"text": _VALUE, "label": {"names": ["calm", "angry"], "_type": "ClassLabel"}}
    splits = {
        "train": {"name": "train", "num_bytes": 48_210, "num_examples": 412},
        "test": {"name": "test", "num_bytes": 9_870, "num_examples": 88},
    }
    rows = [{"text": f"Ticket {number}: the printer is on fire <again>.", "label": number % 2} for number in range(30)]
    viewer = {
        "info": {"default": {"features": features, "splits": splits}},
        "rows": {"default/train": (features, rows), "default/test": (features, rows[:3])},
    }
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    commits["tickets"] = hub.add_dataset(
        TICKETS, {"README.md": card("Tickets"), "data/train.jsonl": lines, "data/test.jsonl": lines[:300]},
        downloads=900, likes=14, viewer=viewer,
    )  # fmt: skip
    plain = {"prompt": _VALUE, "stars": {"dtype": "int64", "_type": "Value"}}
    shard = parquet({"prompt": [f"Question {n}" for n in range(120)], "stars": [n % 5 for n in range(120)]}, plain)
    commits["parquet"] = hub.add_dataset(
        PARQUET,
        {"README.md": card("Rated answers", "cc-by-nc-4.0"), "data/train-00000-of-00002.parquet": shard,
         "data/train-00001-of-00002.parquet": shard, "data/test-00000-of-00001.parquet": shard},
        downloads=120, likes=2,
    )  # fmt: skip
    image = {"image": {"_type": "Image"}, "caption": _VALUE}
    pictures = parquet({"image": [{"bytes": png(), "path": "a.png"}] * 4, "caption": ["a printer"] * 4}, image)
    commits["pictures"] = hub.add_dataset(
        PICTURES, {"README.md": card("Product pictures"), "data/train-0.parquet": pictures}, downloads=45, likes=1
    )
    commits["script"] = hub.add_dataset(
        SCRIPTED,
        {"README.md": card("Old script", text="Made before parquet."), "old-script.py": b"import datasets\n"},
        downloads=9,
    )
    commits["gated"] = hub.add_dataset(
        GATED, {"README.md": card("Guarded tickets", "other"), "data/train.jsonl": lines}, gated="manual", downloads=3000,
        viewer=viewer,
    )  # fmt: skip
    wide = ",".join(f"sensor_{number}" for number in range(300)) + "\n" + (",".join(["1.5"] * 300) + "\n") * 40
    commits["wide"] = hub.add_dataset(WIDE, {"README.md": card("Sensor log"), "log.csv": wide.encode()}, downloads=5)
    spoken = {"audio": {"sampling_rate": 16000, "_type": "Audio"}, "text": _VALUE}
    heard = [
        {"audio": [{"src": f"{hub.viewer_url}/assets/voice-{n}.wav", "type": "audio/wav"}], "text": "Hello"}
        for n in range(3)
    ]
    commits["sounds"] = hub.add_dataset(
        SOUNDS, {"README.md": card("Voices"), "data/voices.tar": b"\0" * 1024}, downloads=31,
        viewer={
            "info": {"default": {"features": spoken, "splits": {"train": {"name": "train", "num_bytes": 9_000_000, "num_examples": 3}}}},
            "rows": {"default/train": (spoken, heard)},
        },
    )  # fmt: skip
    text = f"""---
title: Ticket desk
emoji: 🎫
sdk: gradio
sdk_version: 6.31.0
app_file: app.py
license: apache-2.0
models: [{ADAPTER}]
datasets: [{TICKETS}]
---
# Ticket desk

Type a ticket and see what the adapter answers.
"""
    commits["space"] = hub.add_repo(
        "space", SPACE, {"README.md": text.encode(), "app.py": b"import gradio\n"}, likes=4,
        runtime={"stage": "RUNNING", "hardware": {"current": "zero-a10g", "requested": "zero-a10g"}},
    )  # fmt: skip
    return commits
