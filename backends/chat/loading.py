"""Brings a model from its folder into memory: safetensors only, no code from strangers, in the faster dtype."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

from backends.chat.decoding import out_of_memory
from backends.chat.loaded import LoadedModel
from backends.chat.metadata import check_config, max_context_of, read_config
from backends.chat.vision import load_processor, sees
from backends.chat.weights import check_published, gpu_arguments, to_int8
from backends.loading_lock import LOADING, load_alone
from backends.revision import tensor_headers
from core.errors import AppError, BackendError, NoBackend, OutOfMemory
from core.files import loadable, weight_files
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)
# Enough weights that they do not all stay in the processor's cache, as a model's do not.
_TIMED_BYTES = 64 * 1024 * 1024
_TIMED_SECONDS = 0.5


def weight_bytes(folder: Path) -> int:
    """Size of the weights on disk."""
    names = loadable([path.name for path in folder.iterdir()], pickle=True)
    return sum((folder / name).stat().st_size for name in names)


def tensor_count(folder: Path) -> int:
    """How many tensors the weights hold; 0 when that cannot be read."""
    names = [name for name in weight_files([path.name for path in folder.iterdir()]) if name.endswith(".safetensors")]
    try:
        return sum(len(tensor_headers(folder / name)[0]) for name in names)
    except (OSError, ValueError):
        # Loading gives the sentence.
        return 0


def memory_needed(folder: Path, device: str) -> int:
    """Bytes the loaded model will take, roughly: weights in the dtype they run in, and a tenth for the rest."""
    return int(weight_bytes(folder) * (2 if device == "cpu" else 1) * 1.1)


def load(ref: ModelRef, folder: Path, device: str, *, move: bool = True, pickle: bool = False) -> LoadedModel:
    """Load the model of `folder`; raises `BackendError` or `UnsafeContentError` with what to do.

    Without `move` it stays in the processor's memory, in the dtype of `device`. Weights that exist only as `pickle` are
    loaded only when the operator allows it, and even then without running code: PyTorch takes tensors from them and
    refuses the rest.
    """
    pickled = pickle and not weight_files([path.name for path in folder.iterdir()])
    if pickled:
        log.warning("%s is loaded from pickle files, which PROVING_ALLOW_PICKLE allows", ref)
    name = str(ref)
    config = read_config(folder, name)
    check_config(config, name)
    try:
        return load_alone(lambda: _load(ref, folder, device, config, move, pickled))
    except AppError:
        raise
    except Exception as error:
        raise _translated(error, name, config) from error


def _load(
    ref: ModelRef, folder: Path, device: str, config: Mapping[str, Any], move: bool, pickled: bool
) -> LoadedModel:
    with LOADING:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        from transformers.utils import logging as its_logging

        its_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise BackendError(
            f"The tokenizer of {ref} is missing or cannot be read. Delete the copy and download it again, or choose "
            "another model."
        ) from error
    check_published(config, str(ref), device)
    kind = str(config.get("model_type"))
    known, processor, blind = AutoModelForCausalLM, None, ""
    if sees(folder, config) and kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        known = AutoModelForImageTextToText
        processor, blind = load_processor(folder, tokenizer, kind)
        if processor is not None:
            # One tokenizer, whether there is a picture or not.
            tokenizer = processor.tokenizer
    dtype = best_dtype(config, device)
    # A folder on this machine, so transformers looks for no converted weights on the Hub.
    model = known.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=not pickled,
        weights_only=True,
        trust_remote_code=False,
        local_files_only=True,
        **(gpu_arguments(ref.weights, device) if ref.weights and device != "cpu" else {}),
    )
    where = device if move else "cpu"
    if ref.weights and device == "cpu":
        model = to_int8(model)
    elif not ref.weights:
        model = model.to(where)
    context = max_context_of(config)
    return LoadedModel(
        ref, model.eval(), tokenizer, ref.weights or dtype, where, context, processor=processor, blind=blind
    )


def load_adapter(base: LoadedModel, adapter: ModelRef, folder: Path, kept: Collection[ModelRef | None]) -> LoadedModel:
    """`base` with an adapter on top, sharing its weights. Under the loading lock and the turn of every forward pass.

    Adapters that are not `kept` go out of memory first. Raises `AppError` with what to do.
    """
    switch = base.switch
    if switch is None:
        raise ValueError(f"{base.ref} has no switch")
    switch.keep_only({each for each in kept if each is not None})
    switch.load(adapter, folder)
    return replace(base, ref=replace(base.ref, adapter=adapter))


def best_dtype(config: Mapping[str, Any], device: str) -> str:
    """The dtype that is faster here: measured on the processor, half precision on a GPU."""
    if device != "cpu":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    nested = config.get("text_config")
    parts = (config, nested if isinstance(nested, Mapping) else {})
    hidden = next((part[key] for part in parts for key in ("hidden_size", "n_embd") if key in part), 1024)
    inner = next((part[key] for part in parts for key in ("intermediate_size", "n_inner") if part.get(key)), 4 * hidden)
    return faster_dtype(int(hidden), int(inner))


@cache
def faster_dtype(hidden: int, inner: int) -> str:
    """bfloat16 or float32, whichever multiplies one token with the model's own matrices faster on this processor.

    Without the right instructions bfloat16 is many times slower; with them, or where memory is the limit, it is twice
    as fast.
    """
    import torch

    matrices = max(2, min(96, _TIMED_BYTES // (2 * hidden * inner)))

    kinds = (torch.bfloat16, torch.float32)
    weights = {kind: [torch.full((inner, hidden), 0.01, dtype=kind) for _ in range(matrices)] for kind in kinds}
    tokens = {kind: torch.full((1, hidden), 0.5, dtype=kind) for kind in kinds}
    best = dict.fromkeys(kinds, float("inf"))
    with torch.inference_mode():
        # In turns, over half a second, and the best of each: whatever else runs on this machine should not decide. A
        # busy moment makes the slower kind look up to ten times the faster one.
        end = perf_counter() + _TIMED_SECONDS
        while perf_counter() < end:
            for kind in kinds:
                started = perf_counter()
                for weight in weights[kind]:
                    torch.nn.functional.linear(tokens[kind], weight)
                best[kind] = min(best[kind], perf_counter() - started)
    half, full = best[torch.bfloat16], best[torch.float32]
    log.info("one token through %d x %d: bfloat16 %.2f ms, float32 %.2f ms", hidden, inner, half * 1e3, full * 1e3)
    return "bfloat16" if half <= full else "float32"


def _translated(error: Exception, name: str, config: Mapping[str, Any]) -> AppError:
    from safetensors import SafetensorError

    log.warning("%s was not loaded: %s: %s", name, type(error).__name__, error)
    if out_of_memory(error):
        return OutOfMemory(f"{name} does not fit into the memory that is free. Choose a smaller model.")
    if isinstance(error, SafetensorError):
        return BackendError(f"The weights of {name} are damaged on this disk. Delete the copy and download it again.")
    kind = shown(str(config.get("model_type")))
    text = str(error)
    if (
        "does not recognize this architecture" in text
        or "Unrecognized model" in text
        or "Unrecognized configuration" in text
    ):
        from transformers import __version__

        return NoBackend(
            f"transformers {__version__} does not know the architecture “{kind}” of {name}. Choose another model, or one "
            "converted to an architecture it knows."
        )
    if isinstance(error, OSError):
        return BackendError(
            f"Files of {name} are missing or cannot be read on this disk. Delete the copy and download it again."
        )
    return BackendError(
        f"{name} could not be loaded ({type(error).__name__}: {shown(text, 200)}). Choose another model."
    )
