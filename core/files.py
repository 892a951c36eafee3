"""Which files of a repository inference needs: no pickle, no second copy in another format."""

from __future__ import annotations

from collections.abc import Sequence

from core.catalog import FileEntry
from core.errors import UnsafeContentError, UserInputError
from core.weights import formats_of

INDEX = "model.safetensors.index.json"
_NAMED = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model",
    "chat_template.jinja", "chat_template.json", "preprocessor_config.json", "processor_config.json", "README.md",
}  # fmt: skip


def inference_files(files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """What to fetch for inference: config, tokenizer, chat template, and one set of safetensors weights.

    Raises `UnsafeContentError` when weights exist only as pickle, `UserInputError` when there are none that load here.
    """
    top = [entry for entry in files if "/" not in entry.path]
    weights = _weights(top)
    if not weights:
        formats = formats_of(entry.path for entry in files)
        if "pickle" in formats:
            raise UnsafeContentError(
                "The weights of this model exist only as pickle files, which can run code when they are loaded. Choose "
                "a model with safetensors, or ask its author to convert it."
            )
        if formats:
            raise UserInputError(
                f"The weights of this model come as {', '.join(formats)}, which cannot be loaded here. Choose a model "
                "with safetensors."
            )
        raise UserInputError("This repository holds no model weights. Choose one that has safetensors files.")
    return tuple([entry for entry in top if entry.path in _NAMED] + weights)


def _weights(top: Sequence[FileEntry]) -> list[FileEntry]:
    """The plain single file, else the plain shards with their index. Variants such as model.fp16 are copies."""
    by_name = {entry.path: entry for entry in top}
    if "model.safetensors" in by_name:
        return [by_name["model.safetensors"]]
    if INDEX in by_name:
        shards = [e for e in top if e.path.startswith("model-") and e.path.endswith(".safetensors")]
        return [by_name[INDEX], *shards] if shards else []
    return []
