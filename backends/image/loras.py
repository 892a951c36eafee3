"""The LoRAs on a pipeline's parts: loaded once, switched on for one drawing, and never seen by the next one."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.chat.decoding import out_of_memory
from backends.loading_lock import load_alone
from core.errors import BackendError, OutOfMemory
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)
# Each takes some hundred MB beside a large model; they come back from disk within a second or two.
MOST_KEPT = 4


@dataclass(frozen=True)
class LoraFile:
    """A LoRA to use: what recipes call it, how much of it, and where it lies."""

    ref: ModelRef
    file: str
    weight: float
    path: Path


class AttachedLoras:
    """Belongs to one loaded pipeline, whose line of drawings lets one request at a time through."""

    def __init__(self, base: Any) -> None:
        self._base = base
        self._names: OrderedDict[tuple[ModelRef, str], str] = OrderedDict()
        self._made = 0

    def use(self, wanted: Sequence[LoraFile]) -> None:
        """Exactly these from now on; with none it draws as if there had never been one. The base stays in memory.

        Raises `BackendError` when one cannot be loaded; then none is on.
        """
        if not self._names and not wanted:
            return
        self._base.disable_lora()
        if not wanted:
            return
        for lora in wanted:
            self._attach(lora)
        names = [self._names[lora.ref, lora.file] for lora in wanted]
        # The order decides how floating-point sums round: it is the order of the recipe.
        self._base.enable_lora()
        self._base.set_adapters(names, [float(lora.weight) for lora in wanted])
        while len(self._names) > max(MOST_KEPT, len(wanted)):
            _, oldest = self._names.popitem(last=False)
            self._base.delete_adapters([oldest])

    def _attach(self, lora: LoraFile) -> None:
        key = (lora.ref, lora.file)
        if key in self._names:
            self._names.move_to_end(key)
            return
        self._made += 1
        name = f"lora_{self._made}"
        try:
            load_alone(lambda: self._load(lora, name))
        except Exception as error:
            log.warning("%s was not loaded: %s: %s", lora.ref, type(error).__name__, error)
            # Half of it may be in place: in the text encoder, say, but not in the UNet.
            self._base.delete_adapters([name])
            if out_of_memory(error):
                raise OutOfMemory(
                    f"There is not enough memory for the LoRA {lora.ref.repo_id} beside this model. Draw without it."
                ) from error
            raise BackendError(
                f"The LoRA {lora.ref.repo_id} could not be loaded ({type(error).__name__}: {shown(str(error), 200)}). Draw "
                "without it, or choose another one."
            ) from error
        self._names[key] = name

    def _load(self, lora: LoraFile, name: str) -> None:
        self._base.load_lora_weights(
            str(lora.path.parent),
            weight_name=lora.path.name,
            adapter_name=name,
            local_files_only=True,
            use_safetensors=True,
        )
