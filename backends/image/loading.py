"""Brings a pipeline from its folder into memory: safetensors only, no code from strangers, every part loaded once."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from backends.chat.decoding import out_of_memory
from backends.image import memory, schedulers
from backends.image.adapters import NOTHING_ATTACHED, Attached
from backends.image.controlnets import LoadedControlNets
from backends.image.files import is_whole
from backends.image.loras import AttachedLoras
from backends.image.memory import Placement
from backends.image.metadata import PipelineFacts, default_side, facts_of
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
    placement: Placement = "whole"
    projection: Any = field(default=None)
    """The linear map from latents to colours, fitted when the first preview needs it."""
    loras: AttachedLoras = field(init=False)
    controlnets: LoadedControlNets = field(init=False)

    def __post_init__(self) -> None:
        self.loras = AttachedLoras(self.base)
        self.controlnets = LoadedControlNets(self.base, self.device, self.dtype, offloaded=self.placement != "whole")

    def pipeline(self, task: Task, scheduler: str, attached: Attached = NOTHING_ATTACHED) -> Any:
        """A fresh pipeline object for one request, with exactly what is attached switched on.

        No part of the base is loaded, copied or cast.
        """
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image

        kinds = {
            "text": AutoPipelineForText2Image,
            "image": AutoPipelineForImage2Image,
            "inpaint": AutoPipelineForInpainting,
        }
        own = schedulers.make(scheduler, self.base.scheduler.config, self.facts.class_name)
        self.loras.use(attached.loras)
        parts = {"scheduler": own}
        if attached.controlnet is not None:
            parts["controlnet"] = self.controlnets.get(*attached.controlnet)
        # Not `DiffusionPipeline.from_pipe`, which casts the shared parts to float32.
        made = kinds[task].from_pipe(self.base, **parts)
        made.set_progress_bar_config(disable=True)
        return made


def memory_needed(folder: Path, device: str) -> int:
    """Bytes to have free before the pipeline is loaded, roughly."""
    total = None
    if device != "cpu":
        import torch

        total = int(torch.cuda.mem_get_info()[1])
    return memory.room_to_make(memory.part_sizes(folder, device), device, total, _work(folder))


def load(ref: ModelRef, folder: Path, device: str, free: int | None, *, move: bool = True) -> LoadedPipeline:
    """Load the pipeline of `folder`; raises `BackendError` or `UnsafeContentError` with what to do.

    Without `move` it stays in the processor's memory, in the dtype of `device`.
    """
    facts = facts_of(folder, str(ref))
    if not is_whole(folder):
        raise UnsafeContentError(
            f"{ref} has parts without safetensors weights. Pickle weights can run code when they are loaded; choose a model "
            "with safetensors weights, there is no override in this version."
        )
    try:
        return load_alone(lambda: _load(ref, folder, device, free, facts, move))
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


def _load(
    ref: ModelRef, folder: Path, device: str, free: int | None, facts: PipelineFacts, move: bool
) -> LoadedPipeline:
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
    if not move:
        return LoadedPipeline(ref, base, facts, dtype, "cpu")
    sizes = memory.part_sizes(folder, device)
    place: Placement = "whole" if device == "cpu" else memory.placement(sizes, free, _work(folder))
    log.info("%s: %s on %s, %.1f GB of weights", ref, place, device, sum(sizes.values()) / 1e9)
    put(base, place, device)
    return LoadedPipeline(ref, base, facts, dtype, device, place)


def put(base: Any, place: Placement, device: str) -> None:
    """Move a pipeline that was loaded on the processor to where its parts wait.

    Attention stays torch's own: it already picks the fastest kernel that gives the same pictures.
    """
    import torch

    if place == "whole":
        base.to(device)
    elif place == "part by part":
        base.enable_model_cpu_offload(device=device)
    else:
        base.enable_group_offload(
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            # The next layer comes while this one computes.
            use_stream=device != "cpu",
        )


def _work(folder: Path) -> int:
    side = default_side(folder)
    return memory.work_bytes(side, side)


def best_dtype(device: str) -> str:
    """float32 on the processor, half precision on a GPU: bfloat16 where it has it, which no VAE overflows in."""
    if device == "cpu":
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
