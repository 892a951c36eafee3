"""Whether a model runs here, and if not why: what this machine is, against what a list tells of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.catalog import ModelSummary
from core.memory import estimate, image_estimate, size

CPU = "CPU"
# A share of the memory stays for the page, the system and whatever else runs.
_USABLE = 0.9
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel")
# Some of these answer in text alone when asked to, others only translate sequences: loading tells.
_MAY_WRITE_TEXT = "ForConditionalGeneration"
_TEXT_TASKS = (
    *("text-generation", "text2text-generation", "summarization", "translation", "question-answering"),
    "image-text-to-text",
)
_IMAGE_TASKS = ("text-to-image", "image-to-image", "unconditional-image-generation")


@dataclass(frozen=True, slots=True)
class Machine:
    """What models run on. `name` is for the badge ("CPU", the GPU's name, "ZeroGPU"), `memory` in bytes or None where
    it cannot be told, `dtype` what weights are held in. `remote` are the models a configured host serves, `host` its name.
    """

    name: str
    memory: int | None
    dtype: str
    images: bool = True
    remote: frozenset[str] = frozenset()
    host: str = ""


def assessed(summary: ModelSummary, machine: Machine, config: Mapping[str, object] | None = None) -> ModelSummary:
    """`summary` with its runs-here badge and memory: from list data alone, and exactly once `config` is known."""
    if summary.kind != "model":
        return summary
    images = summary.library == "diffusers" or summary.task in _IMAGE_TASKS
    sized = summary.params and not (images and summary.library != "diffusers")
    # Pictures are drawn in float32 on a processor.
    dtype = "float32" if images and machine.name == CPU else machine.dtype
    memory = None
    if sized and summary.params:
        memory = image_estimate(summary.params, dtype) if images else estimate(summary.params, dtype, config)
    exact = memory is not None and memory.cache is not None
    told = replace(
        summary,
        memory_bytes=memory.total if memory else None,
        memory_exact=exact,
        memory_note=memory.sentence() if memory else None,
    )
    if summary.repo_id in machine.remote:
        return replace(told, runs_here=True, runs_on=machine.host or "remote", why_not=None)
    why = _refusal(summary, machine, images)
    if why is None and memory and machine.memory is not None and memory.total > machine.memory * _USABLE:
        why = f"needs {size(memory.total)}, {machine.name} has {size(machine.memory)}"
    if why is not None:
        return replace(told, runs_here=False, runs_on=None, why_not=why)
    if doubt := _doubt(summary, memory is not None, images):
        return replace(told, runs_here=None, runs_on=None, why_not=doubt)
    return replace(told, runs_here=True, runs_on=machine.name, why_not=None)


def _refusal(summary: ModelSummary, machine: Machine, images: bool) -> str | None:
    """Why no engine here takes this model at all; None when one does."""
    formats = summary.weights_formats
    if summary.relation == "adapter" or summary.library == "peft":
        return "an adapter, which needs its base model"
    if formats is not None and "safetensors" not in formats:
        return f"no safetensors, only {', '.join(formats)}" if formats else "no weights"
    if summary.custom_code:
        return "needs code from its repository"
    if images:
        if not machine.images:
            return "nothing here draws images"
        return None if summary.library in ("diffusers", None) else f"{summary.library} images are not drawn here"
    if summary.task is not None and summary.task not in _TEXT_TASKS and not _chats(summary):
        return f"nothing here runs {summary.task.replace('-', ' ')}"
    if summary.architecture and not _chats(summary) and not summary.architecture.endswith(_MAY_WRITE_TEXT):
        return f"{summary.architecture} does not chat"
    if summary.library not in ("transformers", None) and not summary.architecture:
        return f"nothing here runs {summary.library}"
    return None


def _chats(summary: ModelSummary) -> bool:
    return bool(summary.architecture and summary.architecture.endswith(_WRITES_TEXT))


def _doubt(summary: ModelSummary, sized: bool, images: bool) -> str | None:
    """What keeps a list row from saying for certain that the model runs."""
    if summary.bundled:
        return None
    if not sized:
        return "its size is not stated"
    if images:
        return None
    if summary.architecture:
        return "only loading it tells" if summary.architecture.endswith(_MAY_WRITE_TEXT) else None
    return None if summary.task == "text-generation" else "its architecture is not stated"
