"""LoRAs on one model in memory: the base is there once, and which adapter it computes with is switched between steps."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from backends.chat.adapter_files import WEIGHTS
from core.errors import AppError, BackendError, UserInputError
from core.refs import ModelRef, shown

log = logging.getLogger(__name__)


class AdapterSwitch:
    """Which adapter a model computes with. Whoever calls it holds the turn in which nobody else computes with the model.

    PEFT puts its layers around those of the model, which stays as it was: with every adapter off the base answers as if
    there had never been one.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._names: dict[ModelRef, str] = {}
        self._now = ""

    def adapters(self) -> tuple[ModelRef, ...]:
        """The adapters in memory."""
        return tuple(self._names)

    def use(self, adapter: ModelRef | None) -> None:
        """Compute with this adapter from now on, None: with the base alone. Costs nothing when that is so already."""
        name = self._names[adapter] if adapter is not None else ""
        if name == self._now:
            return
        if name:
            if not self._now:
                self._model.enable_adapters()
            self._model.set_adapter(name)
        else:
            self._model.disable_adapters()
        self._now = name

    def load(self, adapter: ModelRef, folder: Path) -> None:
        """Bring an adapter into memory; the base stays in use. Raises `BackendError` or `UserInputError` with what to do.

        An adapter that fails leaves nothing behind.
        """
        # Not the commit alone: PEFT looks for the name inside the names of weights.
        name = f"adapter_{adapter.revision}"
        try:
            self._load(adapter, folder, name)
        except AppError:
            self._forget(name)
            raise
        except Exception as error:
            self._forget(name)
            log.warning("%s was not loaded: %s: %s", adapter, type(error).__name__, error)
            raise BackendError(
                f"The adapter {adapter} could not be loaded ({type(error).__name__}: {shown(str(error), 200)}). Check that "
                "it was made for this base, or choose another."
            ) from error
        self._names[adapter] = name

    def drop(self, adapter: ModelRef) -> None:
        """Take an adapter out of memory."""
        name = self._names.pop(adapter, "")
        if name:
            self._forget(name)

    def keep_only(self, wanted: Collection[ModelRef]) -> None:
        """Drop every adapter that is not among `wanted`."""
        for adapter in self.adapters():
            if adapter not in wanted:
                self.drop(adapter)

    def _load(self, adapter: ModelRef, folder: Path, name: str) -> None:
        from peft import LoraConfig
        from safetensors import safe_open

        with safe_open(folder / WEIGHTS, "pt") as file:
            given = list(file.keys())
        if not given:
            raise UserInputError(f"The adapter {adapter} holds no weights. Choose another.")
        config = LoraConfig.from_pretrained(str(folder))
        # Its weights come from the file; whatever it once began with would be computed for nothing.
        config.init_lora_weights = True
        config.inference_mode = True
        # A folder on this machine, so no network is asked.
        told = self._model.load_adapter(
            str(folder), adapter_name=name, peft_config=config, use_safetensors=True, hotswap=False
        )
        # Those of the other adapters are told as missing too.
        missing = sorted(key for key in told.missing_keys if name in key)
        wrong = [*missing, *told.unexpected_keys, *(key[0] for key in told.mismatched_keys)]
        if wrong:
            raise UserInputError(
                f"The adapter {adapter} does not fit this model: {len(wrong)} of its weights have no place or another "
                f"shape, {shown(str(wrong[0]))} first. Choose an adapter that was made for it."
            )
        self._now = name
        self._model.set_adapter(name)
        self.use(None)

    def _forget(self, name: str) -> None:
        """Leave the base in use and nothing of the adapter behind."""
        if getattr(self._model, "_hf_peft_config_loaded", False):
            if name in self._model.peft_config:
                self._model.delete_adapter(name)
            if getattr(self._model, "_hf_peft_config_loaded", False):
                self._model.disable_adapters()
        self._now = ""
