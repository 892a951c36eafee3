"""A Hub as it is in the wild: thousands of models from a seed, with the real vocabulary and the real ugliness."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from core.languages import LANGUAGES
from core.licenses import CLASS_OF
from core.tasks import TASKS
from tests.hub_server.server import HubServer

OWNERS = (
    "acme", "northwind", "lab-42", "Open-Weights", "mlc-team", "kfir", "sunrise-ai", "TheCrowd", "uni-of-somewhere",
    "deepfolk", "quant-shop", "smallmodels", "helpdesk-co", "polyglot", "vision-folk", "speech-house",
)  # fmt: skip
FAMILIES = (
    "Llama",
    "Qwen",
    "Mistral",
    "Gemma",
    "Phi",
    "SmolLM",
    "Falcon",
    "OLMo",
    "bert",
    "t5",
    "whisper",
    "vit",
    "sdxl",
)
PURPOSES = (
    "support", "tickets", "legal", "medical", "code", "finance", "news", "chat", "instruct", "helpdesk", "email", "retail",
    "science", "poetry", "recipes", "travel", "games", "summary",
)  # fmt: skip
ENDINGS = ("", "-v2", "-base", "-it", "-GGUF", "-AWQ", "-GPTQ", "-lora", "-merged", "-fp8", "-4bit", "-hf", "-preview")
SIZES = (0.0135, 0.135, 0.36, 0.5, 1.1, 1.5, 1.7, 2.6, 3.1, 3.8, 7.2, 7.6, 8.0, 13.0, 14.7, 32.5, 70.6, 405.0)
LIBRARIES = (
    "transformers",
    "diffusers",
    "peft",
    "sentence-transformers",
    "gguf",
    "onnx",
    "mlx",
    "timm",
    "keras-hub",
    "spacy",
)
ARCHITECTURES = {
    "text-generation": "LlamaForCausalLM",
    "summarization": "LlamaForCausalLM",
    "translation": "T5ForConditionalGeneration",
    "fill-mask": "BertForMaskedLM",
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "automatic-speech-recognition": "WhisperForConditionalGeneration",
    "image-classification": "ViTForImageClassification",
}
# Half of the Hub's models are of a few tasks and licences.
COMMON_TASKS = ("text-generation", "text-generation", "text-generation", "summarization", "text-to-image", "fill-mask")
COMMON_LICENSES = (
    "apache-2.0",
    "apache-2.0",
    "mit",
    "llama3.1",
    "gemma",
    "cc-by-nc-4.0",
    "creativeml-openrail-m",
    "other",
)
UGLY: tuple[Any, ...] = (
    None,
    0,
    -1,
    3.5,
    "",
    " ",
    True,
    [],
    {},
    [None],
    "NaN",
    {"x": 1},
    "\u202eevil",
    "<img src=x onerror=alert(1)>",
    10**30,
)
UGLY_FIELDS = (
    "pipeline_tag", "library_name", "cardData", "safetensors", "gguf", "config", "downloads", "likes", "lastModified",
    "createdAt", "trendingScore", "inferenceProviderMapping",
)  # fmt: skip
ODD_LICENSES = ("Apache-2.0", "APACHE 2.0", "custom", "proprietary", "unknown", "no", "MIT License", "see file")


def wild(hub: HubServer, count: int = 3000, seed: int = 7) -> list[str]:
    """Add `count` models to `hub`, the same ones for the same seed; returns their names. They have no weights to fetch."""
    random = Random(seed)
    names: dict[str, None] = {}
    while len(names) < count:
        names.setdefault(_name(random))
    for number, name in enumerate(names):
        files, options = _model(random, name, number)
        hub.add_model(name, files, **options)
    return list(names)


def _name(random: Random) -> str:
    size = random.choice(SIZES)
    shown = f"{size:g}B" if size >= 1 else f"{size * 1000:g}M"
    purpose = f"-{random.choice(PURPOSES)}" if random.random() < 0.6 else ""
    number = f"-{random.randrange(1000)}" if random.random() < 0.5 else ""
    return f"{random.choice(OWNERS)}/{random.choice(FAMILIES)}-{shown}{purpose}{number}{random.choice(ENDINGS)}"


def _model(random: Random, name: str, number: int) -> tuple[dict[str, bytes], dict[str, Any]]:
    task = random.choice(COMMON_TASKS if random.random() < 0.6 else TASKS)
    license_id = random.choice(COMMON_LICENSES if random.random() < 0.7 else tuple(CLASS_OF))
    if random.random() < 0.06:
        license_id = random.choice(ODD_LICENSES)
    library = (
        "diffusers" if "image" in task and random.random() < 0.8 else random.choice(("transformers",) * 5 + LIBRARIES)
    )
    size = int(random.choice(SIZES) * 1e9 * random.uniform(0.97, 1.06))
    languages = random.sample(list(LANGUAGES), k=random.choice((0, 1, 1, 2, 8)))
    tags = random.sample(PURPOSES, k=random.choice((0, 0, 1, 2)))
    tags += ["not-for-all-audiences"] if random.random() < 0.03 else []
    tags += ["custom_code"] if random.random() < 0.04 else []
    tags += ["arxiv:2302.13971"] if random.random() < 0.05 else []
    card: dict[str, Any] = {"license": license_id, "language": languages, "library_name": library, "pipeline_tag": task}
    if random.random() < 0.3:
        card["base_model"] = f"{random.choice(OWNERS)}/{random.choice(FAMILIES)}-7B"
    if random.random() < 0.2:
        card["datasets"] = [f"{random.choice(OWNERS)}/{random.choice(PURPOSES)}-data"]
    has_card = random.random() < 0.8
    gguf = name.endswith("-GGUF")
    options: dict[str, Any] = {
        "pipeline_tag": task,
        "library_name": library,
        "downloads": int(10 ** random.uniform(0, 6.5)),
        "likes": int(10 ** random.uniform(0, 3.5)),
        "trendingScore": round(random.expovariate(1) * 10, 1),
        "createdAt": f"202{random.randrange(2, 7)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}T08:00:00.000Z",
        "lastModified": f"2026-{random.randrange(1, 12):02}-{random.randrange(1, 29):02}T09:30:00.000Z",
        "tags": [*tags, *(["gguf"] if gguf else ["safetensors"] if random.random() < 0.85 else ["pytorch"])],
        "config": {"architectures": [ARCHITECTURES.get(task, "AutoModel")], "model_type": "llama"},
    }
    if gguf:
        options["gguf"] = {"total": size, "architecture": "llama", "context_length": 8192}
    elif random.random() < 0.8:
        options["safetensors"] = {"parameters": {"BF16": size}, "total": size}
    if task == "text-generation" and random.random() < 0.5:
        options["config"]["tokenizer_config"] = {"chat_template": "{{ messages }}"}
    if random.random() < 0.1:
        options["inferenceProviderMapping"] = [{"provider": "together", "status": "live", "task": "conversational"}]
    gated = random.choice(("auto", "manual")) if random.random() < 0.07 else False
    # One in eight has something wrong with it, as on the real Hub and worse.
    if number % 8 == 0:
        for field in random.sample(UGLY_FIELDS, k=random.choice((1, 2, 5))):
            options[field] = random.choice(UGLY)
        card[random.choice(("license", "language", "base_model", "datasets", "tags"))] = random.choice(UGLY)
    files = {"config.json": _config(size)}
    if has_card:
        files["README.md"] = _readme(card, name)
    return files, {**options, "gated": gated}


def _readme(card: dict[str, Any], name: str) -> bytes:
    # JSON is YAML.
    lines = "\n".join(f"{key}: {json.dumps(value)}" for key, value in card.items())
    return f"---\n{lines}\n---\n# {name}\n\nA model of the test Hub.\n".encode()


def _config(size: int) -> bytes:
    layers = max(2, min(96, int((size / 1e8) ** 0.5 * 4)))
    heads = max(2, min(64, layers))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": max(1, heads // 4), "hidden_size": heads * 64,
        "max_position_embeddings": 8192,
    }  # fmt: skip
    return json.dumps(config).encode()
