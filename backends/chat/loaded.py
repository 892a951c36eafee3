"""A model in memory, ready to answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from backends.chat.adapted import AdapterSwitch
from core.refs import ModelRef


@dataclass(frozen=True)
class LoadedModel:
    """The model, its tokenizer, and how it runs. `lock` guards the tokenizer, which is not safe to share.

    `processor` prepares pictures, where the model reads them; `blind` says why not, where there is more to say than that.
    `switch` is there once the model has had an adapter; it is shared by the base and every adapter on it.
    """

    ref: ModelRef
    model: Any
    tokenizer: Any
    dtype: str
    device: str
    max_context: int | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    switch: AdapterSwitch | None = None
    processor: Any = None
    blind: str = ""

    def ready(self) -> None:
        """Let the model compute as this one. First in every turn: whoever had the last one may have used an adapter."""
        if self.switch is not None:
            self.switch.use(self.ref.adapter)

    @property
    def stop_tokens(self) -> frozenset[int]:
        """The tokens that end an answer."""
        own = self.model.generation_config.eos_token_id
        if own is None:
            own = self.tokenizer.eos_token_id
        if own is None:
            return frozenset()
        return frozenset(int(token) for token in (own if isinstance(own, list | tuple) else [own]))

    def decode(self, tokens: list[int]) -> str:
        """Text of tokens, special ones left out, nothing tidied."""
        with self.lock:
            return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))
