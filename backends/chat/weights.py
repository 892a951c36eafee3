"""How a model's weights can be held here: as published, or in fewer bits where the hardware and the libraries allow it.

On a processor int8 needs nothing that is not there: PyTorch multiplies bfloat16 with 8-bit weights by itself. On a GPU
bitsandbytes does it; that part has not been seen to run yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.chat import WeightsOffer
from core.errors import NoBackend
from core.refs import shown

if TYPE_CHECKING:
    import torch

INT8, NF4 = "int8", "nf4"
KINDS = (INT8, NF4)
_PACKAGE = "bitsandbytes"
# Above so many rows, widening the weights once costs less than multiplying them in 8 bits row by row.
_MOST_ROWS = 16
# PyTorch reads whole steps of inputs (16 with AVX-512), past the end of the memory where the last one is not whole.
_WHOLE_STEPS = 32
# What a repository's quantisation needs here: package, whether a GPU, and how it is called.
_PUBLISHED: Mapping[str, tuple[str, bool, str]] = {
    "gptq": ("gptqmodel", True, "GPTQ"),
    "awq": ("gptqmodel", True, "AWQ"),
    "bitsandbytes": (_PACKAGE, True, "bitsandbytes"),
    "torchao": ("torchao", False, "torchao"),
    "compressed-tensors": ("compressed_tensors", True, "compressed-tensors"),
    "hqq": ("hqq", True, "HQQ"),
    "quanto": ("optimum.quanto", False, "Quanto"),
    "fp8": ("torch", True, "FP8"),
    "mxfp4": ("kernels", True, "MXFP4"),
}


def check_published(config: Mapping[str, Any], name: str, device: str) -> None:
    """Raise `NoBackend` for a repository whose quantisation cannot run here, with what is missing."""
    method = method_of(config)
    if not method:
        return
    package, gpu, called = _PUBLISHED.get(method, ("", False, shown(method)))
    missing = []
    if package and not _installed(package):
        missing.append(f"the package {package.partition('.')[0]}")
    if gpu and device == "cpu":
        missing.append("an NVIDIA GPU")
    if not package or missing:
        needs = f"needs {' and '.join(missing)}" if missing else "is not known to this app"
        raise NoBackend(
            f"{name} is published quantised ({called}), which {needs}. Choose the model it was made from, and its weights "
            "in fewer bits in the settings of Chat."
        )


def method_of(config: Mapping[str, Any]) -> str:
    """How the weights of a repository are quantised as published; "" when they are not."""
    found = config.get("quantization_config")
    return str(found.get("quant_method") or "bitsandbytes").lower() if isinstance(found, Mapping) else ""


def offers(folder: Path, config: Mapping[str, Any], device: str) -> tuple[WeightsOffer, ...]:
    """The ways the weights of `folder` can be held on `device`, each with what it saves or why it is not possible."""
    if method_of(config):
        return ()
    inner = _inner_weights(folder)
    if device == "cpu":
        return (
            WeightsOffer(INT8, "8 bits", saves_bytes=inner),
            WeightsOffer(NF4, "4 bits", why_not="4 bits need an NVIDIA GPU and the package bitsandbytes."),
        )
    why = "" if _installed(_PACKAGE) else "Fewer bits on a GPU need the package bitsandbytes, which is not installed."
    return (
        WeightsOffer(INT8, "8 bits, bitsandbytes", saves_bytes=inner, why_not=why),
        WeightsOffer(NF4, "4 bits (NF4), bitsandbytes", saves_bytes=int(inner * 1.45), why_not=why),
    )


def gpu_arguments(kind: str, device: str) -> dict[str, Any]:
    """What `from_pretrained` is given to load the weights in `kind` on a GPU, where they stay."""
    import torch
    from transformers import BitsAndBytesConfig

    if kind == INT8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "device_map": {"": device}}
    half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=half, bnb_4bit_use_double_quant=True
    )
    return {"quantization_config": config, "device_map": {"": device}}


def to_int8(model: Any) -> Any:
    """Replace the linear layers of `model` in place by 8-bit ones, one after another; the head stays as it is.

    Each row of a matrix has a scale of its own, so that its largest weight becomes 127.
    """
    import torch

    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer is not head:
                setattr(parent, name, _int8_class()(layer))
    return model


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _inner_weights(folder: Path) -> int:
    """How many weights the matrices inside the layers have, which are what is held in fewer bits."""
    from backends.revision import tensor_headers

    total = 0
    for path in folder.glob("*.safetensors"):
        for name, entry in tensor_headers(path)[0].items():
            if len(entry.get("shape", ())) == 2 and "embed" not in name and not name.startswith("lm_head"):
                total += math.prod(entry["shape"])
    return total


@cache
def _int8_class() -> Any:
    import torch

    class Int8Linear(torch.nn.Module):  # type: ignore[misc]
        """`torch.nn.Linear` with its weights in 8 bits and a scale for each output."""

        def __init__(self, layer: torch.nn.Linear) -> None:
            super().__init__()
            self.in_features, self.out_features = layer.in_features, layer.out_features
            with torch.no_grad():
                whole = layer.weight.detach().float()
                scale = whole.abs().amax(dim=1).clamp(min=1e-12) / 127
                self.register_buffer("weight", (whole / scale[:, None]).round().clamp(-127, 127).to(torch.int8))
                self.register_buffer("scale", scale.to(layer.weight.dtype))
                self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            rows = given.reshape(-1, self.in_features)
            whole = self.in_features % _WHOLE_STEPS == 0
            if whole and rows.shape[0] <= _MOST_ROWS and rows.dtype == torch.bfloat16:
                made = torch._weight_int8pack_mm(rows.contiguous(), self.weight, self.scale)
            else:
                made = torch.nn.functional.linear(rows, self.weight.to(rows.dtype)) * self.scale
            if self.bias is not None:
                made = made + self.bias
            return made.reshape(*given.shape[:-1], self.out_features)

    return Int8Linear
