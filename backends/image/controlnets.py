"""ControlNets: which fit a base model by their configs, and how they come into memory beside it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.chat.decoding import out_of_memory
from backends.image.metadata import CONTROLNETS
from backends.loading_lock import load_alone
from core.errors import BackendError, OutOfMemory, UserInputError
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)
MOST_KEPT = 2
# What has to be the same in a ControlNet's config and in that of the UNet or transformer whose blocks it feeds.
_SAME = (
    "in_channels",
    "cross_attention_dim",
    "block_out_channels",
    "layers_per_block",
    "addition_embed_type",
    "projection_class_embeddings_input_dim",
    "num_attention_heads",
    "attention_head_dim",
    "joint_attention_dim",
    "pooled_projection_dim",
    "caption_projection_dim",
)


def check_controlnet(
    config: Mapping[str, Any], base: Mapping[str, Any], family: str, name: str, *, vae_scale: int
) -> None:
    """Raise `UserInputError` when it is no ControlNet or does not fit.

    `base` is the config of the base model's UNet or transformer, `family` diffusers' name of its family, `name` what the
    sentence calls the ControlNet, `vae_scale` how many pixels one latent of the base model stands for along a side.
    """
    kind, wanted = str(config.get("_class_name", "")), CONTROLNETS.get(family)
    if "ControlNet" not in kind:
        raise UserInputError(
            f"{name} is not a ControlNet: its config.json names no such class. Choose another repository."
        )
    if kind != wanted:
        raise UserInputError(
            f"{name} is a “{shown(kind)}”, and this model takes a “{wanted}”. Choose a ControlNet of this model's own family."
        )
    for key in _SAME:
        if config.get(key) is not None and base.get(key) is not None and _plain(config[key]) != _plain(base[key]):
            raise UserInputError(
                f"{name} was made for another family: its {key} is {shown(str(config[key]))} and this model's is "
                f"{shown(str(base[key]))}. Choose a ControlNet of this model's own family."
            )

    if _reads_pixels_by(config) not in (None, vae_scale):
        raise UserInputError(
            f"{name} was made for another family: it takes {_reads_pixels_by(config)} pixels for a latent and this model "
            f"{vae_scale}. Choose a ControlNet of this model's own family."
        )


class LoadedControlNets:
    """The ControlNets in memory beside one pipeline, the least recently used put out first."""

    def __init__(self, base: Any, device: str, dtype: str, *, offloaded: bool) -> None:
        """`offloaded`: the parts of the pipeline `base` go to `device` when their turn comes, and so does the ControlNet."""
        self._base, self._device, self._dtype, self._offloaded = base, device, dtype, offloaded
        self._nets: OrderedDict[ModelRef, Any] = OrderedDict()

    def get(self, ref: ModelRef, folder: Path, class_name: str) -> Any:
        """The ControlNet of a folder, loaded when it is not in memory; raises `BackendError` with what to do."""
        if ref in self._nets:
            self._nets.move_to_end(ref)
            return self._nets[ref]
        while len(self._nets) >= MOST_KEPT:
            self._nets.popitem(last=False)
        try:
            net = load_alone(lambda: self._load(folder, class_name))
        except Exception as error:
            log.warning("%s was not loaded: %s: %s", ref, type(error).__name__, error)
            if out_of_memory(error):
                raise OutOfMemory(
                    f"There is not enough memory for the ControlNet {ref.repo_id} beside this model. Draw without it."
                ) from error
            raise BackendError(
                f"The ControlNet {ref.repo_id} could not be loaded ({type(error).__name__}: {shown(str(error), 200)}). Draw "
                "without it, or choose another one."
            ) from error
        self._nets[ref] = net
        return net

    def _load(self, folder: Path, class_name: str) -> Any:
        import diffusers
        import torch

        net = getattr(diffusers, class_name).from_pretrained(
            str(folder), dtype=getattr(torch, self._dtype), use_safetensors=True, local_files_only=True
        )
        net.eval()
        if self._offloaded:
            from accelerate import cpu_offload_with_hook  # type: ignore[import-untyped]

            return cpu_offload_with_hook(net, torch.device(self._device))[0]
        # Where the base is by now: it may have been moved after it was loaded.
        return net.to(self._base.device)


def _reads_pixels_by(config: Mapping[str, Any]) -> int | None:
    """How many pixels of the control picture a UNet's ControlNet takes for one latent: it halves the side by each block."""
    channels = config.get("conditioning_embedding_out_channels")
    return 2 ** (len(channels) - 1) if isinstance(channels, list) and channels else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
