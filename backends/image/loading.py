"""Brings a pipeline from its folder into memory: safetensors only, no code from strangers, every part loaded once."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from backends.chat.decoding import out_of_memory
from backends.image import schedulers
from backends.image.files import is_whole
from backends.image.metadata import PipelineFacts, facts_of
from backends.loading_lock import load_alone
from core.errors import AppError, BackendError, OutOfMemory, UnsafeContentError
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)
Task = Literal["text", "image", "inpaint"]


@dataclass
class LoadedPipeline:
    """A pipeline in memory. Every request gets a pipeline object and a scheduler of its own around the same parts."""

    ref: ModelRef
    base: Any
    facts: PipelineFacts
    dtype: str
    device: str
    projection: Any = field(default=None)
    """The linear map from latents to colours, fitted when the first preview needs it."""

    def pipeline(self, task: Task, scheduler: str) -> Any:
        """A fresh pipeline object for one request; nothing is loaded, copied or cast."""
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image

        kinds = {
            "text": AutoPipelineForText2Image,
            "image": AutoPipelineForImage2Image,
            "inpaint": AutoPipelineForInpainting,
        }
        # Not `DiffusionPipeline.from_pipe`, which casts the shared parts to float32.
        config = self.base.scheduler.config
        made = kinds[task].from_pipe(self.base, scheduler=schedulers.make(scheduler, config, self.facts.class_name))
        made.set_progress_bar_config(disable=True)
        return made


def memory_needed(folder: Path, device: str) -> int:
    """Bytes to load the pipeline, roughly: on the processor everything in float32, on a GPU its largest part."""
    sizes = [
        sum(path.stat().st_size for path in part.glob("*.safetensors")) for part in folder.iterdir() if part.is_dir()
    ]
    return int((sum(sizes) * 2 if device == "cpu" else max(sizes, default=0)) * 1.1)


def load(ref: ModelRef, folder: Path, device: str, free: int | None) -> LoadedPipeline:
    """Load the pipeline of `folder`; raises `BackendError` or `UnsafeContentError` with what to do."""
    facts = facts_of(folder, str(ref))
    if not is_whole(folder):
        raise UnsafeContentError(
            f"{ref} has parts without safetensors weights. Pickle weights can run code when they are loaded; choose a model "
            "with safetensors weights, there is no override in this version."
        )
    try:
        return load_alone(lambda: _load(ref, folder, device, free, facts))
    except AppError:
        raise
    except Exception as error:
        log.warning("%s was not loaded: %s: %s", ref, type(error).__name__, error)
        if out_of_memory(error):
            raise OutOfMemory(f"{ref} does not fit into the memory that is free. Choose a smaller model.") from error
        raise BackendError(
            f"{ref} could not be loaded ({type(error).__name__}: {shown(str(error), 200)}). Download it again, or choose "
            "another model."
        ) from error


def _load(ref: ModelRef, folder: Path, device: str, free: int | None, facts: PipelineFacts) -> LoadedPipeline:
    import torch
    from diffusers import AutoPipelineForText2Image

    dtype = best_dtype(device)
    base = AutoPipelineForText2Image.from_pretrained(
        str(folder),
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    base.set_progress_bar_config(disable=True)
    weights = sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))
    if device == "cpu" or free is None or weights * 1.2 < free:
        base.to(device)
    else:
        # Not all of it fits at once: each part goes to the GPU when its turn comes.
        log.info(
            "%s is moved to the GPU part by part: %.1f GB of weights, %.1f GB free", ref, weights / 1e9, free / 1e9
        )
        base.enable_model_cpu_offload(device=device)
    return LoadedPipeline(ref, base, facts, dtype, device)


def best_dtype(device: str) -> str:
    """float32 on the processor, half precision on a GPU: bfloat16 where it has it, which no VAE overflows in."""
    if device == "cpu":
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
