"""Which files of a repository a chat model needs to answer, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.catalog import FileEntry
from core.errors import UnsafeContentError, UserInputError
from core.weights import weights_format

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
# What is said of a model whose weights only the operator's override lets in.
PICKLED = (
    "Its weights are pickle files, which can run code when they are loaded. The operator allows them "
    "(PROVING_ALLOW_PICKLE)."
)
PICKLE_WHOLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
PICKLE_SHARD = re.compile(r"pytorch_model-(\d{5})-of-(\d{5})\.bin")
# Everything transformers may read besides the weights. Exact names: a repository may hold any other JSON.
_SETTINGS = frozenset(
    {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "tokenizer.model",
        "tokenizer.model.v3",
        "tekken.json",
        "spiece.model",
        "sentencepiece.bpe.model",
        "preprocessor_config.json",
        "processor_config.json",
    }
)


def inference_files(files: Sequence[FileEntry], *, pickle: bool = False) -> tuple[FileEntry, ...]:
    """The files to fetch: settings and tokenizer first, then the safetensors weights, whole or in shards.

    Raises `UnsafeContentError` when the weights exist only as pickle, unless the operator allows `pickle`, and
    `UserInputError` when there are none to load.
    """
    by_path = {entry.path: entry for entry in files}
    weights = loadable(tuple(by_path), pickle=pickle)
    if not weights:
        raise _no_weights(tuple(by_path))
    settings = [path for path in sorted(by_path) if is_setting(path)]
    return tuple(by_path[path] for path in (*settings, *weights))


def is_plain_path(path: str) -> bool:
    """Whether a name of a repository's file stays in its folder: git has no others, a server that is no Hub may say any."""
    return "\\" not in path and "\0" not in path and all(part not in ("", ".", "..") for part in path.split("/"))


def is_setting(path: str) -> bool:
    """Whether transformers reads this file besides the weights."""
    return path in _SETTINGS or (path.startswith("additional_chat_templates/") and path.endswith(".jinja"))


def weight_files(paths: Sequence[str]) -> tuple[str, ...]:
    """The one set of safetensors files that is loaded: `model.safetensors`, else all shards with their index."""
    if WHOLE in paths:
        return (WHOLE,)
    if INDEX not in paths:
        return ()
    shards = sorted(path for path in paths if SHARD.fullmatch(path))
    return (INDEX, *shards) if shards else ()


def pickle_files(paths: Sequence[str]) -> tuple[str, ...]:
    """The one set of pickle files that transformers would load: `pytorch_model.bin`, else all shards with their index."""
    if PICKLE_WHOLE in paths:
        return (PICKLE_WHOLE,)
    shards = sorted(path for path in paths if PICKLE_SHARD.fullmatch(path))
    return (PICKLE_INDEX, *shards) if shards and PICKLE_INDEX in paths else ()


def loadable(paths: Sequence[str], *, pickle: bool) -> tuple[str, ...]:
    """The weights that are loaded: safetensors where there are any, else pickle where the operator allows it."""
    return weight_files(paths) or (pickle_files(paths) if pickle else ())


def _no_weights(paths: Sequence[str]) -> UnsafeContentError | UserInputError:
    formats = {found for path in paths if (found := weights_format(path))}
    if "safetensors" in formats:
        return UserInputError(
            "The safetensors files of this repository are not a whole model that transformers loads (an adapter, or a "
            "model for another library). Choose a repository with model.safetensors in it."
        )
    if "pickle" in formats:
        return UnsafeContentError(
            "The weights of this model exist only as pickle files, which can run code when they are loaded. Choose a "
            "model with safetensors weights. Only the operator can allow pickle (PROVING_ALLOW_PICKLE=1)."
        )
    if formats:
        names = ", ".join(sorted(formats))
        return UserInputError(f"This model's weights are {names} only; chat needs safetensors. Choose another model.")
    return UserInputError("This repository has no model weights. Choose a model with safetensors weights.")
