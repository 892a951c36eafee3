"""Random LoRAs for the tiny chat models, made and saved by PEFT as anybody's are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def make_tiny_chat_lora(folder: Path, base: Path, *, made_for: str = "", seed: int = 0, **config: Any) -> Path:
    """A LoRA for the causal model of `base` that changes what it says, as PEFT's `save_pretrained` writes it.

    `made_for` is the base its config names; "" is the folder, as when somebody trained on a copy. `config` goes into the
    `LoraConfig`.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], **config}
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                # PEFT starts the second matrix at zero, and such a LoRA changes nothing.
                weight.copy_(torch.randn(weight.shape, generator=random) * 0.3)
    adapted.save_pretrained(folder)
    change_config(folder, base_model_name_or_path=made_for or str(base))
    return folder


def change_config(folder: Path, **values: Any) -> None:
    """Change entries of an adapter's config."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
