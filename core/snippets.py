"""Code that runs exactly this commit, for each library the files and metadata fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from core.catalog import ModelCard
from core.lineage import parents_of
from core.weights import file_format

_AUTO = {
    "text-generation": "AutoModelForCausalLM",
    "image-text-to-text": "AutoModelForImageTextToText",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "summarization": "AutoModelForSeq2SeqLM",
    "translation": "AutoModelForSeq2SeqLM",
    "automatic-speech-recognition": "AutoModelForSpeechSeq2Seq",
}
_SERVED = ("text-generation", "image-text-to-text")


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code for one library."""

    library: str
    code: str


def snippets_of(card: ModelCard) -> tuple[Snippet, ...]:
    """The snippets that fit, the author's library first."""
    found = list(_snippets(card))
    return tuple(sorted(found, key=lambda each: each.library != card.summary.library))


def _snippets(card: ModelCard) -> Iterator[Snippet]:
    paths = {entry.path for entry in card.files}
    repo, commit = card.repo_id, card.revision
    task = card.summary.task or "text-generation"
    if card.summary.bundled:
        yield Snippet("transformers" if "config.json" in paths else "diffusers", _bundled(card, paths))
        return
    if "adapter_config.json" in paths:
        base = next(iter(parents_of(card.metadata, card.record.tags).parents), "the/base-model")
        yield Snippet(
            "peft",
            f'''from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

# Pin the base as well: its card in this app names its commit.
base = AutoModelForCausalLM.from_pretrained("{base}", dtype="auto")
model = PeftModel.from_pretrained(base, "{repo}", revision="{commit}")
tokenizer = AutoTokenizer.from_pretrained("{base}")
''',
        )
    elif "modules.json" in paths:
        yield Snippet(
            "sentence-transformers",
            f'''from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{repo}", revision="{commit}")
vectors = model.encode(["a sentence", "another one"])
print(model.similarity(vectors[:1], vectors[1:]))
''',
        )
    elif "model_index.json" in paths:
        yield Snippet(
            "diffusers",
            f'''import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained(
    "{repo}", revision="{commit}", dtype=torch.bfloat16, use_safetensors=True
)
pipe("a lighthouse at dusk", generator=torch.Generator("cpu").manual_seed(1)).images[0].save("picture.png")
''',
        )
    elif "config.json" in paths and any(file_format(path) in ("safetensors", "pickle") for path in paths):
        yield Snippet("transformers", _transformers(repo, commit, task))
    gguf = sorted(path for path in paths if file_format(path) == "gguf" and "mmproj" not in path)
    if gguf:
        file = next((path for path in gguf if "q4_k_m" in path.lower()), gguf[0])
        yield Snippet(
            "gguf",
            f'''from huggingface_hub import hf_hub_download
from llama_cpp import Llama

path = hf_hub_download("{repo}", {json.dumps(file)}, revision="{commit}")
model = Llama(path, n_ctx=4096)
print(model.create_chat_completion([{{"role": "user", "content": "Hello"}}])["choices"][0]["message"]["content"])
''',
        )
    if task in _SERVED and "adapter_config.json" not in paths:
        yield Snippet(
            "InferenceClient",
            f'''from huggingface_hub import InferenceClient

# A provider serves the repository's main, and cannot be given a commit: this card is about {commit[:7]}.
client = InferenceClient()
answer = client.chat_completion([{{"role": "user", "content": "Hello"}}], model="{repo}", max_tokens=200)
print(answer.choices[0].message.content)
''',
        )


def _transformers(repo: str, commit: str, task: str) -> str:
    auto = _AUTO.get(task, "AutoModel")
    head = f'''from transformers import AutoTokenizer, {auto}

tokenizer = AutoTokenizer.from_pretrained("{repo}", revision="{commit}")
model = {auto}.from_pretrained("{repo}", revision="{commit}", dtype="auto", use_safetensors=True)
'''
    if auto != "AutoModelForCausalLM":
        return head.replace("AutoTokenizer", "AutoProcessor") if task == "image-text-to-text" else head
    return (
        head
        + """messages = [{"role": "user", "content": "Hello"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=200)
print(tokenizer.decode(output[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))
"""
    )


def _bundled(card: ModelCard, paths: set[str]) -> str:
    if "model_index.json" in paths:
        return """from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("models/tiny-emoji-diffusion")  # in this app's repository
pipe("a red apple", num_inference_steps=20, guidance_scale=3.5).images[0].save("picture.png")
"""
    name = card.repo_id.rpartition("/")[2]
    return f"""from transformers import AutoModelForCausalLM, AutoTokenizer

# The folder this app prepared, below PROVING_DATA_DIR (data, when that is not set).
folder = "data/models/{name}"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
"""
